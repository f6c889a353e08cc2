"""Writers with another schema than ours, by a seeded generator: what the plan gives is what fastavro's resolving reader
gives, and what it refuses fastavro refuses; canonical forms and fingerprints are fastavro's."""
import collections
import copy
import io
import json
import random
import struct

import fastavro
from fastavro.schema import to_parsing_canonical_form

from tests.lab.events import SCHEMA_JSON, SCHEMAS, without_logical_types
from tests.schemas.reference import TYPE_NAMES, ask, named, plain, without_counts
from tests.schemas.test_differential import SEED, some_number, some_text

WRITERS, VALUES = 400, 3


class Made:
    """Random schemas whose named types have names of their own."""

    def __init__(self, rng):
        self.rng, self.names = rng, 0

    def name(self):
        self.names += 1
        return self.rng.choice(["", "", "other.", "citytotals.deep."]) + f"T{self.names}"

    def schema(self, deep=0, union=False):
        kinds = ["null", "boolean", "int", "long", "float", "double", "bytes", "string", "enum", "fixed"]
        kind = self.rng.choice(kinds if deep > 2 else kinds + ["record", "array", "map"] + ([] if union else ["union"]))
        if kind == "record":
            return {"type": "record", "name": self.name(),
                    "fields": [{"name": f"f{i}", "type": self.schema(deep + 1)} for i in range(self.rng.randrange(4))]}
        if kind == "enum":
            return {"type": "enum", "name": self.name(), "symbols": [f"S{i}" for i in range(self.rng.randint(1, 5))], "doc": "d"}
        if kind == "fixed":
            return {"name": self.name(), "type": "fixed", "aliases": ["old"], "size": self.rng.choice([1, 2, 16, 17])}
        if kind == "array":
            return {"type": "array", "items": self.schema(deep + 1)}
        if kind == "map":
            return {"type": "map", "values": self.schema(deep + 1)}
        if kind == "union":
            branches = {self.key(each): each for each in (self.schema(deep + 1, True) for _ in range(self.rng.randint(1, 4)))}
            return list(branches.values())
        return self.rng.choice([kind, {"type": kind}])

    @staticmethod
    def key(schema):
        return schema.get("name", schema["type"]) if isinstance(schema, dict) else schema


def number(value):
    zigzag, out = (value << 1) ^ (value >> 63), bytearray()
    while zigzag >= 0x80:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes(out) + bytes([zigzag])


def body_of(rng, schema, known):
    """The bytes of any value of the schema."""
    if isinstance(schema, list):
        branch = rng.randrange(len(schema))
        return number(branch) + body_of(rng, schema[branch], known)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(kind, (dict, list)):
        return body_of(rng, kind, known)
    if kind in known:
        return body_of(rng, known[kind], known)
    if kind == "record":
        return b"".join(body_of(rng, field["type"], known) for field in schema["fields"])
    if kind in ("array", "map"):
        count, text = rng.randrange(4), some_text(rng).encode()
        key = number(len(text)) + text if kind == "map" else b""
        items = b"".join(key + body_of(rng, schema["items" if kind == "array" else "values"], known) for _ in range(count))
        head = b"" if not count else number(count) if rng.random() < 0.5 else number(-count) + number(len(items))
        return head + items + number(0)
    if kind in ("string", "bytes"):
        text = some_text(rng).encode()
        return number(len(text)) + text
    return {"null": lambda: b"", "boolean": lambda: rng.choice([b"\0", b"\1"]), "int": lambda: number(some_number(rng, 32)),
            "long": lambda: number(some_number(rng, 64)), "float": lambda: rng.randbytes(4), "double": lambda: rng.randbytes(8),
            "fixed": lambda: rng.randbytes(schema["size"]), "enum": lambda: number(rng.randrange(len(schema["symbols"])))}[kind]()


def changed(rng, schema):
    """Our schema as another writer may have it: resolvable or not."""
    schema, made = copy.deepcopy(schema), Made(rng)
    fields = schema["fields"]

    def field(name):
        return next((each for each in fields if each["name"] == name), None)

    for _ in range(rng.randint(1, 5)):
        kind = rng.randrange(12)
        target = rng.choice(fields) if fields else None
        if kind in (0, 1, 2):
            fields.append({"name": f"added{len(fields)}{rng.randrange(10**6)}", "type": made.schema()})
        elif kind == 3 and target:
            optional = [each for each in fields if "default" in each]
            gone = rng.choice(optional) if optional and rng.random() < 0.8 else target
            fields.remove(gone)
        elif kind == 4 and field("occurred_at"):
            field("occurred_at")["type"] = rng.choice(["int", "long", ["null", "long"], ["string", "int"], "string"])
        elif kind == 5 and field("source"):
            field("source")["type"] = rng.choice(["bytes", ["bytes", "string"], ["null", "string"], "int"])
        elif kind == 6 and field("decision"):
            field("decision")["type"] = rng.choice(["string", "null", ["string", "null"], ["null", "bytes", "int"], ["null", "bytes"]])
        elif kind == 7:
            for each in fields:
                if isinstance(each["type"], dict) and each["type"]["type"] == "enum":
                    symbols = each["type"]["symbols"]
                    rng.shuffle(symbols)
                    if rng.random() < 0.4:
                        symbols.insert(rng.randrange(len(symbols) + 1), f"added{rng.randrange(10**6)}")
                    elif len(symbols) > 1:
                        symbols.pop()
        elif kind == 8:
            schema["namespace"] = rng.choice(["other", "a.b", "citytotals"])
        elif kind == 9 and field("delta"):
            field("delta")["type"] = rng.choice(["long", ["null", "int"], "int", ["int", "long"]])
        elif kind == 10 and field("merged_units"):
            units = field("merged_units")["type"]
            if isinstance(units, dict) and isinstance(units["items"], dict):
                units["items"] = rng.choice([["null", units["items"]], [units["items"]], ["string", units["items"], "int"]])
        elif kind == 11:  # passed over, however it holds itself
            name = made.name()
            fields.append({"name": f"added{len(fields)}{rng.randrange(10**6)}", "type": {
                "type": "record", "name": name, "fields": [
                    {"name": "x", "type": made.schema(2)},
                    {"name": "next", "type": rng.choice([["null", name], ["int", name, "null"]])},
                    {"name": "y", "type": "int"}]}})
    for each in fields:
        if each["name"] in ("source", "decision", "occurred_at", "delta"):
            each.pop("default", None)
    # a named type must be defined before it is used: those that others refer to stay in place
    loose = [each for each in fields if each["name"] not in ("event_id", "reverses", "merged_units", "resulting_units")]
    rng.shuffle(loose)
    rest = iter(loose)
    schema["fields"] = [each if each not in loose else next(rest) for each in fields]
    return rng.choice([schema] * 8 + [["null", schema], [schema]])


