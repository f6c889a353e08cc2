"""The schema registry: producers that register, consumers that resolve, on a real one; and what a bad one may not do."""
import base64
import copy
import io
import json
import struct
import subprocess

import fastavro
import pytest

from tests.integration.test_send import as_json, written
from tests.lab import events as e
from tests.lab.certificates import make_pair
from tests.lab.oracle import log_of
from tests.lab.process import BUILD, wait_until
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


def test_a_registry_over_tls_is_trusted_by_its_certificate_only(city):
    """The producer frames and the consumer resolves over TLS; a certificate that nobody named is refused by both."""
    fake = FakeRegistry(pair=make_pair(city.directory, "registry"))
    stranger, _ = make_pair(city.directory, "stranger")
    try:
        for flags in ([], ["--schema-registry-ca", stranger]):
            done = city.send(file_of(city, "1"), "--schema-registry", fake.url, *flags, status=1)
            assert "its certificate is not trusted" in done.stderr and "--schema-registry-ca" in done.stderr
        assert fake.requests == 0 and values(city) == []
        flags = ["--schema-registry", fake.url, "--schema-registry-ca", city.directory / "registry.crt"]
        city.send(file_of(city, "1", "2"), *flags)
        city.fold(*flags)
        assert city.total("events") == "2" and not city.total("dead_letters")
    finally:
        fake.stop()


# --- the consumer ---


def meanings(registry):
    """What the registry's ids mean, for the recomputation."""
    return {number: fastavro.parse_schema(e.without_logical_types(json.loads(text))) for number, text in registry.schemas.items()}


def consumer_flags(registry, *flags):
    return ("--schema-registry", registry.url, "--schema-registry-timeout", "500ms", "--management", "127.0.0.1:0",
            "--retry-interval", "200ms", *flags)


def given(city, schema_id, *events, partition=-1):
    for event in events:
        city.given_value(event["type"], e.confluent(event, schema_id), e.key(event), partition)
    assert city.producer.flush(60) == 0


def letters_id(fake):
    return fake.ids[next(text for text in fake.ids if "DeadLetter" in text)]


def restarted(fake, **changes):
    """The same registry again, on the same port."""
    return FakeRegistry(fake.port, **{**fake.state(), **changes})


def headcounts(count, first=0, agency="hong-bang"):
    return [e.headcount(str(i), agency, 5) for i in range(first, first + count)]


def test_what_send_frames_is_folded_and_letters_are_framed_too(city, registry):
    city.send(file_of(city, *map(str, range(200))), "--schema-registry", registry.url)
    city.given_value("headcount-change", b"\xff", b"hong-bang")
    assert city.producer.flush(60) == 0
    city.fold(*consumer_flags(registry, "--schema-registry-timeout", "5s"))
    number = registry.ask("GET", f"/subjects/{subject(city)}/versions/latest")["id"]
    letter = registry.ask("GET", f"/subjects/{subject(city, 'dead-letter')}/versions/latest")["id"]
    city.expect_exact({number: e.SCHEMAS["headcount-change"]}, letter)
    assert city.total("headcount_current") == "-600"
    kept = city.redis.client.hgetall(city.key("schemas"))
    assert json.loads(kept[str(number)]) == e.SCHEMA_JSON["headcount-change"]
    assert [kept[name] for name in kept if name.startswith("dead-letter:")] == [str(letter)]


def test_foreign_writers_with_schemas_of_their_own(city, registry):
    """By fastavro: fields in another order, and one more."""
    schema = copy.deepcopy(e.SCHEMA_JSON["headcount-change"])
    schema["fields"] = schema["fields"][:1] + schema["fields"][:0:-1]  # the first names a type that others use
    schema["fields"].append({"name": "clerk", "type": "string", "default": ""})
    number = registry.register(subject(city), schema)
    writer = fastavro.parse_schema(e.without_logical_types(schema))
    for i in range(100):
        event = e.headcount(str(i), "hong-bang", 7)
        out = io.BytesIO()
        fastavro.schemaless_writer(out, writer, {**{name: value for name, value in event.items() if name != "type"}, "clerk": "x"})
        city.given_value("headcount-change", b"\0" + struct.pack(">I", number) + out.getvalue(), e.key(event))
    city.given_events(e.headcount("single", "hong-bang", 1))
    city.fold(*consumer_flags(registry))
    city.expect_exact({number: writer})
    assert city.total("headcount_current") == "701"


def test_each_id_is_asked_for_once(city, fake):
    number = fake.id_of(TEXTS["headcount-change"])
    given(city, number, *[event for agency in ("a", "b", "c", "d", "e", "f") for event in headcounts(500, agency=agency)])
    city.fold(*consumer_flags(fake))
    city.expect_exact(meanings(fake))
    assert fake.asked == [number]


