"""Events and mutated bytes: the plan's verdict is that of an independent strict reader, always; fastavro and avro-c agree
but for the differences that are listed here, each of which must show.

All by one seed; run it again with CITYTOTALS_SEED=<seed>. CITYTOTALS_ROUNDS multiplies the number of events."""
import collections
import io
import json
import os
import random
import subprocess

import fastavro
import pytest

from tests.lab.events import FINGERPRINTS, SCHEMA_JSON, SCHEMAS
from tests.lab.process import BUILD
from tests.schemas.reference import (TYPE_NAMES, VALUE_MOST, ask, is_utf8, judge, plain, read_body, request, texts, without_counts,
                                     write_body)

SEED = int(os.environ.get("CITYTOTALS_SEED", "20201030"))
EVENTS = 1500 * int(os.environ.get("CITYTOTALS_ROUNDS", "1"))
MUTANTS = 4

# Where the two references differ, by the strict reader's name for what is wrong ("utf8": nothing but a string that is not
# UTF-8, which is for the rules to refuse), and what they say then.
TAKEN = {"none", "trailing_bytes"}
FASTAVRO_DIFFERS = {
    "utf8": {"bad_encoding"},
    "number_past_64_bits": TAKEN,   # the bits above are lost
    "number_past_10_bytes": TAKEN,
    "int_range": TAKEN,
    "symbol_negative": TAKEN,       # counts from the end
    "branch_negative": TAKEN,       # likewise
    "block_size": TAKEN,            # read and not looked at
}
AVRO_C_DIFFERS = {
    "number_past_64_bits": TAKEN,
    "symbol_negative": TAKEN,
    "symbol_too_great": TAKEN,
    "block_size": TAKEN,
}

# One body for each kind of wrong, so that none of them depends on the seed.
HEADCOUNT = bytes(range(1, 17)) + b"\x02s\x02\x02\x02a"
MERGER = HEADCOUNT + b"\x00\x00\x00\x00"
BY_HAND = {
    "cut_off": ("headcount-change", HEADCOUNT + b"\0\0\x02\0"),
    "trailing": ("headcount-change", HEADCOUNT + b"\0\0\x02\0\0\0"),
    "number_past_64_bits": ("page-visit", b"\x82" + b"\x80" * 8 + b"\x02" + bytes(16)),
    "number_past_10_bytes": ("page-visit", b"\x82" + b"\x80" * 9 + b"\0" + bytes(16)),
    "int_range": ("headcount-change", HEADCOUNT + b"\0\0\xff\xff\xff\xff\x1f\0\0"),
    "symbol_negative": ("headcount-change", HEADCOUNT + b"\x01\0\x02\0\0"),
    "symbol_too_great": ("headcount-change", HEADCOUNT + b"\x06\0\x02\0\0"),
    "branch_negative": ("headcount-change", HEADCOUNT + b"\0\0\x02\x03\0"),
    "branch_too_great": ("headcount-change", HEADCOUNT + b"\0\0\x02\x04\0"),
    "length_negative": ("headcount-change", bytes(16) + b"\x01" + HEADCOUNT[16:] + b"\0\0\x02\0\0"),
    "block_size": ("unit-merger", MERGER + b"\x01\x02\x02a\x02b\0\0\0\0\0\0"),
    "utf8": ("headcount-change", HEADCOUNT[:-1] + b"\xff\0\0\x02\0\0"),
}


def some_text(rng, most=40):
    alphabet = "abcz019-_ /ĐịnhủỷÀ\u0301漢🏛\0\n\x7f\u0085\ufffd"
    return "".join(rng.choice(alphabet) for _ in range(rng.choice([0, 1, 2, 5, rng.randint(0, most)])))


def some_number(rng, bits):
    edges = [0, 1, -1, 63, 64, -64, -65, 2**(bits - 1) - 1, -2**(bits - 1), 1605837600000 % 2**(bits - 1)]
    return rng.choice(edges + [rng.randint(-2**(bits - 1), 2**(bits - 1) - 1), rng.randint(-1000, 1000)])


def some_units(rng):
    return [{"id": some_text(rng), "name": some_text(rng)} for _ in range(rng.choice([0, 0, 1, 2, 3, 9, rng.randint(0, 40)]))]


