"""A snapshot is one moment of a city; it loads all at once or not at all; from it and the log's tail everything is exact again."""
import random
import threading

import pytest
import redis as redis_module

from tests.lab import events as e
from tests.lab import snapshot as file
from tests.lab.process import wait_until
from tests.lab.repair import consumer_tool, digest, left_over, rebuild, verify
from tests.lab.snapshot import snapshot
from tests.lab.traffic import given_records


def streams_of(city):
    """Of what is kept beside the sums: streams, and the string of repeats."""
    client = redis_module.Redis(port=city.redis.port)
    found = {key.decode().split(":", 1)[1]: client.xrange(key) for name in ("changes", "refused:*")
             for key in client.scan_iter(match=city.key(name))}
    return {**found, "repeats": client.get(city.key("repeats"))}


@pytest.fixture
def saved(city, seed, tmp_path):
    """A city, and a file of it."""
    given_records(city, seed, 800)
    city.given_events(*(e.visit(f"visitor {number}") for number in range(1500)))
    city.fold()
    snapshot(city, "save", tmp_path / "city.snapshot")
    return city, tmp_path / "city.snapshot"


def test_a_new_redis_starts_from_it_and_the_logs_tail(saved, own_redis, seed):
    city, path = saved
    before, version = digest(city), city.version()
    streams = streams_of(city)
    city.redis = own_redis
    snapshot(city, "load", path)
    assert digest(city) == before and city.version() == version
    assert streams_of(city) == streams and len(streams) > 2
    assert city.redis.client.hget(city.key("meta"), "loaded").endswith(f" version {version}")
    given_records(city, seed + 1, 500)
    city.fold()
    city.expect_exact()
    assert verify(city)[0]["proved"]
    assert not left_over(city)


def test_the_file_is_what_the_page_says_and_one_that_the_page_would_write_loads(saved, own_redis):
    city, path = saved
    head, hashes, lanes, visitors, entries, strings = file.read(path.read_bytes())
    client = redis_module.Redis(port=city.redis.port)
    for name, cells in hashes.items():
        assert client.hgetall(city.key(name)) == cells, name
    assert {lane: client.get(city.key(f"seen:{lane}")) for lane in lanes} == lanes
    assert {f"visitors:{day}" for day in visitors} == {key.decode().split(":", 1)[1] for key in client.scan_iter(city.key("visitors:*"))}
    for day, records in visitors.items():
        assert dict(client.zrange(city.key(f"visitors:{day}"), 0, -1, withscores=True)) == records
    assert head["city"] == city.name and int(head["version"]) == city.version() and len(entries) > 10
    before = digest(city)
    ours = path.with_name("ours.snapshot")
    ours.write_bytes(file.built(head, hashes, lanes, visitors, entries, strings))
    city.redis = own_redis
    snapshot(city, "load", ours)
    assert digest(city) == before
    shown, _ = snapshot(city, "show", ours)
    assert f"version {head['version']}\n" in shown and shown.count("offset ") == len(hashes["offsets"])


def test_it_is_one_moment_while_consumers_fold(city, own_redis, seed, tmp_path):
    given_records(city, seed, 5000)
    consumer = city.consumer("--batch-events", "200")
    path = tmp_path / "city.snapshot"
    with city.traffic(seed + 1, per_second=1500):
        wait_until("something is folded", lambda: city.version() > 3, 60, consumer.check_alive)
        for _ in range(5):
            snapshot(city, "save", path)
            head, hashes, lanes, _, entries, _ = file.read(path.read_bytes())
            assert sum(map(len, lanes.values())) == 24 * int(hashes["totals"][b"events"])
            assert all(int(id_.split("-")[0]) <= int(head["version"]) for _, id_, _ in entries)
            city.wait_for_commits(2, alive=consumer.check_alive)
    city.wait_until_folded(alive=consumer.check_alive)
    city.expect_exact()
    assert consumer.stop() == 0
    city.redis = own_redis
    snapshot(city, "load", path)
    city.fold()
    city.expect_exact()


def test_another_city_cluster_schema_and_a_city_with_totals_are_refused(saved, new_city, own_redis):
    city, path = saved
    other = new_city(redis=own_redis)
    _, log = snapshot(other, "load", path, status=1)
    assert f"is of the city {city.name}" in log
    before, epoch = digest(city), city.redis.client.hget(city.key("meta"), "epoch")
    _, log = snapshot(city, "load", path, status=1)
    assert "has totals of the city already" in log and "--replace" in log
    assert digest(city) == before and city.redis.client.hget(city.key("meta"), "epoch") == epoch and not left_over(city)
    head, *rest = file.read(path.read_bytes())
    city.redis = own_redis
    for change, sentence in (({"cluster": "another"}, "is of Kafka cluster another"), ({"layout": "2"}, "layout \"2\""),
                             ({"schema:unit-mergers": "0123456789abcdef"}, "another schema of unit-mergers")):
        spoilt = path.with_name("spoilt.snapshot")
        spoilt.write_bytes(file.built({**head, **change}, *rest))
        _, log = snapshot(city, "load", spoilt, status=1)
        assert sentence in log
    assert not list(own_redis.client.scan_iter("*"))
    moved = path.with_name("moved.snapshot")
    moved.write_bytes(file.built({**head, "cluster": "another"}, *rest))
    snapshot(city, "load", moved, "--accept-cluster", head["cluster"])
    assert city.redis.client.hget(city.key("meta"), f"cluster_accepted:{head['cluster']}").endswith(" instead of another")
    city.fold()
    city.expect_exact()


