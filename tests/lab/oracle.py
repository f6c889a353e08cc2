"""The totals recomputed from the log by the public contract's words, with nothing of the program's code."""
import collections
import hashlib
import io
import re
import time
import unicodedata

import fastavro
from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests.lab.events import CATEGORIES, FINGERPRINTS, SCHEMAS, SECTORS, TYPES, day_text, days, reversal_id
from tests.lab.kafka import answered

DAY, CITY_OFFSET = 86400000, 7 * 3600000
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")


def log_of(bootstrap, city, names=tuple(TYPES.values())):
    """Every committed record as (name, partition, offset, timestamp, key, value), each partition in order; and the ends."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "oracle", "enable.auto.commit": False, "log_level": 0,
                         "isolation.level": "read_committed", "enable.partition.eof": True, "auto.offset.reset": "earliest"})
    records, ends, open_ = [], {}, set()
    try:
        topics = consumer.list_topics(timeout=30).topics
        for _ in range(200):  # a topic that was made a moment ago may not be seen yet
            if all(f"{city}.{name}" in topics for name in names):
                break
            time.sleep(0.05)
            topics = consumer.list_topics(timeout=30).topics
        parts = [TopicPartition(f"{city}.{name}", number, 0) for name in names for number in topics[f"{city}.{name}"].partitions]
        for part in parts:
            low, high = answered(f"where the log of {part} begins and ends", lambda part=part: consumer.get_watermark_offsets(part, timeout=30))
            ends[f"{part.topic}/{part.partition}"] = high
            part.offset = low
            if high > low:
                open_.add((part.topic, part.partition))
        consumer.assign(parts)
        while open_:
            for message in consumer.consume(10000, timeout=0.1):
                if message.error():
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    open_.discard((message.topic(), message.partition()))
                    continue
                records.append((message.topic().split(".", 1)[1], message.partition(), message.offset(),
                                message.timestamp()[1], message.key(), message.value()))
    finally:
        consumer.close()
    records.sort(key=lambda record: record[:3])
    return records, ends


def text_fault(value, most):
    """Bytes that are not UTF-8 have become surrogates, of category Cs."""
    return (not 1 <= len(value.encode(errors="surrogateescape")) <= most or not value.strip() or
            any(unicodedata.category(c) in ("Cc", "Cs") for c in value))


def breaks_rule(type_, event):
    if type_ == "page-visit":
        return False
    if event["event_id"] == bytes(16) or not ID.match(event["source"]) or not ID.match(event["agency"]):
        return True
    if not days("2000-01-01") <= event["effective_date"] <= days("2099-12-31"):
        return True
    if event["decision"] is not None and text_fault(event["decision"], 128):
        return True
    if event["reverses"] is not None and (event["reverses"] == bytes(16) or event["event_id"] != reversal_id(event["reverses"])):
        return True
    if type_ == "headcount-change":
        delta, reason = event["delta"], event["reason"]
        if delta == 0 or abs(delta) > 1000000:
            return True
        if reason in ("baseline", "recruited", "transferred_in"):
            return delta < 0
        return reason != "correction" and delta > 0
    before, after, kind = event["units_before"], event["units_after"], event["kind"]
    good = {"baseline": before == 0 and after > 0, "merger": before >= 2 and 1 <= after < before, "dissolution": after < before,
            "establishment": after > before, "correction": after != before,
            "rearrangement": after != before or event["pilot_model"] is not None}[kind]
    if not good or not 0 <= before <= 100000 or not 0 <= after <= 100000:
        return True
    for units, count in ((event["merged_units"], before), (event["resulting_units"], after)):
        if units and (len(units) != count or len(units) > 256 or
                      any(text_fault(unit["id"], 64) or text_fault(unit["name"], 256) for unit in units)):
            return True
    pilot, district = event["pilot_model"], event["district"]
    return (pilot is None) != (district is None) or (pilot is not None and not (ID.match(pilot) and ID.match(district)))


def judge(type_, value, timestamp, registry=None):
    """(reason, event): the reason is None for a good event. `registry`: what schema ids mean, parsed by fastavro."""
    if value is not None and len(value) > 262144:
        return "too_large", None
    if value is None or len(value) < 1 or value[0] not in (0x00, 0xC3):
        return "bad_framing", None
    if value[0] == 0x00:
        if len(value) < 5:
            return "bad_framing", None
        writer = (registry or {}).get(int.from_bytes(value[1:5], "big"))
        if not writer or writer["name"] != SCHEMAS[type_]["name"]:
            return "unknown_schema", None
        stream = io.BytesIO(value[5:])
    else:
        if len(value) < 10 or value[1] != 0x01:
            return "bad_framing", None
        if value[2:10] != FINGERPRINTS[type_]:
            return "unknown_schema", None
        writer, stream = SCHEMAS[type_], io.BytesIO(value[10:])
    try:
        event = fastavro.schemaless_reader(stream, writer, SCHEMAS[type_], handle_unicode_errors="surrogateescape")
    except Exception:
        return "bad_encoding", None
    if stream.read():
        return "trailing_bytes", event
    if breaks_rule(type_, event):
        return "rule_violation", event
    if type_ == "page-visit":
        late = not timestamp - DAY <= event["occurred_at"] <= timestamp + 300000
    else:
        late = not days("2000-01-01") * DAY <= event["occurred_at"] <= timestamp + DAY
    return ("out_of_window" if late else None), event


def meaning(event):
    return repr(sorted((name, value) for name, value in event.items() if name != "occurred_at"))


def percent(reduction, baseline):
    if baseline <= 0:
        return ""
    scaled, rest = divmod(abs(reduction) * 1000000, baseline)
    scaled += rest * 2 >= baseline
    return f"{'-' if reduction < 0 and scaled else ''}{scaled // 10000}.{scaled % 10000:04d}"


class Expected:
    """What Redis must hold after the whole log."""

    def __init__(self, bootstrap, city, registry=None):
        self.city = city
        records, self.offsets = log_of(bootstrap, city)
        self.totals = collections.Counter()
        self.hashes = collections.defaultdict(collections.Counter)
        self.letters = set()
        self.conflicts = self.duplicates = 0
        self.visitors = collections.defaultdict(dict)
        self.updated_ms = 0
        seen = {}
        for name, partition, offset, timestamp, _, value in records:
            self.updated_ms = max(self.updated_ms, timestamp)
            type_ = next(type_ for type_, topic in TYPES.items() if topic == name)
            reason, event = judge(type_, value, timestamp, registry)
            if reason is None and type_ != "page-visit":
                identity = (type_, event["agency"], event["event_id"])
                if identity in seen:
                    if seen[identity] == meaning(event):
                        self.duplicates += 1
                        continue
                    reason = "conflict"
                    self.conflicts += 1
                else:
                    seen[identity] = meaning(event)
            if reason:
                self.letters.add((f"{city}.{name}", partition, offset, reason))
                self.hashes["dead-letters"][reason] += 1
            elif type_ == "headcount-change":
                self.headcount(event)
            elif type_ == "unit-merger":
                self.merger(event)
            else:
                self.visit(event, partition, timestamp)
        self.totals["events"] = len(seen)
        self.totals["dead_letters"] = len(self.letters)
        self.totals["visits"] = sum(self.hashes["visits:by-day"].values())
        self.totals["pilots"] = sum(count > 0 for count in self.hashes["pilots"].values())
        self.totals["headcount_reduction"] = self.totals["headcount_baseline"] - self.totals["headcount_current"]

    def headcount(self, event):
        amount = -event["delta"] if event["reverses"] else event["delta"]
        day = day_text(event["effective_date"])
        for measure in ["current"] + ["baseline"] * (event["reason"] == "baseline"):
            self.totals[f"headcount_{measure}"] += amount
            self.totals[f"headcount_{measure}:{event['sector']}"] += amount
            self.hashes[f"headcount:{measure}"][event["agency"]] += amount
            self.hashes["headcount:by-day"][f"{day}:{measure}:{event['sector']}"] += amount

    def merger(self, event):
        sign = -1 if event["reverses"] else 1
        day, category = day_text(event["effective_date"]), event["category"]
        if event["kind"] == "baseline":
            amounts = {"baselines": sign, "baseline": sign * event["units_after"]}
        else:
            amounts = {"change": sign * (event["units_after"] - event["units_before"])}
        if event["kind"] == "merger":
            amounts |= {"merged": sign * event["units_before"], "mergers": sign}
        for measure, amount in amounts.items():
            self.hashes["units"][f"{measure}:{category}"] += amount
            self.hashes["units:by-day"][f"{day}:{measure}:{category}"] += amount
        if event["pilot_model"]:
            pair = f"{event['pilot_model']}/{event['district']}"
            self.hashes["pilots"][pair] += sign
            self.hashes["pilots:by-day"][f"{day}:{pair}"] += sign

    def visit(self, event, partition, timestamp):
        day = (event["occurred_at"] + CITY_OFFSET) // DAY
        latest = self.visitors[day]
        known = latest.get(event["visitor"])
        if known is None or event["occurred_at"] - known >= 1800000:
            self.hashes["visits:by-day"][day_text(day)] += 1
        time = min(event["occurred_at"], timestamp)
        if known is None or time > known:
            latest[event["visitor"]] = time

    def fields(self):
        """`totals` as Redis must have it, but version and updated_at; zero and absent are the same."""
        fields = {name: str(value) for name, value in self.totals.items() if value}
        fields["reduction_percent"] = percent(self.totals["headcount_reduction"], self.totals["headcount_baseline"])
        units = self.hashes["units"]
        for category in CATEGORIES:
            if units[f"baselines:{category}"] > 0:
                fields[f"units_baseline:{category}"] = str(units[f"baseline:{category}"])
            for name, measure in (("units_change", "change"), ("units_merged", "merged"), ("mergers", "mergers")):
                fields[f"{name}:{category}"] = str(units[f"{measure}:{category}"])
        return {name: value for name, value in fields.items() if value not in ("0", "")}


def differences(expected, client):
    """Sentences, one for each difference between Redis and the recomputation; none when all is exact."""
    prefix = f"{{{expected.city}}}:"
    found = []

    def compare(key, want, have):
        for field in sorted(set(want) | set(have)):
            if want.get(field) != have.get(field):
                found.append(f"{key} {field}: recomputed {want.get(field)}, Redis has {have.get(field)}")

    have = {name: value for name, value in client.hgetall(prefix + "totals").items()
            if name not in ("version", "updated_at") and (value not in ("0", "") or name.startswith("units_baseline:"))}
    compare("totals", expected.fields(), have)
    offsets = {name: value for name, value in client.hgetall(prefix + "offsets").items() if value != "0"}
    compare("offsets", {name: str(value) for name, value in expected.offsets.items() if value}, offsets)
    for key in ("headcount:baseline", "headcount:current", "headcount:by-day", "units", "units:by-day", "pilots",
                "pilots:by-day", "visits:by-day", "dead-letters"):
        compare(key, {name: str(value) for name, value in expected.hashes[key].items() if value},
                {name: value for name, value in client.hgetall(prefix + key).items() if value != "0"})
    lanes = sum(client.strlen(f"{prefix}seen:{lane}") for lane in range(64))
    if lanes != 24 * expected.totals["events"]:
        found.append(f"the seen lanes hold {lanes / 24} records, recomputed {expected.totals['events']} events")
    return found


def letters_in_topic(bootstrap, city, schema_id=None):
    """The dead letters as (topic, partition, offset, reason), a set: repeats are legal; and every decoded letter.
    `schema_id`: they carry Confluent framing with it."""
    records, _ = log_of(bootstrap, city, ("dead-letters",))
    letters = []
    head = b"\xc3\x01" + FINGERPRINTS["dead-letter"] if schema_id is None else b"\0" + schema_id.to_bytes(4, "big")
    for record in records:
        value = record[5]
        assert value.startswith(head), value[:10].hex()
        letter = fastavro.schemaless_reader(io.BytesIO(value[len(head):]), SCHEMAS["dead-letter"], None)
        assert len(letter["detail"].encode()) <= 512
        letter["message_key"] = record[4]
        letters.append(letter)
    return {(each["topic"], each["partition"], each["offset"], each["reason"]) for each in letters}, letters


def sha256(value):
    return hashlib.sha256(value).hexdigest()


__all__ = ["Expected", "SECTORS", "differences", "judge", "letters_in_topic", "log_of", "percent", "sha256"]
