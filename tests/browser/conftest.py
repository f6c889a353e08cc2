"""The same Kafka and Redis as the other tests on real ones, and a Chromium."""
import pytest

from tests.lab.browser import Browser
from tests.lab.city import City
from tests.lab.process import ROOT, wait_until
from tests.lab.web import AGENCIES, Server


@pytest.fixture(scope="module")
def city(kafka, redis, directory):
    """Hai Phong with the sample folded, and a consumer that goes on."""
    made = City("haiphong", kafka, redis, directory / "haiphong")
    try:
        made.send(ROOT / "samples" / "haiphong-2020-10-30.ndjson")
        made.consumer()
        made.wait_until_folded()
        yield made
    finally:
        made.stop()
        kafka.forget_city(made.name)


@pytest.fixture(scope="module")
def server(city, redis, directory):
    made = Server(city.name, redis, directory / "serve-page", "--agencies", str(AGENCIES))
    wait_until("it is ready", lambda: made.ready() == 200, 60, made.process.check_alive)
    made.url = "http://%s:%d" % made.address
    yield made
    if made.process.running():
        assert made.process.stop() == 0, made.process.log()


@pytest.fixture(scope="module")
def browser(directory):
    made = Browser(directory / "browser")
    yield made
    made.stop()
