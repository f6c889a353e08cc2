"""What citytotals-query serve answers: the totals as print shows them, their parts, and refusals that say what is allowed."""
import csv
import gzip
import io
import json
import re
import socket
import xml.etree.ElementTree

import jsonschema
import pytest
import referencing
import referencing.jsonschema
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.lab import events as e
from tests.lab.oracle import CITY_OFFSET, DAY, Expected, percent
from tests.lab.process import wait_until
from tests.lab.totals import headcount
from tests.lab.web import AGENCIES, Server, unpack_brotli

DATES = ("2015-01-01", "2019-12-31", "2020-06-01", "2020-06-02", "2021-12-31")


def story(city):
    """Agencies, units, pilots, visits, a reversal and a decision that a spreadsheet would run."""
    retired = e.headcount("h3", "hong-bang", -43, date="2020-06-02", decision="12/QĐ-UBND")
    city.given_events(
        e.headcount("h1", "hong-bang", 1000, "baseline", date="2015-01-01", decision="=HYPERLINK(\"http://evil\")"),
        e.headcount("h2", "so-y-te", 500, "baseline", "public_service", date="2015-01-01"), retired,
        e.headcount("h4", "nobody-named-it", 7, date="2019-12-31", decision='a "quoted", <b>& text'),
        e.headcount("h5", "so-y-te", -5, "correction", "public_service", date="2099-01-01"), e.reversal(e.headcount("h6", "an-lao", 3)),
        e.merger("m1", "so-noi-vu", "commune", "baseline", 0, 223, date="2015-01-01"), e.merger("m2", "so-noi-vu", "commune", "merger", 9, 3, date="2020-06-02"),
        e.merger("m3", "so-noi-vu", "city_division", "rearrangement", 19, 0),
        e.merger("m4", "hong-bang", "district_division", "rearrangement", 2, 2, pilot_model="joint-office", district="hong-bang"),
        e.visit("a"), e.visit("b"), e.visit("a"))
    city.fold()
    return Expected(city.kafka.bootstrap, city.name)


@pytest.fixture
def serving(city, directory):
    servers = []

    def make(*flags, redis=None, env=None):
        server = Server(city.name, redis or city.redis, directory / f"serve-{city.name}-{len(servers)}", *flags, env=env)
        servers.append(server)
        wait_until("it is ready", lambda: server.ready() == 200, 60, server.process.check_alive)
        return server
    yield make
    for server in servers:
        if server.process.running():
            assert server.process.stop() == 0, server.process.log()


def without_times(text):
    document = json.loads(text)
    del document["as_of"]["read_at"]
    return json.dumps(document)


def rows(answer):
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.body.startswith(b"\xef\xbb\xbf") and answer.body.endswith(b"\r\n") and b"\n" not in answer.body.replace(b"\r\n", b"")
    return list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"), newline="")))


def test_totals_are_those_of_print(city, serving):
    story(city)
    server = serving()
    for path, flags in (("/v1/totals", ()), *[(f"/v1/totals?as_of={date}", ("--as-of", date)) for date in DATES]):
        def same():
            served, printed = server.ask(path).text, city.query("--format", "json", *flags).stdout
            at = served.index('"read_at":"') + 11
            return served[:at] + printed[at:at + 24] + served[at + 24:] == printed
        wait_until(f"{path} is byte for byte what print shows but for the time of reading", same, 20)
    assert server.ask("/v1/totals").headers["Content-Type"] == "application/json"


def test_agencies(city, serving):
    expected = story(city)
    server = serving("--agencies", AGENCIES)
    answer = server.ask("/v1/agencies").json
    by_id = {agency["id"]: agency for agency in answer["agencies"]}
    assert [agency["id"] for agency in answer["agencies"]] == sorted(by_id) and len(by_id) == 36
    for id_ in ("hong-bang", "so-y-te", "nobody-named-it", "an-lao"):
        base = expected.hashes["headcount:baseline"].get(id_, 0)
        assert by_id[id_]["headcount"] == headcount(base, expected.hashes["headcount:current"].get(id_, 0))
    assert by_id["hong-bang"]["name"] == {"vi": "Quận Hồng Bàng", "en": "Hong Bang District"} and by_id["nobody-named-it"]["name"] is None
    one = server.ask("/v1/agencies/hong-bang").json
    assert one["agency"] == by_id["hong-bang"] and [change["type"] for change in one["changes"]] and one["next"] is None
    assert {change["agency"] for change in one["changes"]} == {"hong-bang"} and len(one["changes"]) == 3
    for path in ("/v1/agencies/nobody", "/v1/agencies/%C4%90", "/v1/agencies/'%20OR%201=1"):
        assert server.ask(path).status == 404
    table = rows(server.ask("/v1/agencies.csv"))
    assert {row["id"]: row["current"] for row in table} == {id_: str(agency["headcount"]["current"]) for id_, agency in by_id.items()}


