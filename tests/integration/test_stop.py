"""SIGTERM ends a consumer within a bound and with exit 0, whatever is away."""
import signal
import subprocess
import time

from tests.lab import events as e
from tests.lab.city import City
from tests.lab.process import BUILD, wait_until

BOUND_SECONDS = 45  # some 20 by the program's own bounds; machines that test are slow


def stopped(consumer):
    begun = time.monotonic()
    consumer.signal(signal.SIGTERM)
    assert consumer.wait(BOUND_SECONDS) == 0, consumer.log()[-3000:]
    print(f"stopped after {time.monotonic() - begun:.1f} s")


def test_stop_under_load_commits_what_is_in_flight(city):
    for number in range(3):
        city.given_events(*(e.headcount(f"{number}-{i}", "hong-bang", 1) for i in range(3000)))
        consumer = city.consumer("--batch-events", "50")
        wait_until("something is folded", lambda: int(city.total("events") or 0) > number * 3000, 90, consumer.check_alive)
        stopped(consumer)
    city.fold()
    city.expect_exact()


def test_stop_while_redis_is_frozen(new_city, own_redis):
    city = new_city(redis=own_redis)
    consumer = city.consumer()
    consumer.wait_for_log("assigned")
    own_redis.process.signal(signal.SIGSTOP)
    try:
        city.given_events(e.headcount("1", "hong-bang", 1))
        stopped(consumer)
    finally:
        own_redis.process.signal(signal.SIGCONT)
    city.fold()
    city.expect_exact()


def test_stop_while_redis_is_away(new_city, own_redis):
    city = new_city(redis=own_redis)
    consumer = city.consumer()
    consumer.wait_for_log("assigned")
    own_redis.kill()
    consumer.wait_for_log("trying again")
    stopped(consumer)


def test_stop_while_kafka_is_away(redis, directory):
    mock = subprocess.Popen([BUILD / "tests" / "tools" / "mock-kafka", "stopping", "4"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    try:
        class Broker:
            bootstrap = mock.stdout.readline().split()[1]

            def producer(self):
                return None
        city = City("stopping", Broker(), redis, directory / "stopping", create=False)
        command = [part for part in city.consumer_command() if part != "-X" and ".ms=" not in part]
        consumer = city.program("consumer", *command)  # the mock takes its time to form a group
        consumer.wait_for_log("assigned", 120)
    finally:
        mock.kill()
        mock.wait()
    stopped(consumer)
