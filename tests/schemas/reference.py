"""Avro's binary encoding by the words of the specification, for our schemas: a strict reader that names what is wrong, and
a writer that uses every freedom (padded numbers, blocks with and without sizes). Slow, plain, and nobody else's code."""
import json
import struct
import subprocess

from tests.lab.events import FINGERPRINTS, SCHEMA_JSON, TYPES
from tests.lab.process import BUILD

TYPE_NAMES = list(TYPES)
VALUE_MOST = 256 * 1024
INT = (-2**31, 2**31 - 1)


class Wrong(Exception):
    """The bytes are not of the schema; `kind` says in what."""

    def __init__(self, kind):
        super().__init__(kind)
        self.kind = kind


def named(schema, known):
    """Every named type of a schema, by name."""
    if isinstance(schema, list):
        for branch in schema:
            named(branch, known)
    elif isinstance(schema, dict):
        if "name" in schema and schema["type"] in ("record", "enum", "fixed"):
            known[schema["name"]] = schema
        for part in [field["type"] for field in schema.get("fields", [])] + [schema.get("items"), schema.get("type")]:
            if isinstance(part, (dict, list)):
                named(part, known)
    return known


class Reader:
    def __init__(self, type_, data):
        self.data, self.at, self.known = data, 0, named(SCHEMA_JSON[type_], {})

    def take(self, size):
        if size > len(self.data) - self.at:
            raise Wrong("cut_off")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self):
        value = 0
        for index in range(10):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if value >= 2**64:
                    raise Wrong("number_past_64_bits")
                return (value >> 1) ^ -(value & 1)
        raise Wrong("number_past_10_bytes")

    def below(self, count, what):
        value = self.number()
        if not 0 <= value < count:
            raise Wrong(f"{what}_{'negative' if value < 0 else 'too_great'}")
        return value

    def read(self, schema):
        if isinstance(schema, list):
            return self.read(schema[self.below(len(schema), "branch")])
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind in self.known:
            return self.read(self.known[kind])
        if kind == "null":
            return None
        if kind == "long":
            return self.number()
        if kind == "int":
            value = self.number()
            if not INT[0] <= value <= INT[1]:
                raise Wrong("int_range")
            return value
        if kind in ("string", "bytes"):
            size = self.number()
            if size < 0:
                raise Wrong("length_negative")
            return self.take(size).hex()
        if kind == "fixed":
            return self.take(schema["size"]).hex()
        if kind == "enum":
            return self.below(len(schema["symbols"]), "symbol")
        if kind == "record":
            return {field["name"]: self.read(field["type"]) for field in schema["fields"]}
        if kind == "array":
            return list(self.items(schema["items"]))
        raise AssertionError(kind)

    def items(self, schema):
        while count := self.number():
            end = None
            if count < 0:
                size = self.number()
                if size < 0:
                    raise Wrong("block_size")
                count, end = -count, self.at + size
            for _ in range(count):
                yield self.read(schema)
            if end is not None and end != self.at:
                raise Wrong("block_size")


def read_body(type_, body):
    """(event, None), (event, "trailing") or (None, kind of wrong)."""
    reader = Reader(type_, body)
    try:
        event = reader.read(SCHEMA_JSON[type_])
    except Wrong as wrong:
        return None, wrong.kind
    return event, "trailing" if reader.at != len(body) else None


def judge(type_, value):
    """(reason, event, kind of wrong) of a Kafka value."""
    if value is not None and len(value) > VALUE_MOST:
        return "too_large", None, None
    if value is not None and len(value) >= 5 and value[0] == 0:
        return "unknown_schema", None, None
    if value is None or len(value) < 10 or value[:2] != b"\xc3\x01":
        return "bad_framing", None, None
    if value[2:10] != FINGERPRINTS[type_]:
        return "unknown_schema", None, None
    event, kind = read_body(type_, value[10:])
    return "none" if kind is None else "trailing_bytes" if kind == "trailing" else "bad_encoding", event, kind


