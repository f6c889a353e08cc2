"""One round of ./dev chaos."""
from tests.chaos.chaos import Chaos


def test_a_round_of_chaos_ends_exact(city, kafka, redis, proxy, seed):
    expected = Chaos(city, kafka, redis, proxy, seed).round(faults=15)
    assert expected.totals["events"] > 0
