"""Schemas over time: every released one is still read, and the check of `./dev check` refuses what would break a reader."""
import copy
import io
import json
import random
import struct

import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

from tests.check import evolution
from tests.lab.events import SCHEMA_JSON, without_logical_types
from tests.lab.process import ROOT
from tests.schemas.reference import TYPE_NAMES, ask, named, plain, without_counts
from tests.schemas.test_differential import SEED
from tests.schemas.test_writers import body_of

RELEASED = sorted((ROOT / "schemas" / "released").glob("*/*.avsc"))


@pytest.mark.parametrize("path", [path for path in RELEASED if path.stem in TYPE_NAMES], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_released_schema_is_read(path):
    """In single-object encoding, by its own fingerprint; the values are what fastavro's resolving reader gives."""
    schema = json.loads(path.read_text())
    bare, rng, values = without_logical_types(schema), random.Random(SEED), []
    head = b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
    for _ in range(50):
        body = body_of(rng, bare, named(bare, {}))
        ours = fastavro.parse_schema(without_logical_types(SCHEMA_JSON[path.stem]))
        values.append((body, plain(path.stem, fastavro.schemaless_reader(io.BytesIO(body), fastavro.parse_schema(copy.deepcopy(bare)), ours))))
    for (body, event), answer in zip(values, ask([("D", path.stem, head + body) for body, _ in values])):
        assert answer["reason"] == "none", (path, body.hex())
        assert without_counts(answer["event"])[0] == event


def test_all_four_schemas_were_released():
    assert {path.stem for path in RELEASED if path.parent.name == "0.1.0"} == set(SCHEMA_JSON)


def test_ours_stand_beside_all_released_ones():
    assert evolution.main() == 0


def add(schema, **field):
    schema["fields"].append(field)


def field_of(schema, name):
    return next(field for field in schema["fields"] if field["name"] == name)


GOOD = {
    "a field with a default": lambda schema: add(schema, name="note", type=["null", "string"], default=None),
    "a field with a default is gone": lambda schema: schema["fields"].remove(field_of(schema, "decision")),
    "another order": lambda schema: schema["fields"].insert(2, schema["fields"].pop(4)),
    "doc and aliases": lambda schema: (schema.update(doc="d", aliases=["Old"]), field_of(schema, "delta").update(aliases=["d"])),
    "string for bytes": lambda schema: field_of(schema, "source").update(type="bytes"),
    "a default for an enum": lambda schema: field_of(schema, "sector")["type"].update(default="commune"),
    "another namespace": lambda schema: schema.update(namespace="elsewhere"),
}
BAD = {
    "a field without a default": (lambda schema: add(schema, name="note", type="string"), "note: missing"),
    "a field of the old one is gone": (lambda schema: schema["fields"].remove(field_of(schema, "delta")), "delta: missing"),
    "a new name": (lambda schema: field_of(schema, "delta").update(name="change", aliases=["delta"]), "delta: missing"),
    "promoted one way only": (lambda schema: field_of(schema, "delta").update(type="long"), "long is not read as int"),
    "another type": (lambda schema: field_of(schema, "delta").update(type="string"), "int is not read as string"),
    "nullable": (lambda schema: field_of(schema, "agency").update(type=["null", "string"]), "null is not read as string"),
    "not nullable": (lambda schema: field_of(schema, "decision").update(type="string"), "null is not read as string"),
    "a branch more": (lambda schema: field_of(schema, "decision")["type"].append("int"), "no branch of the union reads int"),
    "a symbol more": (lambda schema: field_of(schema, "reason")["type"]["symbols"].append("lent"), "symbol lent is unknown"),
    "a symbol fewer": (lambda schema: field_of(schema, "reason")["type"]["symbols"].remove("resigned"), "symbol resigned is unknown"),
    "an enum's name": (lambda schema: field_of(schema, "sector")["type"].update(name="Area"), "enum citytotals.Area is not citytotals.Sector"),
    "a fixed's size": (lambda schema: field_of(schema, "event_id")["type"].update(size=20), "fixed of 20 bytes, not 16"),
    "the record's name": (lambda schema: schema.update(name="Headcount"), "record citytotals.Headcount is not"),
    "a logical type": (lambda schema: field_of(schema, "occurred_at")["type"].update(logicalType="timestamp-micros"),
                       "logical type timestamp-micros"),
}


def changed(change):
    schema = copy.deepcopy(SCHEMA_JSON["headcount-change"])
    change(schema)
    return json.dumps(schema)


RELEASE = {"released/0.1.0/headcount-change.avsc": (ROOT / "schemas/released/0.1.0/headcount-change.avsc").read_text()}


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD.keys())
def test_a_change_that_all_can_live_with_is_taken(change):
    assert evolution.problems(changed(change), RELEASE) == []


@pytest.mark.parametrize("change,sentence", BAD.values(), ids=BAD.keys())
def test_a_change_that_breaks_a_reader_is_refused(change, sentence):
    assert sentence in "\n".join(evolution.problems(changed(change), RELEASE))


def test_all_released_versions_count_not_only_the_latest():
    """A field comes with a default, loses it two releases later: the latest agrees, the first does not."""
    with_default = changed(lambda schema: add(schema, name="note", type="string", default=""))
    without = changed(lambda schema: add(schema, name="note", type="string"))
    assert evolution.problems(without, {"second": with_default}) == []
    assert evolution.problems(without, {**RELEASE, "second": with_default})


def test_a_released_file_that_is_edited_shows(tmp_path):
    (tmp_path / "0.1.0").mkdir()
    (tmp_path / "0.1.0" / "x.avsc").write_text("{}")
    before = evolution.sums(tmp_path)
    (tmp_path / "0.1.0" / "x.avsc").write_text("{ }")
    assert evolution.sums(tmp_path) != before


def test_a_writer_that_changed_as_the_check_allows_is_read():
    """The other way round of the table above: our decoder reads what such a writer sends."""
    rng, requests = random.Random(SEED), []
    for change in GOOD.values():
        writer = without_logical_types(json.loads(changed(change)))
        text, body = json.dumps(writer).encode(), body_of(rng, writer, named(writer, {}))
        requests.append(("W", "headcount-change", struct.pack("<I", len(text)) + text + body))
    assert [answer["reason"] for answer in ask(requests)] == ["none"] * len(GOOD)
