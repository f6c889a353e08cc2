"""What the consumer refuses, with which sentence and exit status, and what it waits for and how long."""
import json
import os
import re
import signal
import subprocess

import pytest

from tests.lab import events as e
from tests.lab.old_redis import OldRedis
from tests.lab.process import BUILD, Process, free_ports, wait_until
from tests.lab.redis_server import RedisServer

CONSUMER = BUILD / "consumer" / "citytotals-consumer"


def refused(*arguments, status=2, env=None):
    done = subprocess.run([CONSUMER, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})
    assert done.returncode == status, f"exit {done.returncode}, expected {status}: {done.stderr}"
    return done.stderr


def ends(city, *words, status=1, seconds=90, flags=(), **options):
    process = city.consumer(*flags, **options)
    assert process.wait(seconds) == status, process.log()
    for word in words:
        assert word in process.log(), f"no {word!r} in:\n{process.log()}"
    return process


# --- wrong usage: exit 2, with name, value and what is allowed ---

FLAGS = {
    ("--until-end=maybe",): 'until-end is "maybe"; allowed: true, false',
    ("--management", "localhost"): 'management is "localhost"; allowed: ADDRESS:PORT, port 0 to 65535',
    ("--management", "127.0.0.1:65536"): 'management is "127.0.0.1:65536"; allowed: ADDRESS:PORT',
    ("--management", "no.such.host.invalid:0"): "listen on no.such.host.invalid:0: ",
    ("--connect-timeout", "5"): 'connect-timeout is "5"; allowed: a number with ms, s, min or h, from 1 to 3600000 ms',
    ("--connect-timeout", "2h"): 'connect-timeout is "2h"; allowed: ',
    ("--seen-memory", "1MB"): 'seen-memory is "1MB"; allowed: bytes, or a number with KiB, MiB or GiB, from 1048576',
    ("--seen-memory", "1KiB"): 'seen-memory is "1KiB"; allowed: ',
    ("--batch-events", "0"): 'batch-events is "0"; allowed: a whole number, from 1 to 50000',
    ("--batch-events", "many"): 'batch-events is "many"; allowed: ',
    ("--retry-interval", "1ms"): 'retry-interval is "1ms"; allowed: ',
    ("--city", "Hai Phong"): 'city is "Hai Phong"; allowed: 1 to 32 of a-z, 0-9 and -',
    ("--log-level", "loud"): 'log-level is "loud"; allowed: error, warning, info, debug',
    ("--log-format", "xml"): 'log-format is "xml"; allowed: text, json',
    ("--accept-cluster", ""): 'accept-cluster is ""; allowed: not empty',
    ("--redis", "127.0.0.1:6379"): "redis URL: it does not begin with a known scheme; allowed: redis://[user:pass@]host:port[/db]",
    ("--redis", "redis://127.0.0.1"): "redis URL: it names no port; allowed: ",
    ("--redis", "redis://127.0.0.1:port"): "redis URL: its port is not a number from 1 to 65535; allowed: ",
    ("-X", "nonsense"): 'kafka property "nonsense"; allowed: key=value',
    ("-X", "no.such.property=1"): "kafka property no.such.property: ",
    ("-X", "acks=few"): "kafka property acks=few: ",
    ("-X", "isolation.level=read_uncommitted"): "kafka property isolation.level is always read_committed here and can't be set",
    ("--brokers",): "option --brokers needs a value (HOST:PORT,…)",
    ("--nonsense",): "unknown option --nonsense; citytotals-consumer run --help lists the known ones",
    ("file.ndjson",): 'unexpected argument "file.ndjson"; citytotals-consumer run takes none',
    ("--config", "/nonexistent"): "open /nonexistent: No such file or directory",
    ("--redis-file", "/nonexistent"): "read the secret file /nonexistent: No such file or directory",
}


@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: "-".join(flags).strip("-").replace("/", "-")[:40])
def test_wrong_flag(flags):
    arguments = ["run", *flags] if flags == ("--brokers",) else ["run", "-b", "127.0.0.1:1", "--connect-timeout", "1s", *flags]
    assert FLAGS[flags] in refused(*arguments)


def test_wrong_command():
    assert "Usage: citytotals-consumer COMMAND" in refused()
    assert 'unknown command "fold"' in refused("fold")
    assert "no brokers given; give --brokers HOST:PORT or CITYTOTALS_BROKERS" in refused("run")


