"""The HTTP server under requests that are well formed and requests that are not."""
import http.client
import json
import signal
import socket
import threading
import zlib

import pytest

from tests.lab.process import BUILD, Process, wait_until
from tests.lab.vanish import peers as connected
from tests.lab.vanish import vanish


class Lab:
    def __init__(self, process):
        self.process = process
        host, port = process.wait_for_log(r"listening lab (\S+):(\d+)").groups()
        self.address = host, int(port)

    def ask(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def open(self):
        peer = socket.create_connection(self.address)
        peer.settimeout(30)
        return peer

    def raw(self, data):
        """All that comes back until the server closes, or nothing for it to wait for is left."""
        with self.open() as peer:
            try:
                peer.sendall(data if isinstance(data, bytes) else data.encode())
                peer.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return all_of(peer)

    def state(self):
        return json.loads(self.ask("/state")[1])

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(next(line for line in file if line.startswith("VmRSS")).split()[1]) * 1024


def all_of(peer):
    parts = []
    try:
        while part := peer.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def until(peer, end):
    data = b""
    while end not in data:
        part = peer.recv(65536)
        assert part, f"closed after {data!r}"
        data += part
    return data


@pytest.fixture
def lab(directory, request):
    made = []

    def make(**settings):
        name = f"{zlib.crc32(request.node.nodeid.encode()):08x}"
        process = Process(f"lab-{len(made)}", [BUILD / "tests" / "tools" / "http-lab", *[f"{k}={v}" for k, v in settings.items()]],
                          directory / f"http-{name}")
        made.append(process)
        return Lab(process)
    yield make
    for process in made:
        assert process.stop() == 0, process.log()


def test_answers(lab):
    server = lab()
    status, body, headers = server.ask("/hello")
    assert (status, body, headers["ETag"], headers["Content-Length"]) == (200, "hello\n", 'W/"1"', "6")
    status, body, headers = server.ask("/hello", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, "", "6")
    status, body, headers = server.ask("/hello", "OPTIONS")
    assert (status, body, headers["Allow"]) == (204, "", "GET, HEAD, OPTIONS")
    assert server.ask("/echo", "OPTIONS")[2]["Allow"] == "GET, HEAD, POST, OPTIONS"
    echo = json.loads(server.ask("/parts/a%20b/x/%C4%90?q=1+2&z", User_Agent="me")[1])
    assert echo == {"method": "GET", "client": "127.0.0.1", "agent": "me", "parts": ["a b", "Đ"], "parameters": {"q": "1 2", "z": ""},
                    "body": ""}
    assert json.loads(server.ask("/echo", "POST", b"x" * 1000000, Content_Type="application/json; charset=utf-8")[1])["body"] == "x" * 1000000


def test_problems_are_told(lab):
    server = lab()
    for path, method, body, status, words in (
            ("/nothing", "GET", None, 404, "there is nothing at this path"), ("/hello/", "GET", None, 404, "nothing"),
            ("/hello", "DELETE", None, 405, "GET, HEAD, OPTIONS"), ("/hello", "NONSENSE", None, 405, "GET"),
            ("/hello", "POST", b"x", 405, "GET"), ("/echo?a=%ff", "GET", None, 400, "parameter 1"),
            ("/echo?a=%00", "GET", None, 400, "parameter 1"), ("/echo?a=1&a=2", "GET", None, 400, '"a" is given twice'),
            ("/ab?a=1&c=2", "GET", None, 400, "allowed: a, b"), ("/hello", "GET", b"body", 413, "0 bytes"),
            ("/echo", "POST", b"x" * (1024 * 1024 + 1), 413, "1048576 bytes"), ("/echo", "POST", b"x", 415, "Content-Type")):
        got, text, headers = server.ask(path, method, body)
        assert got == status, (path, method, text)
        problem = json.loads(text)
        assert headers["Content-Type"] == "application/problem+json" and words in problem["detail"], problem
        assert set(problem) <= {"type", "title", "status", "detail", "errors"} and problem["status"] == status and problem["title"]
    assert json.loads(server.ask("/ab?c=2")[1])["errors"][0]["field"] == "c"
    assert server.ask("/hello", "DELETE")[2]["Allow"] == "GET, HEAD, OPTIONS"
    assert server.ask("/nothing", "OPTIONS")[0] == 404


def test_a_connection_is_kept(lab):
    server = lab()
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    connection.connect()
    peer = connection.sock
    for path, status in (("/hello", 200), ("/nothing", 404), ("/later", 200), ("/hello", 200)):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == status and answer.read() and connection.sock is peer
    connection.close()
    with server.open() as peer:  # three requests at once
        peer.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = all_of(peer)
    assert data.count(b"200 OK") == 3 and data.endswith(b"later\n")


def test_malformed_requests(lab):
    server = lab(idle_ms=1000)  # libmicrohttpd may miss the end of a peer's writing that comes with its last bytes
    for data in (b"\r\n\r\n", b"GET\r\n\r\n", b"\0" * 5000, b"GET /hello HTTP/9.9\r\nHost: x\r\n\r\n", b"GET hello HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"GET /hello HTTP/1.1\r\nHost x\r\n\r\n", b"GET /hello HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET * HTTP/1.1\r\nHost: x\r\n\r\n"):
        answer = server.raw(data)
        assert b" 200 " not in answer, (data, answer)
    assert server.ask("/hello")[0] == 200


@pytest.mark.parametrize("headers", [
    "Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5", "Content-Length: +5", "Content-Length: -1", "Content-Length: 0x5",
    "Content-Length: 99999999999999999999", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: xchunked", "Content-Length: 5\r\nHost: y"])
def test_a_request_whose_end_is_not_clear_is_refused_and_closed(lab, headers):
    server = lab()
    smuggled = b"GET /state HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = server.raw(f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n\r\n".encode() + b"0\r\n\r\n" + smuggled)
    assert b" 200 " not in answer and b"connections" not in answer, answer
    assert server.ask("/hello")[0] == 200


def test_chunked_bodies(lab):
    server = lab()
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answer = server.raw(head + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    assert b'"body":"abcde"' in answer
    too_much = b"".join(b"10000\r\n" + b"x" * 65536 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"
    assert b" 413 " in server.raw(head + too_much)
    endless = b"".join(b"100000\r\n" + b"x" * 0x100000 + b"\r\n" for _ in range(8))
    assert b" 200 " not in server.raw(head + endless)
    assert b" 200 " not in server.raw(head + b"fffffffffffffffffffff\r\nabc\r\n0\r\n\r\n")
    assert server.ask("/hello")[0] == 200


def test_floods_are_refused_in_bounded_memory(lab):
    server = lab()
    server.ask("/hello")
    before = server.rss()
    assert b" 414 " in server.raw(b"GET /" + b"a" * 1024 * 1024 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 414 " in server.raw(b"GET /echo?" + b"a=1&" * 256 * 1024 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    for header in (b"X: " + b"a" * 1024 * 1024, b"\r\n".join(b"X%d: y" % n for n in range(100000)), b"Cookie: " + b"a=b; " * 100000):
        answer = server.raw(b"GET /hello HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")
        assert b" 431 " in answer or b" 413 " in answer, answer[:300]
    assert server.rss() - before < 8 * 1024 * 1024
    assert server.ask("/hello")[0] == 200


def test_who_drips_is_closed_and_others_are_served(lab):
    server = lab(idle_ms=60000, request_ms=1500)
    starts = (b"GET /he", b"GET /hello HTTP/1.1\r\nX: ", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
              b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n", b"")
    peers = [server.open() for _ in starts]
    ended = threading.Event()

    def drip():
        while not ended.wait(0.1):
            for peer in peers[:-1]:
                try:
                    peer.sendall(b"a")
                except OSError:
                    pass
    for peer, start in zip(peers, starts):
        peer.sendall(start)
    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        assert server.ask("/hello")[0] == 200
        for peer in peers:
            assert b" 200 " not in all_of(peer)
    finally:
        ended.set()
        dripping.join()
        for peer in peers:
            peer.close()
    wait_until("the connections are gone", lambda: server.state()["connections"] == 1, 30)


def test_who_is_silent_is_closed(lab):
    server = lab(idle_ms=1000)
    with server.open() as peer:
        peer.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert all_of(peer).endswith(b"hello\n")


def test_connections_are_bounded(lab):
    server = lab(connections=20)
    peers = [server.open() for _ in range(40)]
    try:
        for peer in peers:
            try:
                peer.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            except OSError:
                pass
        answers = [all_of(peer) for peer in peers]
        assert 20 <= sum(answer.endswith(b"hello\n") for answer in answers)
    finally:
        for peer in peers:
            peer.close()
    few = lab(per_address=3)
    peers = [few.open() for _ in range(3)]
    for peer in peers:  # accepted, each of them
        peer.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        until(peer, b"hello\n")
    assert few.raw(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n") == b""
    for peer in peers:
        peer.close()
    wait_until("the places are free", lambda: few.raw(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") != b"", 30)


def test_bodies_together_are_bounded(lab):
    server = lab(bodies=1000000)
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n"
    with server.open() as first, server.open() as second:
        first.sendall(head + b"x" * 900000)
        second.sendall(head + b"x" * 1000000)
        first.sendall(b"x" * 100000)
        answers = all_of(first), all_of(second)
        assert any(b" 503 " in answer[:20] and b"Retry-After: 1" in answer for answer in answers)
    assert server.ask("/echo", "POST", b"x" * 900000, Content_Type="application/json")[0] == 200


def test_cors(lab):
    none, listed, every = lab(), lab(origins=1), lab(every=1)
    assert "Access-Control-Allow-Origin" not in none.ask("/hello", Origin="https://portal.example")[2]
    headers = listed.ask("/hello", Origin="https://portal.example")[2]
    assert headers["Access-Control-Allow-Origin"] == "https://portal.example" and headers["Vary"] == "Origin"
    for origin in ("https://evil.example", "https://portal.example.evil.example", "null", "https://portal.exampl"):
        headers = listed.ask("/hello", Origin=origin)[2]
        assert "Access-Control-Allow-Origin" not in headers and headers["Vary"] == "Origin"
    assert every.ask("/hello", Origin="https://any.example")[2]["Access-Control-Allow-Origin"] == "*"
    assert every.ask("/nothing", Origin="https://any.example")[2]["Access-Control-Allow-Origin"] == "*"
    preflight = {"Origin": "https://other.example", "Access_Control_Request_Method": "POST"}
    headers = listed.ask("/echo", "OPTIONS", **preflight)[2]
    assert headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST, OPTIONS" and headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert "Access-Control-Allow-Methods" not in listed.ask("/echo", "OPTIONS", **{**preflight, "Origin": "https://evil.example"})[2]


def stream(server, query=""):
    peer = server.open()
    peer.sendall(f"GET /stream{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    until(peer, b"\r\n\r\n")
    return peer


@pytest.mark.parametrize("threads", [1, 2])
def test_streams_get_each_tick_and_a_goodbye(lab, threads):
    server = lab(threads=threads, request_ms=1000, idle_ms=1000)
    peers = [stream(server) for _ in range(20)]
    server.process.signal(signal.SIGUSR1)
    for peer in peers:
        until(peer, b"tick 1\n")
    peers.pop().close()
    with server.open() as idle:
        assert all_of(idle) == b""  # its second is over, and that of the streams too
    for tick in (b"tick 2\n", b"tick 3\n"):
        server.process.signal(signal.SIGUSR1)
        for peer in peers:
            until(peer, tick)
    wait_until("the stream that went is seen", lambda: server.state()["freed"] == 1, 30)
    assert server.process.stop() == 0
    for peer in peers:
        data = all_of(peer)
        assert b"goodbye\n" in data and data.endswith(b"0\r\n\r\n")
        peer.close()
    assert "freed 20" in server.process.log()


def test_a_stream_that_is_not_read_is_dropped(lab):
    server = lab(idle_ms=2000)
    peer = stream(server, "?big=1")
    wait_until("it is dropped", lambda: server.state()["freed"] == 1, 60)
    assert server.rss() < 64 * 1024 * 1024
    peer.close()


def test_a_stream_that_takes_all_holds_up_no_other(lab):
    server = lab()
    greedy, other = [stream(server, "?big=1") for _ in range(4)], stream(server)
    taking = [threading.Thread(target=lambda peer=peer: [None for _ in iter(lambda: peer.recv(1 << 20), b"")]) for peer in greedy]
    for thread in taking:
        thread.start()
    for number in range(1, 4):
        server.process.signal(signal.SIGUSR1)
        until(other, b"tick %d\n" % number)
    assert server.process.stop() == 0
    for thread in taking:
        thread.join()
    for peer in (*greedy, other):
        peer.close()


def test_a_stream_whose_peer_goes_is_seen_at_once(lab):
    """Nothing is written to it: its socket alone tells."""
    server = lab(idle_ms=60000)
    peers = [stream(server) for _ in range(10)]
    for peer in peers[:9]:
        peer.close()
    wait_until("those that went are seen", lambda: server.state()["freed"] == 9, 20)
    server.process.signal(signal.SIGUSR1)
    until(peers[9], b"tick 1\n")
    peers[9].close()


def test_a_stream_whose_peer_vanishes_is_given_up_once_something_is_written(lab):
    """There is room for what is written, so only the kernel can tell that nobody takes it."""
    server = lab(idle_ms=60000)
    with connected(server.address, 5) as gone, stream(server) as there:
        for peer in gone:
            peer.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            until(peer, b"tick 0\n")
            vanish(peer)
        server.process.signal(signal.SIGUSR1)
        until(there, b"tick 1\n")
        wait_until("those that vanished are given up", lambda: server.state()["freed"] == 5, 60)
        server.process.signal(signal.SIGUSR1)
        until(there, b"tick 2\n")


def test_a_stream_of_http_1_0_is_its_bytes_alone(lab):
    server = lab()
    with server.open() as peer:
        peer.sendall(b"GET /stream HTTP/1.0\r\n\r\n")
        head = until(peer, b"tick 0\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"chunked" not in head and b"\r\nConnection: close\r\n" in head
        server.process.signal(signal.SIGUSR1)
        assert until(peer, b"tick 1\n") == b"tick 1\n"
        assert server.process.stop() == 0
        assert all_of(peer) == b"goodbye\n"


def test_a_stream_carries_the_headers_of_cors(lab):
    head = {}
    for name, server in (("listed", lab(origins=1)), ("every", lab(every=1))):
        with server.open() as peer:
            peer.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\nOrigin: https://portal.example\r\n\r\n")
            head[name] = until(peer, b"\r\n\r\n")
    assert b"\r\nAccess-Control-Allow-Origin: https://portal.example\r\n" in head["listed"] and b"\r\nVary: Origin\r\n" in head["listed"]
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in head["every"] and b"Vary" not in head["every"]


def test_head_of_a_stream_has_no_body(lab):
    server = lab()
    status, body, headers = server.ask("/stream", "HEAD")
    assert (status, body, headers["Content-Type"]) == (200, "", "text/event-stream")


def test_a_stop_lets_requests_finish(lab):
    server = lab()
    with server.open() as later, server.open() as never, server.open() as idle:
        later.sendall(b"GET /later HTTP/1.1\r\nHost: x\r\n\r\n")
        never.sendall(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        idle.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        until(idle, b"hello\n")
        wait_until("both are asked", lambda: server.state()["connections"] == 4, 30)
        server.process.signal(signal.SIGTERM)
        answer = all_of(later)
        assert answer.endswith(b"later\n") and b" 200 " in answer
        assert b" 503 " in all_of(never)
        assert all_of(idle) == b""
    assert server.process.wait() == 0
    with pytest.raises(OSError):
        server.open()


def test_a_request_that_comes_while_the_server_stops_ends_it_no_other_way(lab):
    """Once those that wait have been given up, one more that would wait for ever is told so at once."""
    server = lab()
    with server.open() as never, server.open() as slow, server.open() as late:
        never.sendall(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        slow.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n")  # keeps it from ending
        late.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        until(late, b"hello\n")
        wait_until("all are there", lambda: server.state()["connections"] == 4, 30)
        server.process.signal(signal.SIGTERM)
        assert b" 503 " in all_of(never)
        late.sendall(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = all_of(late)
        assert b" 503 " in answer and b"the server is stopping" in answer and b"\r\nRetry-After: 1\r\n" in answer
    assert server.process.wait() == 0, server.process.log()


def test_requests_that_fill_the_memory_are_closed_at_once_and_leak_nothing(lab):
    """libmicrohttpd would neither answer nor close them, nor tell of their end."""
    server = lab(idle_ms=60000)

    def fill(parameters, size):
        query = b"&".join(b"p%d=1" % n for n in range(parameters))
        with server.open() as peer:
            peer.sendall(b"GET /echo?" + query + b"x" * (size - len(query)) + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                assert b" 200 " not in peer.recv(65536) or parameters == 1
            except ConnectionResetError:
                pass
    fill(60, 15000)
    before = server.rss()
    for parameters, size in ((1000, 8000), *[(60, size) for size in range(9000, 16400, 400)], *[(1, size) for size in range(15500, 16500, 100)]) * 10:
        fill(parameters, size)
    assert server.rss() - before < 1024 * 1024 or "san" in BUILD.name  # a sanitizer keeps freed memory, and finds leaks itself
