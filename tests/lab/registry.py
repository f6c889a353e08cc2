"""A real schema registry (Apicurio, in memory, with Confluent's REST interface), and a fake one that misbehaves."""
import http.server
import json
import os
import ssl
import threading
import urllib.error
import urllib.request

from tests.lab.process import ROOT, Process, free_ports, wait_until

JAR = "apicurio-registry-app-3.0.9-runner.jar"
MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


class Registry:
    """Its ids are lost when it is killed."""

    def __init__(self, directory):
        self.directory = directory
        self.home = os.environ.get("CITYTOTALS_REGISTRY_DIR", str(ROOT / "build" / "registry"))
        if not os.path.exists(os.path.join(self.home, JAR)):
            raise AssertionError(f"no {JAR} in {self.home}; ./dev setup fetches it")
        self.port = free_ports(1)[0]
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def start(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = {
            "quarkus.http.host": "127.0.0.1", "quarkus.http.port": self.port, "quarkus.management.enabled": "false",
            "quarkus.log.level": "WARN", "apicurio.log.level": "WARN", "quarkus.http.access-log.enabled": "false",
            "quarkus.banner.enabled": "false", "quarkus.log.console.json": "false",
            "apicurio.datasource.jdbc.initial-size": 2, "apicurio.datasource.jdbc.min-size": 2,
            "apicurio.datasource.jdbc.max-size": 10, "apicurio.storage.snapshot.location": self.directory,
            "java.net.preferIPv4Stack": "true", "java.io.tmpdir": self.directory}
        self.process = Process("registry", [
            "java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto",
            *[f"-D{name}={value}" for name, value in settings.items()], "-jar", os.path.join(self.home, JAR)], self.directory)
        wait_until("the schema registry answers", self.answers, 180, self.process.check_alive)
        return self

    def answers(self):
        try:
            return self.ask("GET", "/subjects") is not None
        except OSError:
            return False

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method, headers={"Content-Type": MEDIA_TYPE},
                                         data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def register(self, subject, schema):
        return self.ask("POST", f"/subjects/{subject}/versions", {"schema": json.dumps(schema)})["id"]

    def set_level(self, level, subject=None):
        self.ask("PUT", f"/config/{subject}" if subject else "/config", {"compatibility": level})

    def subjects(self):
        return set(self.ask("GET", "/subjects"))

    def kill(self):
        self.process.kill()

    def stop(self):
        if self.process:
            self.process.stop(60)


class FakeRegistry:
    """Answers as told: `schemas` by id, `answer(status, body)` for everything, or `hangs`. Counts what is asked for by id.
    Over TLS where it is given a `pair` of certificate and key."""

    def __init__(self, port=0, pair=None, **state):
        self.schemas, self.ids, self.fixed, self.hangs, self.credentials = {}, {}, None, False, None
        self.asked, self.requests, self.over = [], 0, threading.Event()
        self.__dict__.update(state)
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                fake.handle(self)

            do_POST = do_PUT = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.scheme = "https" if pair else "http"
        if pair:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*pair)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    @property
    def port(self):
        return self.server.server_address[1]

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def state(self):
        return {name: getattr(self, name) for name in ("schemas", "ids", "asked")}

    def id_of(self, text):
        if text not in self.ids:
            self.ids[text] = 1000 + len(self.ids)
            self.schemas[self.ids[text]] = text
        return self.ids[text]

    def answer_to(self, method, path, body):
        if path.startswith("/schemas/ids/"):
            number = int(path.rsplit("/", 1)[1])
            self.asked.append(number)
            if number in self.schemas:
                return 200, {"schema": self.schemas[number]}
            return 404, {"error_code": 40403, "message": "Schema not found"}
        if path.startswith("/subjects/"):
            return 200, {"id": self.id_of(body["schema"])}
        if path.startswith("/compatibility/"):
            return 200, {"is_compatible": True}
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def handle(self, request):
        self.requests += 1
        size = int(request.headers.get("Content-Length") or 0)
        body = json.loads(request.rfile.read(size)) if size else None
        if self.hangs:
            self.over.wait(60)
        if self.credentials and request.headers.get("Authorization") != self.credentials:
            status, answer = 401, {"error_code": 40101, "message": "Unauthorized"}
        else:
            status, answer = self.fixed or self.answer_to(request.command, request.path, body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        try:
            request.send_response(status)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)
        except OSError:
            pass  # the client has given up
        request.close_connection = True

    def stop(self):
        self.over.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