def test_changes(city, serving):
    story(city)
    server = serving()
    everything = server.ask("/v1/changes").json
    assert len(everything["changes"]) == 10 and everything["next"] is None
    assert everything["changes"][0]["id"] > everything["changes"][-1]["id"]
    seen, before = [], ""
    while before is not None:
        page = server.ask(f"/v1/changes?limit=3{before and '&before=' + before}").json
        seen += page["changes"]
        before = page["next"]
    assert seen == everything["changes"]
    for query, wanted in (("agency=so-y-te", lambda change: change["agency"] == "so-y-te"), ("category=commune", lambda change: "commune" in
                          (change.get("category"), change.get("sector"))), ("category=public_service&agency=so-y-te", lambda change: change["agency"] == "so-y-te")):
        assert server.ask(f"/v1/changes?{query}").json["changes"] == [change for change in seen if wanted(change)]
    by_decision = {change.get("decision"): change for change in seen}
    retired = by_decision["12/QĐ-UBND"]
    assert (retired["delta"], retired["effective_date"], retired["reason"]) == (-43, "2020-06-02", "retired")
    table = rows(server.ask("/v1/changes.csv"))
    assert len(table) == 10 and {"'=HYPERLINK(\"http://evil\")", 'a "quoted", <b>& text'} <= {row["decision"] for row in table}
    assert {row["delta"] for row in table} >= {"-43", "1000"}
    feed = server.ask("/v1/changes.atom")
    tree = xml.etree.ElementTree.fromstring(feed.body)
    assert feed.headers["Content-Type"] == "application/atom+xml" and len(tree.findall("{http://www.w3.org/2005/Atom}entry")) == 10
    assert 'a "quoted", <b>& text' in "".join(tree.itertext())


