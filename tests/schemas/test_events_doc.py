"""Every value in docs/events.md, computed again by Python, and by our own code."""
import csv
import datetime
import hashlib
import io
import json
import re
import struct
import subprocess
import unicodedata
import uuid

import xxhash

from tests.lab.events import FINGERPRINTS, SCHEMA_JSON, TYPES, days, wire
from tests.lab.process import BUILD, ROOT
from tests.schemas.reference import ask, named, plain, without_counts

DEFAULTS = {"headcount-change": {"decision": None, "reverses": None},
            "unit-merger": {"merged_units": [], "resulting_units": [], "pilot_model": None, "district": None, "decision": None,
                            "reverses": None}, "page-visit": {}}


def document():
    return (ROOT / "docs" / "events.md").read_text()


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", document(), re.M | re.S).group(1)


def rows(title, number=0):
    """The cells of a section's table, without back-quotes and head."""
    table = re.findall(r"(?:^\|.*\n)+", section(title), re.M)[number]
    return [[cell.strip().strip("`") for cell in line.strip().strip("|").split("|")] for line in table.strip().split("\n")[2:]]


def block(title, language):
    return re.search(rf"```{language}\n(.*?)```", section(title), re.S).group(1)


def hexes(title):
    """The hex values of a numbered list."""
    return [found for line in re.findall(r"^\d\. (`.*)$", section(title), re.M) if (found := re.findall(r"`([0-9a-f]{8,})`", line))]


def event_of(fields):
    """A JSON line as the Avro event, by the words of the page."""
    fields = dict(fields)
    type_ = fields.pop("type")
    moment = datetime.datetime.fromisoformat(fields["occurred_at"].replace("Z", "+00:00"))
    event = {"type": type_, **DEFAULTS[type_], **fields,
             "occurred_at": (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(milliseconds=1)}
    if type_ == "page-visit":
        return event | {"visitor": bytes.fromhex(fields["visitor"])}
    event["effective_date"] = days(fields["effective_date"])
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, f"urn:citytotals:{type_}:{fields['source']}:{fields['agency']}")
    id_ = uuid.uuid5(namespace, unicodedata.normalize("NFC", event.pop("id", None) or fields["reverses"]))
    event["event_id"], event["reverses"] = id_.bytes, None
    if fields.get("reverses"):
        event["event_id"], event["reverses"] = uuid.uuid5(id_, "reversal").bytes, id_.bytes
    return event


def serialised(event):
    """What the meaning digest is made of."""
    def number(value):
        return struct.pack("<i", value)

    def text(value):
        return number(-1) if value is None else number(len(value.encode())) + value.encode()

    def place(field):
        schema = next(each for each in SCHEMA_JSON[event["type"]]["fields"] if each["name"] == field)["type"]
        return number(schema["symbols"].index(event[field]))

    def units(value):
        return number(len(value)) + b"".join(text(unit["id"]) + text(unit["name"]) for unit in value)

    out = text(event["source"]) + number(event["effective_date"]) + text(event["decision"])
    out += b"\0" if event["reverses"] is None else b"\1" + event["reverses"]
    if event["type"] == "headcount-change":
        return out + place("sector") + place("reason") + number(event["delta"])
    return (out + place("category") + place("kind") + number(event["units_before"]) + number(event["units_after"]) +
            units(event["merged_units"]) + units(event["resulting_units"]) + text(event["pilot_model"]) + text(event["district"]))


