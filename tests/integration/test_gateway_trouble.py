"""The gateway while things break: nothing that it acknowledged is lost, nothing is counted twice, nobody else waits."""
import contextlib
import gzip
import http.client
import json
import signal
import socket
import threading
import time

import pytest

from tests.integration.test_gateway import problem
from tests.integration.test_management import ask
from tests.integration.test_send import arrived
from tests.lab import events as e
from tests.lab.gateway import MEMORY_MIB, PRODUCER, Gateway, event, new_token
from tests.lab.process import wait_until
from tests.lab.vanish import peers, vanish


class Clients:
    """Threads that post batches and repeat each until it is acknowledged, as the guide tells agencies."""

    def __init__(self, gateway, threads=4, size=20):
        self.gateway, self.size = gateway, size
        self.acknowledged, self.retried, self.faults = [], 0, []
        self.stopping, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(180)
        assert not any(thread.is_alive() for thread in self.threads), "a client was never acknowledged"
        assert not self.faults, self.faults[:3]

    def run(self, number):
        count = 0
        while not self.stopping.is_set():
            ids = [f"c{number}-{count}-{i}" for i in range(self.size)]
            count += 1
            while True:
                try:
                    answer = self.gateway.post_lines(*[event(id_, -1 - i % 5) for i, id_ in enumerate(ids)])
                except (OSError, http.client.HTTPException):
                    answer = None
                if answer and answer.status == 200:
                    with self.lock:
                        self.acknowledged += ids
                    break
                if answer and answer.status != 503:
                    self.faults.append(answer)
                    return
                if answer and ("safe" not in answer.json["detail"] or "Retry-After" not in answer.headers):
                    self.faults.append(answer)
                with self.lock:
                    self.retried += 1
                time.sleep(0.05)

    def wait_for(self, more, seconds=120):
        target = len(self.acknowledged) + more
        wait_until(f"{more} events more are acknowledged", lambda: len(self.acknowledged) >= target, seconds)


def expect_all_once(city, clients):
    """Each acknowledged event is in the log, and the fold counts each once."""
    want = {e.event_id("headcount-change", "so-noi-vu", "hong-bang", id_) for id_ in clients.acknowledged}
    assert len(want) == len(clients.acknowledged)
    got = {each["event_id"] for _, each, _, _ in arrived(city)}
    assert not want - got, f"{len(want - got)} of {len(want)} acknowledged events are not in Kafka"
    assert not got - want, "an event that no client was told of"
    city.fold()
    city.expect_exact()
    assert int(city.total("events")) == len(want)


def test_kafka_killed_and_restarted_under_load(city, kafka):
    gateway = Gateway(city)
    with Clients(gateway) as clients:
        clients.wait_for(200)
        for _ in range(2):
            kafka.kill()
            time.sleep(0.5)  # requests come in meanwhile; no event tells of them
            kafka.start()
            clients.wait_for(200)
    gateway.process.check_alive()
    expect_all_once(city, clients)


def test_not_ready_while_kafka_is_away(city, kafka):
    """Who balances load sends nobody to a gateway that can't send on; alive it is all the same, and ready again by itself."""
    gateway = Gateway(city, "--ack-timeout", "2s")
    assert gateway.post(event("a")).status == 200
    wait_until("it is ready", lambda: ask(gateway.process, "/readyz")[0] == 200, 30, gateway.process.check_alive)
    kafka.kill()
    try:
        wait_until("it is not ready", lambda: ask(gateway.process, "/readyz")[0] == 503, 30)
        assert ask(gateway.process, "/readyz")[1] == "no kafka broker answers\n"
        assert ask(gateway.process, "/healthz")[0] == 200
    finally:
        kafka.start()
    wait_until("it is ready again", lambda: ask(gateway.process, "/readyz")[0] == 200, 60)
    wait_until("it takes events", lambda: gateway.post(event("b")).status == 200, 60)  # a broker answers before it leads its partitions again
    gateway.process.wait_for_log("not ready: no kafka broker answers")
    gateway.process.wait_for_log("ready again")


