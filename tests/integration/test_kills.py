"""Consumers and the broker are killed while events keep coming; afterwards all is counted, once."""
import random
import time

from tests.lab import events as e

SMALL_COMMITS = ("--batch-events", "60")  # so that a kill comes amid many


def test_consumer_killed_twenty_times_mid_stream(city, seed):
    choose = random.Random(seed)
    with city.traffic(seed) as traffic:
        for _ in range(21):
            # A static member, so that the next one need not wait for the group to give this one up.
            consumer = city.consumer("-X", "group.instance.id=one", *SMALL_COMMITS)
            city.wait_for_commits(choose.randint(1, 12), alive=consumer.check_alive)
            consumer.kill()
    city.fold()
    expected = city.expect_exact()
    assert traffic.records > 1000 and expected.duplicates and expected.conflicts and expected.totals["dead_letters"]


def test_consumer_killed_while_it_catches_up(city, seed):
    """All is there before the first consumer starts: each is killed amid full batches."""
    choose = random.Random(seed)
    traffic = city.traffic(seed)
    traffic.given(8000)
    for _ in range(6):
        consumer = city.consumer("-X", "group.instance.id=one", "--batch-events", "200")
        city.wait_for_commits(choose.randint(1, 4), alive=consumer.check_alive)
        consumer.kill()
    city.fold()
    city.expect_exact()


def test_kafka_killed_and_restarted_under_load(city, kafka, seed):
    with city.traffic(seed, per_second=500):
        consumer = city.consumer(*SMALL_COMMITS)
        city.wait_for_commits(5, alive=consumer.check_alive)
        for _ in range(2):
            kafka.kill()
            kafka.start()
            city.wait_for_commits(5, 120, consumer.check_alive)
    city.wait_until_folded(120, consumer.check_alive)
    assert consumer.stop() == 0
    city.expect_exact()


def test_kafka_lost_amid_the_start_is_waited_for(new_city, kafka):
    """Whenever it goes: between finding the topics, asking what must be known of them and joining the group."""
    city = new_city()
    city.given_events(e.headcount("1", "hong-bang", 5))
    for moment in (0.02, 0.1, 0.2):
        consumer = city.consumer("--connect-timeout", "90s", "--until-end")
        time.sleep(moment)  # not a wait for anything: where in its start the broker is lost
        kafka.kill()
        kafka.start()
        assert consumer.wait(120) == 0, consumer.log()[-4000:]
    city.expect_exact()
