"""Break the consumer to prove the tests: without one safeguard, the same story ends in a difference that is found."""
import pytest

from tests.lab import stories
from tests.lab.process import BUILD


def without(safeguard):
    return BUILD / "tests" / "mutants" / f"consumer-{safeguard}"


def expect_difference(city, pattern):
    with pytest.raises(AssertionError, match=pattern):
        city.expect_exact()


def test_zombie_is_fenced(city, proxy):
    zombie, before, after = stories.zombie_wakes_with_an_old_batch(city, proxy)
    assert after == before
    city.wait_for_metric(zombie, "fenced_total", 1)
    city.expect_exact()


def test_without_the_fence_an_offset_goes_back_and_a_dead_letter_counts_twice(city, proxy):
    _, before, after = stories.zombie_wakes_with_an_old_batch(city, proxy, binary=without("without-fence"))
    assert after < before
    expect_difference(city, "totals dead_letters: recomputed 8, Redis has (9|1[0-9])")


def test_duplicate_at_another_consumer_counts_once(new_city):
    city = new_city(partitions=2)
    consumers = stories.duplicate_comes_to_another_consumer(city)
    city.expect_exact()
    assert sum(city.metric(each, "commits_stale_total") for each in consumers) >= 1


def test_without_the_lane_length_a_duplicate_counts_twice(new_city):
    city = new_city(partitions=2)
    stories.duplicate_comes_to_another_consumer(city, binary=without("without-lane-length"))
    expect_difference(city, r"totals events: recomputed 2, Redis has [345]")


def test_repeats_count_once(city):
    stories.repeats_are_sent(city)
    city.expect_exact()


def test_without_the_duplicate_check_repeats_count_again(city):
    stories.repeats_are_sent(city, binary=without("without-duplicate-check"))
    expect_difference(city, "totals events: recomputed 1, Redis has 3")


def test_letter_is_written_before_the_offset_moves(city, proxy):
    stories.killed_between_commit_and_reply(city, proxy)
    city.expect_exact()


def test_without_letters_before_the_commit_one_is_lost(city, proxy):
    stories.killed_between_commit_and_reply(city, proxy, binary=without("letters-after-commit"))
    expect_difference(city, "no dead letter was written for")
