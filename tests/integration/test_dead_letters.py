"""dead-letters list, show, export and replay."""
import base64
import json

from tests.lab import events as e
from tests.lab.kafka import flushed
from tests.lab.oracle import letters_in_topic, log_of
from tests.lab.repair import dead_letters, verify


def given_letters(city):
    """One of each kind that matters here; (their places, by reason)"""
    city.given_value("headcount-change", b"po\x1b[2Jison", "key \xff".encode("latin-1"), 0)
    city.given_value("headcount-change", None, None, 0)
    city.given_value("unit-merger", b"\0" * 262145, "large", 0)
    city.given_events(e.headcount("1", "hong-bang", 5), e.headcount("1", "hong-bang", 6), partition=0)
    city.given_value("headcount-change", e.confluent(e.headcount("2", "hong-bang", 7), 9), b"hong-bang", 0)
    flushed(city.producer)
    city.fold()
    return {reason: f"{topic}/{partition}/{offset}" for topic, partition, offset, reason in
            letters_in_topic(city.kafka.bootstrap, city.name)[0]}


def test_list_and_show(new_city):
    city = new_city(partitions=1)
    empty, _ = dead_letters(city, "list")
    assert empty == ""
    places = given_letters(city)
    table, _ = dead_letters(city, "list")
    lines = table.splitlines()
    assert lines[0].split() == ["TIME", "REASON", "BYTES", "RECORD:", "DETAIL"] and len(lines) == 6
    assert "\x1b" not in table
    listed = [json.loads(line) for line in dead_letters(city, "list", "--format", "json")[0].splitlines()]
    assert len(listed) == 5 and "value_base64" not in listed[0]
    assert city.redis.client.hgetall(city.key("dead-letters")) == {
        "bad_framing": "2", "conflict": "1", "too_large": "1", "unknown_schema": "1"}
    for arguments, count in (((), 5), (("--reason", "bad_framing"), 2), (("--reason", "conflict", "--reason", "too_large"), 2),
                             (("--topic", "unit-mergers"), 1), (("--topic", f"{city.name}.unit-mergers"), 1), (("--topic", "x"), 0),
                             (("--since", "2001-01-01"), 5), (("--since", "2099-01-01"), 0),
                             (("--until", "2001-01-01T00:00:00Z"), 0)):
        assert len(dead_letters(city, "list", "--format", "json", *arguments)[0].splitlines()) == count, arguments
    first = f"{city.name}.headcount-changes/0/0"
    shown = json.loads(dead_letters(city, "show", "--format", "json", first)[0])
    assert base64.b64decode(shown["value_base64"]) == b"po\x1b[2Jison" and base64.b64decode(shown["key_base64"]) == b"key \xff"
    text, _ = dead_letters(city, "show", first)
    assert "\x1b" not in text and "6b 65 79 20 ff" in text and "po.[2Jison" in text
    null = json.loads(dead_letters(city, "show", "--format", "json", f"{city.name}.headcount-changes/0/1")[0])
    assert null["value_base64"] is None and null["key_base64"] is None
    large = json.loads(dead_letters(city, "show", "--format", "json", places["too_large"])[0])
    assert large["value_bytes"] is None and "SHA-256" in large["detail"]


def test_export_writes_the_bytes_as_they_were(new_city, directory):
    city = new_city(partitions=1)
    given_letters(city)
    folder = directory / f"{city.name}-letters"
    dead_letters(city, "export", "--output", folder)
    names = sorted(path.name for path in folder.iterdir())
    assert len([name for name in names if name.endswith(".json")]) == 5
    for name, partition, offset, _, key, value in log_of(city.kafka.bootstrap, city.name)[0]:
        stem = f"{city.name}.{name}-{partition}-{offset}"
        if not (folder / f"{stem}.json").exists():
            continue
        written = (folder / f"{stem}.value").read_bytes() if (folder / f"{stem}.value").exists() else None
        assert written == (value if value is None or len(value) <= 262144 else None)
        assert ((folder / f"{stem}.key").read_bytes() if (folder / f"{stem}.key").exists() else None) == key
    dead_letters(city, "export", "--output", folder, "--reason", "conflict")


def test_a_repaired_cause_is_replayed_and_nothing_doubles(new_city):
    """Letters for a rule that has been mended since: as a consumer with that fault would have left them."""
    from tests.integration.test_verify import letter_of
    city = new_city(partitions=1)
    counted, lost = e.headcount("1", "hong-bang", 5), e.headcount("2", "hong-bang", 7)
    city.given_events(counted, partition=0)
    city.given_value("headcount-change", b"poison", partition=0)
    city.producer.produce(f"{city.name}.dead-letters", letter_of(city, "headcount-change", 0, "unknown_schema", e.wire(counted)))
    for _ in range(3):  # a topic may repeat a letter
        city.producer.produce(f"{city.name}.dead-letters", letter_of(city, "headcount-change", 7, "unknown_schema", e.wire(lost)))
    flushed(city.producer)
    city.fold()
    would, log = dead_letters(city, "replay", "--dry-run", "--reason", "unknown_schema")
    assert len(would.splitlines()) == 2 and "2 records would be sent again" in log
    assert not city.redis.client.exists(city.key("replayed"))
    sent, log = dead_letters(city, "replay", "--reason", "unknown_schema")
    assert len(sent.splitlines()) == 2 and "2 records were sent again" in log
    city.fold()
    assert city.total("headcount_current") == "12" and city.total("events") == "2"
    replayed = city.redis.client.hgetall(city.key("replayed"))
    assert replayed[f"{city.topic('headcount-change')}/0/7"].startswith("0/3 ")
    sent, log = dead_letters(city, "replay", "--reason", "unknown_schema")
    assert sent == "" and "2 had been before" in log
    dead_letters(city, "replay", "--again", "--reason", "unknown_schema")
    city.fold()
    assert city.total("headcount_current") == "12"
    assert city.total("dead_letters") == "1"


def test_replay_leaves_out_what_cannot_be_mended(new_city):
    city = new_city(partitions=1)
    places = given_letters(city)
    sent, _ = dead_letters(city, "replay", status=3)  # the null value
    assert {line.split(" -> ")[0] for line in sent.splitlines()} == {places["unknown_schema"], f"{city.name}.headcount-changes/0/0"}
    city.fold()
    assert city.total("dead_letters") == "7" and city.total("headcount_current") == "5"
    _, log = dead_letters(city, "replay", places["too_large"], status=3)
    assert "holds no value" in log
    sent, _ = dead_letters(city, "replay", places["conflict"])
    city.fold()
    assert city.total("headcount_current") == "5" and city.redis.client.hget(city.key("dead-letters"), "conflict") == "2"
    city.expect_exact()
    assert verify(city)[0]["proved"]


def test_wrong_usage(city):
    for arguments, words in ((("burn",), "allowed: list, show, export, replay"), ((), "says what to do"), (("show",), "name a record"),
                             (("export",), "--output"), (("list", "--reason", "mood"), "allowed: too_large"),
                             (("list", "--since", "yesterday"), "YYYY-MM-DD")):
        _, log = dead_letters(city, *arguments, status=2)
        assert words in log
    _, log = dead_letters(city, "show", f"{city.name}.headcount-changes/0/0", status=3)
    assert "no dead letter" in log
