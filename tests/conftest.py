"""What every kind of test has: one Kafka for all tests of a run, a Redis for each module."""
import pathlib
import shutil
import tempfile

import pytest

from tests.lab.redis_server import RedisServer


@pytest.fixture(scope="session")
def directory():
    """Of the run; gone with it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="citytotals-tests-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(directory):
    from tests.lab.kafka import Kafka  # here: some machines run the tests that need no Kafka, without its client
    broker = Kafka(directory / "kafka")
    try:
        yield broker.start()
    finally:
        broker.kill()  # its folder goes too: there is nothing to put in order


@pytest.fixture(scope="module")
def redis(directory, request):
    server = RedisServer(directory / f"redis-{request.module.__name__.rsplit('.', 1)[-1]}")
    try:
        yield server.start()
    finally:
        server.stop()