def test_damage_of_any_byte_is_told_and_nothing_is_loaded(saved, own_redis, seed):
    city, path = saved
    whole, choose = path.read_bytes(), random.Random(seed)
    places, at = {"magic": (0, 8), "format": (8, 12)}, 12
    while at < len(whole):  # of the first block of each kind: letters, size, content, checksum
        kind, size = whole[at:at + 4].decode(), int.from_bytes(whole[at + 4:at + 8], "little")
        for name, begin, end in (("kind", 0, 4), ("size", 4, 8), ("content", 8, 8 + size), ("checksum", 8 + size, 12 + size)):
            places.setdefault(f"{kind} {name}", (at + begin, at + end))
        at += 12 + size
    assert len(places) == 2 + 4 * 7
    damaged = path.with_name("damaged.snapshot")
    for name, (begin, end) in places.items():
        spoilt = bytearray(whole)
        spoilt[choose.randrange(begin, end)] ^= 1 << choose.randrange(8)
        damaged.write_bytes(spoilt)
        _, log = snapshot(city, "show", damaged, status=1)
        assert any(word in log for word in ("damaged", "cut short", "no snapshot", "of format")), f"{name}: {log}"
    for cut in (0, 7, 11, 12, 15, 200, len(whole) // 2, len(whole) - 1):
        damaged.write_bytes(whole[:cut])
        _, log = snapshot(city, "show", damaged, status=1)
        assert "cut short" in log or "no snapshot" in log, f"cut at {cut}: {log}"
    damaged.write_bytes(whole + b"x")
    assert "goes on after its end block" in snapshot(city, "show", damaged, status=1)[1]
    # Sound blocks that do not belong together: one of them is lost, or comes twice.
    found = file.blocks(whole)
    lane = next(number for number, (kind, _) in enumerate(found) if kind == "LANE")
    for spoilt in (found[:lane] + found[lane + 1:], found[:lane] + found[lane:lane + 1] + found[lane:], found[1:]):
        damaged.write_bytes(file.written(spoilt))
        city_redis, city.redis = city.redis, own_redis
        _, log = snapshot(city, "load", damaged, status=1)
        assert "do not belong together" in log or "does not hold what its kind must" in log
        city.redis = city_redis
    assert not list(own_redis.client.scan_iter("*"))


def test_replace_takes_the_place_beside_live_consumers(saved, seed):
    city, path = saved
    consumer = city.consumer()
    with city.traffic(seed + 1, per_second=500):
        city.wait_for_commits(3, alive=consumer.check_alive)
        version = city.version()
        snapshot(city, "load", path, "--replace")
        assert city.version() > version, "readers saw the version go back"
        city.wait_for_commits(3, alive=consumer.check_alive)
    city.wait_until_folded(alive=consumer.check_alive)
    city.expect_exact()
    assert verify(city)[0]["proved"]


def test_killed_while_it_loads_nothing_or_all_is_there(saved, own_redis, seed):
    city, path = saved
    before, choose = digest(city), random.Random(seed)
    city.redis = own_redis
    placed = 0
    for number in range(12):
        process = city.program("load", *consumer_tool(city, "snapshot", "load", path))
        if number % 3:
            wait_until("it loads", lambda: own_redis.client.exists(city.key("rebuild:meta")) or not process.running(), 60)
            threading.Event().wait(choose.random() * 0.02)
        else:
            threading.Event().wait(choose.random() * 0.5)
        process.kill()
        if own_redis.client.exists(city.key("totals")):
            assert digest(city) == before
            placed += 1
            own_redis.client.flushall()
        else:
            assert not [key for key in own_redis.client.scan_iter("*") if not key.startswith(city.key("rebuild:"))]
    assert placed < 12
    snapshot(city, "load", path)
    assert digest(city) == before and not left_over(city)
    city.fold()
    city.expect_exact()


def test_killed_while_it_saves_the_earlier_file_stays(saved, seed):
    city, path = saved
    whole, choose = path.read_bytes(), random.Random(seed)
    given_records(city, seed + 1, 300)
    city.fold()
    for _ in range(8):
        process = city.program("save", *consumer_tool(city, "snapshot", "save", path))
        part = path.with_name(path.name + ".part")
        wait_until("it writes", lambda: part.exists() or not process.running(), 60)
        threading.Event().wait(choose.random() * 0.01)
        process.kill()
        assert path.read_bytes() == whole or file.read(path.read_bytes())[0]["version"] == str(city.version())
    snapshot(city, "save", path)
    assert file.read(path.read_bytes())[0]["version"] == str(city.version()) and not part.exists()


def test_verify_proves_from_the_snapshot_on_where_the_log_was_cut(new_city, seed, tmp_path):
    city = new_city(partitions=2)
    given_records(city, seed, 600)
    city.given_events(e.headcount("twice", "agency-2", 5), e.headcount("reversed", "agency-3", 7))
    city.fold()
    path = tmp_path / "city.snapshot"
    snapshot(city, "save", path)
    for type_ in ("headcount-change", "unit-merger"):
        for partition in range(2):
            city.kafka.delete_records(city.topic(type_), partition, city.offset(type_, partition))
    given_records(city, seed + 1, 400)
    city.given_events(e.headcount("twice", "agency-2", 5), e.headcount("twice", "agency-2", 6),
                      e.reversal(e.headcount("reversed", "agency-3", 7)))
    city.fold()  # its offsets lie past the logs' starts, so nothing halts
    said, _ = verify(city, status=1)
    assert not said["proved"] and said["unproved"]
    said, _ = verify(city, "--snapshot", path)
    assert said["proved"] and not said["differences"] and "taken from the snapshot" in said["unproved"][0]
    assert said["conflicts"] >= 1
    client, choose = redis_module.Redis(port=city.redis.port), random.Random(seed)
    for spoilt in (("headcount:current", "units", "visits:by-day", "dead-letters"), ("offsets",)):
        whole = {suffix: client.hgetall(city.key(suffix)) for suffix in spoilt}
        for suffix in spoilt:
            field = choose.choice(sorted(whole[suffix]))
            client.hset(city.key(suffix), field, int(whole[suffix][field]) + 1 if suffix != "offsets" else 1)
        found = verify(city, "--snapshot", path, status=4)[0]["differences"]
        assert {city.key(suffix) for suffix in spoilt} <= {each["key"] for each in found}, found[:5]
        for suffix in spoilt:
            client.hset(city.key(suffix), mapping=whole[suffix])
    lane = choose.choice(sorted(client.scan_iter(match=city.key("seen:*"))))
    records = client.get(lane)
    client.set(lane, records[:17] + bytes([records[17] ^ 1]) + records[18:])
    assert any(each["key"] == lane.decode() for each in verify(city, "--snapshot", path, status=4)[0]["differences"])
    client.set(lane, records)
    before = digest(city)
    snapshot(city, "load", path, "--replace")
    city.fold()
    assert digest(city) == before
    assert verify(city, "--snapshot", path)[0]["proved"]
    assert "is halted" in rebuild(city, status=1)[1]


def test_a_consumer_that_halted_goes_on_once_a_snapshot_is_loaded(new_city, own_redis, seed, tmp_path):
    city = new_city(partitions=1)
    given_records(city, seed, 300)
    city.fold()
    path = tmp_path / "city.snapshot"
    snapshot(city, "save", path)
    city.kafka.delete_records(city.topic("headcount-change"), 0, city.offset("headcount-change", 0))
    before = digest(city)
    city.redis = own_redis
    consumer = city.consumer()
    wait_until("it halts", lambda: "is halted" in consumer.log(), 60, consumer.check_alive)
    snapshot(city, "load", path, "--replace")
    city.given_events(e.headcount("later", "hong-bang", 5))
    city.wait_until_folded(alive=consumer.check_alive)
    assert int(city.total("events")) == int(before["totals"][b"events"]) + 1
    assert verify(city, "--snapshot", path)[0]["proved"]


def test_wrong_words_and_files_are_told(city, tmp_path):
    for words, status, sentence in ((["save"], 2, "allowed: save FILE, load FILE, show FILE"), (["keep", "x"], 2, "snapshot keep"),
                                    (["save", "x", "--replace"], 2, "belong to load"),
                                    (["show", tmp_path / "none"], 1, "No such file"), (["show", tmp_path], 1, "not a file"),
                                    (["save", tmp_path / "x"], 1, "redis has no state")):
        assert sentence in snapshot(city, *words, status=status)[1]
    city.given_events(e.headcount("one", "hong-bang", 5))
    city.fold()
    assert "No such file" in snapshot(city, "save", tmp_path / "no" / "x", status=1)[1]
    city.redis.client.append(city.key("seen:0"), b"x" * 24)
    assert "do not belong together" in snapshot(city, "save", tmp_path / "x", status=1)[1]
    assert not list(tmp_path.iterdir())
