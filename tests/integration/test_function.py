"""The Function library called directly on real Redis: what it computes, and that whatever fails, fails before it writes."""
import hashlib
import random
import struct
import time

import pytest
import redis as redis_module

from tests.lab.events import CATEGORIES, day_text
from tests.lab.oracle import CITY_OFFSET, DAY, percent
from tests.lab.process import ROOT

CODE = (ROOT / "schemas" / "citytotals.lua").read_text()
MOST = 900000000000000
RECORD = b"0123456789abcdef" + b"meaning!"
NOON = 1600000000000 // DAY * DAY + 5 * 3600000  # of a day in September 2020, in the city
TODAY = day_text((NOON + CITY_OFFSET) // DAY)


class Library:
    """The library under a name of its own, called as one city."""

    def __init__(self, port, **user):
        self.client = redis_module.Redis(port=port, socket_timeout=60, **user)
        self.id = hashlib.sha256(CODE.encode()).hexdigest()[:8] + "test"
        self.city, self.epoch, self.count = "none", b"", 0

    def load(self):
        self.client.function_load(CODE.replace("@ID@", self.id), replace=True)
        return self

    def key(self, suffix):
        return f"{{{self.city}}}:{suffix}"

    def call(self, function, *arguments):
        command = "FCALL_RO" if function == "snapshot" else "FCALL"
        return self.client.execute_command(command, f"citytotals_{function}_{self.id}", 1, self.key("totals"), *arguments)

    def new_city(self, epoch="e1"):
        self.count += 1
        self.city, self.epoch = f"c{self.count}", epoch
        assert self.call("open", epoch, "cluster", "") == [epoch.encode(), b"cluster"]
        return self

    def commit(self, partitions=(), lanes=(), hashes=None, changes=(), refused=(), repeats=b"", visits=(), topic="t",
               visit_partitions=0, updated="2020-09-13T05:00:00.000Z", epoch=None, packed=None):
        arguments = [self.epoch if epoch is None else epoch, updated, len(partitions)]
        for part in partitions:
            arguments += part
        arguments.append(len(lanes))
        for lane in lanes:
            arguments += lane
        arguments.append(len(hashes or {}))
        for suffix, cells in (hashes or {}).items():
            arguments += [suffix, len(cells), *cells.keys(), *cells.values()]
        arguments.append(len(changes))
        for change in changes:
            arguments += [len(change), *change]
        arguments.append(len(refused))
        for lane, *entry in refused:
            arguments += [lane, len(entry), *entry]
        arguments.append(repeats)
        if packed is None:
            packed = b"".join(who.ljust(16, b"_") + struct.pack(">qq", occurred, kafka) for who, occurred, kafka in visits)
        return self.call("commit", *arguments, packed, topic, visit_partitions)

    def total(self, field):
        value = self.client.hget(self.key("totals"), field)
        return value if value is None else value.decode()

    def hash(self, suffix):
        return {field.decode(): value.decode() for field, value in self.client.hgetall(self.key(suffix)).items()}

    def visitors(self, day):
        return {who.rstrip(b"_"): int(latest) for who, latest in self.client.zrange(self.key(f"visitors:{day}"), 0, -1, withscores=True)}

    def dump(self):
        """Every byte of the city."""
        return {key: self.client.dump(key) for key in self.client.scan_iter(match=f"{{{self.city}}}:*", count=1000)}

    def refuses(self, call, words, kind=redis_module.ResponseError):
        before = self.dump()
        with pytest.raises(kind) as raised:
            call()
        assert words in str(raised.value), raised.value
        assert self.dump() == before, "a call that failed left a trace"


@pytest.fixture(scope="module")
def library(redis):
    return Library(redis.port).load()


def rich(position=0, lane_bytes=0, n=1):
    """Arguments of a commit that writes every kind of key."""
    totals = {"headcount_baseline": 1000, "headcount_current": 900, "headcount_baseline:commune": 1000,
              "headcount_current:commune": 900, "events": 1, "dead_letters": 1}
    units = {"baselines:commune": 1, "baseline:commune": 10, "change:city_agency": -3, "merged:city_agency": 4,
             "mergers:city_agency": 1}
    return {
        "partitions": [("t/0", position, position + 1, f"{position} {NOON} 1 {NOON}")],
        "lanes": [(7, lane_bytes, RECORD)],
        "hashes": {"totals": totals, "headcount:baseline": {"a": 1000}, "headcount:current": {"a": 900},
                   "headcount:by-day": {"2020-01-01:current:commune": 900}, "units": units,
                   "units:by-day": {f"2020-01-01:{field}": value for field, value in units.items()},
                   "pilots": {"m/d": 1}, "pilots:by-day": {"2020-01-01:m/d": 1}, "dead-letters": {"conflict": 1}},
        "changes": [("type", "unit-merger", "n", n)],
        "refused": [(9, "agency", "a", "reason", "conflict", "n", n)], "repeats": b"i" * 16 + struct.pack(">qq", 0, n),
        "visits": [(b"v%d" % n, NOON, NOON)], "topic": "t", "visit_partitions": 2,
    }


# --- what it computes ---

def test_open_begins_once_and_answers_the_first_epoch(library):
    library.new_city("first")
    assert library.call("open", "second", "cluster", "") == [b"first", b"cluster"]
    assert library.call("open", "second", "other", "") == [b"first", b"cluster"]
    assert library.hash("meta") == {"epoch": "first", "cluster_id": "cluster", "layout": "1"}
    assert library.call("open", "second", "other", "other") == [b"first", b"other"]
    assert library.hash("meta")["cluster_accepted:other"].endswith(" instead of cluster")


def test_commit_writes_every_key_and_counts_the_version(library):
    library.new_city()
    assert library.commit(**rich()) == [b"OK", b"1", b"0"]
    assert library.commit(**rich(1, 24, 2)) == [b"OK", b"2", b"0"]
    totals = library.hash("totals")
    assert totals["headcount_reduction"] == "200" and totals["reduction_percent"] == "10.0000"
    assert totals["units_baseline:commune"] == "20" and "units_baseline:city_agency" not in totals
    assert totals["units_change:city_agency"] == "-6" and totals["mergers:city_agency"] == "2"
    assert totals["pilots"] == "1" and totals["visits"] == "2" and totals["updated_at"] == "2020-09-13T05:00:00.000Z"
    assert library.hash("offsets") == {"t/0": "2"}
    assert library.hash("last") == {"t/0": f"1 {NOON} 1 {NOON}"}
    assert library.client.get(library.key("seen:7")) == 2 * RECORD
    assert [change[0] for change in library.client.xrange(library.key("changes"))] == [b"1-1", b"2-1"]
    assert library.hash("visits:by-day") == {TODAY: "2"} and library.visitors(TODAY) == {b"v1": NOON, b"v2": NOON}


def test_commit_that_changes_nothing_keeps_the_version(library):
    library.new_city()
    library.commit(**rich())
    before = library.hash("totals")
    assert library.commit(partitions=[("t/0", 1, 5, "")], lanes=[(7, 24, b"")], updated="") == [b"OK", b"1", b"0"]
    assert library.hash("totals") == before and library.hash("offsets") == {"t/0": "5"}


def test_updated_at_never_goes_back(library):
    library.new_city()
    for given, kept in (("2020-09-13T05:00:00.000Z",) * 2, ("2020-09-13T04:59:59.999Z", "2020-09-13T05:00:00.000Z"),
                        ("2020-09-13T05:00:00.001Z",) * 2):
        library.commit(hashes={"totals": {"dead_letters": 1}}, updated=given)
        assert library.total("updated_at") == kept


def test_units_baseline_is_null_again_without_baselines(library):
    library.new_city()
    library.commit(hashes={"units": {"baselines:commune": 1, "baseline:commune": 10}})
    assert library.total("units_baseline:commune") == "10"
    library.commit(hashes={"units": {"baselines:commune": -1, "baseline:commune": -10}})
    assert library.total("units_baseline:commune") is None
    assert library.total("units_change:commune") == "0"


def test_a_pilot_pair_is_live_while_its_count_is_above_zero(library):
    library.new_city()
    for amount, live in ((1, "1"), (1, "1"), (-2, "0"), (-1, "0"), (2, "1")):
        library.commit(hashes={"pilots": {"m/d": amount, "m/e": 0}})
        assert library.total("pilots") == live


def expected_pairs():
    yield from ((0, 1), (1, 1), (1, 3), (2, 3), (-1, 3), (-1, 10 ** 9), (1, 2 * 10 ** 6), (-1, 2 * 10 ** 6), (-1, 2 * 10 ** 6 + 1),
                (1, 2 * 10 ** 6 + 1), (0, MOST), (MOST, MOST), (2 * MOST, MOST), (2 * MOST, 1), (MOST - 1, MOST), (1, MOST), (-MOST, 1),
                (999999499999999, 9 * 10 ** 14), (MOST // 2, MOST - 1), (0, 0), (5, -5), (-5, -5), (199999, 200000), (1999999, 2 * 10 ** 6),
                (19999999, 2 * 10 ** 7), (99999949999, 10 ** 11), (99999950000, 10 ** 11))
    dice = random.Random(15)
    for _ in range(6000):
        baseline = dice.randint(1, 10 ** dice.randint(1, 14)) * dice.choice((1, 1, 9))
        kind = dice.randrange(3)
        if kind == 0:
            yield dice.randint(-baseline, baseline), baseline
        elif kind == 1:  # close to half of the last decimal
            yield (baseline * (2 * dice.randint(0, 10 ** 6) + 1) // (2 * 10 ** 6)) + dice.randint(-1, 1), baseline
        else:
            yield dice.choice((-1, 1)) * dice.randint(0, MOST), baseline


def test_percent_is_that_of_exact_integers(library):
    library.new_city()
    pairs = [(reduction, baseline) for reduction, baseline in expected_pairs()
             if abs(baseline) <= MOST and abs(baseline - reduction) <= MOST]
    assert len(pairs) > 4000
    pipe = library.client.pipeline(transaction=False)
    for reduction, baseline in pairs:
        pipe.hset(library.key("totals"), mapping={"headcount_baseline": baseline, "headcount_current": baseline - reduction})
        pipe.execute_command("FCALL", f"citytotals_commit_{library.id}", 1, library.key("totals"), library.epoch, "", 0, 0, 1,
                             "totals", 1, "dead_letters", 1, 0, 0, "", "", "t", 0)
        pipe.hget(library.key("totals"), "reduction_percent")
    answers = pipe.execute()[2::3]
    wrong = [(pair, answer) for pair, answer in zip(pairs, answers) if answer.decode() != percent(*pair)]
    assert not wrong, wrong[:10]
    assert b"-0.0000" not in answers


def test_batches_of_thousands_of_cells(library):
    library.new_city()
    cells = {f"agency-{i}": i - 1500 for i in range(3001)}
    days = {f"2020-01-01:current:x{i}": 1 for i in range(2501)}
    partitions = [(f"t/{i}", 0, i, f"{i} 5 6 7") for i in range(1203)]
    who = [(b"v%d" % i, NOON, NOON) for i in range(1100)]
    library.commit(hashes={"headcount:current": cells, "headcount:by-day": days}, partitions=partitions, visits=who)
    library.commit(hashes={"headcount:current": cells, "headcount:by-day": days})
    assert library.hash("headcount:current") == {name: str(2 * value) for name, value in cells.items()}
    assert set(library.hash("headcount:by-day").values()) == {"2"} and len(library.hash("headcount:by-day")) == 2501
    assert library.hash("offsets") == {f"t/{i}": str(i) for i in range(1203)}
    assert len(library.visitors(TODAY)) == 1100 and library.total("visits") == "1100"


def test_changes_keeps_about_the_latest_thousand(library):
    library.new_city()
    for first in range(0, 3000, 100):
        library.commit(hashes={"totals": {"events": 100}}, changes=[("n", number) for number in range(first, first + 100)])
    kept = [int(change[1][b"n"]) for change in library.client.xrange(library.key("changes"))]
    assert 1000 <= len(kept) <= 1200 and kept == list(range(3000 - len(kept), 3000))


# --- the fence, the epoch, the lanes ---

def test_another_epoch_is_told_before_all_else(library):
    library.new_city()
    before = library.dump()
    assert library.commit(**rich(5), epoch="other") == [b"EPOCH", b"e1"]
    assert library.call("skip", "other", "t/0", 0, 9, "why") == [b"EPOCH", b"e1"]
    assert library.dump() == before
    library.client.delete(library.key("meta"))
    assert library.commit(**rich()) == [b"EPOCH", b""]
    assert library.dump() == {}


def test_a_position_that_was_moved_is_fenced(library):
    library.new_city()
    library.commit(**rich())
    before = library.dump()
    assert library.commit(**rich(0, 24)) == [b"FENCED", b"t/0", b"1"]
    assert library.commit(**rich(2, 24)) == [b"FENCED", b"t/0", b"1"]
    good, moved = ("t/9", 0, 1, ""), ("t/0", 0, 1, "")
    assert library.commit(partitions=[good, moved], hashes={"totals": {"events": 1}}) == [b"FENCED", b"t/0", b"1"]
    assert library.commit(partitions=[("t/9", 3, 4, "")]) == [b"FENCED", b"t/9", b"0"]
    assert library.call("skip", "e1", "t/0", 0, 9, "why") == [b"FENCED", b"t/0", b"1"]
    assert library.dump() == before


def test_stale_lanes_get_their_tails(library):
    library.new_city()
    library.client.set(library.key("seen:3"), RECORD * 5)
    library.client.set(library.key("seen:4"), RECORD)
    before = library.dump()
    answer = library.commit(lanes=[(3, 48, RECORD), (4, 24, RECORD), (5, 24, b""), (6, 0, RECORD)],
                            hashes={"totals": {"events": 3}})
    assert answer == [b"STALE", b"3", b"120", RECORD * 3, b"5", b"0", b""]
    assert library.dump() == before


def test_a_long_tail_comes_in_whole_records(library):
    library.new_city()
    records = 1048576 // 24 + 1000
    library.client.set(library.key("seen:3"), RECORD * records)
    answer = library.commit(lanes=[(3, 0, b"")])
    assert answer[2] == b"%d" % (24 * records) and len(answer[3]) == 1048560 and len(answer[3]) % 24 == 0


def test_a_full_lane_is_said(library):
    library.new_city()
    most = 536870904
    library.client.setrange(library.key("seen:3"), most - 24 - 1, b"x")
    try:
        answer = library.commit(lanes=[(3, most - 24, RECORD)], hashes={"totals": {"events": 1}})
        assert answer[0] == b"OK" and library.client.strlen(library.key("seen:3")) == most
        with pytest.raises(redis_module.ResponseError, match="is full"):
            library.commit(lanes=[(3, most, RECORD)], hashes={"totals": {"events": 1}})
        assert library.client.strlen(library.key("seen:3")) == most and library.total("events") == "1"
        assert library.commit(lanes=[(3, most, b"")])[0] == b"OK"
    finally:
        library.client.delete(library.key("seen:3"))


def test_skip_records_the_gap_and_keeps_the_newest_time(library):
    library.new_city()
    library.commit(**rich())
    assert library.call("skip", "e1", "t/0", 1, 40, "kept for a time") == [b"OK"]
    assert library.call("skip", "e1", "t/1", 0, 7, "kept for a time") == [b"OK"]
    assert library.hash("offsets") == {"t/0": "40", "t/1": "7"}
    assert library.hash("last") == {"t/0": f"-1 0 0 {NOON}"}
    gaps = library.hash("gaps")
    assert set(gaps) == {"t/0/1", "t/1/0"}
    to, when, why = gaps["t/0/1"].split(" ", 2)
    assert (to, why) == ("40", "kept for a time") and abs(int(when) - time.time()) < 3600


def test_refused_records_and_repeats_are_kept_to_a_bound(library):
    library.new_city()
    record = lambda n: b"i" * 16 + struct.pack(">qq", 0, n)
    for n in range(4):
        refused = [(lane, "agency", f"a{lane}", "n", n * 700 + i) for i in range(700) for lane in (9, 63)]
        library.commit([("t/0", n, n + 1, "")], refused=refused, repeats=b"".join(record(n * 3000 + i) for i in range(3000)))
    for lane in (9, 63):
        entries = library.client.xrevrange(library.key(f"refused:{lane}"))
        assert 1000 <= len(entries) <= 1100
        assert [int(entry[b"n"]) for _, entry in entries] == [*range(2799, 2799 - len(entries), -1)]
        assert {entry[b"agency"] for _, entry in entries} == {b"a%d" % lane} and entries[0][0].startswith(b"4-")
    kept = library.client.get(library.key("repeats"))
    assert kept[-32:] == record(11999) and 4096 * 32 <= len(kept) < 8192 * 32 and len(kept) % 32 == 0
    assert kept == b"".join(record(n) for n in range(12000 - len(kept) // 32, 12000))


def test_repeats_alone_are_no_new_version(library):
    library.new_city()
    library.commit(**rich())
    assert library.commit([("t/0", 1, 2, "")], repeats=b"r" * 32) == [b"OK", b"1", b"0"]


# --- whatever fails, fails before it writes ---

KEYS = ("meta", "offsets", "last", "seen:7", "totals", "headcount:baseline", "headcount:current", "headcount:by-day", "units",
        "units:by-day", "pilots", "pilots:by-day", "dead-letters", "changes", "refused:9", "repeats", "visits:by-day", f"visitors:{TODAY}")


@pytest.mark.parametrize("suffix", KEYS)
def test_key_of_another_type(library, suffix):
    for fill in ("RPUSH", "SADD", "HSET", "SET"):
        hash_key = suffix not in ("seen:7", "changes", "refused:9", "repeats") and not suffix.startswith("visitors:")
        if (fill == "HSET" and hash_key) or (fill == "SET" and suffix in ("seen:7", "repeats")):
            continue
        library.new_city()
        library.commit(**rich())
        library.client.delete(library.key(suffix))
        library.client.execute_command(fill, library.key(suffix), *("f", "v")[:2 if fill == "HSET" else 1])
        library.refuses(lambda: library.commit(**rich(1, 24, 2)), "WRONGTYPE")


def test_gaps_of_another_type(library):
    for suffix in ("gaps", "last", "offsets", "meta"):
        library.new_city()
        library.commit(**rich())
        library.client.delete(library.key(suffix))
        library.client.set(library.key(suffix), "text")
        library.refuses(lambda: library.call("skip", "e1", "t/0", 1, 5, "why"), "WRONGTYPE")


def counters():
    for suffix, cells in rich()["hashes"].items():
        for field in cells:
            yield suffix, field
    yield from (("totals", "pilots"), ("totals", "visits"), ("totals", "version"), ("visits:by-day", TODAY))
    for category in CATEGORIES:
        yield from (("units", f"{measure}:{category}") for measure in ("baseline", "baselines", "change", "merged", "mergers"))


def test_counters_that_are_no_integers(library):
    library.new_city()
    library.commit(**rich())
    for suffix, field in sorted(set(counters())):
        good = library.client.hget(library.key(suffix), field)
        for value in ("abc", "", "1.5", "1e3", "0x10", "inf", "-inf", "nan", " 7", "7 ", "+7", "--7", str(MOST + 1), str(-MOST - 1),
                      "9" * 400, "7\n8", "7\0"):
            library.client.hset(library.key(suffix), field, value)
            library.refuses(lambda: library.commit(**rich(1, 24, 2)), f"field {field} holds ")
        if good is None:
            library.client.hdel(library.key(suffix), field)
        else:
            library.client.hset(library.key(suffix), field, good)
    assert library.commit(**rich(1, 24, 2)) == [b"OK", b"2", b"0"]


def test_counters_stay_within_their_bounds(library):
    for suffix, field, amount in (("headcount:current", "a", 900), ("headcount:current", "a", -900), ("totals", "events", 1),
                                  ("totals", "visits", 1), ("totals", "version", 1), ("visits:by-day", TODAY, 1)):
        library.new_city()
        library.commit(**rich())
        end = MOST if amount > 0 else -MOST
        call = rich(1, 24, 2)
        if suffix == "headcount:current":
            call["hashes"][suffix][field] = amount
        if "visit" in suffix + field:
            call["visits"] = [(b"w", NOON, NOON)]
        library.client.hset(library.key(suffix), field, end - amount)
        assert library.commit(**call)[0] == b"OK"
        assert library.client.hget(library.key(suffix), field).decode() == str(end)
        call["partitions"], call["lanes"] = [("t/0", 2, 3, "")], [(7, 48, RECORD)]
        if "visit" in suffix + field:
            call["visits"] = [(b"x", NOON, NOON)]
        library.refuses(lambda: library.commit(**call), "range of 9e14")


@pytest.mark.parametrize("change", [
    {"hashes": {"totals": {"events": "many"}}}, {"hashes": {"totals": {"events": "nan"}}}, {"hashes": {"totals": {"events": "inf"}}},
    {"hashes": {"totals": {"events": "0.5"}}}, {"partitions": [("t/0", 1, "far", "")]}, {"partitions": [("t/0", 1, "-1", "")]},
    {"changes": [("alone",)]}, {"changes": [()]}, {"changes": [("f", "v") * 4001]}, {"packed": b"short"},
    {"refused": [(9, "alone")]}, {"refused": [(9,)]}, {"refused": [(9, *("f", "v") * 51)]}, {"repeats": b"short"},
    {"repeats": b"r" * 32 * 4097},
], ids=["words", "nan", "inf", "half", "far", "negative-position", "odd-change", "empty-change", "long-change", "packed",
        "odd-refusal", "empty-refusal", "long-refusal", "short-repeat", "too-many-repeats"])
def test_arguments_that_make_no_sense(library, change):
    library.new_city()
    library.commit(**rich())
    call = {**rich(1, 24, 2), **change}
    if "packed" in change:
        call["packed"] = b"x" * 32 + b"short"
        call.pop("visits")
    library.refuses(lambda: library.commit(**call), "")


def test_arguments_that_end_early(library):
    library.new_city()
    library.commit(**rich())
    sent = []
    library.call, real = lambda function, *arguments: sent.extend(arguments), library.call
    try:
        library.commit(**rich(1, 24, 2))
    finally:
        library.call = real
    for size in range(1, len(sent)):
        library.refuses(lambda: library.call("commit", *sent[:size]), "")
    assert library.call("commit", *sent) == [b"OK", b"2", b"0"]


def test_the_version_went_back_behind_the_changes(library):
    library.new_city()
    library.commit(**rich())
    library.commit(**rich(1, 24, 2))
    for lost in (lambda: library.client.hset(library.key("totals"), "version", 0),
                 lambda: library.client.xtrim(library.key("changes"), 0, approximate=False)):
        lost()
        library.refuses(lambda: library.commit(**rich(2, 48, 3)), "changes has seen version 2")
    library.client.delete(library.key("changes"))
    library.refuses(lambda: library.commit(**rich(2, 48, 3)), "refused:9 has seen version 2")
    library.client.delete(library.key("refused:9"))
    assert library.commit(**rich(2, 48, 3)) == [b"OK", b"1", b"0"]


def test_a_state_of_which_a_part_was_deleted_is_not_opened(library):
    for suffix in ("meta", "totals", "last", "offsets", "seen:7"):
        library.new_city()
        library.commit(**rich())
        library.client.delete(library.key(suffix))
        library.refuses(lambda: library.call("open", "e2", "cluster", ""), "part of the state was deleted")
    for suffix in KEYS:
        if suffix in ("meta", f"visitors:{TODAY}"):
            continue
        library.new_city()
        library.commit(**rich())
        library.client.delete(*[library.key(other) for other in KEYS if other not in (suffix, f"visitors:{TODAY}")])
        library.refuses(lambda: library.call("open", "e2", "cluster", ""), "part of the state was deleted")
    library.new_city()
    library.commit(**rich())
    library.client.append(library.key("seen:8"), RECORD)
    library.refuses(lambda: library.call("open", "e2", "cluster", ""), "part of the state was deleted or changed")


def test_a_state_that_has_folded_only_positions_is_opened(library):
    library.new_city()
    library.commit(partitions=[("t/0", 0, 2, "")], updated="")
    library.call("skip", "e1", "t/1", 0, 7, "why")
    assert library.call("open", "e2", "cluster", "") == [b"e1", b"cluster"]


@pytest.mark.parametrize("command", ["hset", "hdel", "append", "set", "getrange", "xadd", "zadd", "unlink"])
def test_a_user_who_may_not_do_all_does_nothing(library, redis, command):
    library.new_city()
    library.commit(**rich())
    library.client.execute_command("ACL", "SETUSER", f"no-{command}", "on", ">secret", "~*", "+@all", f"-{command}")
    limited = Library(redis.port, username=f"no-{command}", password="secret")
    limited.city, limited.epoch = library.city, library.epoch
    end = NOON + 3 * DAY
    call = {**rich(1, 24, 2), "partitions": [("t/0", 1, 2, f"1 {end} 1 {end}")], "visits": [(b"v", end, end)], "visit_partitions": 1}
    limited.refuses(lambda: limited.commit(**call), "may not " + command.upper(), redis_module.exceptions.NoPermissionError)
    if command == "hset":
        limited.refuses(lambda: limited.call("skip", "e1", "t/0", 1, 5, "why"), "may not HSET",
                        redis_module.exceptions.NoPermissionError)
    assert library.commit(**call)[0] == b"OK"


def test_a_user_who_may_not_write_one_key_writes_none(library, redis):
    library.new_city()
    library.commit(**rich())
    for number, suffix in enumerate(KEYS):
        if suffix == "meta":
            continue
        others = [f"%RW~{library.key(other)}" for other in KEYS if other != suffix]
        library.client.execute_command("ACL", "SETUSER", f"no-key-{number}", "on", ">secret", "+@all", f"%R~{library.key('*')}", *others)
        limited = Library(redis.port, username=f"no-key-{number}", password="secret")
        limited.city, limited.epoch = library.city, library.epoch
        limited.refuses(lambda: limited.commit(**rich(1, 24, 2)), "", redis_module.exceptions.NoPermissionError)


def test_without_memory_nothing_is_written(library):
    library.new_city()
    library.commit(**rich())
    before = library.dump()
    library.client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(redis_module.exceptions.OutOfMemoryError):
            library.commit(**rich(1, 24, 2))
        assert library.call("snapshot")[1] == b"e1"
    finally:
        library.client.config_set("maxmemory", "0")
    assert library.dump() == before


def test_a_replica_writes_nothing(library, redis):
    library.new_city()
    library.commit(**rich())
    library.client.config_set("min-replicas-to-write", 1)
    try:
        library.refuses(lambda: library.commit(**rich(1, 24, 2)), "NOREPLICAS")
    finally:
        library.client.config_set("min-replicas-to-write", 0)


# --- visits ---

def visit_days(library):
    return {day: int(count) for day, count in library.hash("visits:by-day").items()}


def test_thirty_minutes_make_a_new_visit(library):
    library.new_city()
    minute = 60000
    for after, visits in ((0, 1), (29 * minute + 59999, 1), (59 * minute + 59998, 1), (89 * minute + 59998, 2)):
        library.commit(visits=[(b"v", NOON + after, NOON + after)])
        assert library.total("visits") == str(visits), after


def test_visits_of_one_batch_are_decided_in_log_order(library):
    library.new_city()
    minute = 60000
    library.commit(visits=[(b"v", NOON, NOON), (b"w", NOON, NOON), (b"v", NOON + 40 * minute, NOON + 40 * minute),
                           (b"v", NOON + 20 * minute, NOON + 41 * minute), (b"v", NOON + 69 * minute, NOON + 69 * minute)])
    assert library.total("visits") == "3"
    assert library.visitors(TODAY) == {b"v": NOON + 69 * minute, b"w": NOON}


def test_the_latest_time_only_grows_and_stays_at_the_kafka_timestamp(library):
    library.new_city()
    library.commit(visits=[(b"v", NOON + 300000, NOON)])
    assert library.visitors(TODAY) == {b"v": NOON}
    library.commit(visits=[(b"v", NOON - 1000, NOON + 5)])
    assert library.visitors(TODAY) == {b"v": NOON}
    library.commit(visits=[(b"v", NOON + 1800000, NOON + 1800000)])  # 30 min after what is stored, 25 after what was sent
    assert library.visitors(TODAY) == {b"v": NOON + 1800000} and library.total("visits") == "2"


def test_midnight_begins_a_new_day_and_a_new_visit(library):
    library.new_city()
    midnight = (NOON + CITY_OFFSET) // DAY * DAY + DAY - CITY_OFFSET
    library.commit(visits=[(b"v", midnight - 1, midnight), (b"v", midnight, midnight), (b"v", midnight - 2, midnight + 1)])
    tomorrow = day_text((midnight + CITY_OFFSET) // DAY)
    assert visit_days(library) == {TODAY: 1, tomorrow: 1}
    assert library.visitors(TODAY) == {b"v": midnight - 1} and library.visitors(tomorrow) == {b"v": midnight}


def last_of(number, time_ms):
    return f"{number} {time_ms} 0 {time_ms}"


def test_a_day_closes_when_every_partition_has_passed_its_end_and_a_day(library):
    library.new_city()
    end = (NOON + CITY_OFFSET) // DAY * DAY + DAY - CITY_OFFSET
    library.commit(visits=[(b"v", NOON, NOON)], partitions=[("t/0", 0, 1, last_of(0, NOON))], visit_partitions=2)
    late = end + DAY
    position = {0: 1, 1: 0}

    def passes(partition, time_ms):
        answer = library.commit(visits=[(b"w%d" % partition, time_ms, time_ms)], visit_partitions=2,
                                partitions=[(f"t/{partition}", position[partition], position[partition] + 1, last_of(0, time_ms))])
        position[partition] += 1
        assert answer[0] == b"OK"
        return TODAY in {key.decode().split("visitors:")[1] for key in library.client.scan_iter(match=library.key("visitors:*"))}
    assert passes(0, late + 5 * DAY)
    assert passes(1, late - 1)
    assert not passes(1, late)
    assert library.hash("meta")["visitors_closed"] == str((NOON + CITY_OFFSET) // DAY)
    answer = library.commit(visits=[(b"new", NOON, NOON), (b"v", NOON, NOON)], visit_partitions=2)
    assert answer[2] == b"2" and visit_days(library)[TODAY] == 1 and library.visitors(TODAY) == {}


def test_a_day_that_closes_in_its_own_commit_keeps_no_set(library):
    library.new_city()
    later = NOON + 4 * DAY
    library.commit(visits=[(b"v", NOON, NOON), (b"v", later, later)], partitions=[("t/0", 0, 2, last_of(1, later))], visit_partitions=1)
    assert visit_days(library) == {TODAY: 1, day_text((later + CITY_OFFSET) // DAY): 1}
    assert library.visitors(TODAY) == {}


def snapshot(library, *suffixes):
    answer = library.call("snapshot", *suffixes)
    return dict(zip((name.decode() for name in answer[::2]), answer[1::2]))


def now_ms(library):
    seconds, micros = library.client.time()
    return seconds * 1000 + micros // 1000


def test_the_widget_counts_by_the_time_of_redis(library):
    library.new_city()
    now = now_ms(library)
    today = (now + CITY_OFFSET) // DAY
    monday = today - (today + 3) % 7
    library.commit(visits=[(b"now", now, now), (b"four", now - 240000, now - 240000), (b"six", now - 360000, now - 360000)])
    seen = {b"now", b"four", b"six"}
    while True:  # once more if a midnight or a pause came between
        answer = snapshot(library)
        then = int(answer["now_ms"])
        if then - now < 60000:
            break
        pytest.fail("the machine stood still for a minute")
    online, day, week, all_, visitors = answer["visitors"]
    midnight = (then + CITY_OFFSET) // DAY * DAY - CITY_OFFSET
    times = {b"now": now, b"four": now - 240000, b"six": now - 360000}
    assert online == 2
    assert day == visitors == sum(times[who] >= midnight for who in seen)
    assert all_ == 3
    library.client.hset(library.key("visits:by-day"), mapping={
        day_text(number): 1000 ** (number - monday + 1) for number in range(monday - 1, today)})
    assert snapshot(library)["visitors"][2] == week + sum(1000 ** (number - monday + 1) for number in range(monday, today)) - sum(
        times[who] < midnight for who in seen) * (today > monday)


def at_time(now):
    """The library with a clock of the test's: Redis's own can't be set."""
    seconds, rest = divmod(now, 1000)
    code = CODE.replace("redis.call('TIME')", f"({{ '{seconds}', '{rest * 1000}' }})")
    assert code != CODE
    return code


@pytest.mark.parametrize("at, online, today, week, today_visitors", [
    (-60000, 2, 2, 9, 2), (0, 3, 2, 2, 2), (60000, 3, 2, 2, 2), (249999, 3, 2, 2, 2), (250000, 2, 2, 2, 2), (299999, 2, 2, 2, 2),
    (300000, 1, 2, 2, 2), (300001, 0, 2, 2, 2), (3600000, 0, 2, 2, 2)])
def test_online_goes_across_midnight_and_the_week_begins_on_monday(library, at, online, today, week, today_visitors):
    midnight = (NOON + CITY_OFFSET) // DAY * DAY + DAY - CITY_OFFSET
    assert day_text((midnight + CITY_OFFSET) // DAY) == "2020-09-14"  # a Monday
    library.new_city()
    library.commit(visits=[(b"both", midnight - 100000, midnight), (b"eve", midnight - 50000, midnight)])
    if at >= 0:
        library.commit(visits=[(b"both", midnight, midnight), (b"morn", midnight + 1, midnight + 1)])
    library.client.hset(library.key("visits:by-day"), "2020-09-08", 7)  # Tuesday before
    library.client.hset(library.key("visits:by-day"), "2020-09-06", 100)  # Sunday before that
    library.client.function_load(at_time(midnight + at).replace("@ID@", "clock"), replace=True)
    real, library.id = library.id, "clock"
    try:
        assert snapshot(library)["visitors"][:3] == [online, today, week]
        assert snapshot(library)["visitors"][4] == today_visitors
    finally:
        library.id = real


def test_snapshot_gives_the_hashes_that_are_asked_for(library):
    library.new_city()
    library.commit(**rich())
    answer = snapshot(library, "units", "pilots")
    assert answer["units"][::2] and answer["pilots"] == [b"m/d", b"1"] and answer["epoch"] == b"e1"
    assert dict(zip(answer["totals"][::2], answer["totals"][1::2]))[b"version"] == b"1"
    with pytest.raises(redis_module.ResponseError):
        library.client.execute_command("FCALL_RO", f"citytotals_commit_{library.id}", 1, library.key("totals"))
