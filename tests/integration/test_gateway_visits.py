"""Page visits through the gateway: what reaches Kafka, what is only counted, and that nothing tells who it was."""
import hashlib
import hmac
import os
import signal

import pytest

from tests.integration.test_send import arrived
from tests.lab import events as e
from tests.lab.gateway import Gateway, event
from tests.lab.process import wait_until

FIREFOX = "Mozilla/5.0 (X11; Ubuntu; rv:120.0) Gecko/20100101 Firefox/120.0"
SITE = "https://haiphong.gov.vn"


def digest(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def visitor_of(secret, day, address, agent, host):
    """As docs/privacy.md says."""
    key = digest(digest(b"citytotals page visits", secret), day.encode() + b"\x01")
    return digest(key, f"{address}\0{agent}\0{host.lower()}".encode())[:16]


@pytest.fixture
def secret(city):
    path = city.directory / "secret"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(range(65, 65 + 40)) + b"\n")
    return path


def start(city, secret, *flags):
    return Gateway(city, "--visitor-secret-file", secret, "--allow-origin", SITE, "--trusted-proxy", "127.0.0.0/8", *flags)


def visit(gateway, address="203.0.113.7", path="/v1/visits", method="POST", agent=FIREFOX, origin=SITE, **headers):
    sent = {"X_Forwarded_For": address, **headers}
    if agent:
        sent["User_Agent"] = agent
    if origin:
        sent["Origin"] = origin
    return gateway.ask(method, path, token=None, **sent)


def counts(gateway):
    answer = gateway.ask("GET", "/v1/visits", token=None)
    assert answer.status == 200
    return {name: value for name, value in answer.json.items() if value and name not in ("since", "bots_by")}


def visits(city, count):
    wait_until(f"{count} visits", lambda: len([1 for type_, *_ in arrived(city) if type_ == "page-visit"]) >= count, 60)
    return [(each["visitor"], key) for type_, each, _, key in arrived(city) if type_ == "page-visit"]


def test_a_picture_that_is_only_asked_about_is_no_visit(city, secret):
    gateway = start(city, secret)
    answer = visit(gateway, path="/v1/visit.gif", method="HEAD", origin=None, Referer=SITE + "/")
    assert answer.status == 200 and answer.body == b"" and answer.headers["Content-Length"] == "43"
    assert counts(gateway) == {}
    assert visit(gateway, path="/v1/visit.gif", method="GET", origin=None, Referer=SITE + "/").status == 200
    assert counts(gateway) == {"taken": 1}


