#!/usr/bin/env python3
"""An .avsc may only change so that every released version reads it and is read by it (FULL_TRANSITIVE); released files stay.

By the schema resolution of the Avro specification; and a logical type stays as it is, since resolution does not see it."""
import hashlib
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas"
PROMOTIONS = {"int": {"long", "float", "double"}, "long": {"float", "double"}, "float": {"double"}, "string": {"bytes"},
              "bytes": {"string"}}
NAMED = ("record", "enum", "fixed")
BARE = {kind: {"type": kind} for kind in ("null", "boolean", "int", "long", "float", "double", "bytes", "string")}


class Schema:
    """A parsed schema: nodes are dicts and lists (unions), named types are found by their full names."""

    def __init__(self, text):
        self.names = {}
        self.root = self.node(json.loads(text), "")

    def node(self, schema, namespace):
        if isinstance(schema, list):
            return [self.node(branch, namespace) for branch in schema]
        if isinstance(schema, str):
            if schema in BARE:
                return BARE[schema]
            return {"type": "reference", "name": schema if "." in schema or not namespace else f"{namespace}.{schema}"}
        kind = schema["type"]
        if not isinstance(kind, str):
            return self.node(kind, namespace)
        if kind in NAMED:
            name = schema["name"]
            namespace = name.rpartition(".")[0] if "." in name else schema.get("namespace", namespace)
            made = {**schema, "name": name if "." in name or not namespace else f"{namespace}.{name}"}
            made["aliases"] = [alias if "." in alias or not namespace else f"{namespace}.{alias}"
                               for alias in schema.get("aliases", [])]
            self.names[made["name"]] = made
            if kind == "record":
                made["fields"] = [{**field, "type": self.node(field["type"], namespace)} for field in schema["fields"]]
            return made
        if kind == "array":
            return {**schema, "items": self.node(schema["items"], namespace)}
        if kind == "map":
            return {**schema, "values": self.node(schema["values"], namespace)}
        return schema if kind in BARE else self.node(kind, namespace)

    def of(self, node):
        return self.names[node["name"]] if isinstance(node, dict) and node["type"] == "reference" else node


def unread(reader, writer):
    """What of `writer` a program with `reader` may not read; empty when all of it."""
    seen = set()

    def same_name(ours, theirs):
        return ours["name"].rpartition(".")[2] == theirs["name"].rpartition(".")[2] or theirs["name"] in ours["aliases"]

    def check(ours, theirs, place):
        ours, theirs = reader.of(ours), writer.of(theirs)
        if isinstance(theirs, list):
            return [why for branch in theirs for why in check(ours, branch, place)]
        if isinstance(ours, list):
            tries = [check(branch, theirs, place) for branch in ours]
            return [] if [] in tries else [f"{place}: no branch of the union reads {theirs.get('name', theirs['type'])}"]
        kind = theirs["type"]
        if ours["type"] != kind:
            return [] if ours["type"] in PROMOTIONS.get(kind, ()) else [f"{place}: {kind} is not read as {ours['type']}"]
        if ours.get("logicalType") != theirs.get("logicalType"):
            return [f"{place}: logical type {theirs.get('logicalType')} would be taken for {ours.get('logicalType')}"]
        if kind in NAMED and not same_name(ours, theirs):
            return [f"{place}: {kind} {theirs['name']} is not {ours['name']}"]
        if kind == "fixed" and ours["size"] != theirs["size"]:
            return [f"{place}: fixed of {theirs['size']} bytes, not {ours['size']}"]
        if kind == "enum":
            lost = [symbol for symbol in theirs["symbols"] if symbol not in ours["symbols"]]
            return [f"{place}: symbol {symbol} is unknown and there is no default" for symbol in lost if "default" not in ours]
        if kind in ("array", "map"):
            part = "items" if kind == "array" else "values"
            return check(ours[part], theirs[part], f"{place} {part}")
        return check_fields(ours, theirs, place) if kind == "record" else []

    def check_fields(ours, theirs, place):
        if (ours["name"], theirs["name"]) in seen:
            return []
        seen.add((ours["name"], theirs["name"]))
        there, found = {field["name"]: field for field in theirs["fields"]}, []
        for field in ours["fields"]:
            name = next((name for name in [field["name"], *field.get("aliases", [])] if name in there), None)
            if name:
                found += check(field["type"], there[name]["type"], f"{place}.{field['name']}")
            elif "default" not in field:
                found.append(f"{place}.{field['name']}: missing, and there is no default")
        return found

    return check(reader.root, writer.root, reader.of(reader.root).get("name", "schema"))


def problems(current, released):
    """What keeps schema text `current` from standing beside the texts of `released` (name: text)."""
    now, found = Schema(current), []
    for name, text in released.items():
        before = Schema(text)
        found += [f"the new one does not read {name}: {why}" for why in unread(now, before)]
        found += [f"{name} does not read the new one: {why}" for why in unread(before, now)]
    return found


def sums(directory):
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(directory)}\n"
                   for path in sorted(directory.glob("*/*.avsc")))


def main():
    found, released = [], SCHEMAS / "released"
    if (released / "SHA256SUMS").read_text() != sums(released):
        found.append("schemas/released: not what SHA256SUMS says: released schemas stay as they are; a release only adds some")
    for path in sorted(SCHEMAS.glob("*.avsc")):
        versions = {str(each.relative_to(SCHEMAS)): each.read_text() for each in sorted(released.glob(f"*/{path.name}"))}
        if not versions:
            found.append(f"{path.name}: no released version in schemas/released")
        found += [f"{path.name}: {why}" for why in problems(path.read_text(), versions)]
    for why in found:
        print(f"evolution: {why}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