def test_an_unknown_id_is_a_dead_letter(city, fake):
    given(city, 4000000000, *headcounts(3), partition=0)
    given(city, fake.id_of(TEXTS["headcount-change"]), *headcounts(3, 10), partition=0)
    given(city, fake.id_of('{"type": "string"}'), *headcounts(3, 20), partition=1)
    given(city, fake.id_of("no schema at all"), *headcounts(3, 30), partition=1)
    given(city, fake.id_of('"' + "x" * 100000 + '"'), *headcounts(3, 40), partition=1)
    city.fold(*consumer_flags(fake))
    number = fake.id_of(TEXTS["headcount-change"])
    expected = city.expect_exact({number: e.SCHEMAS["headcount-change"]}, letters_id(fake))
    assert {letter[3] for letter in expected.letters} == {"unknown_schema"} and len(expected.letters) == 12
    assert "4000000000" not in city.redis.client.hgetall(city.key("schemas"))


def test_confluent_framing_without_a_registry_is_a_dead_letter(city):
    given(city, 1, *headcounts(3))
    city.fold()
    assert {letter[3] for letter in city.expect_exact().letters} == {"unknown_schema"}


def test_an_outage_stops_nothing_that_is_known(city, fake):
    number = fake.id_of(TEXTS["headcount-change"])
    given(city, number, *headcounts(50))
    consumer = city.consumer(*consumer_flags(fake))
    city.wait_until_folded(alive=consumer.check_alive)
    fake.stop()
    given(city, number, *headcounts(50, 50))
    city.wait_until_folded(alive=consumer.check_alive)
    assert consumer.stop() == 0
    given(city, number, *headcounts(50, 100))
    city.given_value("headcount-change", b"\xff", b"hong-bang")  # its letter's id is known too
    assert city.producer.flush(60) == 0
    city.fold(*consumer_flags(fake))  # starts during the outage
    city.expect_exact(meanings(fake), letters_id(fake))
    assert city.total("headcount_current") == "750"


def test_a_real_registry_killed_and_lost(city, directory):
    """Apicurio in memory forgets its ids and gives them out anew: what they meant is known, and what they mean now refused."""
    server = Registry(directory / f"registry-{city.name}").start()
    try:
        city.send(file_of(city, "1"), "--schema-registry", server.url)
        consumer = city.consumer(*consumer_flags(server))
        city.wait_until_folded(alive=consumer.check_alive)
        number = server.ask("GET", f"/subjects/{subject(city)}/versions/latest")["id"]
        server.kill()
        given(city, number, *headcounts(50, 10))
        city.wait_until_folded(alive=consumer.check_alive)
        assert consumer.stop() == 0
        server.start()
        # The consumer's own dead-letter schema is now the first that the empty registry is given.
        given(city, number, *headcounts(50, 60))
        halted = city.fold(*consumer_flags(server), status=1)
        assert f"schema id {number} means another schema" in halted.log()
        assert city.total("headcount_current") == "247" and city.total("dead_letters") in (None, "0")
    finally:
        server.stop()


def test_an_unknown_id_while_away_waits_and_goes_on(city, fake):
    number, other = fake.id_of(TEXTS["headcount-change"]), fake.id_of(TEXTS["headcount-change"] + " ")
    given(city, number, *headcounts(20), partition=0)
    consumer = city.consumer(*consumer_flags(fake))
    city.wait_until_folded(alive=consumer.check_alive)
    fake.stop()
    given(city, number, *headcounts(7, 100), partition=0)
    given(city, other, *headcounts(20, 200), partition=0)
    consumer.wait_for_log(rf"{city.topic('headcount-change')}/0 waits: the schema id {other} of offset 27 is not known")
    assert city.metric(consumer, f'waiting{{partition="{city.topic("headcount-change")}/0"}}') == 1
    city.wait_for_metric(consumer, "schema_registry_away", 1)
    given(city, number, *headcounts(100, 300), partition=1)  # the others go on
    wait_until("partition 1 is folded", lambda: city.offset("headcount-change", 1) == 100, 60, consumer.check_alive)
    assert city.offset("headcount-change", 0) == 27  # and what was known before is folded
    back = restarted(fake)
    try:
        city.wait_until_folded(alive=consumer.check_alive)
        city.expect_exact(meanings(back))
        assert city.total("dead_letters") in (None, "0")
        wait_until("the registry is no longer away", lambda: city.metric(consumer, "schema_registry_away") == 0)
        assert consumer.stop() == 0
    finally:
        back.stop()


def test_an_id_that_the_registry_has_lost_waits(city, fake):
    number = fake.id_of(TEXTS["headcount-change"])
    given(city, number, *headcounts(20), partition=0)
    city.fold(*consumer_flags(fake))
    lost = fake.schemas.pop(number)
    given(city, number, *headcounts(20, 20), partition=0)
    consumer = city.consumer(*consumer_flags(fake))
    consumer.wait_for_log(f"has lost schema id {number}")
    assert city.offset("headcount-change", 0) == 20
    fake.schemas[number] = lost
    city.wait_until_folded(alive=consumer.check_alive)
    city.expect_exact(meanings(fake))
    assert consumer.stop() == 0


