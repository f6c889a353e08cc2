"""The HTTP gateway on real Kafka: forms of events, every status, tokens, and what arrives in the topics."""
import gzip
import json
import os
import re
import signal
import subprocess

import jsonschema
import pytest
import requests
from confluent_kafka import Consumer, TopicPartition
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.integration.test_management import ask
from tests.integration.test_send import arrived
from tests.lab import events as e
from tests.lab.gateway import DESCRIPTION, PRODUCER, Gateway, event, event_id, new_token, seen_answers
from tests.lab.process import ROOT, free_ports, wait_until


@pytest.fixture
def gateway(city):
    return Gateway(city)


def kept(city, record):
    """What Kafka has where a verdict says."""
    consumer = Consumer({"bootstrap.servers": city.kafka.bootstrap, "group.id": "look", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(record["topic"], record["partition"], record["offset"])])
        message = consumer.poll(30)
        assert message and not message.error() and message.offset() == record["offset"]
        return message
    finally:
        consumer.close()


def test_one_event_is_answered_with_its_place_in_kafka(city, gateway):
    answer = gateway.post(event("HB-1"))
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/json" and answer.headers["Cache-Control"] == "no-store"
    said = answer.json
    assert (said["accepted"], said["repeats"], said["refused"]) == (1, 0, 0)
    record = said["records"][0]
    assert record["status"] == "accepted" and record["event_id"] == event_id("HB-1")
    assert record["topic"] == f"{city.name}.headcount-changes"
    message = kept(city, record)
    assert message.key() == b"hong-bang" and message.value()[:2] == b"\xc3\x01"
    [(_, got, _, _)] = arrived(city)
    assert (got["source"], got["agency"], got["delta"]) == ("so-noi-vu", "hong-bang", -3)


def test_array_ndjson_csv_and_gzip(city, gateway):
    answer = gateway.post([event("a"), event("b", 2)])
    assert answer.status == 200 and [record["index"] for record in answer.json["records"]] == [0, 1]
    answer = gateway.post_lines(event("c"), "", event("d"))
    assert answer.status == 200 and [record["line"] for record in answer.json["records"]] == [1, 3]
    answer = gateway.post("\ufefftype;id;sector;reason;delta;effective_date\r\nheadcount-change;e;administrative;retired;-3;2020-10-30\r\n",
                          "text/csv; charset=utf-8")
    assert answer.status == 200 and answer.json["records"][0]["line"] == 2, answer
    answer = gateway.post(gzip.compress(json.dumps(event("f")).encode()), Content_Encoding="gzip")
    assert answer.status == 200, answer
    assert gateway.post(json.dumps(event("g"), indent=2)).status == 200
    assert sorted(each["event_id"] for _, each, _, _ in arrived(city)) == sorted(
        e.event_id("headcount-change", "so-noi-vu", "hong-bang", id_) for id_ in "abcdefg")
    assert gateway.post([]).json == {"accepted": 0, "repeats": 0, "refused": 0, "records": []}


def test_cloudevents_in_their_three_modes(city, gateway):
    data = event(None)
    del data["type"]
    envelope = {"specversion": "1.0", "id": "ce-1", "source": "//hong-bang/hr", "type": "vn.haiphong.headcount-change",
                "time": "2020-10-30T08:15:00+07:00", "datacontenttype": "application/json", "traceparent": "00-1", "data": data}
    answer = gateway.post(envelope, "application/cloudevents+json; charset=utf-8")
    assert answer.status == 200 and answer.json["records"][0]["event_id"] == event_id("ce-1"), answer
    answer = gateway.post([envelope | {"id": "ce-2"}, envelope | {"specversion": "0.3"}], "application/cloudevents-batch+json")
    assert answer.status == 207 and [each["status"] for each in answer.json["records"]] == ["accepted", "refused"]
    answer = gateway.post(data, ce_specversion="1.0", ce_id="c%65-3", ce_source="x", ce_type="headcount-change",
                          ce_time="2020-10-30T08:15:00Z")
    assert answer.status == 200 and answer.json["records"][0]["event_id"] == event_id("ce-3"), answer
    assert gateway.post(data, ce_specversion="1.0", ce_id="x", ce_type="headcount-change").status == 422
    got = [each for _, each, _, _ in arrived(city)]
    assert {each["source"] for each in got} == {"so-noi-vu"} and len(got) == 3
    assert got[0]["occurred_at"] == 1604020500000


