"""docs/asyncapi.json: sound AsyncAPI 3, made from the .avsc files as they are, and about the topics that there are."""
import json
import os
import pathlib
import subprocess
import sys

import jsonschema

from tests.lab.events import TYPES
from tests.lab.process import ROOT

DOCUMENT = json.loads((ROOT / "docs" / "asyncapi.json").read_text())


def test_it_is_asyncapi_3():
    schemas = pathlib.Path(os.environ["CITYTOTALS_NODE_MODULES"]) / "@asyncapi" / "specs" / "schemas"
    validator = jsonschema.Draft7Validator(json.loads((schemas / f"{DOCUMENT['asyncapi']}.json").read_text()))
    assert DOCUMENT["asyncapi"].startswith("3.")
    assert not [f"{list(error.absolute_path)}: {error.message[:300]}" for error in validator.iter_errors(DOCUMENT)]
    assert list(validator.iter_errors({**DOCUMENT, "channels": {"x": {"adress": "y"}}})), "the validator validates"


def test_it_is_made_of_the_schemas_as_they_are():
    made = subprocess.run([sys.executable, ROOT / "schemas" / "asyncapi.py"], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(made.stdout) == DOCUMENT, "run ./dev docs"
    found = {}
    for message in DOCUMENT["components"]["messages"].values():
        assert message["payload"]["schemaFormat"].startswith("application/vnd.apache.avro+json")
        found[message["title"]] = message["payload"]["schema"]
    assert found == {path.stem: json.loads(path.read_text()) for path in (ROOT / "schemas").glob("*.avsc")}


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for name, value in node.items():
            if name != "payload":
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(reference):
    node = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_topic_carries_its_own_message():
    assert list(references(DOCUMENT)) and all(resolved(reference) for reference in references(DOCUMENT))
    topics = {**TYPES, "dead-letter": "dead-letters"}
    channels = {channel["address"]: channel for channel in DOCUMENT["channels"].values()}
    assert set(channels) == {f"{{city}}.{topic}" for topic in topics.values()}
    for title, topic in topics.items():
        [message] = channels[f"{{city}}.{topic}"]["messages"].values()
        assert resolved(message["$ref"])["title"] == title
    actions = {resolved(each["channel"]["$ref"])["address"]: each["action"] for each in DOCUMENT["operations"].values()}
    assert actions == {address: "send" if address.endswith(".dead-letters") else "receive" for address in channels}
    for each in DOCUMENT["operations"].values():
        assert [resolved(message["$ref"]) for message in each["messages"]] == list(resolved(each["channel"]["$ref"])["messages"].values())
