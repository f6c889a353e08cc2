"""Several consumers share the partitions, come, go, stand still; partitions are added; foreign producers scatter an agency."""
import random
import signal

from tests.lab import events as e
from tests.lab.process import wait_until

SMALL_COMMITS = ("--batch-events", "60", "--management", "127.0.0.1:0")


def wait_until_shared(city, consumers, partitions=None):
    """Every consumer has partitions, and together they have all."""
    partitions = partitions or 3 * city.partitions

    def shared():
        counts = [city.metric(each, "assigned_partitions") for each in consumers]
        return all(counts) and sum(counts) == partitions
    wait_until(f"{len(consumers)} consumers share {partitions} partitions", shared, 60, consumers[0].check_alive)


def test_consumers_join_and_leave_under_load(city, seed):
    with city.traffic(seed):
        first = city.consumer(*SMALL_COMMITS)
        city.wait_for_commits(5, alive=first.check_alive)
        second = city.consumer(*SMALL_COMMITS)
        wait_until_shared(city, [first, second])
        city.wait_for_commits(20)
        assert first.stop() == 0
        wait_until_shared(city, [second])
        third = city.consumer(*SMALL_COMMITS)
        wait_until_shared(city, [second, third])
        second.kill()
        city.wait_for_commits(5, alive=third.check_alive)
        wait_until_shared(city, [third])
        fourth, fifth = city.consumer(*SMALL_COMMITS), city.consumer(*SMALL_COMMITS)
        wait_until_shared(city, [third, fourth, fifth])
        city.wait_for_commits(20)
        third.kill()
        assert fourth.stop() == 0
        city.wait_for_commits(20, alive=fifth.check_alive)
    city.wait_until_folded(alive=fifth.check_alive)
    assert fifth.stop() == 0
    city.expect_exact()


def test_a_static_member_whose_name_another_takes_ends(city):
    """It must not stay, live and idle: who starts it again has to see its end."""
    first = city.consumer(*SMALL_COMMITS, "-X", "group.instance.id=one")
    first.wait_for_log("assigned 12 partitions")
    second = city.consumer(*SMALL_COMMITS, "-X", "group.instance.id=one")
    assert first.wait(60) == 1
    assert "the Kafka consumer can't go on" in first.log() and "FENCED" in first.log()
    city.given_events(e.headcount("1", "hong-bang", 5))
    city.wait_until_folded(alive=second.check_alive)
    assert second.stop() == 0
    city.expect_exact()


def test_zombies_wake_under_load(city, seed):
    """A consumer stands still until the group gives it up, another folds on, and it wakes with what it held."""
    choose = random.Random(seed)
    with city.traffic(seed):
        consumers = [city.consumer(*SMALL_COMMITS) for _ in range(2)]
        wait_until_shared(city, consumers)
        for number in range(4):
            zombie, other = consumers[number % 2], consumers[1 - number % 2]
            city.wait_for_commits(choose.randint(5, 15))
            zombie.signal(signal.SIGSTOP)
            zombie.wait_until_stopped()
            wait_until_shared(city, [other])
            city.wait_for_commits(5, alive=other.check_alive)
            zombie.signal(signal.SIGCONT)
            wait_until_shared(city, consumers)
    city.wait_until_folded(alive=consumers[0].check_alive)
    for each in consumers:
        assert each.stop() == 0
    city.expect_exact()


def test_partitions_are_added_under_load_and_repeats_cross_the_change(new_city, kafka, seed):
    """What was in one partition comes again in another, so no conflicts here: which came first could not be told."""
    city = new_city(partitions=2)
    with city.traffic(seed, conflicts=False, returning=False) as traffic:
        consumers = [city.consumer(*SMALL_COMMITS, "-X", "topic.metadata.refresh.interval.ms=500") for _ in range(2)]
        wait_until_shared(city, consumers)
        city.wait_for_commits(10)
        for name in e.TYPES.values():
            kafka.add_partitions(f"{city.name}.{name}", 4)
        city.partitions = 4
        before = traffic.records
        city.producer = kafka.producer()  # one that knows of them at once
        wait_until_shared(city, consumers)
        wait_until("repeats cross the change", lambda: traffic.records > before + 2000)
    city.wait_until_folded(alive=consumers[0].check_alive)
    for each in consumers:
        assert each.stop() == 0
    assert all(city.offset("headcount-change", partition) > 0 for partition in range(4))
    assert city.expect_exact().duplicates > 100


def test_partitions_that_were_added_while_all_static_members_were_away_are_taken(new_city, kafka):
    """Kafka gives static members that come back what they had: without their help the new partitions would be nobody's."""
    city = new_city(partitions=2)
    static = [(*SMALL_COMMITS, "-X", f"group.instance.id={name}", "-X", "session.timeout.ms=30000") for name in ("one", "two")]
    consumers = [city.consumer(*flags) for flags in static]
    wait_until_shared(city, consumers)
    for each in consumers:
        assert each.stop() == 0
    for name in e.TYPES.values():
        kafka.add_partitions(f"{city.name}.{name}", 4)
    city.partitions = 4
    city.producer = kafka.producer()
    city.given_events(e.headcount("1", "hong-bang", 5), partition=3)
    consumers = [city.consumer(*flags) for flags in static]
    wait_until("it is seen that six are nobody's", lambda: any(city.metric(each, "untaken_partitions") == 6 for each in consumers), 25)
    wait_until_shared(city, consumers)
    wait_until("nobody misses one", lambda: not any(city.metric(each, "untaken_partitions") for each in consumers), 60)
    city.wait_until_folded(alive=consumers[0].check_alive)
    assert "joining the group anew" in consumers[0].log() + consumers[1].log()
    for each in consumers:
        assert each.stop() == 0
    city.expect_exact()


def test_two_consumers_on_one_hot_lane_both_advance(new_city, seed):
    """A foreign producer scatters one agency over the partitions: the consumers meet in its lane, and neither starves."""
    city = new_city(partitions=2)
    with city.traffic(seed, scatter=True, agencies=1, conflicts=False, visits=False):
        consumers = [city.consumer(*SMALL_COMMITS) for _ in range(2)]
        wait_until_shared(city, consumers)
        before = [city.metric(each, "commits_total") for each in consumers]
        wait_until("both consumers commit 30 times", lambda: all(
            city.metric(each, "commits_total") >= count + 30 for each, count in zip(consumers, before)))
        wait_until("a commit is stale", lambda: sum(city.metric(each, "commits_stale_total") for each in consumers) > 0)
    city.wait_until_folded(alive=consumers[0].check_alive)
    for each in consumers:
        assert each.stop() == 0
    city.expect_exact()


def test_backlog_of_a_hot_lane_is_folded_by_two_consumers(new_city, seed):
    """Full batches meet in one lane: each refusal makes them smaller until both get through."""
    city = new_city(partitions=2)
    city.traffic(seed, scatter=True, agencies=1, conflicts=False, visits=False).given(12000)
    consumers = [city.consumer("--batch-events", "100", "--management", "127.0.0.1:0") for _ in range(2)]
    city.wait_until_folded(alive=consumers[0].check_alive)
    for each in consumers:
        assert each.stop() == 0
    city.expect_exact()