def test_idempotency_key(city, gateway):
    first = gateway.post(event(None), Idempotency_Key="2020/17")
    again = gateway.post(event(None), Idempotency_Key='"2020/17"')
    assert first.status == again.status == 200
    assert first.json["records"][0]["event_id"] == again.json["records"][0]["event_id"] == event_id("2020/17")
    assert gateway.post(event(None)).status == 422


def test_batch_with_refused_records_is_207_and_sends_the_good_ones(city, gateway):
    answer = gateway.post_lines(event("a"), event("b", 0), event("a"), event("a", -4), "{", event("c"))
    assert answer.status == 207, answer
    said = answer.json
    assert (said["accepted"], said["repeats"], said["refused"]) == (2, 1, 3)
    assert [each["status"] for each in said["records"]] == ["accepted", "refused", "repeat", "refused", "refused", "accepted"]
    assert said["records"][1]["errors"][0]["field"] == "delta" and said["records"][1]["line"] == 2
    assert said["records"][2]["offset"] == said["records"][0]["offset"]
    assert len(arrived(city)) == 2
    answer = gateway.post_lines(event("x", 0))
    assert answer.status == 207 and answer.json["accepted"] == 0


def problem(answer, status, says):
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status and says in json.dumps(answer.json, ensure_ascii=False), answer
    return answer


def test_statuses_of_refusal(city, gateway):
    problem(gateway.post("{"), 400, "found the end of the line")
    problem(gateway.post(""), 400, "line 1: column 1")
    problem(gateway.post('[{"a":1},'), 400, "can't be read")
    problem(gateway.post(b"\xff", "text/csv"), 400, "not UTF-8")
    problem(gateway.post("a,b\n", "text/csv"), 400, "line 1")
    problem(gateway.post(b"no gzip", Content_Encoding="gzip"), 400, "no gzip")
    answer = problem(gateway.post(event("a"), token=None), 401, "Bearer")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    problem(gateway.post(event("a"), token="ct_wrong"), 401, "not known")
    problem(gateway.post(event("a"), token=gateway.token[:-1]), 401, "not known")
    problem(gateway.post(event("a", agency="an-lao")), 403, "may not speak for it")
    problem(gateway.post(event("a", source="hong-bang")), 403, "or leave it out")
    assert problem(gateway.post_lines(event("a"), event("b", agency="an-lao")), 403, "record 1").json["errors"][0]["line"] == 2
    problem(gateway.ask("GET", "/v1/nothing"), 404, "nothing at this path")
    assert gateway.ask("GET").headers["Allow"] == "POST, OPTIONS"
    problem(gateway.post(b" " * (1024 * 1024 + 1)), 413, "longer")
    problem(gateway.post_lines(event("a"), " " * (16 * 1024 + 1)), 413, "16384")
    problem(gateway.post_lines(*["1"] * 10001), 413, "10000 records")
    problem(gateway.post(event("a"), "application/xml"), 415, 'is \\"application/xml\\"; allowed: application/json')
    problem(gateway.post(event("a"), "\xe9" * 100), 415, 'is \\"\ufffd')
    problem(gateway.ask(body=b"{}"), 415, "is missing; allowed: application/json")
    problem(gateway.post(event("a"), Content_Encoding="br"), 415, "gzip")
    answer = problem(gateway.post(event("a", 0, sector="phong")), 422, "delta is 0")
    assert [each["field"] for each in answer.json["errors"]] == ["sector", "delta"]
    problem(gateway.post({"type": "page-visit", "visitor": "0" * 32}), 422, "/v1/visits")
    problem(gateway.post(event("a", agency=None), token=gateway.wide), 422, "agency is missing")
    assert gateway.post(event("good", agency=None)).status == 200
    assert len(arrived(city)) == 1  # nothing of all the refused
    described = {("POST", "/v1/events", int(status)) for status in DESCRIPTION["paths"]["/v1/events"]["post"]["responses"]}
    assert {status for *_, status in described - seen_answers} <= {207, 429, 503}, "a status of the description was never met"


def test_rate_of_a_token(city):
    token, line = new_token(rate=10)
    gateway = Gateway(city, tokens=[line])
    assert gateway.post([event(f"a{i}") for i in range(25)], token=token).status == 200
    answer = problem(gateway.post(event("b"), token=token), 429, "rate")
    assert 1 <= int(answer.headers["Retry-After"]) <= 2
    assert gateway.post(event("c")).status == 200, "another token's bucket"
    token, line = new_token(rate=1)
    gateway.write_tokens(line)
    wait_until("the slow token is known", lambda: gateway.post([event(f"s{i}") for i in range(60)], token=token).status == 200, 30)
    assert int(problem(gateway.post(event("b"), token=token), 429, "rate").headers["Retry-After"]) > 30, "a batch counts whole"


