"""What stops a partition until somebody acts: it says what to do, a metric shows it, the other partitions go on."""
import re
import signal

import pytest

from tests.lab import events as e
from tests.lab.process import wait_until

MANAGED = ("--management", "127.0.0.1:0")
CLUSTER = "Y2l0eXRvdGFscy10ZXN0cw"


def changes(city, count, partition, prefix="e", agency="hong-bang"):
    city.given_events(*(e.headcount(f"{prefix}{number}", agency, 1) for number in range(count)), partition=partition)


def expect_halted(city, consumer, type_, partition, sentence):
    """The sentence is logged and the metric is 1; another partition's event is folded meanwhile."""
    name = f"{city.topic(type_)}/{partition}"
    consumer.wait_for_log(rf"{re.escape(name)} is halted: .*{sentence}")
    assert city.metric(consumer, f'halted{{partition="{name}"}}') == 1
    stored = city.offset(type_, partition)
    city.given_events(e.merger("meanwhile", "so-noi-vu", "commune", "merger", 9, 3))
    wait_until("the other partitions go on", lambda: city.total("mergers:commune") == "1", 60, consumer.check_alive)
    assert city.offset(type_, partition) == stored
    assert len(re.findall(rf"{re.escape(name)} is halted", consumer.log())) == 1


def recreate(city, kafka, type_):
    kafka.delete_topic(city.topic(type_))
    kafka.create_topic(city.topic(type_), city.partitions, **{"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"})


def gaps(city):
    return city.redis.client.hgetall(city.key("gaps"))


@pytest.mark.parametrize("folded", (0, 3))
def test_log_starts_after_the_stored_offset(city, kafka, folded):
    if folded:
        changes(city, folded, 0, "first")
        city.fold()
    changes(city, 10, 0)
    kafka.delete_records(city.topic("headcount-change"), 0, folded + 4)
    consumer = city.consumer(*MANAGED)
    expect_halted(city, consumer, "headcount-change", 0, "--accept-log-start")
    assert consumer.stop() == 0
    assert "a partition is halted" in city.fold(status=1).log()
    assert gaps(city) == {}
    city.fold("--accept-log-start")
    (field, value), = gaps(city).items()
    assert field == f"{city.topic('headcount-change')}/0/{folded}"
    assert re.fullmatch(rf"{folded + 4} \d+ accepted by --accept-log-start", value)
    assert city.total("headcount_current") == str(folded + 6)
    changes(city, 2, 0, "after")
    city.fold()
    assert city.total("headcount_current") == str(folded + 8)


def test_gap_in_page_visits_is_taken_and_recorded(city, kafka):
    city.given_events(*(e.visit(f"v{number}") for number in range(8)), partition=1)
    kafka.delete_records(city.topic("page-visit"), 1, 5)
    city.fold()
    (field, value), = gaps(city).items()
    assert field == f"{city.topic('page-visit')}/1/0" and re.fullmatch(r"5 \d+ page visits are kept for a time", value)
    assert city.total("visits") == "3"
    city.expect_exact()


def test_recreated_topic_that_ends_before_the_stored_offset(city, kafka):
    changes(city, 10, 0)
    city.fold()
    recreate(city, kafka, "headcount-change")
    changes(city, 4, 0, "new")
    changes(city, 3, 1, "new")
    consumer = city.consumer(*MANAGED)
    expect_halted(city, consumer, "headcount-change", 0, "beyond the end of the log, 4: .*delete this city's keys")
    assert consumer.stop() == 0
    city.fold(status=1)
    assert city.total("headcount_current") == "13"
    city.forget()
    city.fold()
    city.expect_exact()


def test_recreated_topic_that_grew_past_the_stored_offset(city, kafka):
    changes(city, 10, 0)
    city.fold()
    recreate(city, kafka, "headcount-change")
    changes(city, 20, 0, "new")
    consumer = city.consumer(*MANAGED)
    expect_halted(city, consumer, "headcount-change", 0, "differs from the one that was folded there.*delete this city's keys")
    assert consumer.stop() == 0
    city.fold(status=1)
    assert city.total("headcount_current") == "10"
    city.forget()
    city.fold()
    city.expect_exact()


def test_topic_recreated_under_a_running_consumer(city, kafka):
    changes(city, 10, 0)
    consumer = city.consumer(*MANAGED, "--retry-interval", "200ms", "-X", "topic.metadata.refresh.interval.ms=300")
    city.wait_until_folded(alive=consumer.check_alive)
    recreate(city, kafka, "headcount-change")
    changes(city, 4, 0, "new")
    expect_halted(city, consumer, "headcount-change", 0, "delete this city's keys")
    assert city.total("headcount_current") == "10"


def stopped_while_records_go(city, kafka, *events):
    """A consumer that stands still while what it has yet to read is written and deleted. A request to Kafka may still be open:
    it gets one batch at most, which is the first event."""
    consumer = city.consumer(*MANAGED, "--retry-interval", "200ms", "-X", "session.timeout.ms=60000", "-X", "fetch.message.max.bytes=1")
    consumer.wait_for_log(r"assigned [1-9]\d* partitions")
    consumer.signal(signal.SIGSTOP)
    consumer.wait_until_stopped()
    first, *others = events
    city.given_events(first, partition=0)
    city.given_events(*others, partition=0)
    kafka.delete_records(city.topic(first["type"]), 0, len(others))
    consumer.signal(signal.SIGCONT)
    return consumer


def test_records_deleted_before_a_running_consumer_read_them(city, kafka):
    consumer = stopped_while_records_go(city, kafka, *(e.headcount(f"late{number}", "hong-bang", 1) for number in range(8)))
    expect_halted(city, consumer, "headcount-change", 0, "--accept-log-start")
    assert city.total("headcount_current") in ("0", "1")


def test_page_visits_deleted_before_a_running_consumer_read_them(city, kafka):
    consumer = stopped_while_records_go(city, kafka, *(e.visit(f"v{number}") for number in range(8)))
    city.wait_until_folded(alive=consumer.check_alive)
    (field, _), = gaps(city).items()
    before = int(field.removeprefix(f"{city.topic('page-visit')}/0/"))
    assert before in (0, 1)
    assert city.total("visits") == str(before + 1)


def test_state_of_another_cluster_is_refused_until_accepted(city, redis):
    changes(city, 5, 0)
    city.fold()
    redis.client.hset(city.key("meta"), "cluster_id", "another")
    changes(city, 5, 0, "more")
    refused = city.fold(status=1).log()
    assert f"from Kafka cluster another, and this is cluster {CLUSTER}" in refused and f"--accept-cluster {CLUSTER}" in refused
    city.fold("--accept-cluster", "yet-another", status=1)
    assert city.total("headcount_current") == "5"
    city.fold("--accept-cluster", CLUSTER)
    assert redis.client.hget(city.key("meta"), f"cluster_accepted:{CLUSTER}").endswith(" instead of another")
    city.fold()
    city.expect_exact()
