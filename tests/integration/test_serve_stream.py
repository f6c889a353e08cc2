"""The live stream of citytotals-query serve, and what is served while Redis is away."""
import resource
import selectors
import signal
import socket
import time

import pytest

from tests.lab import events as e
from tests.lab.process import BUILD, wait_until
from tests.lab.redis_server import RedisServer
from tests.lab.web import Server, Stream


def fold(city, *events):
    city.given_events(*events)
    city.fold()


@pytest.fixture
def serving(city, directory):
    servers = []

    def make(*flags, redis=None):
        servers.append(Server(city.name, redis or city.redis, directory / f"serve-{city.name}-{len(servers)}", *flags))
        wait_until("it is ready", lambda: servers[-1].ready() == 200, 60, servers[-1].process.check_alive)
        return servers[-1]
    yield make
    for server in servers:
        if server.process.running():
            assert server.process.stop() == 0, server.process.log()


def is_totals(event, data, id_):
    return event == "totals"


def with_events(count):
    return lambda event, data, id_: event == "totals" and data["events"] == count


def test_snapshot_then_updates(city, serving):
    fold(city, e.headcount("1", "hong-bang", 100, "baseline"))
    server = serving()
    first, second = server.stream(), server.stream()
    for name, value in (("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")):
        assert f"{name}: {value}" in first.head
    event, data, _ = first.next()
    assert event == "retry" and 2000 <= int(data) < 5000 and second.next()[1] != data
    _, totals, id_ = first.until(is_totals)
    epoch = city.redis.client.hget(city.key("meta"), "epoch")
    assert id_ == f"{epoch}-{city.total('version')}" and totals["headcount"]["current"] == 100
    assert second.until(is_totals)[2] == id_
    for number in range(3):
        fold(city, e.headcount(f"more-{number}", "hong-bang", -1))
        for stream in (first, second):
            _, totals, new = stream.until(with_events(number + 2))
            assert totals["headcount"]["current"] == 99 - number and new == f"{epoch}-{city.total('version')}" != id_
    served = server.ask("/v1/totals").json
    assert {**served, "as_of": None} == {**totals, "as_of": None}
    first.close()
    second.close()


def test_what_was_missed_is_sent_again_or_resync(city, serving):
    fold(city, e.headcount("1", "hong-bang", 100, "baseline"))
    server = serving()
    stream = server.stream()
    ids = [stream.until(is_totals)[2]]
    for number in range(4):
        fold(city, e.headcount(f"more-{number}", "hong-bang", -1))
        ids.append(stream.until(with_events(number + 2))[2])
    stream.close()
    back = server.stream(Last_Event_ID=ids[1])
    assert back.next()[0] == "retry"
    assert [back.next()[2] for _ in range(3)] == ids[2:]
    back.close()
    up_to_date = server.stream(Last_Event_ID=ids[-1])
    assert up_to_date.next()[0] == "retry"
    fold(city, e.headcount("next", "hong-bang", -1))
    assert up_to_date.next()[1]["events"] == 6  # nothing comes twice
    up_to_date.close()
    for unknown in ("nonsense", "0-0", ids[-1].replace("-", "9-"), "x" * 5000):
        lost = server.stream(Last_Event_ID=unknown)
        assert lost.next()[0] == "retry" and lost.next()[0] == "resync"
        assert lost.next()[1]["events"] == 6
        lost.close()
    asked = Stream(server)
    asked.close()


def test_another_epoch_is_a_resync(city, serving):
    fold(city, e.headcount("1", "hong-bang", 100, "baseline"))
    server = serving()
    id_ = server.stream().until(is_totals)[2]
    city.redis.client.hset(city.key("meta"), "epoch", "77")
    city.redis.client.hincrby(city.key("totals"), "version", 1)
    stream = server.stream()
    stream.until(lambda event, data, new: event == "totals" and new.startswith("77-"))
    assert server.process.stop() == 0
    again = serving()
    back = again.stream(Last_Event_ID=id_)
    assert back.next()[0] == "retry" and back.next()[0] == "resync" and back.next()[2].startswith("77-")
    back.close()


def test_at_most_ten_a_second(city, serving):
    fold(city, e.headcount("1", "hong-bang", 1000, "baseline"))
    server = serving()
    consumer = city.consumer()
    stream = server.stream()
    stream.until(is_totals)
    began, blocks, total = time.monotonic(), 0, 200
    for number in range(total):
        city.given_events(e.headcount(f"fast-{number}", "hong-bang", -1))
    while stream.until(is_totals)[1]["events"] < total + 1:
        blocks += 1
    assert blocks + 1 <= (time.monotonic() - began) * 10 + 2
    stream.close()
    assert consumer.stop() == 0


def test_heartbeats_and_goodbye(city, serving):
    fold(city, e.headcount("1", "hong-bang", 100, "baseline"))
    server = serving()
    streams = [server.stream() for _ in range(5)]
    for stream in streams:
        stream.until(is_totals)
        assert stream.until(lambda event, data, id_: event is None, 40)[1] == "heartbeat"
    assert server.process.stop() == 0
    for stream in streams:
        assert stream.until(lambda event, data, id_: event == "goodbye")[1] == {}
        wait_until("its end is clean", lambda: stream.over or stream.receive() or stream.unchunk() or stream.over, 20)
        stream.close()


