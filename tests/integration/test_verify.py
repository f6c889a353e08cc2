"""verify names each wrong field, says what it can't prove, and is disturbed by nobody."""
import os
import random
import subprocess

import pytest
import redis as redis_module

from tests.lab import events as e
from tests.lab.kafka import flushed
from tests.lab.oracle import DAY
from tests.lab.process import BUILD
from tests.lab.repair import digest, rebuild, verify
from tests.lab.traffic import given_records

CORRUPTIONS = int(os.environ.get("CITYTOTALS_CORRUPTIONS", "40"))
HEALED = int(os.environ.get("CITYTOTALS_HEALED", "21"))  # of them by a rebuild; by hand it goes faster
COUNTERS = ("headcount:baseline", "headcount:current", "headcount:by-day", "units", "units:by-day", "pilots", "pilots:by-day",
            "visits:by-day", "dead-letters")


def given_a_busy_day(city, seed, records=400):
    given_records(city, seed, records)
    original = e.headcount("to-be-reversed", "agency-1", 7)
    city.given_events(original, e.reversal(original), e.visit("somebody"),
                      e.headcount("twice", "agency-2", 5), e.headcount("twice", "agency-2", 6),
                      e.merger("pilot", "agency-3", "commune", "merger", 3, 1, pilot_model="model-9", district="an-lao"))
    city.given_value("headcount-change", b"poison")
    flushed(city.producer)


