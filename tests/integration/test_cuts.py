"""The connection to Redis is cut at a commit: whether it was done is not known to the consumer, and must not matter."""
import random

from tests.lab.proxy import CUTS

CUTS_EACH = 12


def test_cut_between_commit_and_reply_many_times(city, proxy, seed):
    with city.traffic(seed, per_second=1000):
        consumer = city.consumer("--batch-events", "60", "--management", "127.0.0.1:0", redis_url=proxy.url)
        for _ in range(CUTS_EACH):
            proxy.next_commits("cut_after")
            proxy.wait_for_plan(alive=consumer.check_alive)
        assert city.metric(consumer, "redis_reconnects_total") >= CUTS_EACH - 1
    city.wait_until_folded(alive=consumer.check_alive)
    assert consumer.stop() == 0
    assert proxy.done["cut_after"] == CUTS_EACH
    city.expect_exact()


def test_cut_before_within_and_after_commits(city, proxy, seed):
    choose = random.Random(seed)
    steps = list(CUTS) * CUTS_EACH
    choose.shuffle(steps)
    with city.traffic(seed, per_second=1000):
        consumer = city.consumer("--batch-events", "60", redis_url=proxy.url)
        while steps:
            proxy.next_commits(*["passed"] * choose.randint(0, 4), *[steps.pop() for _ in range(3)])
            proxy.wait_for_plan(alive=consumer.check_alive)
    city.wait_until_folded(alive=consumer.check_alive)
    assert consumer.stop() == 0
    city.expect_exact()


def test_killed_between_commit_and_reply(city, proxy, seed):
    traffic = city.traffic(seed)
    for _ in range(3):
        traffic.given(100)
        consumer = city.consumer("-X", "group.instance.id=one", "--batch-events", "60", redis_url=proxy.url)
        proxy.next_commits("hold_after")
        proxy.wait_until_held(alive=consumer.check_alive)
        consumer.kill()
        proxy.cut()
    city.fold()
    city.expect_exact()
