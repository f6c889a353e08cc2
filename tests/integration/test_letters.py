"""Dead letters: each reason, in its order, with all fields; conflicts and reversals; a topic that can't be written."""
import uuid

import pytest
from confluent_kafka import Producer

from tests.lab import events as e
from tests.lab.kafka import flushed
from tests.lab.oracle import letters_in_topic, log_of, sha256
from tests.lab.process import wait_until

HEADCOUNT, MERGER, VISIT = e.TYPES
MOST = 262144


def long_(number, padded=0):
    """Avro's zig-zag varint, with `padded` needless bytes."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    for _ in range(padded):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def text_(value):
    value = value.encode() if isinstance(value, str) else value
    return long_(len(value)) + value


def framed(type_, *parts):
    return b"\xc3\x01" + e.FINGERPRINTS[type_] + b"".join(parts)


def headcount_bytes(**replaced):
    """A sound headcount record, field by field, with some replaced by raw bytes."""
    event = e.headcount(uuid.uuid4().hex, "hong-bang", 5)
    fields = {"event_id": event["event_id"], "source": text_("hong-bang"), "occurred_at": long_(event["occurred_at"]),
              "effective_date": long_(event["effective_date"]), "agency": text_("hong-bang"), "sector": long_(0),
              "reason": long_(6), "delta": long_(5), "decision": long_(0), "reverses": long_(0)}
    assert not set(replaced) - set(fields)
    return framed(HEADCOUNT, *{**fields, **replaced}.values())


def merger_bytes(merged_units):
    event = e.merger(uuid.uuid4().hex, "so-noi-vu", "commune", "merger", 2, 1)
    return framed(MERGER, event["event_id"], text_("so-noi-vu"), long_(event["occurred_at"]), long_(event["effective_date"]),
                  text_("so-noi-vu"), long_(4), long_(1), long_(2), long_(1), merged_units, long_(0), long_(0), long_(0), long_(0),
                  long_(0))


class Given:
    """Records of a city with one partition a topic, and the letter that each must become (None: it must be folded)."""

    def __init__(self, city):
        self.city, self.expected, self.next = city, {}, dict.fromkeys(e.TYPES, 0)

    def value(self, type_, value, reason, words="", key=b"key", timestamp=0):
        self.city.given_value(type_, value, key, 0, timestamp)
        if reason:
            self.expected[(self.city.topic(type_), 0, self.next[type_])] = (reason, words)
        self.next[type_] += 1
        return self

    def event(self, event, reason, words=""):
        return self.value(event["type"], e.wire(event), reason, words, e.key(event))

    def folded(self):
        """Fold, and compare every letter with its record."""
        flushed(self.city.producer)
        self.city.fold()
        records, _ = log_of(self.city.kafka.bootstrap, self.city.name)
        sources = {(f"{self.city.name}.{name}", partition, offset): (timestamp, key, value)
                   for name, partition, offset, timestamp, key, value in records}
        letters = letters_in_topic(self.city.kafka.bootstrap, self.city.name)[1]
        got = {(letter["topic"], letter["partition"], letter["offset"]): letter for letter in letters}
        assert len(got) == len(letters), "a letter came twice without a crash"
        wrong = [f"{place}: expected {self.expected.get(place)}, got {got.get(place)}"[:400] for place in {*got, *self.expected}
                 if place not in got or place not in self.expected or got[place]["reason"] != self.expected[place][0]
                 or self.expected[place][1] not in got[place]["detail"]]
        assert not wrong, "\n".join(wrong)
        for place, letter in got.items():
            timestamp, key, value = sources[place]
            assert letter["timestamp"] == timestamp and letter["key"] == key == letter["message_key"]
            assert letter["value"] == (None if letter["reason"] == "too_large" else value)
            assert 0 < len(letter["detail"].encode()) <= 512
        assert int(self.city.total("dead_letters") or 0) == len(self.expected)
        return got


@pytest.fixture
def given(new_city):
    return Given(new_city(partitions=1))


# --- each reason ---

def test_too_large(given):
    small = e.wire(e.headcount("1", "hong-bang", 5))
    given.value(HEADCOUNT, b"x" * (MOST + 1), "too_large").value(HEADCOUNT, small + b"\0" * MOST, "too_large")
    given.value(VISIT, b"\0" * 900000, "too_large").value(MERGER, b"x" * MOST, "bad_framing")
    given.value(HEADCOUNT, small + b"\0" * (MOST - len(small)), "trailing_bytes").value(HEADCOUNT, small, None)
    letters = given.folded()
    for place, size, value in ((0, MOST + 1, b"x" * (MOST + 1)), (1, MOST + len(small), small + b"\0" * MOST)):
        detail = letters[(given.city.topic(HEADCOUNT), 0, place)]["detail"]
        assert f"{size} bytes" in detail and sha256(value) in detail
    assert f"900000 bytes, SHA-256 {sha256(bytes(900000))}" in letters[(given.city.topic(VISIT), 0, 0)]["detail"]
    given.city.expect_exact()


def test_bad_framing(given):
    sound = e.wire(e.headcount("1", "hong-bang", 5))
    for value in (None, b"", b"\xc3", sound[:9], b"\xc3\x02" + sound[2:], b"\x01" + sound[1:], b"\0\0\0\1", b"{}", sound[10:],
                  b"\xff" * 100):
        given.value(HEADCOUNT, value, "bad_framing").value(VISIT, value, "bad_framing")
    given.value(HEADCOUNT, None, "bad_framing", key=None).value(HEADCOUNT, sound, None, key=None)
    given.folded()
    given.city.expect_exact()


def test_unknown_schema(given):
    event, visit = e.headcount("1", "hong-bang", 5), e.visit("v")
    sound, merger = e.wire(event), e.wire(e.merger("1", "so-noi-vu", "commune", "merger", 9, 3))
    given.value(HEADCOUNT, b"\xc3\x01" + bytes(8) + sound[10:], "unknown_schema")
    given.value(HEADCOUNT, b"\xc3\x01" + bytes(8), "unknown_schema")
    given.value(HEADCOUNT, sound[:2] + sound[9:1:-1] + sound[10:], "unknown_schema")  # the fingerprint's bytes turned round
    given.value(HEADCOUNT, e.confluent(event, 1), "unknown_schema").value(HEADCOUNT, b"\0\0\0\0\1", "unknown_schema")
    given.value(HEADCOUNT, merger, "unknown_schema").value(HEADCOUNT, e.wire(visit), "unknown_schema")
    given.value(MERGER, sound, "unknown_schema").value(VISIT, sound, "unknown_schema").value(VISIT, merger, "unknown_schema")
    given.value(VISIT, e.wire(visit), None)
    given.folded()
    given.city.expect_exact()


def test_bad_encoding(given):
    sound = headcount_bytes()
    for size in range(10, len(sound)):
        given.value(HEADCOUNT, sound[:size], "bad_encoding", " at byte ")
    for replaced in (
            {"sector": long_(3)}, {"sector": long_(-1)}, {"reason": long_(8)}, {"reason": long_(-1)}, {"decision": long_(2)},
            {"decision": long_(-1)}, {"reverses": long_(2)}, {"source": long_(-1) + b"x"}, {"source": long_(1 << 40)},
            {"agency": long_((1 << 63) - 1)}, {"agency": long_(-(1 << 63))}, {"delta": long_(1 << 31)},
            {"delta": long_(-(1 << 31) - 1)}, {"effective_date": long_(1 << 40)}, {"occurred_at": b"\x80" * 10 + b"\0"},
            {"occurred_at": b"\xff" * 9 + b"\x02"}, {"decision": long_(1) + long_(4) + b"abc"}):
        given.value(HEADCOUNT, headcount_bytes(**replaced), "bad_encoding", f" in field {next(iter(replaced))}"
                    if "source" in replaced or "delta" in replaced else "")
    unit = text_("1") + text_("n")
    for merged in (long_(-2) + long_(7) + unit * 2 + long_(0), long_(-2) + long_(9) + unit * 2 + long_(0), long_(-2) + long_(-8) + unit * 2,
                   long_(3) + unit * 2, long_(1 << 40), long_(-(1 << 63)) + long_(8) + unit):
        given.value(MERGER, merger_bytes(merged), "bad_encoding")
    for value in (e.wire(e.visit("v"))[:-1], framed(VISIT), framed(VISIT, b"\x80" * 11)):
        given.value(VISIT, value, "bad_encoding")
    # The like of these is sound.
    given.value(HEADCOUNT, headcount_bytes(), None)
    given.value(HEADCOUNT, headcount_bytes(delta=long_(5, 8), decision=long_(1, 3) + long_(2, 2) + b"ab", sector=long_(2, 9)), None)
    for merged in (long_(2) + unit * 2 + long_(0), long_(-2) + long_(8) + unit * 2 + long_(0),
                   long_(1) + unit + long_(-1) + long_(4) + unit + long_(0, 4)):
        given.value(MERGER, merger_bytes(merged), None)
    given.folded()
    assert (given.city.total("events"), given.city.total("headcount_current")) == ("5", "10")
    assert given.city.total("mergers:commune") == "3"


def test_trailing_bytes(given):
    sound, visit = e.wire(e.headcount("1", "hong-bang", 5)), e.wire(e.visit("v"))
    broken = e.wire(e.headcount("2", "Hong Bang", 0, reason="retired", occurred_at=0))
    given.value(HEADCOUNT, sound + b"\0", "trailing_bytes", f" at byte {len(sound)}").value(VISIT, visit + b"\0", "trailing_bytes")
    given.value(HEADCOUNT, sound + sound, "trailing_bytes").value(HEADCOUNT, broken + b"x", "trailing_bytes")
    given.value(HEADCOUNT, sound, None)
    given.folded()
    given.city.expect_exact()


def broken_headcounts():
    def broken(words, *arguments, **fields):
        return e.headcount(uuid.uuid4().hex, *arguments, **fields), words
    for agency in ("", "Hong-bang", "-hong", "hong bang", "hồng-bàng", "a" * 65, "hong_bang", "hong\0"):
        yield broken("agency is ", agency, 5, source="good")
        yield {**e.headcount(uuid.uuid4().hex, "hong-bang", 5), "source": agency}, "source is "
    for delta in (0, 1000001, -1000001, 2147483647, -2147483648):
        yield broken("delta is ", "hong-bang", delta, "correction")
    for reason in ("baseline", "recruited", "transferred_in"):
        yield broken(f"delta is -1 with reason {reason}; allowed: above 0", "hong-bang", -1, reason)
    for reason in ("streamlined", "retired", "resigned", "transferred_out"):
        yield broken(f"delta is 1 with reason {reason}; allowed: below 0", "hong-bang", 1, reason)
    for date in ("1999-12-31", "2100-01-01", "0001-01-01"):
        yield broken(f"effective_date is {date}", "hong-bang", 5, date=date)
    yield broken("effective_date is ", "hong-bang", 5, effective_date=2147483647)
    for decision in ("", " ", "\u3000\u00a0", "a\tb", "a\u0085", "a\x7f", "x" * 129, "đ" * 65):
        yield broken("decision", "hong-bang", 5, decision=decision)
    yield broken("event id is the nil UUID", "hong-bang", 5, event_id=bytes(16))
    original = e.headcount("original", "hong-bang", 5)
    yield e.reversal(original, event_id=bytes(range(16))), "the event id is "
    yield e.reversal(original, event_id=original["event_id"]), "the event id is "
    yield e.reversal(original, reverses=bytes(16)), "reverses is the nil UUID"
    yield e.reversal(original, reverses=bytes(range(16))), "the event id is "


def broken_mergers():
    def broken(words, kind, before, after, **fields):
        return {**e.merger(uuid.uuid4().hex, "so-noi-vu", "commune", kind, before, after), **fields}, words
    for kind, pairs in (("baseline", ((1, 5), (0, 0), (5, 0))), ("merger", ((1, 0), (2, 2), (9, 0), (3, 9), (0, 0))),
                        ("dissolution", ((3, 3), (3, 4))), ("establishment", ((3, 3), (4, 3))), ("rearrangement", ((3, 3),)),
                        ("correction", ((3, 3), (0, 0)))):
        for before, after in pairs:
            yield broken(f"kind {kind} has units_before {before} and units_after {after}", kind, before, after)
    yield broken("", "correction", 5, 5, pilot_model="m", district="d")
    for before, after in ((100001, 3), (-1, 3), (3, 100001), (3, -1)):
        yield broken("allowed: 0 to 100,000", "correction", before, after)
    unit = {"id": "1", "name": "n"}
    for units in ([unit], [unit] * 3, [unit, {"id": "", "name": "n"}], [unit, {"id": "x" * 65, "name": "n"}], [unit, {"id": "1", "name": ""}],
                  [unit, {"id": "1", "name": "x" * 257}], [unit, {"id": "1\n", "name": "n"}], [unit, {"id": "1", "name": " "}]):
        yield broken("merged_units", "merger", 2, 1, merged_units=units)
        yield broken("resulting_units", "establishment", 1, 2, resulting_units=units)
    yield broken("merged_units has 257 units", "merger", 257, 1, merged_units=[unit] * 257)
    yield broken("merged_units has 700 units", "merger", 700, 1, merged_units=[unit] * 700)
    yield broken("district is missing", "merger", 2, 1, pilot_model="m")
    yield broken("pilot_model is missing", "merger", 2, 1, district="d")
    yield broken("pilot_model is ", "merger", 2, 1, pilot_model="M", district="d")
    yield broken("district is ", "merger", 2, 1, pilot_model="m", district="")
    yield broken("agency is ", "merger", 2, 1, agency="A")


def sound_edges():
    for number, fields in enumerate(({"decision": "x" * 128}, {"decision": "đ" * 64}, {"decision": "  x"}, {"effective_date": e.days("2000-01-01")},
                                     {"effective_date": e.days("2099-12-31")}, {"occurred_at": e.days("2000-01-01") * 86400000},
                                     {"occurred_at": e.now_ms() + 86000000}, {"delta": 1000000}, {"delta": -1000000, "reason": "correction"})):
        yield e.headcount(f"edge-{number}", "a" * 64, 5, **fields) if "delta" not in fields else {
            **e.headcount(f"edge-{number}", "0", 5), **fields}
    unit = {"id": "x" * 64, "name": "đ" * 128}
    yield e.merger("e1", "so-noi-vu", "commune", "merger", 256, 1, merged_units=[unit] * 256, resulting_units=[unit])
    yield e.merger("e2", "so-noi-vu", "commune", "dissolution", 100000, 0)
    yield e.merger("e3", "so-noi-vu", "commune", "rearrangement", 5, 5, pilot_model="m", district="d")


def test_rule_violations(given):
    for event, words in [*broken_headcounts(), *broken_mergers()]:
        given.event(event, "rule_violation", words)
    for bytes_ in (b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80"):
        given.value(HEADCOUNT, headcount_bytes(agency=text_(bytes_)), "rule_violation", "agency is ")
        given.value(HEADCOUNT, headcount_bytes(decision=long_(1) + text_(bytes_)), "rule_violation", "decision is ")
    for event in sound_edges():
        given.event(event, None)
    given.folded()
    assert given.city.expect_exact().totals["events"] == 12


def test_out_of_window(given):
    now, first = e.now_ms(), e.days("2000-01-01") * 86400000
    for occurred in (first - 1, 0, -1, -(1 << 63), (1 << 63) - 1, now + 86400000 + 3600000):
        given.event(e.headcount(uuid.uuid4().hex, "hong-bang", 5, occurred_at=occurred), "out_of_window", "occurred_at is ")
        given.event(e.merger(uuid.uuid4().hex, "hong-bang", "commune", "merger", 2, 1, occurred_at=occurred), "out_of_window", "occurred_at is ")
    for occurred in (now - 86400000 - 1000, now + 3600000, 0, -(1 << 63), (1 << 63) - 1):
        given.event(e.visit("v", occurred), "out_of_window", "from 24 h before to 5 min after")
    given.event(e.headcount("both", "hong-bang", 0, "retired", occurred_at=0), "rule_violation", "delta is 0")
    given.event(e.headcount("good", "hong-bang", 5, occurred_at=first), None)
    given.folded()
    given.city.expect_exact()


def test_the_window_goes_by_the_kafka_timestamp_to_the_millisecond(new_city):
    given = Given(new_city(partitions=1, timestamps="CreateTime"))
    at = e.days("2021-03-01") * 86400000
    for type_, early, late in ((HEADCOUNT, at - e.days("2000-01-01") * 86400000, 86400000), (VISIT, 86400000, 300000)):
        for occurred, reason in ((at - early, None), (at - early - 1, "out_of_window"),
                                 (at + late, None), (at + late + 1, "out_of_window")):
            event = e.visit(f"v{occurred}", occurred) if type_ == VISIT else e.headcount(f"{occurred}", "hong-bang", 5, occurred_at=occurred)
            given.value(type_, e.wire(event), reason, timestamp=at)
    given.folded()
    given.city.expect_exact()


# --- identities: repeats, conflicts, reversals ---

def test_the_first_of_two_meanings_stays(given):
    first = e.headcount("1", "hong-bang", 5)
    given.event(first, None).event({**first, "delta": 6}, "conflict").event({**first, "decision": "1/QĐ"}, "conflict")
    given.event({**first, "occurred_at": first["occurred_at"] - 5}, None).event({**first, "agency": "le-chan"}, None)
    merger = e.merger("1", "hong-bang", "commune", "merger", 9, 3)
    given.event(merger, None).event({**merger, "units_after": 4}, "conflict")
    given.event({**merger, "event_id": first["event_id"]}, None)  # another type: another identity
    given.folded()
    for event in ({**first, "delta": 7}, {**first, "sector": "commune"}, {**first, "effective_date": first["effective_date"] + 1},
                  {**first, "source": "other"}, {**merger, "merged_units": [{"id": str(n), "name": "n"} for n in range(9)]},
                  {**merger, "pilot_model": "m", "district": "d"}):
        given.event(event, "conflict", "counted before, with another meaning")
    given.event(first, None).event(merger, None)
    given.folded()
    expected = given.city.expect_exact()
    assert (expected.duplicates, expected.conflicts) == (3, 9)
    assert given.city.total("headcount_current") == "10" and given.city.total("units_change:commune") == "-12"


def test_a_dead_letter_takes_no_id(given):
    given.event(e.headcount("1", "hong-bang", -5, "recruited"), "rule_violation").event(e.headcount("1", "hong-bang", 5), None)
    given.event(e.headcount("2", "hong-bang", 5, occurred_at=0), "out_of_window").event(e.headcount("2", "hong-bang", 7), None)
    given.folded()
    given.city.expect_exact()
    assert given.city.total("headcount_current") == "12"


def test_a_reversal_counts_once(given):
    original = e.headcount("1", "hong-bang", -5)
    back = e.reversal(original, decision="2/QĐ")
    given.event(original, None).event(back, None).event(back, None).event({**back, "occurred_at": back["occurred_at"] + 1}, None)
    given.event(e.reversal(original, decision="3/QĐ"), "conflict")
    given.folded()
    assert given.city.expect_exact().duplicates == 2
    given.event(back, None).event(original, None)
    given.folded()
    given.city.expect_exact()
    assert given.city.total("headcount_current") == "0" and given.city.total("events") == "2"


def test_a_reversal_before_its_original(given):
    original = e.headcount("1", "hong-bang", 40, "baseline", date="2015-01-01")
    given.event(e.reversal(original), None)
    given.folded()
    assert given.city.total("headcount_baseline") == "-40" and given.city.total("reduction_percent") == ""
    given.event(original, None)
    given.folded()
    given.city.expect_exact()
    assert given.city.total("headcount_baseline") == "0"


def test_a_reversal_by_another_source(given):
    original = e.headcount("1", "hong-bang", 40)
    given.event(original, None).event(e.reversal(original, source="inspector"), None)
    given.event(e.reversal(e.reversal(original)), None)  # a reversal of a reversal takes away what it says, as it stands
    given.folded()
    given.city.expect_exact()
    assert given.city.total("headcount_current") == "-40"


def test_reversals_of_mergers_baselines_and_pilots(given):
    baseline = e.merger("b", "so-noi-vu", "commune", "baseline", 0, 223, date="2015-01-01")
    second = e.merger("b2", "so-noi-vu", "commune", "baseline", 0, 7, date="2015-01-01")
    pilot = e.merger("p", "so-noi-vu", "city_division", "merger", 5, 2, pilot_model="m", district="hong-bang")
    twin = e.merger("q", "so-noi-vu", "city_division", "rearrangement", 5, 5, pilot_model="m", district="hong-bang")
    for event in (baseline, second, pilot, twin):
        given.event(event, None)
    given.folded()
    assert given.city.total("units_baseline:commune") == "230" and given.city.total("pilots") == "1"
    given.event(e.reversal(pilot), None).event(e.reversal(baseline), None)
    given.folded()
    given.city.expect_exact()
    assert given.city.total("units_baseline:commune") == "7" and given.city.total("pilots") == "1"
    assert given.city.total("mergers:city_division") == given.city.total("units_merged:city_division") == "0"
    given.event(e.reversal(twin), None).event(e.reversal(second), None)
    given.folded()
    given.city.expect_exact()
    assert given.city.total("units_baseline:commune") is None and given.city.total("pilots") == "0"


def test_headcount_percent_is_null_again_without_a_baseline(given):
    baseline = e.headcount("b", "hong-bang", 300, "baseline", date="2015-01-01")
    given.event(baseline, None).event(e.headcount("1", "hong-bang", -1), None)
    given.folded()
    assert given.city.total("reduction_percent") == "0.3333"
    given.event(e.reversal(baseline), None)
    given.folded()
    given.city.expect_exact()
    assert given.city.total("reduction_percent") == "" and given.city.total("headcount_current") == "-1"


# --- the dead-letter topic ---

def test_letters_of_the_largest_values_and_keys_fit(given):
    big = Producer({"bootstrap.servers": given.city.kafka.bootstrap, "message.max.bytes": 2000000, "log_level": 0})
    given.city.producer = big
    key = bytes(range(256)) * 3900
    given.value(HEADCOUNT, b"x" * MOST, "bad_framing", key=key[:700000])
    given.value(HEADCOUNT, b"x", "bad_framing", key=key).value(HEADCOUNT, b"x" * 1048000, "too_large", key=None)
    for _ in range(6):
        given.value(MERGER, b"y" * MOST, "bad_framing", key=b"")
    given.folded()
    given.city.expect_exact()


def waiting(city, consumer):
    return {name: value for name, value in city.metrics(consumer).items() if name.startswith("waiting{") and value}


BREAKS = {
    "deleted": (lambda city, topic: city.kafka.delete_topic(topic),
                lambda city, topic: city.kafka.create_topic(topic, 1, **{"max.message.bytes": "2097152"})),
    "small": (lambda city, topic: city.kafka.set_topic(topic, "max.message.bytes", "1000"),
              lambda city, topic: city.kafka.set_topic(topic, "max.message.bytes", "2097152")),
    "refusing": (lambda city, topic: city.kafka.set_topic(topic, "cleanup.policy", "compact"),
                 lambda city, topic: city.kafka.set_topic(topic, "cleanup.policy", "delete")),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_partition_waits_while_its_letter_cannot_be_written(new_city, how):
    city = new_city(partitions=2)
    unwritable, mended = BREAKS[how]
    topic = f"{city.name}.dead-letters"
    unwritable(city, topic)
    city.given_value(HEADCOUNT, b"poison" * 500, None, 0)
    city.given_events(e.headcount("after", "hong-bang", 1), partition=0)
    city.given_events(e.headcount("beside", "hong-bang", 2), partition=1)
    city.given_events(e.merger("beside", "hong-bang", "commune", "merger", 9, 3), e.visit("v"), partition=0)
    consumer = city.consumer("--management", "127.0.0.1:0", "--retry-interval", "500ms")
    place = f"{city.topic(HEADCOUNT)}/0"
    consumer.wait_for_log(rf"{place} waits: the dead letter of offset 0 can't be written: ")
    wait_until("its metric says that it waits", lambda: waiting(city, consumer) == {f'waiting{{partition="{place}"}}': 1}, 60,
               consumer.check_alive)
    wait_until("the others go on", lambda: city.total("events") == "2" and city.total("visits") == "1", 90, consumer.check_alive)
    city.given_events(e.headcount("later", "hong-bang", 4), partition=1)
    wait_until("the others go on", lambda: city.total("headcount_current") == "6", 90, consumer.check_alive)
    stored = city.redis.client.hgetall(city.key("offsets"))
    assert stored.get(place, "0") == "0" and city.total("dead_letters") in (None, "0")
    mended(city, topic)
    city.wait_until_folded(90, consumer.check_alive)
    wait_until("nothing waits", lambda: not waiting(city, consumer), 60, consumer.check_alive)
    assert consumer.stop() == 0
    city.expect_exact()
    assert city.total("dead_letters") == "1" and city.total("headcount_current") == "7"


def test_until_end_does_not_end_before_the_letter_is_written(new_city):
    city = new_city(partitions=1)
    city.kafka.set_topic(f"{city.name}.dead-letters", "max.message.bytes", "1000")
    city.given_value(HEADCOUNT, b"poison" * 500, None, 0)
    flushed(city.producer)
    consumer = city.consumer("--until-end", "--retry-interval", "300ms")
    consumer.wait_for_log("can't be written")
    city.kafka.set_topic(f"{city.name}.dead-letters", "max.message.bytes", "2097152")
    assert consumer.wait(120) == 0
    city.expect_exact()
    assert city.total("dead_letters") == "1"