def test_redis_away_is_stale_and_not_ready(city, serving, own_redis):
    server = serving(redis=own_redis)
    own_redis.client.hset(f"{{{city.name}}}:meta", "epoch", "5")
    own_redis.client.hset(f"{{{city.name}}}:totals", mapping={"version": "9", "headcount_current": "7"})
    stream = server.stream()
    stream.until(lambda event, data, id_: event == "totals" and data["as_of"]["version"] == 9)
    fresh = server.ask("/v1/totals")
    own_redis.kill()
    _, data, id_ = stream.until(lambda event, data, id_: event == "totals" and data["as_of"]["stale"])
    assert id_ == "5-9" and data["headcount"]["current"] == 7
    wait_until("it is not ready", lambda: server.ready() == 503, 30)
    stale = wait_until("its age grows", lambda: (answer := server.ask("/v1/totals")).headers.get("X-Stale-Seconds", "0") not in ("0", "1") and answer, 30)
    assert stale.json["as_of"]["stale"] is True and stale.headers["ETag"] == fresh.headers["ETag"]
    for path in ("/v1/totals?as_of=2020-01-01", "/v1/agencies", "/v1/changes?limit=3", "/v1/visitors"):
        assert server.ask(path).json["as_of"]["stale"] is True
    own_redis.start()
    stream.until(lambda event, data, id_: event == "totals" and not data["as_of"]["stale"])
    wait_until("it is ready again", lambda: server.ready() == 200, 30)
    assert "redis can be read again" in server.process.log()
    stream.close()


def test_a_redis_that_hangs_is_stale_soon(city, serving, own_redis):
    """It takes connections and answers nothing: one time-out is waited for, not several."""
    server = serving(redis=own_redis)
    own_redis.client.hset(f"{{{city.name}}}:meta", "epoch", "5")
    own_redis.client.hset(f"{{{city.name}}}:totals", mapping={"version": "9", "headcount_current": "7"})
    wait_until("it was read", lambda: server.ask("/v1/totals").json["as_of"]["version"] == 9, 30)
    own_redis.process.signal(signal.SIGSTOP)
    try:
        stale = wait_until("it is stale", lambda: (answer := server.ask("/v1/totals")).json["as_of"]["stale"] and answer, 30)
        assert int(stale.headers["X-Stale-Seconds"]) < 9 and "New figures can't be read" in server.ask("/?lang=en").text
    finally:
        own_redis.process.signal(signal.SIGCONT)
    wait_until("it is fresh again", lambda: not server.ask("/v1/totals").json["as_of"]["stale"], 30)


def test_without_redis_at_the_start_there_is_no_answer_yet(city, directory):
    redis = RedisServer(directory / f"late-{city.name}")
    server = Server(city.name, redis, directory / f"serve-late-{city.name}")
    try:
        for path in ("/v1/totals", "/v1/stream", "/v1/totals?as_of=2020-01-01", "/v1/history?measure=visits"):
            answer = server.ask(path)
            assert answer.status == 503 and answer.headers["Retry-After"] and answer.headers["Content-Type"] == "application/problem+json"
        assert server.ready() == 503 and server.ask("/v1/definitions").status == 200
        redis.start()
        wait_until("it answers", lambda: server.ask("/v1/totals").status == 200, 60, server.process.check_alive)
    finally:
        assert server.process.stop() == 0
        redis.stop()


def test_a_malformed_cell_keeps_what_was_read(city, serving):
    fold(city, e.headcount("1", "hong-bang", 100, "baseline"))
    server = serving()
    city.redis.client.hset(city.key("totals"), "headcount_current", "many")
    city.redis.client.hincrby(city.key("totals"), "version", 1)
    server.process.wait_for_log('holds "many"')
    wait_until("it is said to be stale", lambda: server.ask("/v1/totals").json["as_of"]["stale"], 30)
    assert server.ask("/v1/totals").json["headcount"]["current"] == 100 and server.ready() == 503


def test_streams_are_bounded(city, serving):
    server = serving("--streams", "3")
    streams = [server.stream() for _ in range(3)]
    assert all(stream.until(is_totals) for stream in streams)
    answer = server.ask("/v1/stream")
    assert answer.status == 503 and answer.headers["Retry-After"]
    streams.pop().close()
    for stream in streams:
        stream.close()


def test_two_thousand_clients_some_never_reading(city, serving):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10000), hard))
    fold(city, e.headcount("1", "hong-bang", 100, "baseline"))
    server = serving()
    before = server.rss()
    selector, peers, got = selectors.DefaultSelector(), [], {}
    try:
        for number in range(2000):
            peer = socket.create_connection(server.address)
            peer.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
            peers.append(peer)
            if number % 20:  # each twentieth never reads
                peer.setblocking(False)
                selector.register(peer, selectors.EVENT_READ)
                got[peer] = b""

        def read_until(mark):
            waiting = {peer for peer in got if mark not in got[peer]}
            until = time.monotonic() + 120
            while waiting and time.monotonic() < until:
                for key, _ in selector.select(1):
                    got[key.fileobj] += key.fileobj.recv(65536)
                    if mark in got[key.fileobj]:
                        waiting.discard(key.fileobj)
            assert not waiting, f"{len(waiting)} streams have not got {mark}"
        read_until(b"event: totals")
        fold(city, e.headcount("2", "hong-bang", -3))
        read_until(b'"events":2')
        began = time.monotonic()
        assert server.ask("/v1/totals").json["events"] == 2 and time.monotonic() - began < 10
        grown = server.rss() - before
        assert grown < 2000 * 13 * 1024 or "san" in BUILD.name, f"{grown / 2000:.0f} bytes a stream"
    finally:
        for peer in peers:
            peer.close()
        selector.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until("the places are free", lambda: int(next(line for line in server.ask("/metrics", address=server.management).text.splitlines()
                                                       if line.startswith("citytotals_streams ")).split()[1]) == 0, 60)
