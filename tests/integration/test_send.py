"""`citytotals-producer send` against real Kafka: what arrives, what is refused, and how it ends."""
import datetime
import json
import os
import subprocess

from tests.lab import events as e
from tests.lab.oracle import judge, log_of
from tests.lab.process import BUILD, ROOT, free_ports

PRODUCER = BUILD / "producer" / "citytotals-producer"


def as_json(event, id_=None, **changes):
    """The JSON form of a lab event."""
    if event["type"] == "page-visit":
        return {"type": "page-visit", "visitor": event["visitor"].hex(), "occurred_at": time_text(event["occurred_at"])}
    out = {name: value for name, value in event.items() if name not in ("event_id", "reverses") and value not in (None, [])}
    out["effective_date"] = e.day_text(event["effective_date"])
    out["occurred_at"] = time_text(event["occurred_at"])
    if id_ is not None:
        out["id"] = id_
    return {**out, **changes}


def time_text(ms):
    moment = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03d}Z"


def line(id_, agency="hong-bang", **changes):
    return as_json(e.headcount(id_, agency, -3), id_, **changes)


def written(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)) + "\n" for item in lines))
    return path


def arrived(city):
    """Every record in the city's topics as (type, event, partition, key)."""
    out = []
    names = {suffix: type_ for type_, suffix in e.TYPES.items()}
    for name, partition, _, timestamp, key, value in log_of(city.kafka.bootstrap, city.name)[0]:
        reason, event = judge(names[name], value, timestamp)
        assert reason is None, (reason, value)
        out.append((names[name], event, partition, key))
    return out


def ids(city):
    return sorted(event["event_id"] for _, event, _, _ in arrived(city))


def expected_ids(*names, agency="hong-bang"):
    return sorted(e.event_id("headcount-change", agency, agency, name) for name in names)


def run(*arguments, status=0, data=None, seconds=120, env=None):
    """The program without a city around it."""
    done = subprocess.run([os.fspath(PRODUCER), *map(os.fspath, arguments)], input=data, capture_output=True, timeout=seconds,
                          env={**os.environ, **(env or {})})
    assert done.returncode == status, f"ended with {done.returncode}, expected {status}:\n{done.stderr.decode(errors='replace')}"
    return done.stderr.decode(errors="replace")


