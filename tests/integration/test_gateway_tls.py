"""The gateway's own TLS: versions, certificates that change while it runs, and files that are not what they should be."""
import http.client
import os
import re
import shutil
import signal
import ssl
import subprocess
import time

import pytest

from tests.lab.certificates import make_expiring, make_pair
from tests.lab.gateway import PRODUCER, Gateway, event, new_token
from tests.lab.process import wait_until


class Secure(Gateway):
    """A gateway that speaks TLS by the pair of files in force, and clients that know `trusted` only."""

    def __init__(self, city, *flags):
        self.folder = city.directory
        self.trusted, key = make_pair(city.directory, "first")
        self.cert, self.key = city.directory / "tls.crt", city.directory / "tls.key"
        shutil.copy(self.trusted, self.cert)
        shutil.copy(key, self.key)
        super().__init__(city, "--tls-cert", self.cert, "--tls-key", self.key, *flags)

    def connect(self, timeout=60, version=None):
        context = ssl.create_default_context(cafile=self.trusted)
        if version:
            context.minimum_version = context.maximum_version = version
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context)

    def put(self, cert, key):
        """As a program that renews certificates does: each file at once, one after the other."""
        for path, to in ((cert, self.cert), (key, self.key)):
            shutil.copy(path, to.with_suffix(".new"))
            to.with_suffix(".new").rename(to)


@pytest.fixture
def gateway(city):
    return Secure(city)


def test_events_over_tls(city, gateway):
    assert gateway.post(event("a")).status == 200
    many = [event(f"{'x' * 60}-{i}") for i in range(4000)]
    assert gateway.post(many).json["accepted"] == 4000, "a large body and a large answer"
    kept = gateway.connect()
    for i in range(3):  # one connection
        kept.request("POST", "/v1/events", iter([b'{"type":"headcount-change","id":"k%d","sector":"commune","reason":"retired",' % i,
                                                 b'"delta":-1,"effective_date":"2020-10-30"}']),
                     {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json", "Transfer-Encoding": "chunked"},
                     encode_chunked=True)
        answer = kept.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    kept.close()
    city.fold()
    assert city.total("events") == "4004"
    assert 80 * 86400 < gateway.metric("gateway_certificate_expires_timestamp_seconds") - time.time() < 91 * 86400


def test_versions(gateway):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert gateway.post(event("a"), connection=gateway.connect(version=version)).status == 200
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            gateway.post(event("a"), connection=gateway.connect(version=version))
    got = gateway.raw("GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"HTTP/1.1 200" not in got, "somebody who speaks no TLS"
    assert gateway.post(event("a")).status == 200


def test_a_renewed_certificate_is_taken_without_a_restart(gateway):
    open_before = gateway.connect()
    assert gateway.ask("GET", "/openapi.json", connection=open_before, token=None).status == 200
    gateway.put(*make_pair(gateway.folder, "second"))
    gateway.trusted = gateway.folder / "second.crt"

    def taken():
        try:
            return gateway.ask("GET", "/openapi.json", token=None).status == 200
        except ssl.SSLError:
            return False
    wait_until("the new certificate is shown", taken, 30)
    # a key of another certificate
    gateway.put(gateway.trusted, gateway.folder / "first.key")
    gateway.process.wait_for_log(r"the certificate is not taken, the one before stays in force: the key \S+ is not that of the certificate")
    assert taken()
    gateway.put(gateway.trusted, gateway.folder / "second.key")
    gateway.process.signal(signal.SIGHUP)
    gateway.process.wait_for_log(r"the certificate was read again")
    gateway.cert.unlink()
    gateway.process.wait_for_log(r"not taken.*No such file")
    assert taken()


def test_a_certificate_that_does_not_last_is_told(gateway):
    gateway.put(*make_pair(gateway.folder, "short", days=5))
    gateway.process.wait_for_log(r"certificate \S+tls.crt expires soon, at 20\d\d-")


def test_a_certificate_that_is_over_is_told_and_clients_refuse_it(city):
    """The gateway goes on with it: who takes it is for clients to say, and an operator may renew it while it runs."""
    cert, key = make_expiring(city.directory, "over", -86400)

    class Over(Secure):
        def __init__(self, city):
            super().__init__(city)
            self.trusted = cert

        def write_tokens(self, *more):  # between the files' making and the start
            super().write_tokens(*more)
            self.put(cert, key)
    gateway = Over(city)
    gateway.process.wait_for_log(r"certificate \S+tls.crt expired at 20\d\d-\d\d-\d\dT")
    assert -2 * 86400 < gateway.metric("gateway_certificate_expires_timestamp_seconds") - time.time() < -86000
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        gateway.post(event("a"))
    careless = ssl._create_unverified_context()
    answer = gateway.post(event("a"), connection=http.client.HTTPSConnection("127.0.0.1", gateway.port, timeout=60, context=careless))
    assert answer.status == 200
    gateway.put(gateway.folder / "first.crt", gateway.folder / "first.key")
    gateway.trusted = gateway.folder / "first.crt"
    gateway.process.wait_for_log("the certificate was read again")
    assert gateway.post(event("b")).status == 200
    assert len(re.findall("certificate .* expired at", gateway.process.log())) == 1


def test_a_certificate_that_expires_while_it_is_in_use_is_told_again(gateway):
    gateway.put(*make_expiring(gateway.folder, "soon", 6))
    gateway.process.wait_for_log(r"certificate \S+tls.crt expires soon, at")
    gateway.process.wait_for_log(r"certificate \S+tls.crt expired at")


def test_bad_starts(city):
    city.directory.mkdir(parents=True, exist_ok=True)
    tokens, nonsense = city.directory / "tokens", city.directory / "nonsense"
    tokens.write_text(new_token()[1] + "\n")
    nonsense.write_text("-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n")
    cert, key = make_pair(city.directory, "one")
    _, other = make_pair(city.directory, "other")

    def run(*flags):
        done = subprocess.run([os.fspath(PRODUCER), "gateway", "-b", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--tokens", tokens, *flags],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr
    for flags, says in ((["--tls-cert", cert], "--tls-key is missing"), (["--tls-key", key], "--tls-cert is missing"),
                        (["--tls-cert", cert, "--tls-key", other], "other.key is not that of the certificate"),
                        (["--tls-cert", nonsense, "--tls-key", key], "nonsense is no chain"),
                        (["--tls-cert", cert, "--tls-key", nonsense], "nonsense is no private key"),
                        (["--tls-cert", city.directory / "none", "--tls-key", key], "none: No such file"),
                        (["--tls-cert", cert, "--tls-key", city.directory], "is no file of at most")):
        status, said = run(*flags)
        assert status == 2 and says in said, (flags, status, said)
