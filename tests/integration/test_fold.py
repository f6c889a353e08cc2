"""What is folded once, whatever comes: events, repeats, conflicts, reversals, poison."""
import json

from tests.lab import events as e
from tests.lab.oracle import letters_in_topic, sha256


def test_headcounts_and_mergers_are_summed(city):
    city.given_events(e.headcount("b", "hong-bang", 10000, "baseline", date="2015-01-01"),
                      e.headcount("1", "hong-bang", -425, "streamlined"),
                      e.merger("b", "so-noi-vu", "commune", "baseline", 0, 223, date="2015-01-01"),
                      e.merger("1", "so-noi-vu", "commune", "merger", 9, 3))
    city.fold()
    city.expect_exact()
    assert city.total("reduction_percent") == "4.2500"
    assert city.total("units_change:commune") == "-6"
    assert city.total("mergers:commune") == "1"


def test_duplicate_counts_once(city):
    event = e.headcount("1", "hong-bang", 5)
    city.given_events(event, {**event, "occurred_at": event["occurred_at"] + 5}, event)
    city.fold()
    city.given_events(event)
    city.fold()
    assert city.expect_exact().duplicates == 3
    assert city.total("headcount_current") == "5"
    assert city.total("events") == "1"
