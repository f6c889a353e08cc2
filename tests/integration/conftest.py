"""A city of its own for each test."""
import re
import zlib

import pytest

from tests.lab.city import City
from tests.lab.proxy import RedisProxy
from tests.lab.redis_server import RedisServer
from tests.lab.terminal import Terminal
from tests.lab.traffic import seed_of_run


@pytest.fixture
def own_redis(directory, request):
    """A Redis that the test may kill or spoil."""
    server = RedisServer(directory / f"redis-{request.node.name.removeprefix('test_')[:40]}")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def terminal():
    made = []

    def make(command, **options):
        made.append(Terminal(command, **options))
        return made[-1]
    yield make
    for each in made:
        each.close()


@pytest.fixture
def new_city(kafka, redis, directory, request):
    """A function that makes a city: its name comes from the test's."""
    made = []

    def make(redis=redis, **options):
        test = request.node.name.removeprefix("test_")
        unique = f"{zlib.crc32(request.node.nodeid.encode()) & 0xffff:04x}-{len(made)}"
        name = f"{re.sub(r'[^a-z0-9-]', '-', test)[:24].strip('-')}-{unique}"
        made.append(City(name, kafka, redis, directory / name, **options))
        return made[-1]
    yield make
    for each in made:
        each.stop()
        kafka.forget_city(each.name)


@pytest.fixture
def seed():
    return seed_of_run()


@pytest.fixture
def proxy(redis):
    """Stands before Redis; cuts when told to."""
    between = RedisProxy(redis)
    yield between
    between.close()


@pytest.fixture
def city(new_city):
    return new_city()