def test_not_ready_while_kafka_does_not_acknowledge(city, kafka):
    """The broker answers, but takes no event."""
    gateway = Gateway(city)
    kafka.set_topic(f"{city.name}.headcount-changes", "max.message.bytes", "10")
    problem(gateway.post(event("a")), 503, "safe")
    wait_until("it is not ready", lambda: ask(gateway.process, "/readyz")[:2] == (503, "kafka does not acknowledge\n"), 10)
    assert ask(gateway.process, "/healthz")[0] == 200
    kafka.set_topic(f"{city.name}.headcount-changes", "max.message.bytes", "1048588")
    assert gateway.post(event("a")).status == 200
    wait_until("an acknowledgement makes it ready", lambda: ask(gateway.process, "/readyz")[0] == 200, 5)


def test_a_gateway_waits_for_topics_that_are_being_made(new_city, kafka):
    city = new_city(create=False)
    (city.directory / "tokens").parent.mkdir(parents=True, exist_ok=True)
    (city.directory / "tokens").write_text(new_token()[1] + "\n")
    process = city.program("gateway", PRODUCER, "gateway", "-b", kafka.bootstrap, "--city", city.name, "--listen", "127.0.0.1:0",
                           "--management", "127.0.0.1:0", "--tokens", city.directory / "tokens", "--connect-timeout", "60s")
    process.wait_for_log(f"no topic {city.name}.headcount-changes.*waiting for it")
    assert ask(process, "/healthz")[0] == 200 and ask(process, "/readyz")[:2] == (503, "starting\n")
    kafka.create_city(city.name, 1)
    wait_until("it is ready", lambda: ask(process, "/readyz")[0] == 200, 60, process.check_alive)
    assert process.stop() == 0


def test_gateway_killed_while_clients_repeat(city):
    gateway = Gateway(city)
    with Clients(gateway) as clients:
        for _ in range(5):
            clients.wait_for(100)
            gateway.process.kill()
            gateway.start()
        clients.wait_for(100)
    assert clients.retried > 0
    expect_all_once(city, clients)


def test_gateway_stopped_orderly_under_load(city):
    gateway = Gateway(city)
    with Clients(gateway) as clients:
        for _ in range(3):
            clients.wait_for(100)
            assert gateway.process.stop() == 0
            gateway.start()
        clients.wait_for(100)
    expect_all_once(city, clients)


def test_an_event_that_comes_too_late_for_a_gateway_that_stops(city):
    """A request that never ends holds it open past its grace. On a connection that was open already comes one event more."""
    gateway = Gateway(city, "--ack-timeout", "1s")
    with contextlib.ExitStack() as stack:
        slow = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=60))
        slow.sendall(raw_request(gateway, b"{", "Content-Length: 9"))
        connections = [gateway.connect() for _ in range(60)]
        for each in connections:
            stack.callback(each.close)
            each.request("GET", "/openapi.json")
            assert each.getresponse().read()
        gateway.process.signal(signal.SIGTERM)
        for number, each in enumerate(connections):
            answer = gateway.post(event(str(number)), connection=each)
            if answer.status != 200:
                break
            time.sleep(0.1)
    problem(answer, 503, "the gateway is stopping; repeating the request is safe")
    assert answer.headers["Retry-After"] == "1"
    assert gateway.process.wait() == 0
    assert gateway.start().post(event(str(number))).status == 200
    city.fold()
    city.expect_exact()
    assert city.total("events") == str(number + 1)


@contextlib.contextmanager
def standing_still(kafka):
    kafka.process.signal(signal.SIGSTOP)
    try:
        kafka.process.wait_until_stopped()
        yield
    finally:
        kafka.process.signal(signal.SIGCONT)


def test_kafka_that_does_not_acknowledge_in_time(city, kafka):
    gateway = Gateway(city, "--ack-timeout", "2s")
    assert gateway.post(event("before")).status == 200
    with standing_still(kafka):
        began = time.monotonic()
        answer = problem(gateway.post(event("a")), 503, "repeating the request is safe")
        assert answer.headers["Retry-After"] and 1.5 < time.monotonic() - began < 20
    wait_until("it is acknowledged again", lambda: gateway.post(event("a")).status == 200, 60)
    assert gateway.post(event("before")).status == 200
    city.fold()
    city.expect_exact()
    assert city.total("events") == "2"


