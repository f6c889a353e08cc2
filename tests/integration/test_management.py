"""The management listener: live, ready, and exact metrics of a known story."""
import http.client
import pathlib
import re
import signal
import socket

import pytest

from tests.lab import events as e
from tests.lab.process import free_ports, wait_until
from tests.lab.redis_server import RedisServer

PORT_0 = ("--management", "127.0.0.1:0")


def ask(process, path, method="GET", body=None):
    host, port = process.wait_for_log(r"listening management (\S+):(\d+)").groups()
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def ready(process):
    return ask(process, "/readyz")[:2]


def away(city):
    command = city.consumer_command(*PORT_0)
    command[command.index("-b") + 1] = f"127.0.0.1:{free_ports(1)[0]}"
    return city.program("consumer-away", *command)


def test_ready_from_assignment_on_and_not_while_redis_is_away(new_city, directory):
    server = RedisServer(directory / "redis-management")
    try:
        city = new_city(redis=server)
        server.directory.mkdir(parents=True, exist_ok=True)
        consumer = city.consumer(*PORT_0)
        consumer.wait_for_log("connect to redis")
        assert ask(consumer, "/healthz")[:2] == (200, "live\n")
        assert ready(consumer) == (503, "redis is away\n")
        server.start()
        wait_until("it is ready", lambda: ready(consumer) == (200, "ready\n"), 60, consumer.check_alive)
        assert "assigned 12 partitions" in consumer.log()
        city.given_events(e.headcount("1", "hong-bang", 5))
        city.wait_until_folded(alive=consumer.check_alive)
        assert ready(consumer) == (200, "ready\n")
        server.kill()
        city.given_events(e.headcount("2", "hong-bang", 5))
        wait_until("it is not ready", lambda: ready(consumer) == (503, "redis is away\n"), 60, consumer.check_alive)
        assert ask(consumer, "/healthz")[0] == 200 and ask(consumer, "/metrics")[0] == 200
        server.start()
        wait_until("it is ready again", lambda: ready(consumer)[0] == 200, 60, consumer.check_alive)
        city.wait_until_folded(alive=consumer.check_alive)
        assert consumer.stop() == 0
        city.expect_exact()
    finally:
        server.stop()


def test_not_ready_while_kafka_is_away(city):
    consumer = away(city)
    consumer.wait_for_log("does not answer")
    assert ask(consumer, "/healthz")[:2] == (200, "live\n")
    assert ready(consumer) == (503, "starting\n")
    assert ask(consumer, "/metrics")[0] == 200
    assert consumer.stop() == 0


def test_not_ready_while_no_broker_can_be_reached(city, kafka):
    consumer = city.consumer(*PORT_0)
    wait_until("it is ready", lambda: ready(consumer) == (200, "ready\n"), 60, consumer.check_alive)
    kafka.kill()
    try:
        wait_until("it is not ready", lambda: ready(consumer) == (503, "kafka is away\n"), 60, consumer.check_alive)
        assert ask(consumer, "/healthz")[:2] == (200, "live\n")
    finally:
        kafka.start()
    wait_until("it is ready again", lambda: ready(consumer) == (200, "ready\n"), 60, consumer.check_alive)
    city.given_events(e.headcount("1", "hong-bang", 5))
    city.wait_until_folded(alive=consumer.check_alive)
    assert consumer.stop() == 0
    city.expect_exact()


