"""The rules by our code and by the laboratory's recomputation, which shares nothing with it but the contract's words, on
events made of good values and of values at and beyond each bound."""
import collections
import random

from tests.lab.events import CATEGORIES, SECTORS, days, event_id, reversal_id, wire
from tests.lab.oracle import judge
from tests.schemas.reference import TYPE_NAMES, ask
from tests.schemas.test_differential import SEED

KAFKA_MS, DAY = 1605837600000, 86400000  # as in codec-lab
EVENTS = 6000
REASONS = ("baseline", "streamlined", "retired", "resigned", "transferred_in", "transferred_out", "recruited", "correction")
KINDS = ("baseline", "merger", "dissolution", "establishment", "rearrangement", "correction")


def pick(rng, good, odd):
    return rng.choice(odd) if rng.random() < 0.06 else rng.choice(good)


def some_id(rng):
    return pick(rng, ["hong-bang", "a", "0", "x" * 64, "a-", "9-9"], ["", "-a", "A", "a_b", "x" * 65, "hải", "a\n", "a\0", " a"])


def some_line(rng, most):
    return pick(rng, ["1234/QĐ-UBND", "a", "x" * most, "é" * (most // 2), " b ", "\ufeff", "\u200b", "D\u0323", "\U0010ffff"],
                ["", " ", "\u3000", "\u00a0\u2003", "\n", "a\x1fb", "\x7f", "\u0085", "\u009f", "x" * (most + 1), "é" * (most // 2 + 1)])


def some_units(rng, count):
    if rng.random() < 0.6:
        return []
    many = pick(rng, [count], [count + 1, max(count - 1, 0), 256, 257])
    return [{"id": some_line(rng, 64), "name": some_line(rng, 256)} for _ in range(min(many, 300))]


def some_event(rng, type_):
    if type_ == "page-visit":
        return {"type": type_, "visitor": rng.randbytes(16),
                "occurred_at": KAFKA_MS + rng.choice([0, -DAY, -DAY - 1, 300000, 300001, -KAFKA_MS, 1, -2**62, 2**62])}
    source, agency = some_id(rng), some_id(rng)
    event = {"type": type_, "source": source, "agency": agency, "event_id": event_id(type_, source, agency, str(rng.random())),
             "occurred_at": pick(rng, [KAFKA_MS, 946684800000, KAFKA_MS + DAY], [946684799999, KAFKA_MS + DAY + 1, -2**63, 2**63 - 1, 0]),
             "effective_date": pick(rng, [days("2000-01-01"), days("2099-12-31"), days("2020-02-29")],
                                    [days("1999-12-31"), days("2100-01-01"), 0, -2**31, 2**31 - 1]),
             "decision": rng.choice([None, some_line(rng, 128)]), "reverses": None}
    if rng.random() < 0.2:
        original = pick(rng, [rng.randbytes(16)], [bytes(16)])
        event |= {"reverses": original, "event_id": pick(rng, [reversal_id(original)], [rng.randbytes(16), original])}
    if rng.random() < 0.02:
        event["event_id"] = bytes(16)
    if type_ == "headcount-change":
        return event | {"sector": rng.choice(SECTORS), "reason": rng.choice(REASONS),
                        "delta": rng.choice([1, -1, 2, -3, 1000000, -1000000, 0, 1000001, -1000001])}
    kind = rng.choice(KINDS)
    before, after = rng.choice([(0, 1), (1, 0), (2, 1), (2, 0), (9, 3), (3, 9), (5, 5), (0, 0), (1, 1), (100000, 99999), (0, 100000),
                                (100001, 1), (0, 100001), (-1, 1), (1, -1), (256, 1), (257, 1), (1, 257)])
    pilot = rng.choice([(None, None), (None, None), (some_id(rng), some_id(rng)), (some_id(rng), None), (None, some_id(rng))])
    return event | {"category": rng.choice(CATEGORIES), "kind": kind, "units_before": before, "units_after": after,
                    "merged_units": some_units(rng, max(before, 0)), "resulting_units": some_units(rng, max(after, 0)),
                    "pilot_model": pilot[0], "district": pilot[1]}


def spoiled(rng, value):
    """Now and then a byte of a text that makes it no UTF-8."""
    places = [i for i in range(30, len(value)) if 0x61 <= value[i] <= 0x7A]
    if places and rng.random() < 0.05:
        at = rng.choice(places)
        return value[:at] + rng.choice([b"\xff", b"\xc3", b"\x80", b"\xed"]) + value[at + 1:]
    return value


def test_both_judge_alike():
    rng = random.Random(SEED)
    made = [(type_, spoiled(rng, wire(some_event(rng, type_)))) for type_ in (TYPE_NAMES[i % 3] for i in range(EVENTS))]
    reasons = collections.Counter()
    for (type_, value), answer in zip(made, ask([("D", type_, value) for type_, value in made])):
        found = answer["violation"] if answer["reason"] == "none" else answer["reason"]
        assert found == judge(type_, value, KAFKA_MS)[0], (SEED, type_, value.hex())
        reasons[type_, found] += 1
    for type_ in TYPE_NAMES[:2]:
        assert min(reasons[type_, reason] for reason in (None, "rule_violation", "out_of_window")) > 5, reasons