def some_event(rng, type_):
    """Any event that the schema allows; the rules are not looked at."""
    def some(schema, name):
        if isinstance(schema, list):
            return None if rng.random() < 0.5 else some(schema[1], name)
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind == "array":
            return some_units(rng)
        if kind == "enum":
            return rng.choice(schema["symbols"])
        if kind in ("fixed", "EventId"):
            return rng.randbytes(16)
        return some_text(rng) if kind == "string" else some_number(rng, 32 if kind == "int" else 64)
    return {field["name"]: some(field["type"], field["name"]) for field in SCHEMA_JSON[type_]["fields"]}


def fastavro_body(type_, event):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMAS[type_], event)
    return out.getvalue()


def mutate(rng, value, other):
    """`value` with one to three of: bits flipped, cut, bytes put in, taken out, replaced, the end of another value."""
    data = bytearray(value)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.randrange(len(data) + 1) if rng.random() < 0.1 else rng.randint(min(10, len(data)), len(data))
        kind = rng.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.randint(1, 4))
        elif kind == 3:
            del data[at:at + rng.randint(1, 4)]
        elif kind == 4 and at < len(data):
            data[at] = rng.choice([0, 1, 2, 3, 0x7E, 0x7F, 0x80, 0xFE, 0xFF])
        elif kind == 5:
            data[at:] = other[rng.randint(min(10, len(other)), len(other)):]
        elif at < len(data) and data[at] < 0x80:
            data[at:at + 1] = bytes([data[at] | 0x80]) + b"\x80" * rng.randint(0, 9) + b"\0"
    return bytes(data)


@pytest.fixture(scope="module")
def corpus():
    """Every value that is judged: [(type, value)], and how many of its beginning are sound."""
    rng, sound, bytes_of = random.Random(SEED), [], []
    for number in range(EVENTS):
        type_ = TYPE_NAMES[number % 3]
        event = some_event(rng, type_)
        body = fastavro_body(type_, event)
        for each in (body, write_body(type_, plain(type_, event), rng)):
            sound.append((type_, b"\xc3\x01" + FINGERPRINTS[type_] + each, plain(type_, event), each is body))
    values = [(type_, value) for type_, value, _, _ in sound]
    for type_, value in list(values):
        for _ in range(MUTANTS):
            bytes_of.append((type_, mutate(rng, value, rng.choice(values)[1])))
    bytes_of += [(type_, value) for type_ in TYPE_NAMES for value in (None, b"", b"\0", b"\0\0\0\0\1", b"\xc3\x01" + b"x" * 8,
                                                                      b"\xc3\x01" + b"x" * (VALUE_MOST - 1))]
    bytes_of += [(type_, b"\xc3\x01" + FINGERPRINTS[type_] + body) for type_, body in BY_HAND.values()]
    return sound, values + bytes_of


@pytest.fixture(scope="module")
def judged(corpus):
    """[(type, value, reason, event, kind of wrong)] by the strict reader."""
    return [(type_, value, *judge(type_, value)) for type_, value in corpus[1]]


def test_what_fastavro_and_a_free_writer_write_is_read_and_written_again(corpus):
    sound, _ = corpus
    answers = ask([("D", type_, value) for type_, value, _, _ in sound])
    for (type_, value, expected, by_fastavro), answer in zip(sound, answers):
        assert answer["reason"] == "none", (type_, value.hex())
        event, counts = without_counts(answer["event"])
        assert event == expected
        assert counts == {name: len(expected[name]) for name in counts}
        again = bytes.fromhex(answer["again"])
        if by_fastavro:
            assert again == value  # byte for byte
        assert again[:10] == value[:10]
        assert plain(type_, fastavro.schemaless_reader(io.BytesIO(again[10:]), SCHEMAS[type_], None)) == expected