def test_rate_comes_back(city):
    token, line = new_token(rate=10)
    gateway = Gateway(city, tokens=[line])
    assert gateway.post([event(f"a{i}") for i in range(25)], token=token).status == 200
    wait_until("the bucket fills", lambda: gateway.post(event("b"), token=token).status == 200, 30)


def test_tokens_are_read_again_and_a_bad_file_keeps_those_before(city, gateway):
    token, line = new_token(source="moi", agency="an-lao")
    assert gateway.post(event("a", agency="an-lao"), token=token).status == 401
    gateway.write_tokens(line)  # seen by itself
    wait_until("the new token is known", lambda: gateway.post(event("a", agency="an-lao"), token=token).status == 200, 30)
    gateway.write_tokens("sha256:nonsense")
    gateway.process.signal(signal.SIGHUP)
    gateway.process.wait_for_log(r"not taken, those before stay in force: .*line 3")
    assert gateway.post(event("b", agency="an-lao"), token=token).status == 200
    gateway.write_tokens()
    wait_until("the token is taken away", lambda: gateway.post(event("c", agency="an-lao"), token=token).status == 401, 30)
    gateway.tokens_path.unlink()
    gateway.process.wait_for_log(r"not taken.*No such file")
    assert gateway.post(event("d")).status == 200
    assert token not in gateway.process.log()


def test_it_stops_orderly_and_tells_its_state(city, gateway):
    wait_until("it is ready", lambda: ask(gateway.process, "/readyz")[0] == 200, 30, gateway.process.check_alive)
    assert gateway.post([event("a"), event("b")]).status == 200
    assert gateway.metric("gateway_events_accepted_total") == 2 and gateway.metric("gateway_tokens") == 2
    assert gateway.process.stop() == 0
    assert "stopped" in gateway.process.log()


