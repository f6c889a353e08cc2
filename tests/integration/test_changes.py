"""`citytotals-query changes` and `explain` on real Kafka and Redis: the events behind a number, and that they add up to it."""
import csv
import io
import json
import os
import random
import subprocess
import uuid

import pytest

from tests.lab import events as e
from tests.lab.oracle import log_of
from tests.lab.process import BUILD, free_ports
from tests.lab.repair import rebuild


def ask(city, command, *arguments, status=0, brokers=True):
    parts = [os.fspath(BUILD / "query" / "citytotals-query"), command, "--city", city.name, "--redis", city.redis.url, "--lang", "en"]
    if brokers:
        parts += ["-b", city.kafka.bootstrap]
    done = subprocess.run([*parts, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, f"{command} ended with {done.returncode}, expected {status}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done


def changes(city, *arguments, **options):
    return json.loads(ask(city, "changes", "--format", "json", *arguments, **options).stdout)


def from_log(city, *arguments, **options):
    return changes(city, "--from-log", "--limit", "100000", *arguments, **options)


def explain(city, measure, *arguments, **options):
    return json.loads(ask(city, "explain", measure, "--format", "json", *arguments, **options).stdout)


def by_id(event):
    return str(uuid.UUID(bytes=event["event_id"]))


@pytest.fixture
def story(city):
    """Everything that may stand in a log: repeats, conflicts, broken rules, reversals, pilots, wrong partitions, no Avro."""
    rng, told = random.Random(11), []
    for number in range(60):
        agency = rng.choice(["hong-bang", "le-chan", "an-lao"])
        told.append(e.headcount(f"h{number}", agency, rng.choice([-3, -1, 5, 7]), sector=rng.choice(e.SECTORS),
                                date=f"2020-{rng.randint(1, 12):02d}-15", decision=rng.choice([None, "12/QĐ-UBND"])))
    told += [e.headcount("base", agency, 900, "baseline", date="2015-04-30") for agency in ("hong-bang", "le-chan")]
    told += [e.merger("ub", "so-noi-vu", "commune", "baseline", 0, 223, date="2015-04-30"),
             e.merger("um", "so-noi-vu", "commune", "merger", 9, 3, date="2020-01-01"),
             e.merger("up", "so-noi-vu", "district_division", "merger", 2, 1, pilot_model="mot-cua", district="an-lao")]
    told += [e.reversal(told[3]), e.reversal(told[62]), {**told[5], "occurred_at": told[5]["occurred_at"] + 1}]
    told += [{**told[7], "delta": 99, "reason": "recruited"}, e.headcount("zero", "le-chan", 0, "correction")]
    city.given_events(*told)
    city.given_value("headcount-change", b"no avro at all", b"le-chan")
    city.given_events(told[9], {**told[11], "delta": 77, "reason": "recruited"}, partition=0)  # not where they belong
    city.given_events(told[9], {**told[11], "delta": 77, "reason": "recruited"}, partition=1)
    city.fold()
    return told


def sums_of(listed):
    """What the listed events add up to, recomputed from the listing alone."""
    headcount = {"baseline": 0, "current": 0}
    units = {category: {"baseline": 0, "change": 0, "merged": 0, "mergers": 0} for category in e.CATEGORIES}
    for change in listed:
        sign = -1 if "reverses" in change else 1
        if change["type"] == "headcount-change":
            headcount["current"] += sign * change["delta"]
            headcount["baseline"] += sign * change["delta"] * (change["reason"] == "baseline")
        elif change["kind"] == "baseline":
            units[change["category"]]["baseline"] += sign * change["units_after"]
        else:
            units[change["category"]]["change"] += sign * (change["units_after"] - change["units_before"])
            units[change["category"]]["merged"] += sign * change["units_before"] * (change["kind"] == "merger")
            units[change["category"]]["mergers"] += sign * (change["kind"] == "merger")
    return {"events": len(listed), "headcount": headcount, "units": units}


def test_the_sum_of_the_listed_events_is_the_total_shown(city, story):
    answer, totals = from_log(city), json.loads(city.query("--format", "json").stdout)
    assert answer["agrees"] is True and answer["more"] is False
    assert answer["sums"] == sums_of(answer["changes"])
    assert answer["sums"]["events"] == totals["events"] == len(answer["changes"])
    assert answer["sums"]["headcount"] == {name: totals["headcount"][name] for name in ("baseline", "current")}
    for category, units in totals["units"].items():
        assert {name: units[name] or 0 for name in ("baseline", "change", "merged", "mergers")} == answer["sums"]["units"][category]
    assert len({change["event_id"] for change in answer["changes"]}) == len(answer["changes"])


def test_each_event_is_where_it_says(city, story):
    from confluent_kafka import Consumer, TopicPartition
    consumer = Consumer({"bootstrap.servers": city.kafka.bootstrap, "group.id": "look", "enable.auto.commit": False})
    try:
        for change in from_log(city)["changes"][::7]:
            topic, partition = change["at"].rsplit("/", 1)
            consumer.assign([TopicPartition(topic, int(partition), change["offset"])])
            message = consumer.poll(30)
            assert uuid.UUID(change["event_id"]).bytes in message.value() and message.offset() == change["offset"]
            assert change["source"].encode() in message.value()
    finally:
        consumer.close()


@pytest.mark.parametrize("arguments", [["--agency", "hong-bang"], ["--agency", "le-chan"], ["--agency", "nobody"], ["--to", "2020-06-30"],
                                       ["--category", "commune"], ["--category", "administrative"],
                                       ["--category", "commune", "--to", "2015-12-31"]], ids=" ".join)
def test_parts_that_redis_keeps_add_up_too(city, story, arguments):
    answer = from_log(city, *arguments)
    assert answer["agrees"] is True and answer["sums"] == sums_of(answer["changes"])


def test_other_parts_are_summed_and_compared_with_nothing(city, story):
    answer = from_log(city, "--agency", "hong-bang", "--from", "2020-03-01", "--to", "2020-09-30")
    everything = from_log(city)["changes"]
    wanted = [change for change in everything if change["agency"] == "hong-bang" and "2020-03-01" <= change["effective_date"] <= "2020-09-30"]
    assert answer["agrees"] is None and answer["changes"] == wanted and answer["sums"] == sums_of(wanted)


def test_the_limit_keeps_the_latest_and_the_sums_whole(city, story):
    whole, cut = from_log(city), changes(city, "--from-log", "--limit", "3")
    assert cut["changes"] == whole["changes"][:3] and cut["more"] is True and cut["sums"] == whole["sums"] and cut["agrees"] is True


def test_an_event_in_several_partitions_is_listed_where_it_stood_first(city):
    events = [e.headcount(f"p{number}", "hong-bang", 1) for number in range(12)]
    for partition in (3, 1, 0, 2):  # not the order in which partitions are read
        city.given_events(*events[partition:], partition=partition)
    city.fold()
    first = {}
    for name, partition, offset, timestamp, _, value in log_of(city.kafka.bootstrap, city.name, ["headcount-changes"])[0]:
        for event in events:
            if event["event_id"] in value:
                place = timestamp, partition, offset
                first[by_id(event)] = min(first.get(by_id(event), place), place)
    whole = from_log(city)
    assert whole["agrees"] is True and whole["sums"]["events"] == 12
    newest_first = sorted(first, key=first.get, reverse=True)
    assert [change["event_id"] for change in whole["changes"]] == newest_first
    for change in whole["changes"]:
        _, partition, offset = first[change["event_id"]]
        assert (change["at"], change["offset"]) == (f"{city.name}.headcount-changes/{partition}", offset)
    for limit in range(12):
        cut = changes(city, "--from-log", "--limit", limit)
        assert cut["changes"] == whole["changes"][:limit] and cut["sums"] == whole["sums"]
    said = ask(city, "changes", "--from-log").stdout
    assert "left out: 30 repeats or conflicts, 0 dead letters" in said  # told once, however often the log was read


def test_what_is_not_folded_yet_is_not_counted(city, story):
    before = from_log(city)
    city.given_events(e.headcount("later", "hong-bang", 5))
    assert from_log(city)["sums"] == before["sums"]
    city.fold()
    assert from_log(city)["sums"]["events"] == before["sums"]["events"] + 1


def test_a_number_that_is_spoilt_differs(city, story):
    city.redis.client.hincrby(city.key("totals"), "headcount_current", 1)
    assert from_log(city, status=4)["agrees"] is False
    done = ask(city, "changes", "--from-log", status=4)
    assert "DIFFERS" in done.stdout and "the headcount is" in done.stderr
    assert explain(city, "headcount.current", status=4)["agrees"] is False
    city.redis.client.hincrby(city.key("headcount:current"), "le-chan", 1)
    assert from_log(city, "--agency", "le-chan", status=4)["agrees"] is False
    assert from_log(city, "--agency", "hong-bang")["agrees"] is True


def test_the_latest_come_from_redis_alone(city, story):
    latest, whole = changes(city, "--limit", "1000", brokers=False), from_log(city)["changes"]
    assert latest["from_log"] is False and "sums" not in latest
    assert len(latest["changes"]) == len(whole)

    def told(change):
        """Without the place where it is in several partitions: which of them was folded is chance."""
        scattered = change["event_id"] in (by_id(story[9]), by_id(story[11]))
        return json.dumps({name: value for name, value in change.items() if name not in ("id", *(("at", "offset") if scattered else ()))})
    assert sorted(map(told, latest["changes"])) == sorted(map(told, whole))
    some = changes(city, "--agency", "so-noi-vu", "--category", "commune", "--from", "2020-01-01", brokers=False)["changes"]
    assert [(change["kind"], change["units_before"], change["units_after"]) for change in some] == [("merger", 9, 3)]
    assert some[0]["at"].startswith(f"{city.name}.unit-mergers/")
    assert changes(city, "--limit", "1", brokers=False)["more"] is True


def test_csv_and_text(city, story):
    table = ask(city, "changes", "--from-log", "--format", "csv", "--limit", "1000").stdout
    rows = list(csv.DictReader(io.StringIO(table.removeprefix("\ufeff"))))
    assert sum(int(row["delta"]) * (-1 if row["reverses"] else 1) for row in rows if row["delta"]) == int(city.total("headcount_current"))
    text = ask(city, "changes", "--from-log", "--agency", "so-noi-vu").stdout
    assert "commune  merger  9 to 3" in text and "these are the totals of version" in text and "pilot mot-cua in an-lao" in text
    assert f"event id {by_id(story[63])}" in text
    assert "--from-log lists all of history" in ask(city, "changes", brokers=False).stdout
    text = ask(city, "changes", "--from-log", "--agency", "so-noi-vu", "--lang", "vi").stdout
    assert "Xã, phường, thị trấn  sáp nhập  9 thành 3" in text and "khớp với số tổng của phiên bản" in text
    assert "thí điểm mot-cua ở an-lao" in text and f"mã sự kiện {by_id(story[63])}" in text
    assert "--from-log liệt kê toàn bộ lịch sử" in ask(city, "changes", "--lang", "vi", brokers=False).stdout
    text = ask(city, "explain", "headcount.current", "--lang", "vi").stdout
    assert "các sự kiện cộng lại đúng bằng số này" in text and "Biên chế hiện nay" in text and "nghỉ hưu" in text


@pytest.mark.parametrize("measure,arguments", [
    ("headcount.current", []), ("headcount.current", ["--agency", "hong-bang"]), ("headcount.baseline", ["--agency", "le-chan"]),
    ("headcount.reduction", []), ("headcount.reduction_percent", []), ("headcount.by_sector.commune.current", []),
    ("headcount.by_sector.public_service.reduction_percent", []), ("units.commune.current", []), ("units.commune.baseline", []),
    ("units.commune.change", []), ("units.commune.merged", []), ("units.district_division.mergers", []), ("units.city_agency.current", [])])
def test_a_number_is_explained(city, story, measure, arguments):
    answer, place = explain(city, measure, "--limit", "100000", *arguments), json.loads(city.query("--format", "json").stdout)
    assert answer["agrees"] is True and answer["events"] == len(answer["changes"]) and answer["meaning"]
    if not arguments:
        for part in measure.split("."):
            place = place[part]
        assert answer["value"] == place
    for key in answer["keys"]:
        assert int(city.redis.client.hget(key["key"], key["field"]) or 0) == key["value"] == key["events_add_up_to"]
    text = ask(city, "explain", measure, *arguments).stdout
    assert text.startswith(measure) and "the events add up to the number" in text


def test_wrong_usage(city):
    for arguments, sentence in ((["changes", "--from-log"], "give --brokers"), (["changes", "--agency", "Hồng"], "option --agency"),
                                (["changes", "--category", "ward"], "option --category"),
                                (["changes", "--from", "2020-02-01", "--to", "2020-01-01"], "it is after --to"),
                                (["explain"], "0 measures named"), (["explain", "headcount.current"], "give --brokers")):
        assert sentence in ask(city, *arguments, status=2, brokers=False).stderr
    for measure in ("headcount", "headcount.now", "units.ward.baseline", "units.commune.reduction", "headcount.by_sector.commune", "x" * 500):
        assert "no measure" in ask(city, "explain", measure, status=2).stderr
    assert "by agency" in ask(city, "explain", "units.commune.change", "--agency", "le-chan", status=2).stderr


def test_an_empty_city_and_no_kafka(city):
    answer = from_log(city)
    assert answer["changes"] == [] and answer["agrees"] is True
    assert explain(city, "units.commune.current")["value"] is None
    (port,) = free_ports(1)
    done = ask(city, "changes", "--from-log", "-b", f"127.0.0.1:{port}", "--connect-timeout", "500ms", status=1, brokers=False)
    assert "no kafka broker answers" in done.stderr


def test_too_little_memory_is_said(city):
    city.given_events(*(e.headcount(f"m{number}", "hong-bang", 1) for number in range(30000)))
    city.fold()
    assert "give --agency, or more --memory" in ask(city, "changes", "--from-log", "--memory", "1MiB", status=1).stderr
    assert from_log(city, "--agency", "le-chan", "--memory", "1MiB")["agrees"] is True
    assert changes(city, "--from-log", "--limit", "3")["sums"]["events"] == 30000


def test_a_log_that_was_cut_is_said(city):
    city.given_events(*(e.headcount(f"c{number}", "hong-bang", 1) for number in range(5)))
    city.fold()
    partition = next(number for number in range(4) if city.offset("headcount-change", number))
    city.kafka.delete_records(city.topic("headcount-change"), partition, 2)
    done = ask(city, "changes", "--from-log", status=4)
    assert "begins at offset 2: what was before can't be listed" in done.stderr and "3 events match" in done.stdout


def test_a_state_that_was_rebuilt_is_made_of_the_same_events(city, story):
    """But for a conflict between partitions: the first that is folded counts."""
    def settled(said):
        assert said["agrees"] is True
        return [change for change in said["changes"] if change["event_id"] != by_id(story[11])]
    before = settled(from_log(city))
    rebuild(city)
    assert before and settled(from_log(city)) == before