def test_an_error_in_the_settings_is_json_where_json_is_asked_for():
    """Wherever it stands: a collector of logs reads each line."""
    programs = {"producer": ("send", "gateway", "reverse", "schemas", "token"), "query": ("print", "report", "serve", "changes", "explain"),
                "consumer": ("run", "verify", "rebuild", "snapshot", "dead-letters")}
    for program, commands in programs.items():
        for command in commands:
            for arguments, env, word in ((("--nonsense", "--log-format", "json"), {}, "unknown option --nonsense"),
                                         (("--log-format=json", "--city", "X"), {}, 'city is \\"X\\"'),
                                         ((), {"CITYTOTALS_CITY": "X", "CITYTOTALS_LOG_FORMAT": "json"}, 'city is \\"X\\"')):
                done = subprocess.run([BUILD / program / f"citytotals-{program}", command, *arguments], capture_output=True, text=True,
                                      timeout=60, env={**os.environ, **env})
                assert done.returncode == 2 and word in done.stderr, (command, arguments, done.stderr)
                assert all(json.loads(line)["level"] == "error" for line in done.stderr.splitlines()), (command, done.stderr)


def test_help_and_version():
    def output(*arguments):
        done = subprocess.run([CONSUMER, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and not done.stderr
        return done.stdout
    assert re.fullmatch(r"citytotals-consumer \d+\.\d+\.\d+\n", output("--version")) and output("run", "--version") == output("--version")
    assert "Commands:" in output("--help") and "run" in output("--help")
    for flag in ("--brokers", "-X", "--city", "--redis", "--until-end", "--management", "--connect-timeout", "--seen-memory",
                 "--accept-log-start", "--accept-cluster", "Exit status: 0 "):
        assert flag in output("run", "--help")


def test_a_password_is_not_repeated(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("redis://:hush%@127.0.0.1:1\n")
    for arguments in (["--redis", "redis://:hush%@h:1"], ["--redis-file", str(secret)], ["--rediss=redis://:hush@h:1"],
                      ["--redis", "http://:hush@h:1"], ["-X", "sasl.pasword=hush"]):
        assert "hush" not in refused("run", "-b", "127.0.0.1:1", "--connect-timeout", "1s", *arguments)


# --- flag, environment, file ---

def waits(tmp_path, *arguments, env=None):
    """The line that tells of brokers and time-out in force, and a clean end by a signal while it waits for Kafka."""
    process = Process(f"waits-{len(list(tmp_path.iterdir()))}", [CONSUMER, "run", *arguments], tmp_path, env=env)
    try:
        found = process.wait_for_log(r"kafka at (\S+) does not answer; waiting at most (\d+) s").groups()
        process.signal(signal.SIGINT)
        assert process.wait(30) == 0, process.log()
        return found
    finally:
        process.kill()


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "settings"
    file.write_text("# where Kafka is\nbrokers = 127.0.0.1:1\nconnect-timeout = 11s\n")
    assert waits(tmp_path, "--config", file) == ("127.0.0.1:1", "11")
    env = {"CITYTOTALS_CONFIG": str(file), "CITYTOTALS_CONNECT_TIMEOUT": "22s"}
    assert waits(tmp_path, env=env) == ("127.0.0.1:1", "22")
    assert waits(tmp_path, "-b", "127.0.0.1:2", "--connect-timeout=33s", env=env) == ("127.0.0.1:2", "33")
    env["CITYTOTALS_CONNECT_TIMEOUT"] = "soon"
    assert 'CITYTOTALS_CONNECT_TIMEOUT: connect-timeout is "soon"; allowed: ' in refused("run", env=env)
    file.write_text("connect-timeout = 11s\nbatch-events = x\n")
    assert f'{file}: line 2: batch-events is "x"; allowed: ' in refused("run", "--config", file)


@pytest.fixture(scope="module")
def locked_redis(directory):
    server = RedisServer(directory / "redis-locked", requirepass="p@ss")
    try:
        yield server.start()
    finally:
        server.stop()


def test_the_redis_url_from_a_file(new_city, locked_redis, tmp_path):
    city = new_city(redis=locked_redis)
    city.given_events(e.headcount("1", "hong-bang", 5))
    secret = tmp_path / "secret"
    secret.write_text(f"redis://:p%40ss@127.0.0.1:{locked_redis.port}\n")
    command = [part for part in city.consumer_command("--until-end")]
    at = command.index("--redis")
    del command[at:at + 2]
    for number, (flags, env) in enumerate(((["--redis-file", secret], {}), ([], {"CITYTOTALS_REDIS_FILE": str(secret)}))):
        process = city.program(f"by-file-{number}", *command, *flags, env=env)
        assert process.wait(90) == 0, process.log()
        assert "p@ss" not in process.log() and "p%40ss" not in process.log()
    city.expect_exact()


# --- the wrong Redis ---

def test_another_maxmemory_policy(new_city, directory):
    server = RedisServer(directory / "redis-lru", maxmemory_policy="allkeys-lru")
    try:
        server.start()
        ends(new_city(redis=server), 'redis has maxmemory-policy "allkeys-lru", which would throw totals away; allowed: noeviction')
        assert server.client.keys() == []
    finally:
        server.stop()


def test_a_bound_on_strings_that_would_stop_a_commit_in_its_middle(new_city, directory):
    server = RedisServer(directory / "redis-short", proto_max_bulk_len="100mb")
    try:
        server.start()
        ends(new_city(redis=server), "redis has proto-max-bulk-len 104857600; allowed: 536870912 or more, its default")
        assert server.client.keys() == []
    finally:
        server.stop()


@pytest.mark.parametrize("info, words", [
    ("redis_version:6.2.0\nrole:master\nmaxmemory_policy:noeviction\n", 'redis is version "6.2.0"; allowed: 7.0 or newer'),
    ("redis_version:\nrole:master\n", 'redis is version ""; allowed: 7.0 or newer'),
    ("hello", 'redis is version ""; allowed: 7.0 or newer'),
    ("redis_version:7.4.1\nrole:slave\nmaxmemory_policy:noeviction\n", 'redis is a replica (role "slave")'),
    ("redis_version:10.0.0\nrole:master\nmaxmemory_policy:volatile-ttl\n", 'maxmemory-policy "volatile-ttl"')], ids=[
        "too-old", "no-version", "no-info", "replica", "policy"])
def test_a_redis_that_says_so(new_city, info, words):
    server = OldRedis(info)
    try:
        ends(new_city(), words, redis_url=server.url)
    finally:
        server.stop()


def test_a_replica(new_city, redis, directory):
    server = RedisServer(directory / "redis-replica")
    try:
        server.start().client.replicaof("127.0.0.1", redis.port)
        ends(new_city(redis=server), 'redis is a replica (role "slave"); allowed: the master')
    finally:
        server.stop()


def test_wrong_credentials(new_city, locked_redis):
    city, at = new_city(redis=locked_redis), f"127.0.0.1:{locked_redis.port}"
    for login, words in (("", "NOAUTH"), (":wrong@", "WRONGPASS"), ("nobody:p%40ss@", "WRONGPASS"), ("nobody@", "WRONGPASS")):
        process = ends(city, "redis refuses: ", words, redis_url=f"redis://{login}{at}")
        assert "p@ss" not in process.log() and ":wrong" not in process.log()


def test_a_user_without_rights(new_city, redis):
    city = new_city()
    redis.client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+info", "+ping")
    ends(city, "redis refuses: NOPERM", redis_url=f"redis://reader:secret@127.0.0.1:{redis.port}")


def test_a_user_who_lacks_one_command_writes_nothing_until_it_is_given(new_city, redis):
    city = new_city()
    redis.client.execute_command("ACL", "SETUSER", "narrow", "on", ">secret", "~*", "+@all", "-xadd")
    city.given_events(e.headcount("1", "hong-bang", 5))
    consumer = city.consumer(redis_url=f"redis://narrow:secret@127.0.0.1:{redis.port}")
    consumer.wait_for_log(r"NOPERM this user may not XADD \{" + city.name + r"\}:changes; nothing was written")
    assert redis.client.hgetall(city.key("totals")) == {} and redis.client.hgetall(city.key("offsets")) == {}
    redis.client.execute_command("ACL", "SETUSER", "narrow", "+xadd")
    city.wait_until_folded(alive=consumer.check_alive)
    assert consumer.stop() == 0
    city.expect_exact()


def test_a_broken_counter_is_said_and_nothing_more_is_written_until_it_is_mended(new_city, redis):
    city = new_city()
    city.given_events(e.headcount("1", "hong-bang", 5))
    city.fold()
    redis.client.hset(city.key("headcount:current"), "hong-bang", "five")
    city.given_events(e.headcount("2", "hong-bang", 2))
    before = redis.client.hgetall(city.key("totals"))
    consumer = city.consumer()
    consumer.wait_for_log(r'headcount:current field hong-bang holds "five", not an integer within 9e14')
    assert redis.client.hgetall(city.key("totals")) == before
    redis.client.hset(city.key("headcount:current"), "hong-bang", "5")
    city.wait_until_folded(alive=consumer.check_alive)
    assert consumer.stop() == 0
    city.expect_exact()


def test_a_state_of_which_a_part_was_deleted(new_city, redis):
    city = new_city()
    city.given_events(e.headcount("1", "hong-bang", 5))
    city.fold()
    redis.client.delete(city.key("totals"))
    ends(city, "totals is missing: part of the state was deleted")


# --- Kafka ---

def test_kafka_is_away_at_the_start(new_city):
    city = new_city()
    city.kafka = type("Away", (), {"bootstrap": f"127.0.0.1:{free_ports(1)[0]}"})
    process = ends(city, "does not answer; waiting at most 2 s", "did not answer within 2000 ms", flags=("--connect-timeout", "2s"))
    assert process.log().count("does not answer") == 1


def test_topics_are_missing(new_city, kafka):
    city = new_city(create=False)
    ends(city, f"topic {city.name}.headcount-changes does not exist; waiting for it at most 2 s",
         f"topic {city.name}.headcount-changes is missing; create it, or let citytotals-producer send --create-topics do it",
         flags=("--connect-timeout", "2s"))
    process = city.consumer()
    process.wait_for_log("does not exist; waiting for it")
    kafka.create_city(city.name, 1)
    process.wait_for_log("assigned 3 partitions")
    assert process.stop() == 0


def test_a_compacted_topic(new_city, kafka):
    for type_ in ("headcount-change", "unit-merger"):
        city = new_city()
        kafka.set_topic(city.topic(type_), "cleanup.policy", "compact,delete")
        ends(city, f"topic {city.topic(type_)} has cleanup.policy=", "compaction deletes events that the totals are made of; set it to delete")
    city = new_city()
    kafka.set_topic(city.topic("page-visit"), "cleanup.policy", "compact")
    assert f"topic {city.topic('page-visit')} has cleanup.policy=compact; set it to delete" in city.fold().log()


def test_warnings_of_topics_that_are_not_as_they_should_be(new_city, kafka):
    city = new_city(partitions=3, timestamps="CreateTime")
    kafka.add_partitions(city.topic("unit-merger"), 4)
    log = city.fold().log()
    for type_ in e.TYPES:
        assert f"topic {city.topic(type_)} has message.timestamp.type=CreateTime; set it to LogAppendTime" in log
    assert f"topics {city.topic('headcount-change')} and {city.topic('unit-merger')} have 3 and 4 partitions" in log
    assert f"topic {city.topic('headcount-change')} has 3 partitions; a number that divides 64 is faster" in log
    assert f"topic {city.topic('unit-merger')} has 4 partitions" not in log
    assert " warning topic" not in new_city(partitions=8).fold().log()


# --- stopping, and Redis away ---

def test_a_signal_drains_and_ends_with_0(new_city):
    city = new_city()
    for number, which in enumerate((signal.SIGTERM, signal.SIGINT)):
        consumer = city.consumer()
        consumer.wait_for_log("assigned 12 partitions")
        city.given_events(*[e.headcount(f"{number}-{i}", "hong-bang", 1) for i in range(500)])
        consumer.signal(which)
        assert consumer.wait(30) == 0, consumer.log()
        assert re.search(r"info stopped; \d+ records folded\n\Z", consumer.log())
    city.fold()
    city.expect_exact()


def test_redis_is_away_at_the_start(new_city):
    city, url = new_city(), f"redis://127.0.0.1:{free_ports(1)[0]}"
    ends(city, "connect to redis at 127.0.0.1:", "Connection refused", redis_url=url, flags=("--connect-timeout", "3s"))
    consumer = city.consumer(redis_url=url)
    consumer.wait_for_log("connect to redis at 127.0.0.1:.*trying again")
    consumer.signal(signal.SIGTERM)
    assert consumer.wait(30) == 0, consumer.log()


def test_redis_goes_away_and_comes_back(new_city, directory):
    server = RedisServer(directory / "redis-away")
    try:
        city = new_city(redis=server.start())
        city.given_events(e.headcount("1", "hong-bang", 5))
        consumer = city.consumer()
        city.wait_until_folded(alive=consumer.check_alive)
        for number in range(2):
            server.kill()
            city.given_events(e.headcount(f"away-{number}", "hong-bang", 5))
            consumer.wait_for_log(r"(connect to redis|redis: ).*")
            server.start()
            city.wait_until_folded(alive=consumer.check_alive)
        city.expect_exact()
        server.kill()
        city.given_events(e.headcount("left", "hong-bang", 5))
        wait_until("it sees that redis is away", lambda: len(re.findall("reading the stored offsets again|trying again", consumer.log())) >= 3,
                   60, consumer.check_alive)
        assert consumer.stop() == 0
    finally:
        server.stop()
