"""`citytotals-producer reverse` on real Kafka: what is taken away, what is refused, and that it counts once."""
import json
import os
import subprocess
import uuid

import pytest

from tests.lab import events as e
from tests.lab.oracle import judge, log_of
from tests.lab.process import BUILD, free_ports
from tests.lab.registry import Registry


HONG_BANG_MURMUR2 = 1652540470  # docs/events.md


def reverse(city, *arguments, status=0, brokers=None):
    command = [os.fspath(BUILD / "producer" / "citytotals-producer"), "reverse", "-b", brokers or city.kafka.bootstrap, "--city", city.name,
               *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, f"reverse ended with {done.returncode}, expected {status}:\n{done.stderr[-4000:]}"
    return done


def by(*events):
    return [part for event in events for part in ("--event-id", uuid.UUID(bytes=event["event_id"]))]


def records(city):
    names = {suffix: type_ for type_, suffix in e.TYPES.items()}
    return [judge(names[name], value, timestamp) for name, _, _, timestamp, _, value in log_of(city.kafka.bootstrap, city.name)[0]]


def reversals(city):
    return [event for reason, event in records(city) if reason is None and event.get("reverses")]


@pytest.fixture
def told(city):
    """Events of two agencies in the log."""
    units = [{"id": "pnv", "name": "Phòng Nội vụ"}, {"id": "btc", "name": "Ban Tổ chức"}]
    events = [e.headcount("b", "hong-bang", 400, "baseline"), e.headcount("x", "hong-bang", -3, decision="12/QĐ-UBND"),
              e.headcount("y", "le-chan", 4), e.merger("m", "hong-bang", "commune", "merger", 2, 1, merged_units=units,
                                                       pilot_model="mot-cua", district="an-lao")]
    city.given_events(*events)
    return events


def test_an_event_is_taken_away(city, told):
    done = reverse(city, *by(told[1]), "--decision", "13/QĐ-UBND")
    city.fold()
    city.expect_exact()
    assert (city.total("headcount_current"), city.total("events"), city.total("dead_letters")) == ("404", "5", None)
    (sent,) = reversals(city)
    expected = {**told[1], "event_id": e.reversal_id(told[1]["event_id"]), "reverses": told[1]["event_id"], "decision": "13/QĐ-UBND"}
    assert {**sent, "occurred_at": 0} == {**{name: expected[name] for name in sent}, "occurred_at": 0}
    assert sent["occurred_at"] > told[1]["occurred_at"]
    assert "1 reversals sent, 0 were there already, 0 refused; 1 acknowledged" in done.stderr
    line = json.loads(done.stdout)
    assert line["reverses_event_id"] == str(uuid.UUID(bytes=told[1]["event_id"])) and line["decision"] == "13/QĐ-UBND"


def test_lists_and_pilots_are_copied_and_the_decision_stays(city, told):
    reverse(city, *by(told[3], told[1]), "--agency", "hong-bang")
    city.fold()
    city.expect_exact()
    assert (city.total("headcount_current"), city.total("mergers:commune"), city.total("pilots")) == ("404", "0", "0")
    assert {event["decision"] for event in reversals(city)} == {"12/QĐ-UBND", None}


def test_what_is_printed_is_what_send_takes(city, told):
    done = reverse(city, *by(told[3]), "--dry-run")
    assert reversals(city) == [] and "nothing was sent" in done.stderr
    city.send("-", data=done.stdout)
    reverse(city, *by(told[3]))  # the same, so it was there already
    city.fold()
    city.expect_exact()
    assert (len(reversals(city)), city.total("dead_letters")) == (1, None)


def test_a_second_time_nothing_is_sent(city, told):
    reverse(city, *by(told[1]), "--decision", "13/QD")
    done = reverse(city, *by(told[1]), "--decision", "14/QD")
    assert "was reversed already, at" in done.stderr and "(decision 13/QD)" in done.stderr and done.stdout == ""
    assert len(reversals(city)) == 1


def test_one_refused_id_keeps_all_back_unless_told_to_go_on(city, told):
    unknown = uuid.uuid4()
    done = reverse(city, *by(told[1]), "--event-id", unknown, status=3)
    assert f"{unknown}: refused: it is not in the log" in done.stderr and reversals(city) == [] and done.stdout == ""
    reverse(city, *by(told[1]), "--event-id", unknown, "--keep-going", status=3)
    assert len(reversals(city)) == 1


def test_a_reversal_and_a_dead_letter_are_not_reversed(city, told):
    wrong = e.headcount("w", "hong-bang", 0, "correction")
    city.given_events(wrong)
    reverse(city, *by(told[1]))
    done = reverse(city, *by(wrong), "--event-id", uuid.UUID(bytes=e.reversal_id(told[1]["event_id"])), status=3)
    assert "it never counted: rule_violation" in done.stderr and "it is itself a reversal" in done.stderr
    assert len(reversals(city)) == 1


def test_the_agency_and_type_narrow_the_search(city, told):
    assert "as an event of le-chan" in reverse(city, *by(told[1]), "--agency", "le-chan", status=3).stderr
    reverse(city, *by(told[1]), "--type", "unit-merger", status=3)
    stray = e.headcount("s", "hong-bang", -1)
    city.given_events(stray, partition=(HONG_BANG_MURMUR2 + 1) % 4)  # where nobody looks for hong-bang first
    reverse(city, *by(stray), "--agency", "hong-bang")
    assert len(reversals(city)) == 1


def test_two_agencies_with_one_id_are_told_apart(city):
    one = e.headcount("x", "hong-bang", -3)
    two = {**e.headcount("x", "le-chan", -4), "event_id": one["event_id"]}
    city.given_events(one, two)
    assert "give --agency and --type" in reverse(city, *by(one), status=3).stderr
    reverse(city, *by(one), "--agency", "le-chan")
    assert [event["delta"] for event in reversals(city)] == [-4]


def test_wrong_usage(city):
    id_ = uuid.uuid4()
    for arguments, sentence in ([[], "no event id given"], [["--event-id", "x"], "a UUID of 36 characters"],
                                [["--event-id", uuid.UUID(int=0)], "not nil"],
                                [["--event-id", id_, "--agency", "Hồng"], "option --agency"],
                                [["--event-id", id_, "--decision", "a\nb"], "option --decision"],
                                [["--event-id", id_, "--decision", "x" * 129], "option --decision"]):
        assert sentence in reverse(city, *arguments, status=2).stderr
    (port,) = free_ports(1)
    assert "no kafka broker answers" in reverse(city, "--event-id", id_, "--connect-timeout", "500ms", status=1,
                                                brokers=f"127.0.0.1:{port}").stderr


def test_confluent_framing(city, directory):
    registry = Registry(directory / "registry-reverse")
    try:
        registry.start()
        original = e.headcount("x", "hong-bang", -3)
        path = city.directory / "one.ndjson"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"id": "x", "type": "headcount-change", "source": "hong-bang", "agency": "hong-bang", "delta": -3,
                                    "sector": "administrative", "reason": "retired", "effective_date": "2020-06-01"}))
        city.send("--schema-registry", registry.url, path)
        reverse(city, *by(original), status=3)  # without the registry nobody can read it
        reverse(city, *by(original), "--schema-registry", registry.url)
        assert "reversed already" in reverse(city, *by(original), "--schema-registry", registry.url).stderr
    finally:
        registry.stop()
