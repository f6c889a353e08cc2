"""Redis over TLS: whose certificate is trusted, and for whom it has to be; what is refused says the file, the host and what OpenSSL said."""
import json
import os
import shutil
import subprocess

import pytest

from tests.lab.process import Process, free_ports, wait_until
from tests.lab.redis_server import RedisServer
from tests.tls.conftest import CONSUMER, PRODUCER, QUERY

EVENT = ('{"type":"headcount-change","id":"%s","source":"hong-bang","agency":"hong-bang","sector":"commune","reason":"baseline",'
         '"delta":%d,"effective_date":"2015-01-01"}\n')


def run(program, command, *arguments, status=0, says="", **options):
    done = subprocess.run([program, command, *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == status, f"exit {done.returncode}, expected {status}: {done.stderr}"
    assert says in done.stderr, done.stderr
    return done.stdout if status == 0 else done.stderr


def shown(url, *arguments, **options):
    """The totals, or with another status what is said."""
    return run(QUERY, "print", "--format", "json", "--redis", url, *arguments, **options)


@pytest.fixture
def server(directory, request):
    """server(cert, key, clients=…, authority=…): a Redis with that certificate."""
    made = []

    def start(authority, pair, **options):
        made.append(RedisServer(directory / f"redis-{request.node.name[:40]}-{len(made)}").use_tls(authority, *pair, **options))
        return made[-1].start()
    yield start
    for each in made:
        each.stop()


@pytest.fixture(scope="session")
def good(authority):
    return authority.issue("good", "DNS:localhost,IP:127.0.0.1")


def url_of(redis, host="127.0.0.1", scheme="rediss"):
    return f"{scheme}://{host}:{redis.port}"


# --- which certificates are taken ---

def test_the_right_certificate_is_taken_by_address_and_by_name(server, authority, good):
    redis = server(authority, good)
    for host in ("127.0.0.1", "localhost"):
        assert json.loads(shown(url_of(redis, host), "--redis-ca", authority.cert))["events"] == 0
    environment = {**os.environ, "CITYTOTALS_REDIS_CA": str(authority.cert)}
    shown(url_of(redis), env=environment)
    settings = redis.directory / "settings"
    settings.write_text(f"redis = {url_of(redis)}\nredis-ca = {authority.cert}\n")
    run(QUERY, "print", "--config", settings)


def test_the_systems_authorities_are_trusted_where_none_is_named(server, authority, good):
    redis = server(authority, good)
    said = shown(url_of(redis), status=1, says="self-signed certificate in certificate chain")
    assert "trusted: the system's authorities" in said
    shown(url_of(redis), env={**os.environ, "SSL_CERT_FILE": str(authority.cert)})


def test_another_authoritys_certificate_is_refused(server, authority, stranger):
    redis = server(stranger, stranger.issue("foreign", "IP:127.0.0.1"))
    said = shown(url_of(redis), "--redis-ca", authority.cert, status=1,
                 says=f"TLS with redis at 127.0.0.1:{redis.port}: its certificate is refused: self-signed certificate in certificate chain")
    assert f"trusted: {authority.cert}" in said and "/CN=stranger, 1 up its chain" in said


@pytest.mark.parametrize("names, host, says", [
    ("DNS:elsewhere.example", "localhost", "its certificate is not for localhost: hostname mismatch; it is for DNS:elsewhere.example"),
    ("DNS:localhost", "127.0.0.1", "its certificate is not for 127.0.0.1: IP address mismatch; it is for DNS:localhost"),
    ("IP:127.0.0.1", "localhost", "its certificate is not for localhost: hostname mismatch; it is for IP Address:127.0.0.1"),  # its subject is no name
    ("DNS:l*.example,DNS:*", "localhost", "its certificate is not for localhost: hostname mismatch"),
])
def test_a_certificate_for_somebody_else_is_refused(server, authority, names, host, says):
    redis = server(authority, authority.issue("localhost", names))  # its subject would do, and does not count
    shown(url_of(redis, host), "--redis-ca", authority.cert, status=1, says=f"TLS with redis at {host}:{redis.port}: {says}")


@pytest.mark.parametrize("dates, says", [(("20200101000000Z", "20210101000000Z"), "certificate has expired"),
                                         (("20900101000000Z", "20910101000000Z"), "certificate is not yet valid")])
def test_a_certificate_out_of_its_time_is_refused(server, authority, dates, says):
    redis = server(authority, authority.issue("out-of-time", "IP:127.0.0.1", "-not_before", dates[0], "-not_after", dates[1]))
    shown(url_of(redis), "--redis-ca", authority.cert, status=1, says=f"its certificate is refused: {says} (/CN=out-of-time, 0 up its chain")


def test_a_port_without_tls_and_one_with_it_are_told_apart(directory, server, authority, good):
    plain = RedisServer(directory / "redis-plain").start()
    try:
        for _ in range(8):  # some greetings look like a command to Redis, which answers; to others it says nothing
            shown(url_of(plain), "--redis-ca", authority.cert, status=1, says="is it a port without TLS?")
    finally:
        plain.stop()
    redis = server(authority, good)
    shown(url_of(redis, scheme="redis"), status=1, says="redis: ")
    port = free_ports(1)[0]
    shown(f"rediss://127.0.0.1:{port}", "--redis-ca", authority.cert, status=1, says=f"connect to redis at 127.0.0.1:{port}: Connection refused")


# --- a certificate of our own ---

def test_a_redis_that_asks_for_a_certificate(server, authority, stranger, good):
    redis = server(authority, good, clients="yes")
    mine, foreign = authority.issue("program", "DNS:program"), stranger.issue("program", "DNS:program")
    trusted = (url_of(redis), "--redis-ca", authority.cert)
    shown(*trusted, "--redis-cert", mine[0], "--redis-key", mine[1])
    for _ in range(10):  # what arrives first, its refusal or the end of the connection, is chance
        shown(*trusted, status=1, says=f"TLS with redis at 127.0.0.1:{redis.port}: tlsv13 alert certificate required; "
                                       "it may want a certificate of the program's: --redis-cert and --redis-key")
        shown(*trusted, "--redis-cert", foreign[0], "--redis-key", foreign[1], status=1,
              says=f"TLS with redis at 127.0.0.1:{redis.port}: tlsv1 alert unknown ca")
    shown(*trusted, "--redis-cert", mine[0], status=2, says="redis-cert is set, and redis-key is not; allowed: both or neither")
    shown(*trusted, "--redis-key", mine[1], status=2, says="redis-key is set, and redis-cert is not; allowed: both or neither")
    shown(*trusted, "--redis-cert", mine[0], "--redis-key", foreign[1], status=2, says=f"redis-key {foreign[1]}: key values mismatch")


# --- files ---

def test_bad_files_are_named(directory, authority, good):
    garbage = directory / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    locked = directory / "locked.key"
    subprocess.run(["openssl", "pkey", "-in", good[1], "-aes256", "-passout", "pass:secret", "-out", locked], check=True, timeout=60)
    port = free_ports(1)[0]
    with_tls = ("--redis", f"rediss://127.0.0.1:{port}")
    for arguments, says in [
            (("--redis-ca", "/nowhere/ca.crt"), "redis-ca /nowhere/ca.crt: No such file or directory"),
            (("--redis-ca", "/dev/null"), "redis-ca /dev/null: no certificate or crl found"),
            (("--redis-ca", garbage), f"redis-ca {garbage}: "),
            (("--redis-cert", garbage, "--redis-key", good[1]), f"redis-cert {garbage}: "),
            (("--redis-cert", good[0], "--redis-key", "/nowhere/key"), "redis-key /nowhere/key: No such file or directory"),
            (("--redis-cert", good[0], "--redis-key", locked), f"redis-key {locked}: "),
            (("--redis-cert", good[0]), "redis-cert is set, and redis-key is not")]:
        # before Kafka or Redis is waited for
        run(CONSUMER, "run", "-b", "127.0.0.1:1", *with_tls, *arguments, status=2, says=says)
        run(QUERY, "serve", "--listen", "127.0.0.1:0", *with_tls, *arguments, status=2, says=says)
        run(PRODUCER, "gateway", "-b", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--tokens", "/dev/null", *with_tls, *arguments, status=2, says=says)
    for scheme in ("redis", "redis+cluster"):
        run(CONSUMER, "run", "-b", "127.0.0.1:1", "--redis", f"{scheme}://127.0.0.1:{port}", "--redis-ca", authority.cert, status=2,
            says="redis-ca is set, and the redis URL is one without TLS; allowed: rediss://, rediss+cluster://")


# --- programs that run on ---

@pytest.fixture
def consumer(directory, brokers, request):
    made = []

    def start(url, *arguments):
        made.append(Process(f"consumer-{request.node.name[:40]}-{len(made)}",
                            [CONSUMER, "run", "-b", brokers, "--redis", url, "--retry-interval", "100ms", *arguments], directory))
        return made[-1]
    yield start
    for each in made:
        each.kill()


def given(brokers, name, delta):
    run(PRODUCER, "send", "-b", brokers, "-", input=EVENT % (name, delta))


def test_renewed_certificates_are_taken_without_a_restart(directory, server, brokers, consumer, authority, good):
    """The server's authority changes, and the program's own certificate, while the consumer runs; in between it waits and says why."""
    second = type(authority)(directory / "second", "second")
    folder = directory / "renewed"
    folder.mkdir()
    old, new = authority.issue("old", "DNS:consumer"), second.issue("new", "DNS:consumer")

    def put(ca, pair):
        for source, name in ((ca, "ca.crt"), (pair[0], "tls.crt"), (pair[1], "tls.key")):
            shutil.copy(source, folder / f"{name}.new")
            os.replace(folder / f"{name}.new", folder / name)
    put(authority.cert, old)
    files = ("--redis-ca", folder / "ca.crt", "--redis-cert", folder / "tls.crt", "--redis-key", folder / "tls.key")
    redis = server(authority, good, clients="yes")
    given(brokers, "renewed-1", 10)
    running = consumer(url_of(redis), *files)
    version = wait_until("the first is folded", lambda: redis.client.hget("{haiphong}:totals", "version"), 60, running.check_alive)
    cert, key = second.issue("server", "IP:127.0.0.1")
    assert redis.client.config_set("tls-cert-file", str(cert), "tls-key-file", str(key), "tls-ca-cert-file", str(second.cert))
    redis.client_settings.update(ssl_ca_certs=str(second.cert), ssl_certfile=str(cert), ssl_keyfile=str(key))
    redis.client.client_kill_filter(_type="normal")
    running.wait_for_log("its certificate is refused: self-signed certificate in certificate chain")
    put(second.cert, new)
    redis.connect()
    given(brokers, "renewed-2", 5)
    wait_until("the second is folded", lambda: redis.client.hget("{haiphong}:totals", "version") != version, 60, running.check_alive)
    assert running.stop() == 0


def test_a_wait_for_the_handshake_ends_with_the_program(directory, consumer, authority):
    """Somebody takes the connection and says nothing."""
    import socket
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rediss://127.0.0.1:{silent.getsockname()[1]}"
        running = consumer(url, "--redis-ca", authority.cert)
        running.wait_for_log("no answer in time; is it a port without TLS", 30)
        assert running.stop(20) == 0


# --- a build without TLS ---

@pytest.mark.without_tls
@pytest.mark.parametrize("scheme", ["rediss", "rediss+cluster"])
def test_a_build_without_tls_says_so(scheme):
    for program, command in ((QUERY, ("print",)), (QUERY, ("serve", "--listen", "127.0.0.1:0")), (CONSUMER, ("run", "-b", "127.0.0.1:1")),
                             (PRODUCER, ("gateway", "-b", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--tokens", "/dev/null"))):
        run(program, *command, "--redis", f"{scheme}://127.0.0.1:1", status=2,
            says="redis URL: this build has no TLS for Redis (hiredis 1.0 or newer has it)")
