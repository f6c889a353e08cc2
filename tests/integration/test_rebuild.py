"""rebuild heals, swaps at once, survives being killed anywhere, and disturbs no consumer and no reader."""
import os
import random
import threading

import redis as redis_module

from tests.lab import events as e
from tests.lab.oracle import DAY, letters_in_topic
from tests.lab.process import wait_until
from tests.lab.repair import consumer_tool, digest, left_over, rebuild, verify
from tests.lab.traffic import given_records

KILLS = int(os.environ.get("CITYTOTALS_REBUILD_KILLS", "10"))


def test_a_rebuilt_state_is_the_same(city, seed):
    given_records(city, seed, 3000)
    city.fold()
    before, version, epoch = digest(city), city.version(), city.redis.client.hget(city.key("meta"), "epoch")
    letters = len(letters_in_topic(city.kafka.bootstrap, city.name)[1])
    rebuild(city)
    assert digest(city) == before
    assert city.version() > version and city.redis.client.hget(city.key("meta"), "epoch") != epoch
    assert len(letters_in_topic(city.kafka.bootstrap, city.name)[1]) == letters, "dead letters were written again"
    assert not left_over(city)
    city.expect_exact()
    assert verify(city)[0]["proved"]


def test_after_flushall_a_rebuild_brings_everything_back(new_city, own_redis, seed):
    city = new_city(redis=own_redis)
    given_records(city, seed, 2000)
    city.fold()
    before = digest(city)
    own_redis.client.flushall()
    rebuild(city)
    assert digest(city) == before
    city.expect_exact()
    city.given_events(e.headcount("later", "hong-bang", 5))
    city.fold()
    city.expect_exact()


def test_a_spoilt_state_is_healed(city, seed):
    given_records(city, seed, 1000)
    city.fold()
    client, choose = redis_module.Redis(port=city.redis.port), random.Random(seed)
    before = digest(city)
    lane = choose.choice([key for key in client.scan_iter(match=city.key("seen:*"))])
    client.set(lane, client.get(lane)[:-1] + b"x")
    client.hset(city.key("headcount:current"), "nobody", "7")
    client.hset(city.key("totals"), "events", "many")
    client.hincrby(city.key("visits:by-day"), choose.choice(client.hkeys(city.key("visits:by-day"))), 4)
    client.hset(city.key("offsets"), client.hkeys(city.key("offsets"))[0], "999999")
    client.delete(city.key("pilots"))
    client.set(city.key("pilots"), "not a hash")
    client.zadd(next(client.scan_iter(match=city.key("visitors:*"))), {b"0123456789abcdef": 5})
    verify(city, status=4)
    printed, _ = rebuild(city, "--dry-run", status=4)
    assert "differs: " in printed and "rebuild --dry-run" in printed
    assert client.get(city.key("pilots")) == b"not a hash", "a dry run changed something"
    rebuild(city)
    assert digest(city) == before
    assert verify(city)[0]["proved"]
    assert rebuild(city, "--dry-run")[0].endswith(": 0 differences\n")


class Reader:
    """Reads `totals` all the time: the events counted never go far back, and parts agree with each other."""

    def __init__(self, city):
        self.city, self.faults, self.reads = city, [], 0
        self.client = redis_module.Redis(port=city.redis.port, decode_responses=True)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        events = 0
        while not self.stopping.wait(0.002):
            totals = {name: int(value) for name, value in self.client.hgetall(self.city.key("totals")).items()
                      if value.lstrip("-").isdigit()}
            self.reads += 1
            if totals.get("events", 0) < events:
                self.faults.append(f"events went from {events} to {totals.get('events')}")
            events = totals.get("events", 0)
            if totals.get("headcount_current", 0) != sum(totals.get(f"headcount_current:{sector}", 0) for sector in e.SECTORS):
                self.faults.append(f"the sectors do not add up: {totals}")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(30)


def test_killed_at_random_points_beside_live_consumers(new_city, seed):
    city = new_city()
    choose = random.Random(seed)
    given_records(city, seed, 20000)
    consumers = [city.consumer() for _ in range(2)]
    city.wait_until_folded(alive=consumers[0].check_alive)

    def check_alive():
        for each in consumers:
            each.check_alive()
    killed = 0
    with Reader(city) as reader, city.traffic(seed + 1, per_second=500):
        for _ in range(KILLS):
            process = city.program("rebuild", *consumer_tool(city, "rebuild", "--batch-events", "500"))
            if choose.random() < 0.8:
                wait_until("the rebuild folds", lambda: city.redis.client.exists(city.key("rebuild:offsets")) or not process.running(),
                           60, check_alive)
            threading.Event().wait(choose.random() * 0.6)
            killed += process.running()
            process.kill()
        rebuild(city)
        check_alive()
        city.wait_for_commits(3, alive=check_alive)
    assert killed >= KILLS // 2, f"only {killed} of {KILLS} were killed before their end"
    city.wait_until_folded(alive=check_alive)
    assert not reader.faults, reader.faults[:5]
    assert reader.reads > 100
    assert not left_over(city)
    city.expect_exact()
    for each in consumers:
        assert each.stop() == 0
    city.expect_exact()
    assert verify(city)[0]["proved"]