class Corruptions:
    """Each spoils one thing in Redis and gives the key and field that must be named (field None: any)."""

    def __init__(self, city, choose):
        self.city, self.choose = city, choose
        self.client = redis_module.Redis(port=city.redis.port)
        self.counters = [name for name in COUNTERS if self.client.exists(city.key(name))]

    def field(self, suffix):
        return self.choose.choice(sorted(self.client.hkeys(self.city.key(suffix))))

    def counter(self):
        suffix = self.choose.choice(self.counters)
        field = self.field(suffix)
        self.client.hincrby(self.city.key(suffix), field, self.choose.choice((-1, 1, 100)))
        return suffix, field

    def counter_lost(self):
        suffix = self.choose.choice(self.counters)
        while (field := self.field(suffix)) and self.client.hget(self.city.key(suffix), field) == b"0":
            suffix = self.choose.choice(self.counters)
        self.client.hdel(self.city.key(suffix), field)
        return suffix, field

    def counter_too_many(self):
        suffix = self.choose.choice(self.counters)
        self.client.hset(self.city.key(suffix), "nobody", "3")
        return suffix, b"nobody"

    def counter_no_number(self):
        suffix = self.choose.choice(self.counters)
        field = self.field(suffix)
        self.client.hset(self.city.key(suffix), field, "many")
        return suffix, field

    def total(self):
        field = self.choose.choice(sorted(set(self.client.hkeys(self.city.key("totals"))) - {b"version"}))
        value = self.client.hget(self.city.key("totals"), field)
        self.client.hset(self.city.key("totals"), field, value[:-1] + bytes([48 + (value[-1] + 1) % 10]))
        return "totals", field

    def offset(self):
        field = self.field("offsets")
        value = int(self.client.hget(self.city.key("offsets"), field))
        self.client.hset(self.city.key("offsets"), field, max(0, value + self.choose.choice((-7, -1, 1, 1000))) if value > 1 else value + 1)
        return "offsets", field

    def offset_lost(self):
        field = self.field("offsets")
        self.client.hdel(self.city.key("offsets"), field)
        return "offsets", field

    def last(self):
        field = self.field("last")
        words = self.client.hget(self.city.key("last"), field).split()
        place = self.choose.choice((1, 2, 3))
        words[place] = str(int(words[place]) + 1).encode()
        self.client.hset(self.city.key("last"), field, b" ".join(words))
        return "last", field

    def lane(self):
        lanes = [lane for lane in range(64) if self.client.strlen(self.city.key(f"seen:{lane}"))]
        return f"seen:{self.choose.choice(lanes)}"

    def seen_byte(self):
        suffix = self.lane()
        records = bytearray(self.client.get(self.city.key(suffix)))
        at = self.choose.randrange(len(records))
        records[at] ^= 1 << self.choose.randrange(8)
        self.client.set(self.city.key(suffix), bytes(records))
        return suffix, None

    def seen_lost(self):
        suffix = self.lane()
        records = self.client.get(self.city.key(suffix))
        at = 24 * self.choose.randrange(len(records) // 24)
        left = records[:at] + records[at + 24:]
        if left:
            self.client.set(self.city.key(suffix), left)
        else:
            self.client.delete(self.city.key(suffix))
        return suffix, None

    def seen_too_many(self):
        suffix = self.lane()
        self.client.append(self.city.key(suffix), self.choose.randbytes(24))
        return suffix, None

    def seen_twice(self):
        suffix = self.lane()
        self.client.append(self.city.key(suffix), self.client.get(self.city.key(suffix))[:24])
        return suffix, None

    def seen_cut(self):
        suffix = self.lane()
        self.client.append(self.city.key(suffix), b"half")
        return suffix, None

    def day(self):
        return self.choose.choice(sorted(self.client.keys(self.city.key("visitors:*")))).decode().split(":", 1)[1]

    def visitor_time(self):
        suffix = self.day()
        member = self.choose.choice(self.client.zrange(self.city.key(suffix), 0, -1))
        self.client.zincrby(self.city.key(suffix), 1, member)
        return suffix, member.hex().encode()

    def visitor_lost(self):
        suffix = self.day()
        member = self.choose.choice(self.client.zrange(self.city.key(suffix), 0, -1))
        self.client.zrem(self.city.key(suffix), member)
        return suffix, member.hex().encode()

    def visitor_too_many(self):
        suffix, member = self.day(), self.choose.randbytes(16)
        self.client.zadd(self.city.key(suffix), {member: 1})
        return suffix, member.hex().encode()

    def kinds(self):
        return [name for name in vars(Corruptions) if not name.startswith("_") and name not in ("field", "lane", "day", "kinds")]


def test_each_corruption_is_named_and_healed(city, seed):
    given_a_busy_day(city, seed)
    city.fold()
    city.expect_exact()
    said, _ = verify(city)
    assert said["proved"] and not said["differences"] and not said["unproved"], said
    choose = random.Random(seed)
    corruptions = Corruptions(city, choose)
    client = corruptions.client
    sound = {key: client.dump(key) for key in client.scan_iter(match=f"{{{city.name}}}:*")}
    kinds, whole = corruptions.kinds(), digest(city)
    for number in range(CORRUPTIONS):
        kind = kinds[number] if number < len(kinds) else choose.choice(kinds)
        suffix, field = getattr(corruptions, kind)()
        said, _ = verify(city, status=4)
        named = {(each["key"], each["field"]) for each in said["differences"]}
        key = city.key(suffix)
        assert any(each[0] == key and field in (None, each[1].encode()) for each in named), f"{kind}: {key} {field} is not in {named}"
        if number < HEALED:
            rebuild(city)
            assert digest(city) == whole, f"{kind}: {key} {field} is not healed"
        for each in client.scan_iter(match=f"{{{city.name}}}:*"):
            if each not in sound:
                client.delete(each)
        for each, value in sound.items():
            if client.dump(each) != value:
                client.restore(each, 0, value, replace=True)
    said, _ = verify(city)
    assert said["proved"]


def test_a_moving_consumer_does_not_disturb(city, seed):
    with city.traffic(seed):
        consumer = city.consumer()
        city.wait_for_commits(3, alive=consumer.check_alive)
        for _ in range(5):
            version = city.version()
            said, _ = verify(city)
            assert said["proved"] and said["version"] >= version
        city.wait_for_commits(1, alive=consumer.check_alive)
    city.wait_until_folded(alive=consumer.check_alive)
    assert consumer.stop() == 0
    assert verify(city)[0]["proved"]
    city.expect_exact()


def test_nothing_is_written(city):
    given_a_busy_day(city, 1, 50)
    city.fold()
    client = city.redis.client
    before = client.info("persistence")["rdb_changes_since_last_save"]
    verify(city)
    assert client.info("persistence")["rdb_changes_since_last_save"] == before


def test_text_says_the_difference_and_its_place(city):
    city.given_events(e.headcount("1", "hong-bang", 5))
    city.fold()
    city.redis.client.hset(city.key("totals"), "headcount_current", "6")
    done = subprocess.run([BUILD / "consumer" / "citytotals-consumer", "verify", "-b", city.kafka.bootstrap, "--city", city.name,
                           "--redis", city.redis.url], capture_output=True, text=True, timeout=120)
    assert done.returncode == 4, done.stderr
    assert f"differs: {city.key('totals')} headcount_current: expected 5, found 6\n" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(": 1 difference")


def test_a_sample_of_agencies(city):
    city.given_events(e.headcount("1", "hong-bang", 5), e.headcount("1", "an-lao", 7))
    city.fold()
    city.redis.client.hset(city.key("headcount:current"), "an-lao", "8")
    said, _ = verify(city, "--sample-agency", "hong-bang")
    assert said["sampled"] and said["events"] == 1
    said, _ = verify(city, "--sample-agency", "hong-bang", "--sample-agency", "an-lao", status=4)
    assert [each["field"] for each in said["differences"]] == ["an-lao"]


def test_a_log_that_lost_what_was_counted_is_not_passed(new_city):
    city = new_city(partitions=1)
    city.given_events(*(e.headcount(str(number), "hong-bang", 5) for number in range(4)), partition=0)
    city.fold()
    city.kafka.delete_records(city.topic("headcount-change"), 0, 2)
    said, log = verify(city, status=1)
    assert not said["proved"] and "before offset 2" in said["unproved"][0] and "can't be proved" in log
    city.redis.client.delete(city.key(f"seen:{next(lane for lane in range(64) if city.redis.client.exists(city.key(f'seen:{lane}')))}"))
    said, _ = verify(city, status=4)
    assert {each["key"].rsplit(":", 1)[0] for each in said["differences"]} == {city.key("seen")}


def test_an_accepted_gap_that_nothing_was_counted_before_is_proved(new_city):
    city = new_city(partitions=1)
    city.given_events(*(e.headcount(str(number), "hong-bang", 5) for number in range(4)), partition=0)
    city.kafka.delete_records(city.topic("headcount-change"), 0, 2)
    city.fold("--accept-log-start")
    said, _ = verify(city)
    assert said["proved"] and said["events"] == 2


def test_days_of_visits_that_kafka_let_go_are_told(new_city):
    city = new_city(partitions=1, timestamps="CreateTime")
    noon = e.days("2021-03-01") * DAY
    for day in range(5):
        city.given_events(e.visit("v", noon + day * DAY), timestamp=noon + day * DAY, partition=0)
    city.fold()
    city.kafka.delete_records(city.topic("page-visit"), 0, 2)
    said, _ = verify(city)
    assert said["proved"] and any("the visits of 3 days, to 2021-03-03" in each for each in said["unproved"]), said
    city.redis.client.hset(city.key("visits:by-day"), "2021-03-04", "9")
    said, _ = verify(city, status=4)
    assert (city.key("visits:by-day"), "2021-03-04", "1", "9") in [tuple(each.values()) for each in said["differences"]]


def test_a_day_of_many_visitors_is_proved_and_each_wrong_one_named(city, seed):
    choose = random.Random(seed)
    city.given_events(*(e.visit(f"visitor {number}") for number in range(2500)))
    city.fold()
    assert verify(city)[0]["proved"]
    client = redis_module.Redis(port=city.redis.port)
    key = next(client.scan_iter(match=city.key("visitors:*")))
    assert client.zcard(key) == 2500
    members = client.zrange(key, 0, -1, withscores=True)
    moved, fraction, lost = (member for member, _ in choose.sample(members, 3))
    plain, compressed, long_member, number = choose.randbytes(16), b"a" * 100, choose.randbytes(200), b"5"
    for strange in ((plain,), (plain, long_member), (plain, long_member, number), (plain, long_member, compressed)):
        client.zincrby(key, 1, moved)
        client.zincrby(key, 0.5, fraction)
        client.zrem(key, lost)
        client.zadd(key, {member: 7 for member in strange})
        said, _ = verify(city, status=4)
        named = {each["field"]: (each["expected"], each["found"]) for each in said["differences"]}
        scores = dict(members)
        assert named[moved.hex()] == (f"{scores[moved]:.0f}", f"{scores[moved] + 1:.0f}")
        assert named[fraction.hex()] == (f"{scores[fraction]:.0f}", f"{scores[fraction] + 0.5}")
        assert named[lost.hex()] == (f"{scores[lost]:.0f}", "(absent)") and len(named) == 3 + len(strange)
        client.delete(key)
        client.zadd(key, dict(members))
    assert verify(city)[0]["proved"]


def test_reversals_are_looked_at(new_city):
    city = new_city(partitions=1)
    original = e.headcount("1", "hong-bang", 5)
    other = e.headcount("2", "hong-bang", 5)
    again = e.headcount("3", "hong-bang", 5)
    never_sent = e.headcount("4", "hong-bang", 5)
    undone = e.reversal(again)
    city.given_events(original, other, again, e.reversal(original, decision="1/QĐ"), e.reversal(other, delta=6), undone,
                      e.reversal(undone), e.reversal(never_sent), partition=0)
    city.fold()
    said, _ = verify(city)
    assert [each.split(" offset ")[1] for each in said["remarks"]] == [
        "4 is not a copy of the event that it reverses; put the difference right by a correction", "6 reverses a reversal",
        "7 reverses an event that the log does not have"]


def letter_of(city, type_, offset, reason, value=b""):
    import fastavro
    import io
    out = io.BytesIO()
    fastavro.schemaless_writer(out, e.SCHEMAS["dead-letter"], {
        "reason": reason, "detail": "", "topic": city.topic(type_), "partition": 0, "offset": offset, "timestamp": 0, "key": None,
        "value": value})
    return b"\xc3\x01" + e.FINGERPRINTS["dead-letter"] + out.getvalue()


def test_a_missing_dead_letter_is_a_difference(new_city):
    city = new_city(partitions=1)
    city.given_value("headcount-change", b"poison", partition=0)
    flushed(city.producer)
    city.fold()
    assert verify(city)[0]["dead_letters"] == 1
    city.kafka.delete_topic(f"{city.name}.dead-letters")
    said, _ = verify(city, status=4)
    assert [(each["key"], each["expected"]) for each in said["differences"]] == [(f"{city.name}.dead-letters", "bad_framing")]


def test_a_dead_letter_that_would_be_counted_today_is_remarked_on(new_city):
    """As after a repaired rule or a registry that was wrong: Redis holds what was decided then."""
    city = new_city(partitions=1)
    city.given_value("headcount-change", b"poison", partition=0)
    flushed(city.producer)
    city.fold()
    client = city.redis.client
    city.given_events(e.headcount("1", "hong-bang", 5), partition=0)
    city.producer.produce(f"{city.name}.dead-letters", letter_of(city, "headcount-change", 1, "rule_violation"))
    flushed(city.producer)
    # The state of a consumer that judged offset 1 by another rule.
    value = e.wire(e.headcount("1", "hong-bang", 5))
    city.fold()
    said, _ = verify(city)
    assert any("was counted, and there is a dead letter of it too" in each for each in said["remarks"])
    lane = next(key for key in client.scan_iter(match=city.key("seen:*")))
    client.delete(lane, city.key("headcount:current"), city.key("headcount:by-day"))
    client.hdel(city.key("totals"), "headcount_current", "headcount_current:administrative", "headcount_reduction", "events")
    client.hset(city.key("totals"), "dead_letters", "2")
    client.hset(city.key("dead-letters"), "rule_violation", "1")
    said, _ = verify(city)
    assert any("offset 1 became a dead letter (rule_violation); today it would be counted" in each for each in said["remarks"]), value


def test_no_state_and_another_cluster_are_refused(city):
    _, log = verify(city, status=1)
    assert "no state" in log
    city.given_events(e.headcount("1", "hong-bang", 5))
    city.fold()
    city.redis.client.hset(city.key("meta"), "cluster_id", "another")
    _, log = verify(city, status=1)
    assert "folded from Kafka cluster another" in log


@pytest.mark.parametrize("winner", (0, 1))
def test_either_of_two_conflicting_events_may_count_where_they_lie_apart(new_city, winner):
    city = new_city(partitions=2)
    events = e.headcount("1", "hong-bang", 5), e.headcount("1", "hong-bang", 6)
    city.given_events(events[winner], partition=winner)
    city.fold()
    city.given_events(events[1 - winner], partition=1 - winner)
    city.fold()
    said, _ = verify(city)
    assert said["proved"] and said["conflicts"] == 1 and city.total("headcount_current") == str(5 + winner)


def test_a_winner_that_came_second_in_its_partition_is_a_difference(new_city):
    city = new_city(partitions=1)
    city.given_events(e.headcount("1", "hong-bang", 5), e.headcount("1", "hong-bang", 6), partition=0)
    city.fold()
    other = new_city(partitions=1)
    other.given_events(e.headcount("1", "hong-bang", 6), partition=0)
    other.fold()
    key = next(key for key in other.redis.client.scan_iter(match=other.key("seen:*")))
    binary = redis_module.Redis(port=city.redis.port)
    binary.set(city.key(key.split(":", 1)[1]), binary.get(key))
    said, _ = verify(city, status=4)
    assert any("came first in its partition" in each["expected"] for each in said["differences"])
