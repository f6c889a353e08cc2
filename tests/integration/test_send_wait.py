"""`send --wait`: what the consumer made of each event of a file, on real Kafka and Redis."""
import json
import re
import time

import pytest

from tests.lab.registry import FakeRegistry


def line(id_, delta=-3, **fields):
    return json.dumps({"type": "headcount-change", "id": id_, "agency": "hong-bang", "sector": "administrative",
                       "reason": "retired", "delta": delta, "effective_date": "2020-10-30", **fields}) + "\n"


def merger(id_):
    return json.dumps({"type": "unit-merger", "id": id_, "agency": "so-noi-vu", "category": "commune", "kind": "merger",
                       "units_before": 9, "units_after": 3, "effective_date": "2020-01-01"}) + "\n"


@pytest.fixture
def folding(new_city):
    city = new_city()
    city.consumer()
    return city


def file_of(city, name, *lines):
    city.directory.mkdir(parents=True, exist_ok=True)
    path = city.directory / name
    path.write_text("".join(lines))
    return path


def sent(city, *files, status=0, flags=(), **options):
    """(counted, counted before, refused, conflicts, dead letters, not folded), and all that was said."""
    done = city.send("--redis", city.redis.url, "--source", "so-noi-vu", "--wait", *flags, *files, status=status, **options)
    [told] = re.findall(r"(\d+) counted, (\d+) had been counted before, (\d+) refused by the consumer \((\d+) conflicts, (\d+) dead "
                        r"letters\), (\d+) not folded yet", done.stderr)
    return tuple(map(int, told)), done.stderr


def test_counted_and_counted_before(folding):
    visit = json.dumps({"type": "page-visit", "visitor": "0" * 32}) + "\n"
    events = file_of(folding, "events.ndjson", line("a"), line("b"), merger("m"), visit)
    assert sent(folding, events)[0] == (3, 0, 0, 0, 0, 0)
    assert folding.total("events") == "3" and folding.total("visits") == "1", "it ended when all was folded"
    more = file_of(folding, "more.ndjson", line("a"), line("c"))
    assert sent(folding, more)[0] == (1, 1, 0, 0, 0, 0)
    assert sent(folding, more, more)[0] == (0, 4, 0, 0, 0, 0)
    twice = file_of(folding, "twice.ndjson", line("d"))
    assert sent(folding, twice, twice)[0] == (1, 1, 0, 0, 0, 0), "in one run: the first counts"
    assert sent(folding, data=line("e") + line("f"))[0] == (2, 0, 0, 0, 0, 0)
    assert sent(folding, file_of(folding, "none.ndjson"))[0] == (0, 0, 0, 0, 0, 0)


def test_conflicts_are_told_by_line_and_the_status_is_3(folding):
    first = file_of(folding, "first.ndjson", line("a"), line("b"))
    second = file_of(folding, "second.ndjson", line("x"), line("a", -4), line("b"), line("c"))
    counts, said = sent(folding, first, second, status=3)
    assert counts == (4, 1, 1, 1, 0, 0)
    assert f"{second}: line 2: refused by the consumer: conflict: another event with this type" in said
    assert said.count("refused by the consumer: ") == 1
    many = file_of(folding, "many.ndjson", *[line(f"n{i}") for i in range(1500)])
    assert sent(folding, many)[0] == (1500, 0, 0, 0, 0, 0)
    changed = file_of(folding, "changed.ndjson", *[line(f"n{i}", -5) for i in range(1500)])
    counts, said = sent(folding, changed, status=3)
    assert counts == (0, 0, 1500, 1500, 0, 0), "more than Redis keeps reasons of"
    assert said.count("refused by the consumer: conflict") == 100 and "and 1400 more events refused by the consumer" in said


def test_dead_letters(new_city):
    city, registry = new_city(), FakeRegistry()
    try:
        city.consumer()  # it knows no registry, so it can't read what comes by one
        counts, said = sent(city, file_of(city, "events.ndjson", line("a"), line("b")), status=3,
                            flags=("--schema-registry", registry.url))
        assert counts == (0, 0, 2, 0, 2, 0)
        assert "line 1: refused by the consumer: dead_letter" in said and "line 2: " in said
        assert sent(city, file_of(city, "again.ndjson", line("a")))[0] == (1, 0, 0, 0, 0, 0), "a dead letter takes no id"
    finally:
        registry.stop()


def test_a_consumer_that_does_not_come(new_city):
    city = new_city()
    events = file_of(city, "events.ndjson", line("a"), line("b"))
    began = time.monotonic()
    counts, said = sent(city, events, status=1, flags=("--wait-timeout", "1s"))
    assert counts == (0, 0, 0, 0, 0, 2) and 1 <= time.monotonic() - began < 60
    assert "--wait: the consumer has not folded all of them within 1000 ms; kafka has every event, none is lost" in said
    assert "2 acknowledged by kafka" in said and "send the same input again" not in said
    city.fold()
    assert sent(city, events, flags=("--wait-timeout", "1s"), status=1)[0] == (0, 2, 0, 0, 0, 0), "what stands there counts already"


def test_redis_that_is_away_is_told_before_anything_is_sent(new_city):
    city = new_city()
    done = city.send("--redis", "redis://127.0.0.1:1", "--wait", "--source", "s", file_of(city, "events.ndjson", line("a")), status=1)
    assert "--wait: connect to redis at 127.0.0.1:1" in done.stderr and sum(city.ends().values()) == 0
    done = city.send("--wait", "--dry-run", file_of(city, "events.ndjson", line("a")), status=2)
    assert "--dry-run" in done.stderr


def test_more_events_than_memory_for_them(folding):
    count = 140000
    events = file_of(folding, "events.ndjson", *[line(f"e{i}") for i in range(count)], line("e0-again"))
    assert sent(folding, events, flags=("--check-memory", "8MiB"))[0] == (count + 1, 0, 0, 0, 0, 0)