def test_live_consumers_go_on_exactly_after_the_swap(city, seed):
    given_records(city, seed, 5000)
    consumer = city.consumer()
    city.wait_until_folded(alive=consumer.check_alive)
    with city.traffic(seed + 1, per_second=1500):
        for _ in range(3):
            rebuild(city)
            city.wait_for_commits(2, alive=consumer.check_alive)
    city.wait_until_folded(alive=consumer.check_alive)
    city.expect_exact()


def test_two_at_once_are_refused(city):
    given_records(city, 1, 100)
    city.fold()
    lock = city.key("rebuild:lock")
    stop = threading.Event()

    def hold_the_lock():
        while not stop.wait(0.3):
            city.redis.client.set(lock, "another", px=4000)
    thread = threading.Thread(target=hold_the_lock)
    thread.start()
    try:
        wait_until("the lock is held", lambda: city.redis.client.exists(lock))
        _, log = rebuild(city, status=1)
        assert "another rebuild" in log
    finally:
        stop.set()
        thread.join()
    city.redis.client.set(lock, "a dead one", px=2000)
    rebuild(city)
    city.expect_exact()


def test_what_another_version_left_is_dropped_and_what_is_abandoned_is_removed(city):
    given_records(city, 2, 200)
    city.fold()
    client = city.redis.client
    client.hset(city.key("rebuild:meta"), mapping={"epoch": "1", "built_by": "another", "cluster_id": "x"})
    client.hset(city.key("rebuild:totals"), "events", "5")
    client.set(city.key("rebuild:seen:3"), "x" * 24)
    _, log = rebuild(city)
    assert "dropped" in log and not left_over(city)
    city.expect_exact()
    client.hset(city.key("rebuild:meta"), mapping={"epoch": "1", "built_by": "another"})
    client.hset(city.key("rebuild:visits:by-day"), "2020-01-01", "5")
    client.zadd(city.key("rebuild:visitors:2020-01-01"), {"x": 1})
    rebuild(city, "--abandon")
    assert not left_over(city)
    city.expect_exact()


def test_a_dead_rebuilds_hold_ends(city):
    given_records(city, 3, 100)
    city.fold()
    now = city.redis.client.time()[0]
    city.redis.client.hset(city.key("meta"), "held_until", now + 2)
    city.given_events(e.headcount("held", "hong-bang", 5))
    city.fold()
    assert city.redis.client.time()[0] >= now + 2
    city.expect_exact()


def test_days_of_visits_that_kafka_let_go_are_carried_over(new_city):
    city = new_city(partitions=1, timestamps="CreateTime")
    noon = e.days("2021-03-01") * DAY
    for day in range(6):
        for visitor in range(day + 1):
            city.given_events(e.visit(f"v{visitor}", noon + day * DAY), timestamp=noon + day * DAY, partition=0)
    city.fold()
    before = digest(city)
    city.kafka.delete_records(city.topic("page-visit"), 0, 8)
    rebuild(city)
    after = digest(city)
    assert after["visits:by-day"] == before["visits:by-day"] and after["totals"] == before["totals"]
    assert {key for key in after if key.startswith("visitors:")} == {key for key in before if key.startswith("visitors:")}
    said, _ = verify(city)
    assert said["proved"] and any("the visits of 4 days" in each for each in said["unproved"])
    city.given_events(e.visit("v0", noon + 6 * DAY), timestamp=noon + 6 * DAY, partition=0)
    city.fold()
    assert city.total("visits") == "22"


def test_another_cluster_and_a_shortened_log_are_refused(new_city):
    city = new_city(partitions=1)
    city.given_events(*(e.headcount(str(number), "hong-bang", 5) for number in range(4)), partition=0)
    city.fold()
    cluster = city.redis.client.hget(city.key("meta"), "cluster_id")
    city.redis.client.hset(city.key("meta"), "cluster_id", "another")
    _, log = rebuild(city, status=1)
    assert "folded from Kafka cluster another" in log and city.total("headcount_current") == "20"
    city.redis.client.hset(city.key("meta"), "cluster_id", cluster)
    city.kafka.delete_records(city.topic("headcount-change"), 0, 2)
    _, log = rebuild(city, status=1)
    assert "is halted" in log and city.total("headcount_current") == "20"
    rebuild(city, "--restart", "--accept-log-start")
    assert city.total("headcount_current") == "10"
    assert verify(city)[0]["proved"]


def test_partitions_added_beside_a_rebuild_are_folded_too(new_city, seed):
    city = new_city(partitions=2)
    given_records(city, seed, 20000)
    consumer = city.consumer("-X", "topic.metadata.refresh.interval.ms=500")
    city.wait_until_folded(alive=consumer.check_alive)
    process = city.program("rebuild", *consumer_tool(city, "rebuild", "--batch-events", "200"))
    wait_until("the rebuild folds", lambda: city.redis.client.exists(city.key("rebuild:offsets")), 60, process.check_alive)
    city.kafka.add_partitions(city.topic("headcount-change"), 3)
    city.producer = city.kafka.producer()  # one that knows of it at once
    city.given_events(e.headcount("new", "hong-bang", 5), partition=2)
    assert process.wait(120) == 0, process.log()
    city.wait_until_folded(alive=consumer.check_alive)
    city.expect_exact()
