"""Scenarios that are told with the consumer as it is, and again with one that lacks a safeguard."""
import signal

from tests.lab import events as e
from tests.lab.kafka import flushed
from tests.lab.process import wait_until

POISON = b"not an event"


def zombie_wakes_with_an_old_batch(city, proxy, **options):
    """A consumer stands still with a commit on its way; the group gives its partitions to another, which folds on; then the
    old commit arrives. Only dead letters are in it: a lane would be noticed to have grown even without the fence.
    (the zombie, the stored offset before the old commit arrived, and after)"""
    def poison(count=1):
        for _ in range(count):
            city.given_value("headcount-change", POISON, partition=0)
        flushed(city.producer)

    poison(3)
    city.given_events(e.headcount("1", "hong-bang", 5), partition=0)
    zombie = city.consumer("--management", "127.0.0.1:0", redis_url=proxy.url, **options)
    city.wait_until_folded(alive=zombie.check_alive)
    proxy.next_commits("hold_before")
    poison()
    proxy.wait_until_held(alive=zombie.check_alive)
    zombie.signal(signal.SIGSTOP)
    zombie.wait_until_stopped()
    poison(3)
    other = city.consumer(**options)
    city.wait_until_folded(alive=other.check_alive)
    before = city.offset("headcount-change", 0)
    proxy.release()
    wait_until("the old commit was answered", lambda: proxy.answered["hold_before"])
    after = city.offset("headcount-change", 0)
    zombie.signal(signal.SIGCONT)
    poison()
    city.wait_until_folded(alive=other.check_alive)
    return zombie, before, after


def duplicate_comes_to_another_consumer(city, **options):
    """Two consumers share an agency's lane, for its events are scattered; one counts an event, the other gets its repeat.
    (the consumers)"""
    consumers = [city.consumer("--management", "127.0.0.1:0", **options) for _ in range(2)]
    first, second = (e.headcount(id_, "hong-bang", 5) for id_ in ("1", "2"))
    for each in consumers:
        wait_until("both consumers have partitions", lambda each=each: 0 < city.metric(each, "assigned_partitions") < 6, 60,
                   each.check_alive)
    for event, partition in ((first, 0), (second, 1), (second, 0), (first, 1), (second, 0)):
        city.given_events(event, partition=partition)
        city.wait_until_folded(alive=consumers[0].check_alive)
    return consumers


def repeats_are_sent(city, **options):
    """The same event within a batch, in a later batch, and to a later consumer."""
    event = e.headcount("1", "hong-bang", 5)
    city.given_events(event, event)
    city.fold(**options)
    city.given_events(event)
    city.fold(**options)


def killed_between_commit_and_reply(city, proxy, **options):
    """The commit that counts a dead letter is done, and the consumer dies before it hears so."""
    city.given_value("headcount-change", POISON)
    flushed(city.producer)
    consumer = city.consumer("-X", "group.instance.id=one", redis_url=proxy.url, **options)
    proxy.next_commits("hold_after")
    proxy.wait_until_held(alive=consumer.check_alive)
    consumer.kill()
    proxy.cut()
    city.fold("-X", "group.instance.id=one")