def test_a_visit_is_a_keyed_hash_and_nothing_else(city, secret):
    gateway = start(city, secret)
    day = e.day_text((e.now_ms() + 7 * 3600 * 1000) // 86400000)
    assert visit(gateway).status == 204
    assert visit(gateway).status == 204
    assert visit(gateway, "203.0.113.8").status == 204
    answer = visit(gateway, path="/v1/visit.gif?1604", method="GET", origin=None, Referer=SITE + "/tin-tuc")
    assert answer.status == 200 and answer.headers["Content-Type"] == "image/gif" and answer.body[:6] == b"GIF89a"
    assert answer.headers["Cache-Control"] == "no-store" and "Set-Cookie" not in answer.headers
    host = f"127.0.0.1:{gateway.port}"
    data = secret.read_bytes().strip()
    seven, eight = (visitor_of(data, day, address, FIREFOX, host) for address in ("203.0.113.7", "203.0.113.8"))
    got = visits(city, 4)
    if day == e.day_text((e.now_ms() + 7 * 3600 * 1000) // 86400000):  # not over midnight
        assert sorted(got) == sorted([(seven, seven)] * 3 + [(eight, eight)])
    assert counts(gateway) == {"taken": 4}
    log = gateway.process.log()
    assert "203.0.113" not in log and "Firefox" not in log
    city.fold()
    city.expect_exact()
    assert city.total("visits") == "2"


def test_two_gateways_agree_and_a_new_secret_cuts_the_link(city, secret):
    first, second = start(city, secret), start(city, secret)
    visit(first, Host="gateway.example"), visit(second, Host="Gateway.example")
    [(a, _), (b, _)] = visits(city, 2)
    assert a == b
    secret.write_bytes(b"x" * 32)
    second.process.signal(signal.SIGHUP)
    second.process.wait_for_log("the visitors' secret was read again")
    visit(second, Host="gateway.example")
    assert len({visitor for visitor, _ in visits(city, 3)}) == 2
    secret.write_bytes(b"short")
    second.process.signal(signal.SIGHUP)
    second.process.wait_for_log("secret is not taken, that before stays in force: .*5 bytes")
    assert visit(second).status == 204


def test_who_does_not_want_to_be_counted_is_not(city, secret):
    gateway = start(city, secret)
    assert visit(gateway, Sec_GPC="1").status == 204
    assert visit(gateway, DNT="1").status == 204
    assert visit(gateway, DNT="0").status == 204  # said yes
    assert visit(gateway, agent="Mozilla/5.0 (compatible; Googlebot/2.1)").status == 204
    assert visit(gateway, agent=None).status == 204
    assert visit(gateway, Sec_Purpose="prefetch;prerender").status == 204
    assert visit(gateway, origin="https://evil.example").status == 403
    assert visit(gateway, origin=None).status == 403
    assert visit(gateway, path="/v1/visit.gif", method="GET", origin=None).status == 200
    assert counts(gateway) == {"taken": 1, "opted_out": 2, "bots": 3, "other_origins": 3}
    by = gateway.ask("GET", "/v1/visits", token=None).json["bots_by"]
    gateway.process.wait_for_log(rf"programs are told from people by \d+ patterns, those of {by or 'crawler-user-agents'}|of our own: the list")
    assert by.startswith("crawler-user-agents ") or "is not in this build" in gateway.process.log()
    assert len(visits(city, 1)) == 1


def test_rate_of_an_address(city, secret):
    gateway = start(city, secret, "--visit-rate", "5")
    statuses = [visit(gateway).status for _ in range(8)]
    assert statuses[:5] == [204] * 5 and statuses[-1] == 429
    assert visit(gateway, "203.0.113.8").status == 204
    # a client can't give itself other addresses: only what the proxy added counts
    assert visit(gateway, "198.51.100.9, 203.0.113.7").status == 429
    # a proxy that adds a line of its own to what the client wrote
    got = gateway.raw(f"POST /v1/visits HTTP/1.1\r\nHost: x\r\nOrigin: {SITE}\r\nUser-Agent: {FIREFOX}\r\nContent-Length: 0\r\n"
                      "X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-For: 203.0.113.7\r\nConnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 429"), got
    assert counts(gateway)["over_rate"] >= 4


def test_beacon_is_small_and_keeps_nothing(city, secret):
    gateway = start(city, secret)
    answer = gateway.ask("GET", "/beacon.js", token=None)
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/javascript")
    assert len(answer.body) < 1024
    for word in (b"cookie", b"localStorage", b"sessionStorage", b"userAgent"):
        assert word not in answer.body
    answer = gateway.ask("OPTIONS", "/v1/visits", token=None, Origin=SITE, Access_Control_Request_Method="POST")
    assert answer.status == 204 and answer.headers["Access-Control-Allow-Origin"] == SITE


def test_without_a_secret_visits_are_not_taken(city):
    gateway = Gateway(city)
    for method, path in (("POST", "/v1/visits"), ("GET", "/v1/visit.gif"), ("GET", "/beacon.js")):
        assert visit(gateway, method=method, path=path).status == 404
    assert gateway.post(event("a")).status == 200


def test_bad_settings_of_visits(city, secret):
    import subprocess
    from tests.lab.gateway import PRODUCER, new_token
    tokens = city.directory / "tokens"
    tokens.write_text(new_token()[1])

    def run(*flags):
        done = subprocess.run([os.fspath(PRODUCER), "gateway", "-b", city.kafka.bootstrap, "--listen", "127.0.0.1:0", "--tokens",
                               os.fspath(tokens), *map(os.fspath, flags)], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr
    status, said = run("--visitor-secret-file", secret)
    assert status == 2 and "--allow-origin is missing" in said
    status, said = run("--visitor-secret-file", secret, "--allow-origin", "*", "--trusted-proxy", "10.0.0.0/99")
    assert status == 2 and "10.0.0.0/99" in said
    secret.write_bytes(b"x" * 31)
    status, said = run("--visitor-secret-file", secret, "--allow-origin", "*")
    assert status == 2 and "31 bytes" in said
