"""Events that come one by one go to Kafka together."""
import subprocess

from tests.lab.gateway import Gateway
from tests.lab.process import BUILD

CLIENTS, EVENTS = 32, 4000


def load(gateway, clients, events):
    done = subprocess.run([BUILD / "tests/bench/gateway-load", str(gateway.port), gateway.wide, str(clients), "1", str(events)],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return gateway.metric("gateway_waves_total")


def test_many_clients_share_a_wave(city):
    """Each of 32 sends its next event when the one before is acknowledged; a wave has nearly all of them, as one for each event would cost Kafka many times as much."""
    gateway = Gateway(city)
    waves = load(gateway, CLIENTS, EVENTS)
    assert EVENTS / CLIENTS <= waves <= 2.5 * EVENTS / CLIENTS
    assert gateway.metric("gateway_events_accepted_total") == EVENTS


def test_a_client_alone_does_not_wait(city):
    gateway = Gateway(city)
    assert load(gateway, 1, 200) == 200