def test_full_queue(city, kafka):
    gateway = Gateway(city, "--queue-events", "10000", "--ack-timeout", "60s")
    many = "".join(json.dumps(event(str(i))) .replace(" ", "") + "\n" for i in range(6000)).encode()
    answers = []
    with standing_still(kafka):
        waiting = threading.Thread(target=lambda: answers.append(gateway.post(many, "application/x-ndjson", connection=gateway.connect(180))))
        waiting.start()
        wait_until("the first batch waits", lambda: gateway.metric("gateway_events_pending") == 6000, 60)
        answer = problem(gateway.post(many, "application/x-ndjson"), 503, "queue for kafka is full")
        assert answer.headers["Retry-After"] == "1" and "safe" in answer.json["detail"]
        assert gateway.post_lines(event("x", 0)).status == 207, "what needs no Kafka is answered"
    waiting.join(180)
    assert answers[0].status == 200 and answers[0].json["accepted"] == 6000


# --- clients that do harm ---

HEAD = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def served(kafka, redis, directory):
    """One gateway for the clients below: each of them leaves it fit for the next."""
    from tests.lab.city import City
    city = City("gateway-harm", kafka, redis, directory / "gateway-harm")
    gateway = Gateway(city)
    yield gateway
    peak = gateway.peak_mib()
    city.stop()
    kafka.forget_city(city.name)
    assert peak <= MEMORY_MIB, f"{peak} MiB"


def raw_request(gateway, body, *headers):
    return (HEAD + f"Authorization: Bearer {gateway.token}\r\n" + "".join(f"{each}\r\n" for each in headers) + "\r\n").encode() + body


def test_smuggling_forms_are_refused_and_closed(served):
    good = json.dumps(event("smuggled")).encode()
    inner = raw_request(served, good, f"Content-Length: {len(good)}")
    chunked = f"{len(good):x}\r\n".encode() + good + b"\r\n0\r\n\r\n"
    before = served.metric("gateway_events_accepted_total")
    for headers, body in ((["Content-Length: 5", "Transfer-Encoding: chunked"], b"0\r\n\r\n" + inner),
                          (["Transfer-Encoding: chunked", "Content-Length: 5"], b"0\r\n\r\n" + inner),
                          (["Content-Length: 5", "Content-Length: 6"], b"12345" + inner),
                          ([f"Content-Length: {len(good)}, {len(good)}"], good + inner),
                          (["Content-Length: +5"], b"12345" + inner), (["Content-Length: 0x5"], b"12345" + inner),
                          (["Content-Length: -1"], inner), (["Transfer-Encoding: xchunked"], chunked + inner),
                          (["Transfer-Encoding: chunked, identity"], chunked + inner),
                          (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], chunked + inner),
                          (["Content-Length : 5"], b"12345" + inner), (["Host: y", "Content-Length: 0"], inner)):
        got = served.raw(raw_request(served, body, *headers))
        assert got.startswith(b"HTTP/1.1 4") or got == b"", (headers, got[:300])
        assert b"HTTP/1.1 2" not in got, (headers, got)  # what stood behind it was never taken for a request
    assert served.metric("gateway_events_accepted_total") == before


def test_chunked_and_pipelined_requests(served):
    good = json.dumps(event("chunked")).encode()
    chunks = b"".join(b"1\r\n" + good[i:i + 1] + b"\r\n" for i in range(len(good))) + b"0\r\n\r\n"
    got = served.raw(raw_request(served, chunks, "Transfer-Encoding: chunked", "Connection: close"))
    assert got.startswith(b"HTTP/1.1 200"), got
    requests = b"".join(raw_request(served, json.dumps(event(f"pipe-{i}")).encode(), f"Content-Length: {len(json.dumps(event(f'pipe-{i}')))}",
                                    *["Connection: close"] * (i == 4)) for i in range(5))
    got = served.raw(requests)
    assert got.count(b"HTTP/1.1 200") == 5, got
    places = [got.index(event_id_text(f"pipe-{i}")) for i in range(5)]
    assert places == sorted(places)


def event_id_text(id_):
    from tests.lab.gateway import event_id
    return event_id(id_).encode()


