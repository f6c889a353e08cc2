"""The schema registry: producers that register, consumers that resolve, on a real one; and what a bad one may not do."""
import base64
import io
import json
import subprocess

import fastavro
import pytest

from tests.integration.test_send import as_json, written
from tests.lab import events as e
from tests.lab.oracle import log_of
from tests.lab.process import BUILD
from tests.lab.registry import FakeRegistry, Registry

PRODUCER = BUILD / "producer" / "citytotals-producer"
TEXTS = {type_: json.dumps(schema) for type_, schema in e.SCHEMA_JSON.items()}
ANOTHER = {"type": "record", "name": "HeadcountChange", "namespace": "citytotals",
           "fields": [{"name": "anything", "type": "string"}]}


@pytest.fixture(scope="module")
def registry(directory):
    server = Registry(directory / "registry")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def fake():
    server = FakeRegistry()
    yield server
    server.stop()


def subject(city, type_="headcount-change"):
    return f"{city.name}.{ {**e.TYPES, 'dead-letter': 'dead-letters'}[type_]}-value"


def schemas(city, url, verb, *arguments, status=0, seconds=120):
    done = subprocess.run([PRODUCER, "schemas", verb, "--city", city.name, "--schema-registry", url, *arguments],
                          capture_output=True, text=True, timeout=seconds)
    assert done.returncode == status, f"schemas {verb} ended with {done.returncode}, expected {status}:\n{done.stderr[-3000:]}"
    return done


def file_of(city, *ids):
    return written(city.directory / "events.ndjson", *[as_json(e.headcount(id_, "hong-bang", -3), id_) for id_ in ids])


def values(city, name="headcount-changes"):
    return [record[5] for record in log_of(city.kafka.bootstrap, city.name, (name,))[0]]


# --- the producer ---


def test_send_registers_its_schemas_and_frames_values_with_their_ids(city, registry):
    city.send(file_of(city, "1", "2"), "--schema-registry", registry.url)
    assert {subject(city, type_) for type_ in e.TYPES} <= registry.subjects()
    latest = registry.ask("GET", f"/subjects/{subject(city)}/versions/latest")
    assert json.loads(latest["schema"]) == e.SCHEMA_JSON["headcount-change"]
    got = values(city)
    assert len(got) == 2
    for value in got:
        assert value[:5] == b"\0" + latest["id"].to_bytes(4, "big")
        fastavro.schemaless_reader(io.BytesIO(value[5:]), fastavro.parse_schema(json.loads(latest["schema"])), None)
    city.send(file_of(city, "3"), "--schema-registry", registry.url, "--schema-registration", "never")
    assert registry.ask("GET", f"/subjects/{subject(city)}/versions") == [1]


def test_send_without_registration_refuses_a_missing_schema(city, registry):
    done = city.send(file_of(city, "1"), "--schema-registry", registry.url, "--schema-registration", "never", status=1)
    assert f"subject {subject(city)} lacks our schema" in done.stderr
    assert values(city) == []


def test_send_refuses_to_start_when_the_registry_says_incompatible(city, registry):
    registry.register(subject(city), ANOTHER)
    registry.set_level("FULL_TRANSITIVE", subject(city))
    done = city.send(file_of(city, "1"), "--schema-registry", registry.url, status=1)
    assert "not compatible" in done.stderr and subject(city) in done.stderr
    assert values(city) == []
    assert registry.ask("GET", f"/subjects/{subject(city)}/versions") == [1]


def test_schemas_are_registered_with_a_level_and_checked(city, registry):
    before = schemas(city, registry.url, "check").stdout.splitlines()
    assert len(before) == 4 and all("not registered; the registry would take it" in line for line in before)
    assert not any(name.startswith(city.name + ".") for name in registry.subjects())
    done = schemas(city, registry.url, "register", "--compatibility", "FULL_TRANSITIVE").stdout.splitlines()
    assert len(done) == 4 and all("registered now" in line for line in done)
    again = schemas(city, registry.url, "register", "--compatibility", "FULL_TRANSITIVE").stdout
    assert again == "\n".join(done).replace("registered now", "registered before") + "\n"
    checked = schemas(city, registry.url, "check").stdout.splitlines()
    assert all("registered; level FULL_TRANSITIVE" in line for line in checked)
    assert {subject(city, type_) for type_ in TEXTS} <= registry.subjects()


def test_schemas_check_names_every_incompatible_subject(city, registry):
    for type_ in ("headcount-change", "unit-merger"):
        registry.register(subject(city, type_), ANOTHER)
        registry.set_level("BACKWARD", subject(city, type_))
    done = schemas(city, registry.url, "check", status=1)
    lines = done.stdout.splitlines()
    assert [("INCOMPATIBLE" in line) for line in lines] == [True, True, False, False], done.stdout


def test_schemas_usage(city):
    for arguments in (["schemas"], ["schemas", "delete"], ["schemas", "check", "register"], ["schemas", "check"]):
        done = subprocess.run([PRODUCER, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, done.stderr


@pytest.mark.parametrize("fault, said", [
    ({"fixed": (200, b"<html>hello</html>")}, "not JSON"),
    ({"fixed": (200, b"x" * 1000000)}, "longer than"),
    ({"fixed": (503, {})}, "HTTP status 503"),
    ({"fixed": (404, {"error_code": 404, "message": "HTTP 404 Not Found"})}, "HTTP 404 Not Found"),
    ({"credentials": "Basic nobody"}, "credentials"),
    ({"hangs": True}, "schema registry"),
], ids=["garbage", "huge", "broken", "wrong-path", "credentials", "silent"])
def test_send_gives_a_bad_registry_up_with_a_sentence(city, fake, fault, said):
    fake.__dict__.update(fault)
    done = city.send(file_of(city, "1"), "--schema-registry", fake.url, "--schema-registry-timeout", "200ms", status=1)
    assert said in done.stderr
    assert values(city) == []


def test_send_takes_credentials_from_files_and_never_shows_them(city, fake):
    basic, token = city.directory / "basic", city.directory / "token"
    written(basic, "citizen:p@ss")
    written(token, "abc.def")
    fake.credentials = "Basic " + base64.b64encode(b"citizen:p@ss").decode()
    city.send(file_of(city, "1"), "--schema-registry", fake.url, "--schema-registry-credentials-file", basic)
    city.send(file_of(city, "2"), "--schema-registry", fake.url.replace("://", "://citizen:p%40ss@"))
    fake.credentials = "Bearer abc.def"
    city.send(file_of(city, "3"), "--schema-registry", fake.url, "--schema-registry-token-file", token)
    done = city.send(file_of(city, "4"), "--schema-registry", fake.url.replace("://", "://citizen:p%40ss@"), status=1)
    assert "credentials" in done.stderr and "p@ss" not in done.stderr and "p%40ss" not in done.stderr
    assert len(values(city)) == 3