def test_a_changed_mapping_halts(city, fake):
    number = fake.id_of(TEXTS["headcount-change"])
    given(city, number, *headcounts(20), partition=0)
    city.fold(*consumer_flags(fake))
    fake.schemas[number] = TEXTS["unit-merger"]
    given(city, number, *headcounts(20, 20), partition=0)
    given(city, fake.id_of(TEXTS["headcount-change"] + " "), *headcounts(20, 40), partition=1)
    halted = city.fold(*consumer_flags(fake), status=1)
    assert f"schema id {number} means another schema" in halted.log()
    assert city.offset("headcount-change", 0) == 20 and city.offset("headcount-change", 1) == 20
    # White space and documentation are not the meaning.
    fake.schemas[number] = TEXTS["headcount-change"].replace("{", "{ ").replace('"doc"', '"doc" ')
    city.fold(*consumer_flags(fake))
    city.expect_exact(meanings(fake))


def test_a_mapping_changed_during_an_outage_halts_once_the_registry_is_back(city, fake):
    number = fake.id_of(TEXTS["headcount-change"])
    given(city, number, *headcounts(20), partition=0)
    city.fold(*consumer_flags(fake))
    fake.stop()
    given(city, number, *headcounts(20, 20), partition=0)
    consumer = city.consumer(*consumer_flags(fake))  # it knows the id from Redis
    city.wait_until_folded(alive=consumer.check_alive)
    back = restarted(fake, schemas={number: TEXTS["unit-merger"]})
    try:
        consumer.wait_for_log("answers again")
        for first in range(1000, 100000, 10):
            given(city, number, *headcounts(1, first), partition=0)
            if "means another schema" in consumer.log():
                break
        consumer.wait_for_log(f"/0 is halted: offset \\d+: schema id {number} means another schema")
        consumer.stop()
    finally:
        back.stop()


def test_what_ids_mean_is_kept_again_after_redis_lost_it(city, fake):
    number = fake.id_of(TEXTS["headcount-change"])
    given(city, number, *headcounts(20))
    consumer = city.consumer(*consumer_flags(fake))
    city.wait_until_folded(alive=consumer.check_alive)
    fake.stop()
    city.redis.client.flushall()
    given(city, number, *headcounts(20, 20))
    wait_until("the schema is kept again", lambda: city.redis.client.hget(city.key("schemas"), number), 60, consumer.check_alive)
    city.wait_until_folded(alive=consumer.check_alive)
    city.expect_exact(meanings(fake))
    assert consumer.stop() == 0


@pytest.mark.parametrize("fault, said", [
    ({"fixed": (200, b"<html>hello</html>")}, "not JSON"),
    ({"fixed": (200, b"x" * 1000000)}, "longer than"),
    ({"fixed": (500, {})}, "HTTP status 500"),
    ({"fixed": (404, {"error_code": 404, "message": "HTTP 404 Not Found"})}, "HTTP 404 Not Found"),
    ({"credentials": "Basic nobody"}, "credentials"),
    ({"hangs": True}, "schema registry"),
], ids=["garbage", "huge", "broken", "wrong-path", "credentials", "silent"])
def test_a_bad_registry_makes_wait_and_nothing_else(city, fake, fault, said):
    number = fake.id_of(TEXTS["headcount-change"])
    fake.__dict__.update(fault)
    given(city, number, *headcounts(20), partition=0)
    consumer = city.consumer(*consumer_flags(fake))
    consumer.wait_for_log(rf"/0 waits: the schema id {number} .*")
    consumer.wait_for_log(f"{said}.*trying again")
    for event in headcounts(20, 100):
        city.given_value("headcount-change", e.wire(event), e.key(event), 1)
    assert city.producer.flush(60) == 0
    wait_until("partition 1 is folded", lambda: city.offset("headcount-change", 1) == 20, 60, consumer.check_alive)
    assert city.offset("headcount-change", 0) == 0 and city.total("dead_letters") in (None, "0")
    fake.fixed = fake.credentials = None
    fake.hangs = False
    city.wait_until_folded(alive=consumer.check_alive)
    city.expect_exact(meanings(fake))
    assert consumer.stop() == 0


def test_a_stop_does_not_wait_for_a_silent_registry(city, fake):
    fake.hangs = True
    given(city, fake.id_of(TEXTS["headcount-change"]), *headcounts(3))
    consumer = city.consumer(*consumer_flags(fake, "--schema-registry-timeout", "60s"))
    consumer.wait_for_log("waits: the schema id")
    assert consumer.stop(30) == 0
