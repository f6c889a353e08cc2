#!/usr/bin/env python3
"""Prints docs/asyncapi.json: AsyncAPI 3 of the city's topics, made from the .avsc files beside this one."""
import json
import pathlib

SCHEMAS = pathlib.Path(__file__).resolve().parent
AVRO = "application/vnd.apache.avro+json;version=1.9.0"
AGENCY = {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,63}$", "description": "The agency. It only chooses the partition."}
DAY = 86400000
FRAMING = ("Avro single-object encoding: the bytes C3 01, the schema's CRC-64-AVRO fingerprint (8 bytes, little-endian), the body. Where a "
           "schema registry is configured, Confluent framing: the byte 00, the schema's id (4 bytes, big-endian), the body; the subject is "
           "the topic's name and `-value`. Readers take both.")
TOPICS = [
    # file, topic, action of this application, message key, topic settings, what it holds
    ("headcount-change", "headcount-changes", "receive", AGENCY, {"retention.ms": -1}, "Posts that an agency gained or lost."),
    ("unit-merger", "unit-mergers", "receive", AGENCY, {"retention.ms": -1}, "Units that were merged, founded, dissolved or counted."),
    ("page-visit", "page-visits", "receive",
     {"type": "string", "format": "binary", "minLength": 16, "maxLength": 16, "description": "The visitor's 16 bytes."},
     {"retention.ms": 90 * DAY}, "Views of the city's pages, by visitors whom nobody can name."),
    ("dead-letter", "dead-letters", "send",
     {"type": ["string", "null"], "format": "binary", "description": "The key of the record that could not be counted."},
     {"retention.ms": -1, "max.message.bytes": 8388608},
     "Records that could not be counted, as they were, with the reason. One may stand there twice after a crash: tell them apart by "
     "topic, partition and offset."),
]


def camel(name):
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)


def channel(file, topic, _, __, settings, what):
    return {
        "address": "{city}." + topic,
        "title": topic,
        "description": what,
        "parameters": {"city": {"$ref": "#/components/parameters/city"}},
        "messages": {camel(file): {"$ref": f"#/components/messages/{camel(file)}"}},
        "bindings": {"kafka": {"partitions": 8,
                               "topicConfiguration": {"cleanup.policy": ["delete"], "message.timestamp.type": "LogAppendTime", **settings},
                               "bindingVersion": "0.5.0"}},
    }


def message(file, _, __, key, ___, ____):
    schema = json.loads((SCHEMAS / f"{file}.avsc").read_text())
    return {
        "name": f"{schema['namespace']}.{schema['name']}",
        "title": file,
        "summary": schema["doc"],
        "contentType": "application/vnd.apache.avro",
        "payload": {"schemaFormat": AVRO, "schema": schema},
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
    }


def operation(file, topic, action, *_):
    return {"action": action, "channel": {"$ref": f"#/channels/{camel(topic)}"}, "summary": "Folded into the city's totals, exactly once." if
            action == "receive" else "Written before the offset of the record moves.",
            "messages": [{"$ref": f"#/channels/{camel(topic)}/messages/{camel(file)}"}]}


def document():
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "citytotals topics", "version": "1",
                 "description": "What stands in a city's Kafka topics. Every rule that a field must keep is in docs/events.md. " + FRAMING,
                 "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/vnd.apache.avro",
        "channels": {camel(topic[1]): channel(*topic) for topic in TOPICS},
        "operations": {camel(f"{topic[2]}-{topic[1]}"): operation(*topic) for topic in TOPICS},
        "components": {"parameters": {"city": {"description": "The city: 1 to 32 of a-z, 0-9 and -.", "default": "haiphong"}},
                       "messages": {camel(topic[0]): message(*topic) for topic in TOPICS}},
    }


if __name__ == "__main__":
    print(json.dumps(document(), indent=2, ensure_ascii=False))
