"""Page visits by the contract's rules, with Kafka's clock in the test's hand (CreateTime topics)."""
import random

import pytest
import redis as redis_module

from tests.lab import events as e
from tests.lab.oracle import CITY_OFFSET, DAY
from tests.lab.process import wait_until

MINUTE, HOUR = 60000, 3600000
MIDNIGHT = e.days("2021-03-02") * DAY - CITY_OFFSET  # in the city
NOON = MIDNIGHT - 12 * HOUR  # of 2021-03-01, a Monday
FIRST, SECOND = "2021-03-01", "2021-03-02"


@pytest.fixture
def city(new_city):
    return new_city(partitions=1, timestamps="CreateTime")


def given(city, *visits, partition=0):
    """(visitor, occurred_at) or (visitor, occurred_at, Kafka timestamp)."""
    for who, occurred, *kafka in visits:
        city.given_events(e.visit(who, occurred), partition=partition, timestamp=kafka[0] if kafka else occurred)


def visits(city):
    return {day: int(count) for day, count in city.redis.client.hgetall(city.key("visits:by-day")).items()}


def stored_days(city):
    return sorted(key.rsplit(":", 1)[1] for key in city.redis.client.scan_iter(match=city.key("visitors:*").replace("[", "\\[")))


def latest(city, day):
    client = redis_module.Redis(port=city.redis.port)
    return {who: int(time) for who, time in client.zrange(city.key(f"visitors:{day}"), 0, -1, withscores=True)}


def expect_exact(city):
    """The totals, the days, and each day's latest times until it is closed."""
    expected = city.expect_exact()
    closed = int(city.redis.client.hget(city.key("meta"), "visitors_closed") or 0)
    for number, seen in expected.visitors.items():
        assert latest(city, e.day_text(number)) == ({} if number <= closed else seen)
    return expected


def who(name):
    return e.visit(name)["visitor"]


def test_a_visit_begins_after_thirty_minutes(city):
    for after, count in ((0, 1), (0, 1), (29 * MINUTE + 59999, 1), (59 * MINUTE + 59999, 2), (89 * MINUTE + 59998, 2),
                         (119 * MINUTE + 59998, 3)):
        given(city, ("v", NOON + after))
        city.fold()
        assert visits(city) == {FIRST: count}, after
    expect_exact(city)
    assert city.total("visits") == "3"


def test_each_visitor_has_visits_of_its_own(city):
    given(city, *[(f"v{n}", NOON + n) for n in range(50)], *[(f"v{n}", NOON + 10 * MINUTE) for n in range(25)],
          *[(f"v{n}", NOON + 45 * MINUTE) for n in range(50)])
    city.fold()
    expect_exact(city)
    assert visits(city) == {FIRST: 100}  # of 25, 35 minutes after their second page and so again


def test_the_log_decides_not_the_clock(city):
    given(city, ("v", NOON), ("v", NOON - 2 * HOUR, NOON), ("v", NOON + 29 * MINUTE), ("v", NOON - HOUR, NOON + 30 * MINUTE),
          ("v", NOON + 58 * MINUTE))
    city.fold()
    expect_exact(city)
    assert visits(city) == {FIRST: 1} and latest(city, FIRST) == {who("v"): NOON + 58 * MINUTE}


def test_a_page_visit_that_is_repeated_adds_none(city):
    story = [("v", NOON), ("v", NOON + 40 * MINUTE), ("w", NOON + 41 * MINUTE), ("v", NOON + 80 * MINUTE)]
    given(city, *story)
    city.fold()
    assert visits(city) == {FIRST: 4}
    given(city, *story, *[(name, time, time + HOUR) for name, time in story])
    city.fold()
    expect_exact(city)
    assert visits(city) == {FIRST: 4}


def test_midnight_in_the_city_begins_a_day(city):
    given(city, ("v", MIDNIGHT - 1), ("v", MIDNIGHT), ("v", MIDNIGHT - 2, MIDNIGHT + 1), ("w", MIDNIGHT - 5 * MINUTE, MIDNIGHT + MINUTE),
          ("w", MIDNIGHT + 2 * MINUTE))
    city.fold()
    expect_exact(city)
    assert visits(city) == {FIRST: 2, SECOND: 2}
    assert latest(city, FIRST) == {who("v"): MIDNIGHT - 1, who("w"): MIDNIGHT - 5 * MINUTE}
    assert latest(city, SECOND) == {who("v"): MIDNIGHT, who("w"): MIDNIGHT + 2 * MINUTE}


def test_the_latest_time_is_never_after_the_kafka_timestamp(city):
    given(city, ("v", NOON + 5 * MINUTE, NOON))
    city.fold()
    assert latest(city, FIRST) == {who("v"): NOON}
    given(city, ("v", NOON + 31 * MINUTE, NOON + 31 * MINUTE))  # 26 minutes after what it said, 31 after what is stored
    city.fold()
    expect_exact(city)
    assert visits(city) == {FIRST: 2}


def test_a_page_visit_outside_the_window_is_a_dead_letter_and_no_visit(city):
    given(city, ("v", NOON - 24 * HOUR - 1, NOON), ("v", NOON + 5 * MINUTE + 1, NOON), ("w", NOON - 24 * HOUR, NOON),
          ("x", NOON + 5 * MINUTE, NOON))
    city.fold()
    expect_exact(city)
    assert city.total("dead_letters") == "2" and visits(city) == {"2021-02-28": 1, FIRST: 1}