def renamed(rng, reader):
    """Our schema as it may come to be: with aliases, and symbols that stand for unknown ones; the way back for a writer."""
    reader, names = copy.deepcopy(reader), {}
    for field in reader["fields"]:
        if rng.random() < 0.4:
            names[field["name"]] = f"old_{field['name']}"
            field["aliases"] = [f"older_{field['name']}", f"old_{field['name']}"]
        if isinstance(field["type"], dict) and field["type"]["type"] == "enum" and rng.random() < 0.7:
            field["type"]["default"] = rng.choice(field["type"]["symbols"])
    reader["aliases"] = ["citytotals.Renamed"]
    return reader, names


def test_writers_resolve_as_fastavro_resolves_them():
    rng, requests, expected = random.Random(SEED), [], []
    for number in range(WRITERS):
        type_ = TYPE_NAMES[number % 3]
        writer = changed(rng, without_logical_types(SCHEMA_JSON[type_]))
        try:
            parsed = fastavro.parse_schema(copy.deepcopy(writer))
        except fastavro.schema.UnknownType:
            parsed = None  # a definition went away with its field
        known = {}
        if parsed:
            known = named(writer, {})
        for _ in range(VALUES if parsed else 1):
            body, event = b"", None
            if parsed:
                body = body_of(rng, writer, known)
                try:
                    event = plain(type_, fastavro.schemaless_reader(io.BytesIO(body), parsed, SCHEMAS[type_]))
                except Exception:  # of many kinds
                    event = None
            text = json.dumps(writer).encode()
            requests.append(("W", type_, struct.pack("<I", len(text)) + text + body))
            expected.append((writer, body, event))
    reasons = collections.Counter()
    for (writer, body, event), answer in zip(expected, ask(requests)):
        place = (SEED, json.dumps(writer), body.hex(), answer["reason"])
        reasons[answer["reason"]] += 1
        assert (answer["reason"] == "none") == (event is not None), place
        if event is not None:
            assert without_counts(answer["event"])[0] == event, place
    assert min(reasons[each] for each in ("none", "unknown_schema")) > 30, reasons


def test_aliases_and_enum_defaults_of_a_reader_resolve_as_fastavros():
    rng, requests, expected = random.Random(SEED), [], []
    for number in range(WRITERS):
        type_ = TYPE_NAMES[number % 3]
        reader, names = renamed(rng, without_logical_types(SCHEMA_JSON[type_]))
        writer = without_logical_types(SCHEMA_JSON[type_])
        for field in writer["fields"]:
            field["name"] = names.get(field["name"], field["name"])
            if isinstance(field["type"], dict) and field["type"]["type"] == "enum":
                field["type"]["symbols"].insert(rng.randrange(3), "unheard_of")
        if rng.random() < 0.3:
            writer["name"] = rng.choice(["Renamed", "Strange"])
        body = body_of(rng, writer, named(writer, {}))
        try:
            event = plain(type_, fastavro.schemaless_reader(io.BytesIO(body), fastavro.parse_schema(copy.deepcopy(writer)),
                                                            fastavro.parse_schema(copy.deepcopy(reader))))
        except Exception:  # of many kinds
            event = None
        texts = [json.dumps(schema).encode() for schema in (writer, reader)]
        requests.append(("R", type_, b"".join(struct.pack("<I", len(text)) + text for text in texts) + body))
        expected.append((writer, reader, body, event))
    reasons = collections.Counter()
    for (writer, reader, body, event), answer in zip(expected, ask(requests)):
        place = (SEED, json.dumps(writer), json.dumps(reader), body.hex(), answer["reason"])
        reasons[answer["reason"]] += 1
        assert (answer["reason"] == "none") == (event is not None), place
        if event is not None:
            assert without_counts(answer["event"])[0] == event, place
    assert min(reasons[each] for each in ("none", "unknown_schema")) > 30, reasons


def test_canonical_forms_are_fastavros():
    rng, schemas = random.Random(SEED), [json.loads(json.dumps(SCHEMA_JSON[type_])) for type_ in SCHEMA_JSON]
    for _ in range(600):
        schema = Made(rng).schema()
        if isinstance(schema, dict) and "name" in schema and rng.random() < 0.5:
            schema["namespace"] = "around"
        schemas.append(schema)
    answers = ask([("C", "page-visit", json.dumps(schema).encode()) for schema in schemas])
    for schema, answer in zip(schemas, answers):
        assert "form" in answer, (SEED, json.dumps(schema), bytes.fromhex(answer["error"]))
        assert bytes.fromhex(answer["form"]).decode() == to_parsing_canonical_form(schema), (SEED, json.dumps(schema))
