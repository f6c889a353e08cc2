"""A gateway under test and clients of it: real programs over real sockets."""
import errno
import http.client
import json
import os
import socket
import subprocess

import jsonschema

from tests.lab import events as e
from tests.lab.process import BUILD, ROOT

PRODUCER = BUILD / "producer" / "citytotals-producer"
MEMORY_MIB = 128 if "san" not in BUILD.name else 1024  # a sanitizer keeps freed memory and shadows the rest


def new_token(source="so-noi-vu", agency="hong-bang", rate=0):
    """(token, its line for the file), as the program prints them."""
    done = subprocess.run([os.fspath(PRODUCER), "token", "new", "--source", source, "--agency", agency, "--rate", str(rate)],
                          capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def event(id_, delta=-3, agency="hong-bang", **fields):
    made = {"type": "headcount-change", "id": id_, "agency": agency, "sector": "administrative",
            "reason": "retired" if delta < 0 else "recruited", "delta": delta, "effective_date": "2020-10-30", **fields}
    return {name: value for name, value in made.items() if value is not None}


def event_id(id_, source="so-noi-vu", agency="hong-bang"):
    import uuid
    return str(uuid.UUID(bytes=e.event_id("headcount-change", source, agency, id_)))


DESCRIPTION = json.loads((ROOT / "producer" / "openapi.json").read_text())
seen_answers = set()


def expect_as_described(method, path, answer):
    """Every answer that a test gets is one that /openapi.json tells of."""
    pattern = "/v1/events/{event_id}" if path.startswith("/v1/events/") else path.split("?")[0]
    operation = DESCRIPTION["paths"].get(pattern, {}).get(method.lower())
    if not operation:
        return
    seen_answers.add((method, pattern, answer.status))
    described = operation["responses"].get(str(answer.status))
    assert described, f"{method} {path} answers {answer}, which openapi.json does not tell of"
    if "$ref" in described:
        described = DESCRIPTION["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
    if "Retry-After" in described.get("headers", {}):
        assert int(answer.headers["Retry-After"]) >= 1
    content = described.get("content")
    if not content:
        assert answer.body == b""
        return
    type_ = answer.headers["Content-Type"].split(";")[0]
    assert type_ in content, f"{method} {path} answers as {type_}; described: {list(content)}"
    schema = content[type_].get("schema")
    if schema:
        jsonschema.validate(answer.json, {**schema, "components": DESCRIPTION["components"]}, jsonschema.Draft202012Validator)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:600]!r}"


class Gateway:
    """Tokens: `token` speaks for hong-bang only, `wide` for every agency, both as source so-noi-vu."""

    def __init__(self, city, *flags, tokens=None, env=None, redis_url=None):
        self.city = city
        self.tokens_path = city.directory / f"tokens-{len(city.processes)}"
        self.tokens_path.parent.mkdir(parents=True, exist_ok=True)
        (self.token, first), (self.wide, second) = new_token(), new_token(agency="*")
        self.lines = [first, second]
        self.write_tokens(*(tokens or []))
        self.port = 0
        self.flags = ["--redis", redis_url or city.redis.url, *flags]
        self.env = env
        self.start()

    def write_tokens(self, *more):
        self.tokens_path.write_text("\n".join([*self.lines, *more]) + "\n")

    def start(self):
        """Again on the same port, once it has one."""
        self.process = self.city.program("gateway", PRODUCER, "gateway", "-b", self.city.kafka.bootstrap, "--city", self.city.name,
                                         "--listen", f"127.0.0.1:{self.port}", "--management", "127.0.0.1:0", "--tokens",
                                         self.tokens_path, "--connect-timeout", "60s", "-X", "reconnect.backoff.max.ms=500",
                                         *self.flags, env=self.env)
        self.port = int(self.process.wait_for_log(r"listening gateway 127\.0\.0\.1:(\d+)").group(1))
        self.management = int(self.process.wait_for_log(r"listening management 127\.0\.0\.1:(\d+)").group(1))
        return self

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.management, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return sum(float(line.split()[-1]) for line in text.splitlines()
                   if line.startswith((f"citytotals_{name} ", f"citytotals_{name}{{")))

    def connect(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method="POST", path="/v1/events", body=None, token="", connection=None, **headers):
        """`token` "" is the usual one, None is none. Header names with _ for -."""
        own = connection or self.connect()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        own.request(method, path, body, sent)
        response = own.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        own.close()
        expect_as_described(method, path, answer)
        return answer

    def post(self, what, type_="application/json", **options):
        body = what if isinstance(what, (bytes, str)) or what is None else json.dumps(what, ensure_ascii=False)
        return self.ask(body=body.encode() if isinstance(body, str) else body, Content_Type=type_, **options)

    def post_lines(self, *events, **options):
        return self.post("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in events),
                         "application/x-ndjson", **options)

    def raw(self, *parts, seconds=60, close=True):
        """Bytes as they are; everything that comes until the gateway closes, or the parts' answers for `close` False."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            for part in parts:
                try:
                    connection.sendall(part if isinstance(part, bytes) else part.encode())
                except (BrokenPipeError, ConnectionResetError):
                    break
            got = b""
            try:
                if close:
                    connection.shutdown(socket.SHUT_WR)
                while more := connection.recv(65536):
                    got += more
                    if not close:
                        break
            except OSError as error:  # it closed first
                if error.errno not in (errno.ECONNRESET, errno.ENOTCONN):
                    raise
            return got

    def rss_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))

    def peak_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
