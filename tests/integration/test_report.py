"""The inspection report of the sample: every figure of the city's own report, in each format and language, and a digest to check."""
import csv
import hashlib
import html.parser
import io
import json
import re
import subprocess

import pytest

from tests.lab import events as e
from tests.lab.oracle import Expected
from tests.lab.process import ROOT, wait_until
from tests.lab.web import AGENCIES, QUERY, Server

SAMPLE = ROOT / "samples" / "haiphong-2020-10-30.ndjson"
DAY = "2020-10-30"


def sample_events():
    for line in SAMPLE.read_text().splitlines():
        event = json.loads(line)
        common = {"source": event["source"], "date": event["effective_date"], "decision": event.get("decision")}
        if event["type"] == "headcount-change":
            yield e.headcount(event["id"], event["agency"], event["delta"], event["reason"], event["sector"], **common)
        else:
            yield e.merger(event["id"], event["agency"], event["category"], event["kind"], event["units_before"], event["units_after"],
                           pilot_model=event.get("pilot_model"), district=event.get("district"), **common)


@pytest.fixture
def sample(new_city):
    city = new_city()
    city.given_events(*sample_events())
    city.fold()
    return city


def run(city, *flags, redis_url=None):
    return subprocess.run([QUERY, "report", "--city", city.name, "--redis", redis_url or city.redis.url, *flags], capture_output=True, timeout=60)


def report(city, *flags):
    done = run(city, "--as-of", DAY, *flags)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    return done.stdout.decode()


def digest(city, name, as_of):
    expected = Expected(city.kafka.bootstrap, city.name)
    lines = [f"{key} {field} {amount}\n" for key in ("headcount:by-day", "pilots:by-day", "units:by-day")
             for field, amount in expected.hashes[key].items() if field[:10] <= as_of and int(amount) != 0]
    text = f"citytotals-report 1 {name} {as_of}\n" + "".join(sorted(lines, key=str.encode))
    return hashlib.sha256(text.encode()).hexdigest()


FIGURES = {
    "vi": ("21", "giảm 19 so với 2015", "167; giảm 6 so với 2015", "910; giảm 98 so với 2015", "sáp nhập 9; giảm 6 so với 2015", "31/12/2021", "10%",
           "4 mô hình ở 6 quận, huyện"),
    "en": ("21", "19 fewer than in 2015", "167; 6 fewer than in 2015", "910; 98 fewer than in 2015", "9 merged; 6 fewer than in 2015", "2021-12-31", "10%",
           "4 models in 6 districts")}


class Words(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.text, self.open, self.tags = "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_figure_of_the_citys_report(sample, language):
    flags = ("--lang", language, "--agencies", AGENCIES)
    text = report(sample, *flags)
    page = Words(report(sample, *flags, "--format", "html"))
    table = list(csv.DictReader(io.StringIO(report(sample, *flags, "--format", "csv").removeprefix("\ufeff"), newline="")))
    cells = "\n".join(row["value"] for row in table)
    for figure in FIGURES[language]:
        for form in (text, page.text, cells):
            assert figure in form, figure
    documents = "5730/BNV-TCBC"
    for form in (text, page.text, cells):
        assert documents in form and digest(sample, sample.name, DAY) in form
    name, pilot = {"vi": ("Quận Hồng Bàng", "Kiểm tra – Thanh tra · hong-bang"), "en": ("Hong Bang District", "Joint office · an-duong")}[language]
    assert name in text and name in page.text and pilot in page.text
    assert not page.open and "script" not in page.tags and "link" not in page.tags and "img" not in page.tags


def test_json_and_the_server_agree(sample, directory):
    document = json.loads(report(sample, "--format", "json", "--agencies", AGENCIES))
    totals = json.loads(sample.query("--format", "json", "--as-of", DAY).stdout)
    for part in ("headcount", "units", "pilots"):
        assert document[part] == totals[part]
    assert document["decisions"]["complete"] is True and document["digest"]["value"] == digest(sample, sample.name, DAY)
    assert {item["decision"] for item in document["decisions"]["items"]} >= {"5730/BNV-TCBC"}
    assert sum(item["events"] for item in document["decisions"]["items"]) == 31
    assert next(agency for agency in document["agencies"] if agency["id"] == "hong-bang")["name"]["vi"] == "Quận Hồng Bàng"
    server = Server(sample.name, sample.redis, directory / f"serve-{sample.name}", "--agencies", AGENCIES)
    try:
        wait_until("it is ready", lambda: server.ready() == 200, 60, server.process.check_alive)
        served = server.ask(f"/v1/report?as_of={DAY}").json
        assert {**served, "as_of": None} == {**document, "as_of": None}
        assert Words(server.ask(f"/v1/report.html?as_of={DAY}&lang=en").text).text.count("19 fewer") == 1
        assert server.ask(f"/v1/report.csv?as_of={DAY}").body == report(sample, "--format", "csv", "--agencies", AGENCIES).encode()
        assert server.ask("/v1/report").json["as_of"]["date"] >= "2026" and server.ask("/v1/report?lang=fr").json["errors"][0]["field"] == "lang"
    finally:
        assert server.process.stop() == 0


def test_the_digest_changes_with_what_counts_by_the_day_only(sample):
    def value():
        return json.loads(report(sample, "--format", "json"))["digest"]["value"]
    first = value()
    sample.given_events(e.headcount("later", "hong-bang", -1, date="2020-10-31"))
    sample.fold()
    assert value() == first
    event = e.headcount("by then", "hong-bang", -1, date=DAY)
    sample.given_events(event)
    sample.fold()
    assert value() not in (first, None) and value() == digest(sample, sample.name, DAY)
    sample.given_events(e.reversal(event))
    sample.fold()
    assert value() == first


def test_documents_are_said_to_be_cut(sample):
    sample.redis.client.xtrim(sample.key("changes"), maxlen=5)
    document = json.loads(report(sample, "--format", "json"))
    assert document["decisions"]["complete"] is False and document["decisions"]["oldest_version"] >= 1
    assert re.search("Chỉ liệt kê được .* từ phiên bản [0-9]+", report(sample))


def test_hostile_decisions_stay_text(city):
    city.given_events(e.headcount("1", "hong-bang", 5, date="2020-01-01", decision="<script>alert(1)</script>&\"'"), e.headcount(
        "2", "hong-bang", 5, date="2020-01-01", decision="=cmd|'/c calc'!A1"))
    city.fold()
    page = report(city, "--format", "html")
    assert "<script>" not in page and "<script>alert(1)</script>&\"'" in Words(page).text
    rows = list(csv.DictReader(io.StringIO(report(city, "--format", "csv").removeprefix("\ufeff"), newline="")))
    assert "'=cmd|'/c calc'!A1" in {row["value"] for row in rows}


def test_usage(city):
    for flags, status, words in (((), 2, "as-of"), (("--as-of", "2020-13-01"), 2, "as-of"), (("--as-of", DAY, "--format", "pdf"), 2, "html"),
                                 (("--as-of", DAY, "--agencies", "/nowhere.csv"), 2, "/nowhere.csv")):
        done = run(city, *flags)
        assert done.returncode == status and words in done.stderr.decode() and not done.stdout
    assert run(city, "--as-of", DAY, redis_url="redis://127.0.0.1:1").returncode == 1