def test_paths_and_methods(city):
    consumer = away(city)
    for path in ("/", "/metric", "/metrics/", "/healthz2", "//healthz", "/%2e%2e/etc/passwd"):
        assert ask(consumer, path)[0] == 404
        assert ask(consumer, path, "HEAD")[0] == 404
    for path in ("/healthz", "/readyz", "/metrics", "/"):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "NONSENSE"):
            status, body, headers = ask(consumer, path, method, b"x" * 100000 if method == "POST" else None)
            assert status == 405 and headers["Allow"] == "GET, HEAD"
    for path, status in (("/healthz", 200), ("/readyz", 503), ("/metrics", 200)):
        got, body, headers = ask(consumer, path, "HEAD")
        assert (got, body) == (status, "") and int(headers["Content-Length"]) > 0
    assert ask(consumer, "/healthz?verbose=1")[0] == 200 and ask(consumer, "/healthz", "GET", b"x" * 100000)[0] == 200
    assert ask(consumer, "/metrics")[2]["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert consumer.stop() == 0


def test_addresses(city):
    taken = socket.create_server(("127.0.0.1", 0))
    try:
        port = taken.getsockname()[1]
        for address, words in ((f"127.0.0.1:{port}", f"listen on 127.0.0.1:{port}: Address already in use"),
                               ("203.0.113.7:0", "listen on 203.0.113.7:0: Cannot assign requested address")):
            process = city.consumer("--management", address)
            assert process.wait(60) == 1 and words in process.log(), process.log()
    finally:
        taken.close()
    port = free_ports(1)[0]
    process = city.consumer("--management", f"localhost:{port}")
    assert process.wait_for_log(r"listening management (\S+)").group(1) == f"localhost:{port}"
    assert process.stop() == 0


def values(city, consumer, *names):
    metrics = city.metrics(consumer)
    return {name: metrics.get(name, 0) for name in names}


def letters(**reasons):
    return {f'dead_letters_total{{reason="{reason}"}}': count for reason, count in {"bad_encoding": 0, **reasons}.items()}


def test_metrics_of_a_known_story(new_city):
    city = new_city(partitions=2)
    headcounts = city.topic("headcount-change")
    first, second = e.headcount("1", "hong-bang", 5), e.headcount("2", "hong-bang", 5)
    city.given_events(first, first, {**first, "delta": 6}, second, e.headcount("bad", "Hong", 5), partition=0)
    city.given_events(e.visit("v"), e.visit("w"), e.merger("1", "hong-bang", "commune", "merger", 9, 3), partition=1)
    consumer = city.consumer(*PORT_0)
    city.wait_until_folded(alive=consumer.check_alive)
    story = {"folded_total": 8, "events_total": 3, "duplicates_total": 1, "conflicts_total": 1, **letters(rule_violation=1, conflict=1),
             "page_visits_total": 2, "late_page_visits_total": 0, "fenced_total": 0, "commits_stale_total": 0, "assigned_partitions": 6,
             f'lag_records{{partition="{headcounts}/0"}}': 0, f'halted{{partition="{headcounts}/0"}}': 0,
             f'waiting{{partition="{headcounts}/0"}}': 0, "metric_changes_dropped_total": 0}
    wait_until("the metrics are exact", lambda: values(city, consumer, *story) == story or values(city, consumer, *story) and None, 30,
               consumer.check_alive)
    metrics = city.metrics(consumer)
    assert metrics["state_version"] == int(city.total("version")) >= 1 and metrics["commits_total"] >= metrics["state_version"]
    assert metrics["seen_memory_bytes"] > 0
    # Somebody moves one position back, and another beyond its log's end: fenced once, one event again, one halt.
    city.redis.client.hincrby(city.key("offsets"), f"{headcounts}/0", -1)
    city.redis.client.hset(city.key("offsets"), f"{headcounts}/1", 1000)
    city.given_events(e.headcount("3", "hong-bang", 5), partition=0)
    consumer.wait_for_log(f"{headcounts}/1 is halted: stored offset 1000 is beyond the end of the log, 0")
    moved = {"fenced_total": 1, "folded_total": 10, "events_total": 4, **letters(rule_violation=2),
             f'halted{{partition="{headcounts}/1"}}': 1, f'halted{{partition="{headcounts}/0"}}': 0}
    wait_until("the metrics tell it", lambda: values(city, consumer, *moved) == moved, 60, consumer.check_alive)
    assert consumer.stop() == 0


def test_lag_of_a_partition_that_waits(new_city):
    city = new_city(partitions=1)
    city.kafka.set_topic(f"{city.name}.dead-letters", "max.message.bytes", "1000")
    city.given_value("headcount-change", b"x" * 5000, None, 0)
    city.given_events(*[e.headcount(str(n), "hong-bang", 5) for n in range(4)], e.visit("v"))
    consumer = city.consumer(*PORT_0, "--retry-interval", "300ms")
    place = city.topic("headcount-change") + "/0"
    wait_until("the lag is 5", lambda: city.metric(consumer, f'lag_records{{partition="{place}"}}') == 5, 60, consumer.check_alive)
    wait_until("its metric says that it waits", lambda: city.metric(consumer, f'waiting{{partition="{place}"}}') == 1, 60,
               consumer.check_alive)
    city.kafka.set_topic(f"{city.name}.dead-letters", "max.message.bytes", "2097152")
    wait_until("the lag is gone", lambda: city.metric(consumer, f'lag_records{{partition="{place}"}}') == 0 and
               city.metric(consumer, "folded_total") == 6, 90, consumer.check_alive)
    assert consumer.stop() == 0
    city.expect_exact()


def test_signals_are_for_the_main_thread(city):
    """It is the one that waits for them: in another a signal would interrupt nothing, and write what others read."""
    consumer = away(city)
    consumer.wait_for_log(r"listening management \S+:\d+")

    def threads():
        found = [task for task in pathlib.Path(f"/proc/{consumer.pid}/task").iterdir() if int(task.name) != consumer.pid]
        return found if len(found) >= 3 else None
    others = wait_until("the listener's and Kafka's threads are there", threads, 30, consumer.check_alive)
    blocked = [int(re.search(r"^SigBlk:\s*(\w+)", (task / "status").read_text(), re.M)[1], 16) for task in others]
    assert all(each >> (number - 1) & 1 for each in blocked for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    assert consumer.stop() == 0, consumer.log()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_peer_that_sends_nothing_more_does_not_block_the_others(city, method):
    consumer = away(city)
    host, port = consumer.wait_for_log(r"listening management (\S+):(\d+)").groups()
    peers = [socket.create_connection((host, int(port))) for _ in range(20)]
    try:
        for peer in peers:
            peer.sendall(f"{method} /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"[:40].encode())
        assert ask(consumer, "/healthz")[0] == 200
    finally:
        for peer in peers:
            peer.close()
    assert consumer.stop() == 0, consumer.log()
