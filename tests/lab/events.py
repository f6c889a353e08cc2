"""Events for tests, written from the public contract alone: ids, rules' constants, Avro by fastavro."""
import datetime
import hashlib
import io
import json
import struct
import time
import uuid

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from tests.lab.process import ROOT

TYPES = {"headcount-change": "headcount-changes", "unit-merger": "unit-mergers", "page-visit": "page-visits"}
SECTORS = ("administrative", "public_service", "commune")
CATEGORIES = ("city_agency", "city_division", "district_division", "public_service_unit", "commune")
EPOCH = datetime.date(1970, 1, 1)


def without_logical_types(schema):
    if isinstance(schema, dict):
        return {name: without_logical_types(value) for name, value in schema.items() if name != "logicalType"}
    return [without_logical_types(item) for item in schema] if isinstance(schema, list) else schema


SCHEMA_JSON = {type_: json.loads((ROOT / "schemas" / f"{type_}.avsc").read_text()) for type_ in [*TYPES, "dead-letter"]}
SCHEMAS = {type_: fastavro.parse_schema(without_logical_types(text)) for type_, text in SCHEMA_JSON.items()}
FINGERPRINTS = {type_: bytes.fromhex(fingerprint(to_parsing_canonical_form(text), "CRC-64-AVRO"))
                for type_, text in SCHEMA_JSON.items()}


def days(text):
    return (datetime.date.fromisoformat(text) - EPOCH).days


def day_text(number):
    return (EPOCH + datetime.timedelta(days=number)).isoformat()


def now_ms():
    return int(time.time() * 1000)


def event_id(type_, source, agency, id_):
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, f"urn:citytotals:{type_}:{source}:{agency}")
    return uuid.uuid5(namespace, id_).bytes


def reversal_id(original):
    return uuid.uuid5(uuid.UUID(bytes=original), "reversal").bytes


def headcount(id_, agency, delta, reason=None, sector="administrative", date="2020-06-01", source=None, **fields):
    source = source or agency
    return {"type": "headcount-change", "event_id": event_id("headcount-change", source, agency, id_), "source": source,
            "occurred_at": now_ms() - 1000, "effective_date": days(date), "agency": agency, "sector": sector,
            "reason": reason or ("recruited" if delta > 0 else "retired"), "delta": delta, "decision": None, "reverses": None,
            **fields}


def merger(id_, agency, category, kind, before, after, date="2020-06-01", source=None, **fields):
    source = source or agency
    return {"type": "unit-merger", "event_id": event_id("unit-merger", source, agency, id_), "source": source,
            "occurred_at": now_ms() - 1000, "effective_date": days(date), "agency": agency, "category": category,
            "kind": kind, "units_before": before, "units_after": after, "merged_units": [], "resulting_units": [],
            "pilot_model": None, "district": None, "decision": None, "reverses": None, **fields}


def visit(visitor, occurred_at=None):
    return {"type": "page-visit", "occurred_at": now_ms() if occurred_at is None else occurred_at,
            "visitor": hashlib.md5(visitor.encode()).digest()}


def reversal(original, **fields):
    return {**original, "event_id": reversal_id(original["event_id"]), "reverses": original["event_id"],
            "occurred_at": now_ms(), **fields}


def body(event):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMAS[event["type"]], {name: value for name, value in event.items() if name != "type"})
    return out.getvalue()


def wire(event):
    """Avro single-object encoding."""
    return b"\xc3\x01" + FINGERPRINTS[event["type"]] + body(event)


def key(event):
    return event["visitor"] if event["type"] == "page-visit" else event["agency"].encode()


def confluent(event, schema_id):
    return b"\0" + struct.pack(">I", schema_id) + body(event)