def test_bombs_and_oversize(served):
    bomb = gzip.compress(b" " * (200 << 20))
    problem(served.post(bomb, Content_Encoding="gzip"), 413, "unpacks to more")
    nested = b"[" * 500000
    problem(served.post(nested), 400, "deep")
    problem(served.post(b'{"a":' * 2000 + b"1" + b"}" * 2000), 400, "deep")
    problem(served.post(b'{"type":"' + b"\\u0061" * 2600 + b'"}'), 422, "type is")
    got = served.raw(HEAD + "X-Long: " + "a" * 40000 + "\r\n\r\n")
    refused = b"HTTP/1.1 4"  # or nothing: who is still writing when it closes may lose the answer
    assert got.startswith(refused) or got == b"", got[:200]
    got = served.raw("GET /" + "a" * 40000 + " HTTP/1.1\r\nHost: x\r\n\r\n")
    assert got.startswith(refused) or got == b"", got[:200]
    got = served.raw(raw_request(served, b"x" * 100, "Content-Length: 99999999999"))
    assert got.startswith(b"HTTP/1.1 413") or got == b"", got[:200]
    assert served.post(event("after")).status == 200


def test_slow_and_idle_clients_do_not_hold_others_up(served):
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=60)) for _ in range(200)]
        body = json.dumps(event("drip")).encode()
        request = raw_request(served, body, f"Content-Length: {len(body)}", "Connection: close")
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=60)) for _ in range(10)]
        for place in range(len(request)):
            for connection in slow:
                connection.sendall(request[place:place + 1])
            if place % 50 == 0:
                assert served.post(event(f"between-{place}")).status == 200
        for connection in slow:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        wait_until("the connections are counted", lambda: served.metric("gateway_connections") >= len(idle), 30)
        assert served.rss_mib() < MEMORY_MIB


def test_clients_that_vanish(served, kafka):
    """Neither FIN nor RST tells of them: within a minute each is forgotten by itself, and nobody waits for them meanwhile."""
    whole, many = json.dumps(event("vanished")).encode(), b"1\n" * 10000
    asked = raw_request(served, whole, f"Content-Length: {len(whole)}")
    large = raw_request(served, many, f"Content-Length: {len(many)}").replace(b"application/json", b"application/x-ndjson")
    wait_until("the clients before are gone", lambda: served.metric("gateway_connections") == 0, 60)
    with peers(("127.0.0.1", served.port), 50) as made:
        with standing_still(kafka):  # so that they go before the answer
            for number, peer in enumerate(made):
                peer.sendall((b"", asked[:40], asked[:-1], asked, large)[number % 5])
                vanish(peer)
            wait_until("they are waited for", lambda: served.metric("gateway_connections") == 50, 30)
        for number in range(20):
            assert served.post(event(f"beside-{number}")).status == 200
        wait_until("they are given up", lambda: served.metric("gateway_connections") == 0, 45, served.process.check_alive)
        assert served.peak_mib() <= MEMORY_MIB, served.peak_mib()
    assert served.metric("gateway_events_pending") == 0 and served.post(event("after")).status == 200


def test_clients_that_leave_before_the_answer(served):
    body = json.dumps([event(f"left-{i}") for i in range(100)]).encode()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
            connection.sendall(raw_request(served, body, f"Content-Length: {len(body)}"))
    assert served.post(event("stayed")).status == 200
    wait_until("nothing is left over", lambda: served.metric("gateway_events_pending") == 0, 60)


def test_memory_with_large_batches_from_many(served):
    """Bodies of a MiB from many clients at once; those that do not fit are told to come again."""
    filler = "x" * 60
    body = "".join(json.dumps(event(f"{filler}-{i}")) + "\n" for i in range(4000)).encode()
    assert len(body) < 1 << 20
    statuses, lock = [], threading.Lock()

    def one():
        for _ in range(3):
            answer = served.post(body, "application/x-ndjson", connection=served.connect(180))
            with lock:
                statuses.append(answer.status)
    threads = [threading.Thread(target=one) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    assert len(statuses) == 72 and set(statuses) <= {200, 503} and 200 in statuses, statuses
    assert served.peak_mib() <= MEMORY_MIB, served.peak_mib()


def test_clients_that_do_not_read_their_answers(served):
    """A small body with a large answer, many times: whoever does not read is bounded, others are served."""
    body = b"1\n" * 10000
    request = raw_request(served, body, f"Content-Length: {len(body)}").replace(b"application/json", b"application/x-ndjson")
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(60)
            connection.connect(("127.0.0.1", served.port))
            with contextlib.suppress(OSError):
                connection.sendall(request)
        assert served.peak_mib() <= MEMORY_MIB, served.peak_mib()
        assert served.ask("GET", "/openapi.json", token=None).status == 200
    wait_until("they are gone", lambda: served.post(event("after")).status == 200, 60)