def traffic(seed, count):
    dice, now = random.Random(seed), NOON
    for _ in range(count):
        now += dice.randint(0, 12 * MINUTE)
        yield f"v{dice.randrange(8)}", now - dice.choice((0, 0, 0, dice.randint(-5 * MINUTE, 20 * HOUR))), now


def test_batches_do_not_matter(new_city):
    counts = []
    for batch in (1, 7, 10000):
        city = new_city(partitions=1, timestamps="CreateTime")
        given(city, *traffic(7, 250))
        city.fold("--batch-events", batch)
        counts.append((expect_exact(city).totals["visits"], visits(city), stored_days(city)))
    assert counts[0] == counts[1] == counts[2] and counts[0][0] > 100


@pytest.mark.parametrize("ahead, behind", [(0, 1), (1, 0)])
def test_a_day_is_kept_until_every_partition_is_past_its_end_and_a_day(new_city, ahead, behind):
    city = new_city(partitions=2, timestamps="CreateTime")
    consumer = city.consumer("--management", "127.0.0.1:0")

    def days_after(partition, *story):
        given(city, *story, partition=partition)
        city.wait_until_folded(alive=consumer.check_alive)
        return stored_days(city)
    assert days_after(ahead, ("v", NOON)) == [FIRST]
    assert days_after(ahead, ("v", MIDNIGHT + 9 * DAY)) == [FIRST, "2021-03-11"]  # the other partition has folded nothing
    assert days_after(behind, ("w", MIDNIGHT + DAY - 1)) == [FIRST, SECOND, "2021-03-11"]
    assert days_after(behind, ("w", MIDNIGHT + DAY)) == [SECOND, "2021-03-03", "2021-03-11"]
    assert visits(city)[FIRST] == 1
    # Its time comes again: that day is final.
    before = visits(city)
    days_after(behind, ("late", NOON), ("late", NOON + HOUR), ("w", MIDNIGHT + DAY + HOUR))
    wait_until("late ones are counted", lambda: city.metric(consumer, "late_page_visits_total") == 2, 30, consumer.check_alive)
    assert visits(city) == {**before, "2021-03-03": before["2021-03-03"] + 1}
    assert city.total("visits") == str(sum(visits(city).values())) and city.metric(consumer, "page_visits_total") == 7
    assert "page visits of days that are final were not counted" in consumer.log()
    assert consumer.stop() == 0
    assert city.redis.client.hget(city.key("meta"), "visitors_closed") == str(e.days(FIRST))


def test_a_whole_log_at_once_closes_its_old_days(city):
    given(city, *[(f"v{n}", NOON + n * DAY) for n in range(6)])
    city.fold()
    assert visits(city) == {e.day_text(e.days(FIRST) + n): 1 for n in range(6)}
    assert stored_days(city) == [e.day_text(e.days(FIRST) + n) for n in (4, 5)]
    city.expect_exact()


def test_visits_go_on_in_other_hands(new_city):
    city = new_city(partitions=1, timestamps="CreateTime")
    story = list(traffic(11, 120))
    for first in range(0, len(story), 40):
        given(city, *story[first:first + 40])
        city.fold()
    expect_exact(city)


def snapshot(city):
    for library in city.redis.client.function_list():
        names = {function[1] for function in library[5]} if isinstance(library, list) else {
            function["name"] for function in library["functions"]}
        for name in names:
            if "snapshot" in name:
                answer = city.redis.client.execute_command("FCALL_RO", name, 1, city.key("totals"))
                return dict(zip(answer[::2], answer[1::2]))
    raise AssertionError("no snapshot Function")


def test_online_today_and_this_week_go_by_the_time_of_redis(new_city):
    city = new_city(partitions=2)  # LogAppendTime
    now = e.now_ms()
    times = {"a": now, "b": now - 4 * MINUTE, "c": now - 6 * MINUTE, "d": now - 2 * HOUR, "e": now - 23 * HOUR}
    city.given_events(*[e.visit(name, time) for name, time in times.items()], e.visit("d", now), e.visit("b", now + 4 * MINUTE))
    city.fold()
    answer = snapshot(city)
    then = int(answer["now_ms"])
    online, today, week, all_, visitors = answer["visitors"]
    assert then - now < 4 * MINUTE, "too slow for this test"
    midnight = (then + CITY_OFFSET) // DAY * DAY - CITY_OFFSET
    monday = midnight - ((midnight + CITY_OFFSET) // DAY + 3) % 7 * DAY
    begun = {**{name: [time] for name, time in times.items()}, "d": [times["d"], now]}
    assert online == 3  # a, d and b, whose clock goes before ours
    if then - midnight > 10 * MINUTE and midnight + DAY - then > 10 * MINUTE:
        assert today == sum(time >= midnight for each in begun.values() for time in each)
        assert visitors == sum(any(time >= midnight for time in each) for each in begun.values())
    assert week == sum(time >= monday for each in begun.values() for time in each)
    assert all_ == int(city.total("visits")) == 6
    city.expect_exact()