def murmur2(data):
    """Kafka's, from its description: seed 0x9747b28c, r = 24."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    value = 0x9747B28C ^ len(data)
    for at in range(0, len(data) // 4 * 4, 4):
        word = int.from_bytes(data[at:at + 4], "little") * m & mask
        word = (word ^ word >> 24) * m & mask
        value = (value * m & mask) ^ word
    rest = data[len(data) // 4 * 4:]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * m & mask
    value = (value ^ value >> 13) * m & mask
    return (value ^ value >> 15) & 0x7FFFFFFF


def same(type_, event, expected):
    got = {name: event[name] for name in expected if name != "type"}
    assert got == {name: value for name, value in expected.items() if name != "type"}


def test_what_arrives_is_what_the_line_says(city, directory):
    merger = e.merger("m-1", "so-noi-vu", "commune", "merger", 2, 1, source="portal", decision="1234/QĐ-UBND", pilot_model="van-phong",
                      district="hong-bang", merged_units=[{"id": "a", "name": "Phường A"}, {"id": "b", "name": "Phường B"}],
                      resulting_units=[{"id": "ab", "name": "Phường AB"}])
    sent = {"h": e.headcount("h", "hong-bang", -3, source="portal", decision="ND-1"), "m": merger, "v": e.visit("somebody")}
    file = written(directory / city.name / "all.ndjson", as_json(sent["h"], "h"), as_json(merger, "m-1"), as_json(sent["v"]),
                   {**as_json(sent["h"], "h", decision="ND-1"), "reverses": "h", "id": None})
    done = city.send(file)
    assert "4 acknowledged" in done.stderr
    got = {(type_, event.get("reverses") is not None): (event, partition, key) for type_, event, partition, key in arrived(city)}
    assert len(got) == 4
    same("headcount-change", got["headcount-change", False][0], sent["h"])
    same("unit-merger", got["unit-merger", False][0], merger)
    same("page-visit", got["page-visit", False][0], sent["v"])
    back = e.reversal(sent["h"])
    del back["occurred_at"]
    same("headcount-change", got["headcount-change", True][0], back)
    for (type_, _), (_, partition, key) in got.items():
        assert key == (sent["v"]["visitor"] if type_ == "page-visit" else b"so-noi-vu" if type_ == "unit-merger" else b"hong-bang")
        assert partition == murmur2(key) % city.partitions


def test_a_file_with_a_refused_line_sends_nothing(city, directory):
    file = written(directory / city.name / "bad.ndjson", line("1"), line("2", delta="3"), line("3", sector="phong"), "{", line("5"))
    done = city.send(file, status=3)
    assert ids(city) == []
    for place in (f"{file}: line 2: delta ", f"{file}: line 3: sector ", f"{file}: line 4: column 2: "):
        assert place in done.stderr, done.stderr
    assert "line 1:" not in done.stderr and "0 acknowledged" in done.stderr


def test_keep_going_and_rejects_can_be_repaired_and_sent(city, directory):
    folder = directory / city.name
    file = written(folder / "bad.ndjson", line("1"), line("2", sector="phong"), line("3"), line("4", delta=0))
    city.send(file, "--keep-going", "--rejects", folder / "r.ndjson", status=3)
    assert ids(city) == expected_ids("1", "3")
    rejects = (folder / "r.ndjson").read_text()
    assert f"# refused: {file}: line 2: sector is \"phong\"" in rejects and json.dumps(line("4", delta=0))[:30] in rejects
    (folder / "r.ndjson").write_text(rejects.replace('"phong"', '"commune"').replace('"delta": 0', '"delta": -2'))
    city.send(folder / "r.ndjson")
    assert ids(city) == expected_ids("1", "2", "3", "4")


def test_sent_twice_counts_once(city, directory):
    file = written(directory / city.name / "a.ndjson", *[line(str(i)) for i in range(100)])
    city.send(file)
    city.send(file)
    city.fold()
    expected = city.expect_exact()
    assert city.total("events") == "100" and expected.duplicates == 100


def test_missing_topics_are_told_and_made(new_city, directory, kafka):
    city = new_city(create=False)
    file = written(directory / city.name / "a.ndjson", line("1"))
    done = city.send(file, status=1)
    assert f"{city.name}.headcount-changes" in done.stderr and "--create-topics" in done.stderr
    city.send(file, "--create-topics", "--partitions", "4")
    assert ids(city) == expected_ids("1")
    from confluent_kafka.admin import ConfigResource, ResourceType
    described = {channel["address"].removeprefix("{city}."): channel["bindings"]["kafka"] for channel in json.loads(
        (ROOT / "docs" / "asyncapi.json").read_text())["channels"].values()}
    for name in ("headcount-changes", "unit-mergers", "page-visits", "dead-letters"):
        topic = f"{city.name}.{name}"
        assert kafka.partitions(topic) == 4
        settings = next(iter(kafka.admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values())).result(30)
        value = {key: entry.value for key, entry in settings.items()}
        for key, wanted in described[name]["topicConfiguration"].items():
            assert value[key] == (",".join(wanted) if isinstance(wanted, list) else str(wanted)), f"{name}: {key}"
        assert value["cleanup.policy"] == "delete" and value["message.timestamp.type"] == "LogAppendTime"
        assert value["retention.ms"] == (str(90 * 86400000) if name == "page-visits" else "-1")
        assert (int(value["max.message.bytes"]) >= 2 << 20) == (name == "dead-letters")
    city.send(file, "--create-topics")  # all are there


def test_kafka_away(directory):
    port = free_ports(1)[0]
    file = written(directory / "kafka-away" / "a.ndjson", line("1"))
    error = run("send", "-b", f"127.0.0.1:{port}", "--connect-timeout", "2s", file, status=1)
    assert "waiting for kafka" in error and "no kafka broker answers" in error
