"""citytotals-query serve under test: asked over HTTP, listened to as a stream."""
import ctypes
import http.client
import json
import socket
import time

from tests.lab.process import BUILD, ROOT, Process

QUERY = BUILD / "query" / "citytotals-query"
AGENCIES = ROOT / "data" / "haiphong-agencies.csv"


def unpack_brotli(data, most=1 << 24):
    """By the library's own decoder."""
    library = ctypes.CDLL("libbrotlidec.so.1")
    out, size = ctypes.create_string_buffer(most), ctypes.c_size_t(most)
    assert library.BrotliDecoderDecompress(ctypes.c_size_t(len(data)), data, ctypes.byref(size), out) == 1, "not brotli"
    return out.raw[:size.value]


class Answer:
    def __init__(self, status, body, headers):
        self.status, self.body, self.headers = status, body, headers

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    def __init__(self, city, redis, directory, *flags, env=None):
        self.process = Process("serve", [QUERY, "serve", "--city", city, "--redis", redis.url, "--listen", "127.0.0.1:0", "--management",
                                         "127.0.0.1:0", *flags], directory, env=env)
        host, port = self.process.wait_for_log(r"listening http (\S+):(\d+)").groups()
        self.address = host, int(port)
        host, port = self.process.wait_for_log(r"listening management (\S+):(\d+)").groups()
        self.management = host, int(port)

    def ask(self, path, method="GET", address=None, **headers):
        connection = http.client.HTTPConnection(*(address or self.address), timeout=60)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), answer.headers)
        finally:
            connection.close()

    def ready(self):
        return self.ask("/readyz", address=self.management).status

    def stream(self, **headers):
        return Stream(self, headers)

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(next(line for line in file if line.startswith("VmRSS")).split()[1]) * 1024


class Stream:
    """One client of /v1/stream, over a plain socket."""

    def __init__(self, server, headers=None):
        self.socket = socket.create_connection(server.address)
        self.socket.settimeout(60)
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in (headers or {}).items())
        self.socket.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{lines}\r\n".encode())
        self.raw, self.text, self.over = b"", "", False
        while b"\r\n\r\n" not in self.raw:
            self.receive()
        self.head, self.raw = self.raw.split(b"\r\n\r\n", 1)
        self.head = self.head.decode()
        self.unchunk()

    def receive(self):
        part = self.socket.recv(65536)
        self.over = self.over or not part
        self.raw += part

    def unchunk(self):
        while b"\r\n" in self.raw:
            size, rest = self.raw.split(b"\r\n", 1)
            count = int(size, 16)
            if len(rest) < count + 2:
                return
            self.text += rest[:count].decode()
            self.raw = rest[count + 2:]
            self.over = self.over or count == 0

    def next(self, seconds=60):
        """The next block as (event, data, id); a comment is (None, text, None)."""
        until = time.monotonic() + seconds
        while "\n\n" not in self.text:
            assert not self.over, f"the stream ended; left: {self.text!r}"
            self.socket.settimeout(max(0.01, until - time.monotonic()))
            self.receive()
            self.unchunk()
        block, self.text = self.text.split("\n\n", 1)
        fields = {}
        for line in block.split("\n"):
            name, value = line.split(":", 1)
            fields[name or "comment"] = value.strip()
        if "comment" in fields:
            return None, fields["comment"], None
        if "retry" in fields:
            return "retry", fields["retry"], None
        return fields.get("event"), json.loads(fields["data"]), fields.get("id")

    def until(self, condition, seconds=60):
        """The first block that meets it; what was before is passed over."""
        end = time.monotonic() + seconds
        while True:
            block = self.next(max(0.01, end - time.monotonic()))
            if condition(*block):
                return block

    def close(self):
        self.socket.close()