def test_the_plans_verdict_is_the_strict_readers(judged):
    answers = ask([("D", type_, value) for type_, value, *_ in judged])
    reasons = collections.Counter()
    for (type_, value, reason, expected, kind), answer in zip(judged, answers):
        place = (SEED, type_, None if value is None else value.hex()[:400], kind)
        assert answer["reason"] == reason, place
        reasons[reason] += 1
        if reason == "none":
            event, counts = without_counts(answer["event"])
            assert event == expected | {name: expected[name][:256] for name in counts}, place
            assert counts == {name: len(expected[name]) for name in counts}, place
    assert set(reasons) == {"none", "too_large", "bad_framing", "unknown_schema", "bad_encoding", "trailing_bytes"}
    assert min(reasons["none"], reasons["bad_encoding"], reasons["trailing_bytes"]) > EVENTS / 10


def bodies(judged):
    """Those with good framing, as (type, body, reason, event, kind)."""
    return [(type_, value[10:], reason, event, kind) for type_, value, reason, event, kind in judged
            if reason in ("none", "bad_encoding", "trailing_bytes")]


def compare(name, judged, verdicts, differs):
    """Each verdict (reason, event) is the strict reader's, or a difference of `differs`; all of these have shown."""
    shown, strange = set(), []
    for (type_, body, reason, event, kind), (its_reason, its_event) in zip(judged, verdicts):
        if its_reason == reason and (reason != "none" or its_event == event):
            continue
        utf8 = event is None or all(map(is_utf8, texts(type_, event)))
        difference = kind if reason == "bad_encoding" else "value" if utf8 else "utf8"
        if its_reason in differs.get(difference, ()):
            shown.add(difference)
        else:
            strange.append(f"{type_} {difference}: {name} says {its_reason}: {body.hex()[:300]}")
    if strange:
        pytest.fail(f"seed {SEED}: {len(strange)} differences that are not listed, the first:\n" + "\n".join(strange[:5]), pytrace=False)
    assert shown == set(differs)


def by_fastavro(type_, body):
    stream = io.BytesIO(body)
    try:
        event = fastavro.schemaless_reader(stream, SCHEMAS[type_], None)
    except Exception:  # of many kinds
        return "bad_encoding", None
    return ("trailing_bytes" if stream.read() else "none"), plain(type_, event)


def test_fastavro_differs_only_as_listed(judged):
    compare("fastavro", bodies(judged), [by_fastavro(type_, body) for type_, body, *_ in bodies(judged)], FASTAVRO_DIFFERS)


def by_avro_c(requests):
    """avro-c's verdicts; where it brings its process down, ("crash", None)."""
    verdicts = []
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=2048")
    while len(verdicts) < len(requests):
        done = subprocess.run([BUILD / "tests" / "schemas" / "codec-lab"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                              input=b"".join(request("A", *each) for each in requests[len(verdicts):]), timeout=300)
        for line in done.stdout.splitlines():
            answer = json.loads(line)
            verdicts.append((answer["reason"], without_counts(answer.get("event"))[0]))
        if len(verdicts) < len(requests):
            assert done.returncode != 0
            verdicts.append(("crash", None))
    return verdicts


def test_avro_c_differs_only_as_listed(judged):
    compare("avro-c", bodies(judged), by_avro_c([(type_, body) for type_, body, *_ in bodies(judged)]), AVRO_C_DIFFERS)


def test_dead_letters_are_read_by_fastavro():
    for data in (b"", b"\0\xff", bytes(range(256)) * 512, None):
        [answer] = ask([("L", "page-visit", data)])
        value = bytes.fromhex(answer["value"])
        assert value[:10] == b"\xc3\x01" + FINGERPRINTS["dead-letter"]
        stream = io.BytesIO(value[10:])
        letter = fastavro.schemaless_reader(stream, SCHEMAS["dead-letter"], None)
        assert not stream.read()
        assert letter == {"reason": "bad_encoding", "detail": "why", "topic": "haiphong.unit-mergers", "partition": 7, "offset": 2**40,
                          "timestamp": 1605837600000, "key": data, "value": data}


def test_the_strict_reader_names_what_is_wrong():
    for kind, (type_, body) in BY_HAND.items():
        event, found = read_body(type_, body)
        assert found == (None if kind == "utf8" else kind)
        assert (event is None) == (kind not in ("utf8", "trailing"))
    assert read_body("page-visit", b"\x02" + bytes(16)) == ({"occurred_at": 1, "visitor": "00" * 16}, None)