def test_units_and_visitors(city, serving):
    expected = story(city)
    server = serving()
    units = server.ask("/v1/units").json
    assert units["units"]["commune"] == {"baseline": 223, "current": 217, "change": -6, "merged": 9, "mergers": 1}
    assert units["units"]["city_division"]["baseline"] is None and units["pilots"]["pairs"] == [{"model": "joint-office", "district": "hong-bang"}]
    assert server.ask("/v1/units?as_of=2020-06-01").json["units"]["commune"]["change"] == 0
    table = {row["category"]: row for row in rows(server.ask("/v1/units.csv"))}
    assert table["commune"]["change"] == "-6" and table["city_division"]["baseline"] == ""
    visitors = server.ask("/v1/visitors").json
    today = e.day_text((e.now_ms() + CITY_OFFSET) // DAY)
    assert visitors["visitors"]["all"] == 2 and visitors["by_day"] == [{"date": today, "visits": int(expected.hashes["visits:by-day"][today])}]
    assert rows(server.ask("/v1/visitors.csv")) == [{"date": today, "visits": "2"}]


def test_history_is_the_totals_on_each_date(city, serving):
    story(city)
    server = serving()
    for measure, value in (("headcount_current", lambda totals: totals["headcount"]["current"]),
                           ("headcount_baseline", lambda totals: totals["headcount"]["baseline"]),
                           ("headcount_reduction", lambda totals: totals["headcount"]["reduction"]),
                           ("reduction_percent", lambda totals: totals["headcount"]["reduction_percent"]),
                           ("units_commune", lambda totals: totals["units"]["commune"]["current"]),
                           ("units_city_division", lambda totals: totals["units"]["city_division"]["current"]),
                           ("units_change_city_division", lambda totals: totals["units"]["city_division"]["change"])):
        for step in ("day", "week", "month", "year"):
            answer = server.ask(f"/v1/history?measure={measure}&from=2020-05-20&to=2020-06-10&step={step}").json
            assert answer["points"][-1]["date"] == "2020-06-10" and answer["measure"] == measure
            for point in answer["points"][::5] + answer["points"][-1:]:
                assert point["value"] == value(server.ask(f"/v1/totals?as_of={point['date']}").json), (measure, step, point)
    days = [point["date"] for point in server.ask("/v1/history?measure=visits&from=2020-02-27&to=2020-03-02&step=day").json["points"]]
    assert days == ["2020-02-27", "2020-02-28", "2020-02-29", "2020-03-01", "2020-03-02"]
    weeks = [point["date"] for point in server.ask("/v1/history?measure=visits&from=2020-01-01&to=2020-01-20&step=week").json["points"]]
    assert weeks == ["2020-01-05", "2020-01-12", "2020-01-19", "2020-01-20"]  # Sundays, and the last day
    whole = server.ask("/v1/history?measure=headcount_current").json
    assert whole["from"] == "2015-01-01" and whole["points"][0] == {"date": "2015-01-31", "value": 1500}
    visits = server.ask("/v1/history?measure=visits&step=day").json
    assert visits["points"][-1]["value"] == 2 and len(visits["points"]) == 1
    table = rows(server.ask("/v1/history.csv?measure=reduction_percent&from=2020-06-01&to=2020-06-02&step=day"))
    assert table == [{"date": "2020-06-01", "reduction_percent": percent(-4, 1500)}, {"date": "2020-06-02", "reduction_percent": percent(39, 1500)}]


@pytest.mark.parametrize("path,field,words", [
    ("/v1/totals?as_of=yesterday", "as_of", "YYYY-MM-DD"), ("/v1/totals?as_of=2020-02-30", "as_of", "YYYY-MM-DD"), ("/v1/totals?as_of=", "as_of", "YYYY-MM-DD"),
    ("/v1/totals?asof=2020-01-01", "asof", "allowed: as_of"), ("/v1/units?as_of=20200101", "as_of", "YYYY-MM-DD"), ("/v1/history", "measure", "headcount_current"),
    ("/v1/history?measure=money", "measure", "reduction_percent"), ("/v1/history?measure=visits&step=hour", "step", "day, week, month, year"),
    ("/v1/history?measure=visits&from=2020-01-02&to=2020-01-01", "from", "not after"), ("/v1/history?measure=visits&from=0001-01-01&step=day", "step", "5000"),
    ("/v1/changes?limit=0", "limit", "1 to 1000"), ("/v1/changes?limit=1001", "limit", "1 to 1000"), ("/v1/changes?limit=1e3", "limit", "1 to 1000"),
    ("/v1/changes?limit=99999999999999999999", "limit", "1 to 1000"), ("/v1/changes?before=now", "before", "VERSION-NUMBER"), ("/v1/changes?before=-1--1", "before", "VERSION"),
    ("/v1/changes?category=village", "category", "commune"), ("/v1/agencies?id=1", "id", "none")])
def test_bad_parameters_are_named_with_what_is_allowed(city, serving, path, field, words):
    server = serving()
    answer = server.ask(path)
    assert answer.status == 400 and answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["errors"][0]["field"] == field and words in answer.json["errors"][0]["detail"] and field in answer.json["detail"]


def test_validators_compression_and_negotiation(city, serving):
    story(city)
    server = serving()
    first = server.ask("/v1/totals")
    etag = first.headers["ETag"]
    assert etag.startswith('W/"') and "max-age" in first.headers["Cache-Control"] and "Accept-Encoding" in first.headers["Vary"]
    read_at = first.json["as_of"]["read_at"]
    later = wait_until("it was read again", lambda: (answer := server.ask("/v1/totals")).json["as_of"]["read_at"] != read_at and answer, 30)
    assert later.headers["ETag"] == etag  # nothing but the time of reading is new
    for given in (etag, etag[2:], f'"other", {etag}', "*"):
        for method in ("GET", "HEAD"):
            answer = server.ask("/v1/totals", method, If_None_Match=given)
            assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", etag)
    assert server.ask("/v1/totals", If_None_Match='W/"other"').status == 200
    city.given_events(e.headcount("more", "hong-bang", -1))
    city.fold()
    changed = wait_until("it is new", lambda: (answer := server.ask("/v1/totals", If_None_Match=etag)).status == 200 and answer, 30)
    assert changed.headers["ETag"] != etag
    for path in ("/v1/totals", "/v1/agencies", "/v1/changes?limit=7", "/openapi.json", "/v1/definitions"):
        plain = server.ask(path)
        assert "Content-Encoding" not in plain.headers
        for coding, unpack in (("gzip", gzip.decompress), ("br", unpack_brotli)):
            packed = server.ask(path, Accept_Encoding=coding)
            assert packed.headers["Content-Encoding"] == coding and len(packed.body) < len(plain.body)
            assert re.sub(rb'"read_at":"[^"]*"', b"", unpack(packed.body)) == re.sub(rb'"read_at":"[^"]*"', b"", plain.body)
        for accept, coding in (("gzip, deflate, br, zstd", "br"), ("br;q=0.4, gzip;q=0.5", "gzip"), ("gzip;q=0.5, br;q=0.5", "br"), ("br;q=0, gzip", "gzip"),
                               ("*", "br"), ("br;q=0, *", "gzip"), ("gzip;q=0", None), ("identity", None), ("*;q=0", None), ("brotli", None), ("BR", "br"),
                               ("", None), (",;q=,", None)):
            assert server.ask(path, Accept_Encoding=accept).headers["Content-Encoding"] == coding, accept
        head = server.ask(path, "HEAD")
        assert head.status == 200 and head.body == b"" and head.headers["Content-Length"] == str(len(plain.body))
    for accept, kind in (("text/csv", "csv"), ("text/csv, */*;q=0.1", "csv"), ("application/json, text/csv;q=0.9", "json"), ("*/*", "json"),
                         ("text/html,application/xhtml+xml,*/*;q=0.8", "json"), ("text/csv;q=0", "json"), ("text/csv,application/json", "json")):
        assert kind in server.ask("/v1/agencies", Accept=accept).headers["Content-Type"], accept
    assert rows(server.ask("/v1/totals.csv"))[0]["sector"] == "all"


def test_methods_and_cors(city, serving):
    server = serving()
    answer = server.ask("/v1/totals", "OPTIONS", Origin="https://any.example", Access_Control_Request_Method="GET")
    assert answer.status == 204 and answer.headers["Access-Control-Allow-Origin"] == "*" and "GET" in answer.headers["Access-Control-Allow-Methods"]
    assert server.ask("/v1/totals", Origin="https://any.example").headers["Access-Control-Allow-Origin"] == "*"
    for method in ("POST", "PUT", "DELETE"):
        answer = server.ask("/v1/totals", method)
        assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert server.ask("/v2/totals").status == 404
    narrow = serving("--allow-origin", "https://portal.example")
    assert narrow.ask("/v1/totals", Origin="https://portal.example").headers["Access-Control-Allow-Origin"] == "https://portal.example"
    assert "Access-Control-Allow-Origin" not in narrow.ask("/v1/totals", Origin="https://any.example").headers


def test_an_empty_city_is_zeros(city, serving):
    server = serving()
    totals = server.ask("/v1/totals").json
    assert totals["headcount"]["baseline"] == 0 and totals["as_of"]["updated_at"] is None and totals["events"] == 0
    assert server.ask("/v1/changes").json["changes"] == [] and server.ask("/v1/agencies").json["agencies"] == []
    assert server.ask("/v1/history?measure=headcount_current").status == 200 and server.ask("/v1/visitors").json["by_day"] == []
    assert [event for event in (server.stream().until(lambda event, data, id_: event == "totals"))][0] == "totals"


def test_the_lag_is_told_where_kafka_is_asked(city, serving):
    story(city)
    server = serving("-b", city.kafka.bootstrap)
    wait_until("nothing waits", lambda: server.ask("/v1/totals").json["as_of"]["lag"] == 0, 60)
    city.given_events(e.headcount("waits", "hong-bang", 1))
    wait_until("one waits", lambda: server.ask("/v1/totals").json["as_of"]["lag"] == 1, 60)


def test_what_is_refused_at_the_start(city, serving, directory):
    bad = directory / f"bad-{city.name}.csv"
    for content, words in (("id,name\n", "header"), ("id,vi,en\nA B,x,y\n", "line 2"), ("id,vi,en\na,x\n", "line 2"), ("id,vi,en\na,x,y\na,x,y\n", "twice")):
        bad.write_text(content)
        with pytest.raises(AssertionError, match=words):
            Server(city.name, city.redis, directory / f"bad-{city.name}", "--agencies", bad)
    with pytest.raises(AssertionError, match="no such|No such"):
        Server(city.name, city.redis, directory / f"bad-{city.name}", "--agencies", "/nowhere.csv")


def test_answers_are_as_openapi_says(city, serving):
    story(city)
    server = serving("--agencies", AGENCIES)
    description = server.ask("/openapi.json").json
    OpenAPIV31SpecValidator(description).validate()
    registry = referencing.Registry().with_resource("urn:api", referencing.Resource(description, referencing.jsonschema.DRAFT202012))

    def check(schema, value):
        where = {"$ref": "urn:api" + schema["$ref"]} if "$ref" in schema else schema
        jsonschema.Draft202012Validator(where, registry=registry, format_checker=jsonschema.FormatChecker()).validate(value)
    examples = {"id": "hong-bang", "as_of": "2020-06-01", "measure": "reduction_percent", "from": "2020-01-01", "to": "2020-12-31", "step": "week",
                "agency": "hong-bang", "category": "commune", "limit": "2", "before": "5-1", "lang": "en"}
    for path, operations in description["paths"].items():
        operation = operations["get"]
        if path == "/v1/stream":
            continue
        names = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
        required = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query" and parameter["required"]]
        asked = path.replace("{id}", examples["id"])
        for query in (required, names):
            answer = server.ask(asked + ("?" + "&".join(f"{name}={examples[name]}" for name in query) if query else ""))
            kinds = operation["responses"]["200"]["content"]
            kind = answer.headers["Content-Type"].split(";")[0]
            assert answer.status == 200 and kind in kinds, (path, query, answer.text)
            if kind == "application/json":
                check(kinds[kind]["schema"], answer.json)
        if path not in ("/", "/widget.js"):  # links to these may carry anything
            refused = server.ask(asked + "?unknown=1")
            assert refused.status == 400
            check({"$ref": "#/components/schemas/Problem"}, refused.json)
        for name in names:
            if name not in ("agency",):
                bad = server.ask(f"{asked}?{name}=%F0%9F%92%A5")
                assert bad.status == 400 and bad.json["errors"][0]["field"] in (name, *required), (path, name, bad.text)
        if "text/csv" in operation["responses"]["200"]["content"]:
            of = "?" + "&".join(f"{name}={examples[name]}" for name in required)
            assert rows(server.ask(asked + of, Accept="text/csv")) and server.ask(asked + ".csv" + of).headers["Content-Type"].startswith("text/csv")


def test_floods_leave_others_served_in_bounded_memory(city, serving):
    story(city)
    server = serving()
    server.ask("/v1/totals")
    before = server.rss()
    idle = [socket.create_connection(server.address) for _ in range(100)]
    try:
        for data in (b"GET /v1/totals?as_of=" + b"1" * 1024 * 1024, b"GET /" + b"%41" * 300000, b"GET /v1/totals HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200000,
                     b"GET /v1/totals HTTP/1.1\r\nHost: x\r\nIf-None-Match: " + b'"x", ' * 200000,
                     b"POST /v1/totals HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000000):
            with socket.create_connection(server.address) as peer:
                peer.settimeout(60)
                try:
                    peer.sendall(data + b" HTTP/1.1\r\nHost: x\r\n\r\n")
                    answer = peer.recv(65536)
                except OSError:
                    answer = b""
                assert b" 200 " not in answer
            assert server.ask("/v1/totals").status == 200
        for path in ("/v1/totals?" + "&".join(f"p{n}=1" for n in range(50)), "/v1/changes?agency=" + "a" * 4000, "/v1/agencies/" + "a" * 4000):
            assert server.ask(path).status in (200, 400, 404)
        assert server.rss() - before < 8 * 1024 * 1024
    finally:
        for peer in idle:
            peer.close()
