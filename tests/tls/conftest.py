"""Needs redis-server, OpenSSL's program and librdkafka's mock cluster: no Kafka and nothing fetched, so it runs in a Debian 13 tree."""
import pathlib
import subprocess

import pytest

from tests.lab.certificates import Authority
from tests.lab.process import BUILD

CONSUMER, PRODUCER, QUERY = (BUILD / name / f"citytotals-{name}" for name in ("consumer", "producer", "query"))


def built_with_tls():
    said = subprocess.run([QUERY, "print", "--redis", "rediss://127.0.0.1:1"], capture_output=True, text=True, timeout=60).stderr
    return "this build has no TLS" not in said


def pytest_collection_modifyitems(items):
    """A build has TLS or has not: either its tests or the one of its refusal run."""
    there = built_with_tls()
    for item in items:
        if pathlib.Path(__file__).parent in item.path.parents and (item.get_closest_marker("without_tls") is None) != there:
            item.add_marker(pytest.mark.skip(reason="this build has TLS for Redis" if there else "this build has no TLS for Redis (hiredis before 1.0)"))


@pytest.fixture(scope="session")
def authority(directory):
    return Authority(directory / "authority")


@pytest.fixture(scope="session")
def stranger(directory):
    return Authority(directory / "stranger", "stranger")


@pytest.fixture(scope="session")
def brokers(directory):
    """librdkafka's mock cluster, with the topics of haiphong."""
    process = subprocess.Popen([BUILD / "tests/tools/mock-kafka", "haiphong", "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.startswith("brokers "), line
    yield line.split()[1]
    process.stdin.close()
    process.wait(30)