def test_bad_starts(city):
    def run(*arguments):
        done = subprocess.run([os.fspath(PRODUCER), "gateway", *map(os.fspath, arguments)], capture_output=True, text=True, timeout=120)
        return done.returncode, done.stderr
    path = city.directory / "tokens"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("ct_the-token-itself source=a agencies=b\n")
    assert run()[0] == 2
    status, said = run("-b", city.kafka.bootstrap, "--listen", "127.0.0.1:0", "--tokens", path)
    assert status == 2 and "line 1" in said and "the-token-itself" not in said
    path.write_text("# nobody yet\n")
    assert "holds no token: nobody can send" in run("-b", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--tokens", path, "--connect-timeout", "10ms")[1]
    path.write_text(new_token()[1] + "\n")
    status, said = run("-b", city.kafka.bootstrap, "--listen", "127.0.0.1:0", "--tokens", path, "--city", "nowhere", "--connect-timeout", "2s")
    assert status == 1 and "nowhere.headcount-changes" in said and "--create-topics" in said


def test_description_is_sound_and_served(city, gateway):
    answer = gateway.ask("GET", "/openapi.json", token=None)
    assert answer.status == 200 and answer.json == DESCRIPTION
    OpenAPIV31SpecValidator(DESCRIPTION).validate()
    # What the description calls a good event is taken, what it calls a bad one is refused.
    schema = {**DESCRIPTION["components"]["schemas"]["Event"], "components": DESCRIPTION["components"]}
    merger = {"type": "unit-merger", "id": "m", "category": "commune", "kind": "merger", "units_before": 9, "units_after": 3,
              "effective_date": "2020-01-01"}
    cases = [event("a"), event("b", agency=None), merger, merger | {"id": "n", "merged_units": None, "decision": "1/QĐ"},
             event("c", 0), event("d", reason="sacked"), event("e", extra=1), merger | {"units_after": "3"}, {"type": "unit-merger"},
             event("f", delta=2000000), merger | {"merged_units": [{"id": "x"}]}, event("g", source="A B")]
    for case in cases:
        good = jsonschema.Draft202012Validator(schema).is_valid(case)
        answer = gateway.post(case)
        assert (answer.status == 200) == good, (case, answer)
        if good and answer.status == 200:
            continue
        assert answer.status == 422


def test_the_agency_guide_works_as_it_stands(city, gateway):
    """Each shell block of both languages, and the Python function, as an agency's programmer would copy them."""
    guide = (ROOT / "docs" / "agency-guide.md").read_text()
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", guide, re.DOTALL) if "curl" in block]
    assert len(blocks) == 12
    address = f"http://127.0.0.1:{gateway.port}"
    for block in blocks:
        done = subprocess.run(["bash", "-euc", block], capture_output=True, text=True, timeout=60, cwd=city.directory,
                              env={**os.environ, "GATEWAY": address, "TOKEN": gateway.token})
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        if "/v1/events/" in block:
            assert said == {"event_id": event_id("HB-2020-0017"), "status": "pending"}
        elif "/v1/refused" in block:
            assert said == {"refused": [], "next": None}
        else:
            assert said["accepted"] >= 1 and said["refused"] == 0, (block, said)
    [code] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    names = {}
    exec(code, names)
    assert names["send"]([event("py-1"), event("py-2", 0)], address, gateway.token)["refused"] == 1
    city.fold()
    assert city.total("events") == "7"  # 0017 and its reversal, 0018, M1, 0020, 0021, py-1: both languages' repeats count once


def test_the_readme_works_as_it_stands(city):
    """Its first event and its curl lines, on another port."""
    text = (ROOT / "README.md").read_text().split("\n## Your first event", 1)[1].split("\n## ", 1)[0]
    first, over_http = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    [sending] = re.findall(r"^echo .*?--create-topics$", first, re.DOTALL | re.MULTILINE)
    [port] = free_ports(1)
    assert over_http.count("curl -sS") == 4 and over_http.count("127.0.0.1:8080") == 2
    env = {**os.environ, "PATH": f"{PRODUCER.parent}:{os.environ['PATH']}", "CITYTOTALS_BROKERS": city.kafka.bootstrap,
           "CITYTOTALS_REDIS": city.redis.url, "CITYTOTALS_CITY": city.name}
    city.directory.mkdir(parents=True, exist_ok=True)

    def run(commands):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], capture_output=True, text=True, timeout=120, cwd=city.directory,
                              env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout
    run(sending)
    stop = 'status=$?; kill "$!"; wait "$!"; exit "$status"'  # the gateway that the block leaves running
    said = run(f"trap '{stop}' EXIT\n{over_http.replace('127.0.0.1:8080', f'127.0.0.1:{port}')}")
    one, several, table, status = map(json.loads, said.splitlines())
    assert [each["accepted"] for each in (one, several, table)] == [1, 2, 1] and {each["refused"] for each in (one, several, table)} == {0}
    assert status == {"event_id": one["records"][0]["event_id"], "status": "pending"}
    city.fold()
    assert city.total("events") == "4" and city.total("headcount_current") == "-6" and city.total("units_merged:commune") == "9"


NODE_CLIENT = """
const [address, token, lines] = process.argv.slice(1);
const send = body => fetch(address + "/v1/events",
  {method: "POST", headers: {Authorization: `Bearer ${token}`, "Content-Type": "application/x-ndjson"}, body, duplex: "half"});
const streamed = new ReadableStream({start(out) { for (const part of lines.match(/.{1,7}|\\n/g)) out.enqueue(new TextEncoder().encode(part)); out.close(); }});
const answers = await Promise.all([send(lines), send(streamed), ...Array.from({length: 20}, () => send(lines))]);
console.log(JSON.stringify(await Promise.all(answers.map(async each => [each.status, (await each.json()).accepted]))));
"""


def test_other_clients(city, gateway):
    """Python's requests and Node's fetch, with connections that they keep and bodies of unknown length."""
    address, lines = f"http://127.0.0.1:{gateway.port}", "".join(json.dumps(event(f"n{i}")) + "\n" for i in range(3))
    done = subprocess.run(["node", "--input-type=module", "-e", NODE_CLIENT, address, gateway.token, lines], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[200, 3]] * 22
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {gateway.token}"
        for body in ({"json": event("r1")}, {"json": [event("r2"), event("r3")]},
                     {"data": iter([b'{"type":"headcount-change","id":"r4","sector":"commune",', b'"reason":"retired","delta":-3,',
                                    b'"effective_date":"2020-10-30"}']), "headers": {"Content-Type": "application/json"}}):
            answer = session.post(f"{address}/v1/events", timeout=60, **body)
            assert answer.status_code == 200 and answer.json()["refused"] == 0, answer.text
    city.fold()
    assert city.total("events") == "7"