def murmur2(data):
    def mix(value):
        value = value * 0x5BD1E995 & 0xFFFFFFFF
        return (value ^ value >> 24) * 0x5BD1E995 & 0xFFFFFFFF

    value, whole = (0x9747B28C ^ len(data)) & 0xFFFFFFFF, len(data) // 4 * 4
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        value = value * 0x5BD1E995 & 0xFFFFFFFF ^ mix(word)
    if data[whole:]:
        value = (value ^ int.from_bytes(data[whole:], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    value = (value ^ value >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return value ^ value >> 15


def lines():
    return [json.loads(line) for line in block("JSON", "json").splitlines()]


def by_us(event):
    """Our own code's answer for an event of Kafka's time 2020-11-20."""
    value = wire(event)
    [answer] = ask([("D", event["type"], value)])
    assert answer["reason"] == "none"
    assert without_counts(answer["event"])[0] == plain(event["type"], event)
    assert bytes.fromhex(answer["again"]) == value
    return answer


def test_types_and_topics():
    assert [(row[0], row[1], row[2]) for row in
            [[cell.strip("`") for cell in line] for line in
             (re.findall(r"`([^`]*)`", line) for line in document().splitlines() if line.startswith("| `") and "<city>." in line)]] == \
        [(type_, "citytotals." + SCHEMA_JSON[type_]["name"], "<city>." + topic) for type_, topic in TYPES.items()]


def test_fields_and_words_are_the_schemas():
    tables = {"headcount-change": "Headcount change", "unit-merger": "Unit merger"}
    for type_, title in tables.items():
        schema, text = SCHEMA_JSON[type_], section(title)
        quoted = set(re.findall(r"`([a-z_]+)`", text))
        assert {field["name"] for field in schema["fields"]} - quoted == {"event_id"}
        for enum in named(schema, {}).values():
            if enum["type"] == "enum":
                assert set(enum["symbols"]) <= quoted
    assert [row[0] for row in rows("Unit merger", 1)] == named(SCHEMA_JSON["unit-merger"], {})["MergerKind"]["symbols"]
    assert [row[0] for row in rows("Dead letters")] == named(SCHEMA_JSON["dead-letter"], {})["DeadLetterReason"]["symbols"]


def test_the_json_lines_keep_every_rule():
    known = {"id", "type", "reverses"}
    for fields in lines():
        assert set(fields) <= known | {field["name"] for field in SCHEMA_JSON[fields["type"]]["fields"]}
        assert by_us(event_of(fields))["violation"] is None


def test_the_csv_rows_are_the_first_json_lines():
    table = list(csv.DictReader(io.StringIO(block("CSV", "csv"))))
    found = [{name: int(cell) if name in ("delta", "units_before", "units_after") else cell for name, cell in row.items() if cell}
             for row in table]
    assert found == lines()[:3]


def test_the_producer_takes_the_examples(tmp_path):
    visit = {name: value for name, value in lines()[4].items() if name != "occurred_at"}  # only today's are taken
    files = {"examples.ndjson": "".join(json.dumps(each) + "\n" for each in [*lines()[:4], visit]), "examples.csv": block("CSV", "csv")}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        done = subprocess.run([BUILD / "producer" / "citytotals-producer", "send", "--dry-run", tmp_path / name],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert f"{5 if 'json' in name else 3} events to send" in done.stderr


def test_event_ids():
    table = rows("Event id")
    assert len(table) == 4
    for type_, source, agency, id_, inner, event_id, reversal in table:
        assert uuid.uuid5(uuid.NAMESPACE_URL, f"urn:citytotals:{type_}:{source}:{agency}") == uuid.UUID(inner)
        assert uuid.uuid5(uuid.UUID(inner), id_) == uuid.UUID(event_id)
        assert uuid.uuid5(uuid.UUID(event_id), "reversal") == uuid.UUID(reversal)


def test_fingerprints():
    assert [[name, fingerprint, head] for name, fingerprint, head in rows("On the wire")] == \
        [[SCHEMA_JSON[type_]["name"], FINGERPRINTS[type_][::-1].hex(), "c301" + FINGERPRINTS[type_].hex()] for type_ in SCHEMA_JSON]


def test_values_on_the_wire():
    assert hexes("On the wire") == [[wire(event_of(fields)).hex()] for fields in lines()]


def test_meanings():
    found = hexes("Meaning")
    assert len(found) == 4
    for fields, (bytes_, digest) in zip(lines(), found):
        event = event_of(fields)
        assert serialised(event).hex() == bytes_
        assert xxhash.xxh3_64_hexdigest(bytes.fromhex(bytes_)) == digest == by_us(event)["digest"]


def test_lanes():
    table = rows("Where an identity is kept")
    assert len(table) == 4
    for agency, hash_, lane, salt in table:
        assert murmur2(agency.encode()) & 0x7FFFFFFF == int(hash_)
        assert int(hash_) % 64 == int(lane)
        assert hashlib.sha256(f"headcount-change:{agency}".encode()).hexdigest() == salt
        event = event_of(lines()[0] | {"agency": agency})
        answer = by_us(event)
        assert answer["lane"] == int(lane)
        assert hashlib.sha256(bytes.fromhex(salt) + event["event_id"]).digest()[:16].hex() == answer["identity"]