def texts(type_, event):
    """The bytes of every string."""
    for field in SCHEMA_JSON[type_]["fields"]:
        value = event[field["name"]]
        if field["type"] in ("string", ["null", "string"]) and value is not None:
            yield bytes.fromhex(value)
        elif field["name"] in ("merged_units", "resulting_units"):
            for unit in value:
                yield from map(bytes.fromhex, unit.values())


def is_utf8(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


def plain(type_, event):
    """An event as fastavro has it, in the reader's form: hex and numbers."""
    known = named(SCHEMA_JSON[type_], {})

    def of(schema, value):
        if isinstance(schema, list):
            return None if value is None else of(schema[1], value)
        kind = schema["type"] if isinstance(schema, dict) else schema
        schema = known.get(kind, schema)
        kind = schema["type"] if isinstance(schema, dict) else kind
        if kind == "enum":
            return schema["symbols"].index(value)
        if kind == "record":
            return {field["name"]: of(field["type"], value[field["name"]]) for field in schema["fields"]}
        if kind == "array":
            return [of(schema["items"], item) for item in value]
        return value.encode().hex() if isinstance(value, str) else value.hex() if isinstance(value, bytes) else value
    return of(SCHEMA_JSON[type_], event)


class Writer:
    """Writes what plain() gives. `random` chooses how far numbers are padded and lists are cut into blocks."""

    def __init__(self, type_, random):
        self.known, self.random = named(SCHEMA_JSON[type_], {}), random

    def number(self, value):
        zigzag, out = (value << 1) ^ (value >> 63), bytearray()
        while zigzag >= 0x80:
            out.append(zigzag & 0x7F | 0x80)
            zigzag >>= 7
        out.append(zigzag)
        if self.random.random() < 0.1:
            out[-1] |= 0x80
            out += b"\x80" * self.random.randrange(0, 10 - len(out)) if len(out) < 9 else b""
            out += b"\0" if len(out) < 10 else b""
            out[-1] &= 0x7F
        return bytes(out)

    def write(self, schema, value):
        if isinstance(schema, list):
            return self.number(0) if value is None else self.number(1) + self.write(schema[1], value)
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind in self.known:
            return self.write(self.known[kind], value)
        if kind in ("int", "long", "enum"):
            return self.number(value)
        if kind in ("string", "bytes"):
            return self.number(len(value) // 2) + bytes.fromhex(value)
        if kind == "fixed":
            return bytes.fromhex(value)
        if kind == "record":
            return b"".join(self.write(field["type"], value[field["name"]]) for field in schema["fields"])
        out = b""
        while value:
            size = self.random.randint(1, len(value))
            block = b"".join(self.write(schema["items"], item) for item in value[:size])
            out += self.number(-size) + self.number(len(block)) if self.random.random() < 0.5 else self.number(size)
            out, value = out + block, value[size:]
        return out + self.number(0)


def write_body(type_, event, random):
    return Writer(type_, random).write(SCHEMA_JSON[type_], event)


def request(operation, type_, data):
    head = operation.encode() + bytes([TYPE_NAMES.index(type_)])
    return head + (b"\xff" * 4 if data is None else struct.pack("<I", len(data)) + data)


def ask(requests, env=None):
    """The answers of codec-lab to requests (operation, type, bytes), all of them."""
    done = subprocess.run([BUILD / "tests" / "schemas" / "codec-lab"], input=b"".join(request(*each) for each in requests),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests)
    return answers


def without_counts(event):
    """An answer's event in the reader's form, and the lengths of its lists."""
    if event is None:
        return None, {}
    counts = {name: event.pop(f"{name}_count") for name in ("merged_units", "resulting_units") if f"{name}_count" in event}
    for name in counts:
        for unit in event[name]:
            unit.pop("n")
    event.pop("n", None)
    return event, counts
