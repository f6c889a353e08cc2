"""citytotals-query print --watch follows the totals, on a terminal and away from one, whatever happens to Redis."""
import json
import re
import signal
import subprocess
import termios
import time

from tests.lab import events as e
from tests.lab.process import wait_until

RESTORED = b"\x1b[?7h\x1b[?25h\x1b[?1049l"


def folded(city, *events):
    city.given_events(*events)
    city.fold()


def reads_of(redis):
    return redis.client.info("commandstats")["cmdstat_fcall_ro"]["calls"]


def test_watch_writes_a_line_for_each_change(new_city, own_redis):
    city = new_city(redis=own_redis)
    folded(city, e.headcount("1", "an-lao", 1))
    process = city.program("watch", *city.query_command("--watch", "--interval", "100ms", "--format", "json"))

    def lines():
        return [json.loads(line) for line in process.output().splitlines()]
    wait_until("the first line", lambda: len(lines()) == 1, alive=process.check_alive)
    folded(city, e.headcount("2", "an-lao", 10))
    wait_until("a line for the change", lambda: lines()[-1]["headcount"]["current"] == 11, alive=process.check_alive)
    count, reads = len(lines()), reads_of(own_redis)
    wait_until("it is read again and again", lambda: reads_of(own_redis) > reads + 5, alive=process.check_alive)
    assert len(lines()) == count  # nothing is new

    own_redis.kill()
    wait_until("a stale line", lambda: lines()[-1]["as_of"]["stale"], alive=process.check_alive)
    assert lines()[-1]["headcount"]["current"] == 11 and len(lines()) == count + 1
    assert lines()[-1]["as_of"]["read_at"] >= lines()[-2]["as_of"]["read_at"]
    process.wait_for_log("trying again")
    own_redis.start()
    wait_until("a line that is not stale", lambda: not lines()[-1]["as_of"]["stale"], alive=process.check_alive)
    process.wait_for_log("can be read again")
    folded(city, e.headcount("3", "an-lao", 100))
    wait_until("a line for the next change", lambda: lines()[-1]["headcount"]["current"] == 111, alive=process.check_alive)
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    shown = [line["as_of"]["version"] for line in lines()]
    assert shown == sorted(shown) and "\x1b" not in process.output()


def test_watch_away_from_a_terminal_writes_blocks(new_city, own_redis):
    city = new_city(redis=own_redis)
    folded(city, e.headcount("1", "an-lao", 1))
    process = city.program("watch", *city.query_command("--watch", "--interval", "100ms", "--lang", "en"))
    wait_until("the first block", lambda: "1 event counted" in process.output(), alive=process.check_alive)
    own_redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # a cut connection is made anew
    folded(city, e.headcount("2", "an-lao", 1))
    wait_until("a second block", lambda: "2 events counted" in process.output(), alive=process.check_alive)
    assert re.search(r"counted · 0 dead letters\n\n\S", process.output())
    own_redis.kill()
    wait_until("a stale block", lambda: re.search(r"These totals are \d+ s old", process.output()), alive=process.check_alive)
    assert process.stop() == 0  # SIGTERM


def test_watch_sees_the_lag_grow_and_go(city):
    folded(city, e.headcount("1", "an-lao", 1))
    process = city.program("watch", *city.query_command("--watch", "--interval", "100ms", "--format", "json", "-b",
                                                        city.kafka.bootstrap))

    def lag():
        lines = process.output().splitlines()
        return json.loads(lines[-1])["as_of"]["lag"] if lines else None
    wait_until("no lag", lambda: lag() == 0, alive=process.check_alive)
    city.given_events(*[e.headcount(f"n{i}", "an-lao", 1) for i in range(7)])
    wait_until("a lag of 7", lambda: lag() == 7, alive=process.check_alive)
    city.fold()
    wait_until("no lag again", lambda: lag() == 0, alive=process.check_alive)
    assert process.stop() == 0


def test_watch_ends_when_its_reader_has_left(city):
    process = subprocess.Popen(city.query_command("--watch", "--interval", "100ms", "--format", "json"),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline()
    process.stdout.close()
    folded(city, e.headcount("1", "an-lao", 1))
    assert process.wait(60) == 0 and process.stderr.read() == b""
    process.stderr.close()


def test_watch_redraws_a_terminal_in_place_and_restores_it(new_city, own_redis, terminal):
    city = new_city(redis=own_redis)
    folded(city, e.headcount("b", "an-lao", 1000, "baseline"))
    screen = terminal(city.query_command("--watch", "--interval", "100ms"))
    screen.wait_for(b"\x1b[?1049h")
    screen.wait_for("1 sự kiện đã tính")
    assert not termios.tcgetattr(screen.fd)[3] & termios.ECHO
    folded(city, e.headcount("1", "an-lao", -100, "retired"))
    screen.wait_for("Đã đạt mục tiêu")
    assert screen.seen.count(b"\x1b[?1049h") == 1 and b"\x1b[32m" in screen.seen

    own_redis.kill()
    screen.wait_for("Không đọc được Redis. Đây là số liệu cách đây [1-9]")
    screen.forget()
    own_redis.start()
    screen.wait_for(r"\x1b\[H\x1b\[1m.{1,99}\x1b\[0m · tinh giản biên chế và sắp xếp đơn vị\x1b\[K\r\n[^\n]*\n\x1b\[K\r\n  \S")
    screen.resize(10, 60)
    screen.wait_for(r"… \d+ dòng nữa ở dưới · q hoặc Ctrl-C: thoát")
    screen.resize(40, 100)
    screen.forget()
    screen.type(b"\x03")
    assert screen.wait() == 0
    end = screen.seen[screen.seen.index(RESTORED):]
    assert b"2 s\xe1\xbb\xb1 ki\xe1\xbb\x87n" in end and b"\x1b[?" not in end[len(RESTORED):]
    assert termios.tcgetattr(screen.fd)[3] & termios.ECHO


def test_watch_ends_by_q_and_has_no_colour_when_told(city, terminal):
    screen = terminal(city.query_command("--watch", "--lang", "en"), NO_COLOR="1")
    screen.wait_for("No data yet")
    assert not re.search(rb"\x1b\[(1|32|33|1;31)m", screen.seen)
    screen.type(b"q")
    assert screen.wait() == 0 and RESTORED in screen.seen


def test_watch_ends_at_once_though_redis_hangs(new_city, own_redis, terminal):
    city = new_city(redis=own_redis)
    screen = terminal(city.query_command("--watch", "--interval", "100ms"), NO_COLOR="1")
    screen.wait_for("Chưa có số liệu")
    own_redis.process.signal(signal.SIGSTOP)
    try:
        screen.wait_for("no answer in time")
        screen.forget()
        begun = time.monotonic()
        screen.type(b"\x03")
        assert screen.wait() == 0 and RESTORED in screen.seen
        assert time.monotonic() - begun < 4  # the wait for an answer is 5 s
    finally:
        own_redis.process.signal(signal.SIGCONT)
