"""docs/redis-keys.md against a real city: every key and field that is there is documented, and the other way round."""
import re
import subprocess

import pytest
import redis as redis_module

from tests.lab import events as e
from tests.lab.kafka import flushed
from tests.lab.oracle import DAY
from tests.lab.process import BUILD, ROOT
from tests.lab.registry import FakeRegistry
from tests.lab.repair import dead_letters, rebuild
from tests.lab.snapshot import snapshot

PLACES = {
    "sector": "|".join(e.SECTORS), "category": "|".join(e.CATEGORIES), "date": r"\d{4}-\d\d-\d\d", "agency": "[a-z0-9][a-z0-9-]*",
    "model": "[a-z0-9][a-z0-9-]*", "district": "[a-z0-9][a-z0-9-]*", "topic": r"[a-z0-9-]+\.[a-z-]+", "partition": r"\d+", "offset": r"\d+",
    "lane": r"\d|[1-5]\d|6[0-3]", "cluster": r"[\w-]+", "id": r"\d+", "fingerprint": "[0-9a-f]{16}",
    "reason": "too_large|bad_framing|unknown_schema|bad_encoding|trailing_bytes|rule_violation|out_of_window|conflict",
}


def pattern(text):
    return re.compile("".join(f"(?:{PLACES[part[1:-1]]})" if part.startswith("<") else re.escape(part)
                              for part in re.split(r"(<\w+>)", text)) + r"\Z")


def documented():
    """{suffix: (type, [field])} as the page has it."""
    text = (ROOT / "docs" / "redis-keys.md").read_text()
    keys = {}
    for section in re.split(r"^### ", text, flags=re.M)[1:]:
        section = re.split(r"^## ", section, flags=re.M)[0]
        suffix = re.match(r"`\{city\}:(\S+)`", section).group(1)
        fields = re.findall(r"^\| `([^`]+)` \|", section, flags=re.M)
        keys[suffix] = (re.search(r"^Type: (\w+)\.", section, flags=re.M).group(1), fields)
    assert len(keys) > 15
    return keys


def takes_a_registry():
    return "--schema-registry" in subprocess.run([BUILD / "consumer" / "citytotals-consumer", "run", "--help"], capture_output=True,
                                                 text=True, timeout=60).stdout


def rich_story(city, registry):
    """Everything that leaves a mark: all types, kinds and reversals, dead letters, a gap, days that close, another cluster."""
    noon = e.days("2021-03-01") * DAY
    city.given_events(e.visit("gone", noon), timestamp=noon, partition=0)
    city.kafka.delete_records(city.topic("page-visit"), 0, 1)
    for day in range(4):
        city.given_events(e.visit("v", noon + day * DAY), timestamp=noon + day * DAY, partition=0)
    for number, sector in enumerate(e.SECTORS):
        baseline = e.headcount(f"b{number}", "hong-bang", 100, "baseline", sector, "2015-01-01")
        city.given_events(baseline, e.headcount(f"c{number}", "hong-bang", -3, "retired", sector, decision="1/QĐ"))
    city.given_events(e.reversal(baseline))
    for category in e.CATEGORIES:
        city.given_events(e.merger(f"b-{category}", "so-noi-vu", category, "baseline", 0, 20), e.merger(
            f"m-{category}", "so-noi-vu", category, "merger", 9, 3, pilot_model="m", district="hong-bang"))
    city.given_value("headcount-change", b"poison", None, 0)
    city.given_events(baseline, {**baseline, "delta": 7})
    city.given_value("headcount-change", e.confluent(e.headcount("by-id", "hong-bang", 1), 7), None, 0)
    flushed(city.producer)
    flags = ["--schema-registry", registry.url] if takes_a_registry() else []
    city.fold(*flags)
    real = city.redis.client.hget(city.key("meta"), "cluster_id")
    city.redis.client.hset(city.key("meta"), "cluster_id", "another")
    city.fold("--accept-cluster", real, *flags)
    rebuild(city, *flags)
    snapshot(city, "save", city.directory / "snapshot")
    snapshot(city, "load", city.directory / "snapshot", "--replace")
    dead_letters(city, "replay")


def kind_of(suffix, keys):
    found = [known for known in keys if pattern(known).match(suffix)]
    assert len(found) == 1, f"key {suffix} is documented {len(found)} times"
    return found[0]


def fields_of(client, key, type_):
    if type_ == "hash":
        return {field.decode() for field in client.hkeys(key)}
    if type_ == "stream":
        return {field.decode() for _, entry in client.xrange(key) for field in entry}
    return set()


@pytest.fixture
def registry():
    fake = FakeRegistry()
    fake.schemas[7] = (ROOT / "schemas" / "headcount-change.avsc").read_text()
    yield fake
    fake.stop()


def test_every_key_and_field_is_documented_and_every_documented_one_is_there(new_city, redis, registry):
    city = new_city(partitions=1, timestamps="CreateTime")
    client, keys, seen = redis_module.Redis(port=redis.port), documented(), {}
    others = set(client.scan_iter(count=1000))
    rich_story(city, registry)
    for key in set(client.scan_iter(count=1000)) - others:
        assert key.startswith(f"{{{city.name}}}:".encode()), f"{key} is outside the city's slot"
        suffix = key.decode()[len(city.name) + 3:]
        known = kind_of(suffix, keys)
        type_, fields = keys[known]
        assert client.type(key).decode() == type_, key
        seen.setdefault(known, set())
        for field in fields_of(client, key, type_):
            rows = [row for row in fields if pattern(row).match(field)]
            assert len(rows) == 1, f"{suffix}: field {field} is documented {len(rows)} times: {rows}"
            seen[known].add(rows[0])
    optional = set() if takes_a_registry() else {"schemas"}
    assert set(keys) - set(seen) == optional, "documented but not there"
    for known, rows in seen.items():
        assert set(keys[known][1]) == rows, f"{known}: documented but not there: {set(keys[known][1]) - rows}"


def test_only_the_functions_of_the_library_write(new_city, redis):
    city = new_city(partitions=1)
    city.given_events(e.headcount("1", "hong-bang", 5), e.visit("v"))
    redis.client.config_resetstat()
    city.fold()
    outside = {name.removeprefix("cmdstat_") for name in redis.client.info("commandstats")}
    assert not outside & {"set", "del", "flushall", "expire", "pexpire", "incrby", "hincrby", "eval", "evalsha", "multi"}
    assert all(redis.client.ttl(key) == -1 for key in redis.client.scan_iter(match="*"))
