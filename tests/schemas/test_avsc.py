"""What avsc (npm) writes is read here, and what is written here avsc reads."""
import json
import os
import pathlib
import random
import subprocess

import pytest

from tests.lab.events import FINGERPRINTS
from tests.lab.process import ROOT
from tests.schemas.reference import TYPE_NAMES, ask, plain, without_counts, write_body
from tests.schemas.test_differential import SEED, fastavro_body, some_event

HERE = pathlib.Path(__file__).parent
MODULES = pathlib.Path(os.environ.get("CITYTOTALS_NODE_MODULES", HERE / "node_modules"))


def with_text_longs(event):
    return {name: str(value) if name in ("occurred_at", "offset", "timestamp") else value for name, value in event.items()}


def avsc(requests):
    if not (MODULES / "avsc" / "package.json").exists():
        pytest.fail(f"avsc is not in {MODULES}: run `npm ci` in tests/schemas, or set CITYTOTALS_NODE_MODULES to a node_modules "
                    "folder made from its package-lock.json", pytrace=False)
    done = subprocess.run(["node", HERE / "avsc-lab.js", MODULES, ROOT / "schemas"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          input="".join(json.dumps(each) + "\n" for each in requests).encode(), timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests)
    return answers


@pytest.fixture(scope="module")
def events():
    rng = random.Random(SEED)
    return [(type_, plain(type_, some_event(rng, type_))) for type_ in TYPE_NAMES for _ in range(300)]


def test_avsc_is_the_pinned_version():
    lock = json.loads((HERE / "package-lock.json").read_text())
    avsc([])
    assert json.loads((MODULES / "avsc" / "package.json").read_text())["version"] == lock["packages"]["node_modules/avsc"]["version"]


def test_what_avsc_writes_is_read_here(events):
    written = avsc([{"op": "write", "type": type_, "event": with_text_longs(event)} for type_, event in events])
    answers = ask([("D", type_, b"\xc3\x01" + FINGERPRINTS[type_] + bytes.fromhex(each["body"]))
                   for (type_, _), each in zip(events, written)])
    for (type_, event), answer in zip(events, answers):
        assert answer["reason"] == "none"
        assert without_counts(answer["event"])[0] == event


def test_what_is_written_here_avsc_reads(events):
    rng = random.Random(SEED)
    free = [(type_, b"\xc3\x01" + FINGERPRINTS[type_] + write_body(type_, event, rng)) for type_, event in events]
    ours = [bytes.fromhex(answer["again"]) for answer in ask([("D", type_, value) for type_, value in free])]
    for (type_, event), answer in zip(events, avsc([{"op": "read", "type": type_, "body": value[10:].hex()}
                                                     for (type_, _), value in zip(events, ours)])):
        assert answer.get("event") == with_text_longs(event), (type_, answer)


def test_dead_letters_are_read_by_avsc():
    for data in (b"", b"\0\xff" * 1000, None):
        value = bytes.fromhex(ask([("L", "page-visit", data)])[0]["value"])
        [answer] = avsc([{"op": "read", "type": "dead-letter", "body": value[10:].hex()}])
        assert answer["event"] == {"reason": 3, "detail": b"why".hex(), "topic": b"haiphong.unit-mergers".hex(), "partition": 7,
                                   "offset": str(2**40), "timestamp": "1605837600000", "key": None if data is None else data.hex(),
                                   "value": None if data is None else data.hex()}


def test_ours_is_what_fastavro_writes_too(events):
    """The three agree to the byte where lists are one block."""
    rng = random.Random(SEED)
    made = [(type_, some_event(rng, type_)) for type_ in TYPE_NAMES for _ in range(50)]
    written = avsc([{"op": "write", "type": type_, "event": with_text_longs(plain(type_, event))} for type_, event in made])
    for (type_, event), each in zip(made, written):
        assert bytes.fromhex(each["body"]) == fastavro_body(type_, event)
