"""A private redis-server on a free loopback port, with its append-only file in a directory of its own."""
import os
import shutil

import redis

from tests.lab.process import Process, free_ports, wait_until

EXEC = b"*1\r\n$4\r\nEXEC\r\n"


class RedisServer:
    def __init__(self, directory, **settings):
        self.directory = directory
        self.settings = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction",
                         "auto-aof-rewrite-percentage": "0", **{name.replace("_", "-"): value for name, value in settings.items()}}
        self.port = free_ports(1)[0]
        self.client_settings = {}
        self.process = None

    @property
    def url(self):
        password = self.settings.get("requirepass")
        return f"redis://{':' + password + '@' if password else ''}127.0.0.1:{self.port}"

    def use_tls(self, authority, cert, key, clients="no"):
        """Its port speaks TLS. `clients`: whether they need a certificate; the test's own has this one."""
        self.settings.update({"port": "0", "tls-port": str(self.port), "tls-cert-file": cert, "tls-key-file": key,
                              "tls-ca-cert-file": authority.cert, "tls-auth-clients": clients})
        self.client_settings = {"ssl": True, "ssl_ca_certs": str(authority.cert), "ssl_certfile": str(cert), "ssl_keyfile": str(key),
                                "ssl_cert_reqs": "none", "ssl_check_hostname": False}
        return self

    def start(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", self.directory, "--daemonize", "no"]
        for name, value in self.settings.items():
            command += [f"--{name}", value]
        self.process = Process("redis", command, self.directory)
        self.connect()
        wait_until("Redis answers", self.answers, 60, self.process.check_alive)
        return self

    def connect(self):
        self.client = redis.Redis(port=self.port, password=self.settings.get("requirepass"), decode_responses=True,
                                  socket_timeout=10, **self.client_settings)

    def answers(self):
        try:
            return self.client.ping()
        except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError, redis.exceptions.TimeoutError):
            return False

    def kill(self):
        self.process.kill()

    def wipe(self):
        """Its files are lost. Only while it is not running."""
        shutil.rmtree(self.directory / "appendonlydir")

    def stop(self):
        if self.process:
            self.process.stop(30)

    def append_only_file(self):
        folder = self.directory / "appendonlydir"
        return next(folder / name for name in os.listdir(folder) if name.endswith(".incr.aof"))

    def append_only_size(self):
        """Bytes that have reached the file: always whole commands."""
        return os.path.getsize(self.append_only_file())

    def cut_back(self, size):
        """As after a crash that lost the file's tail: to the end of the last transaction within `size`, for Redis 7.0 truncates
        a torn one wrongly (see cut_within_a_transaction). Only while it is not running."""
        path = self.append_only_file()
        with open(path, "rb") as file:
            before, end, _ = file.read(size).rpartition(EXEC)
        os.truncate(path, len(before) + len(end))  # nothing where there is no transaction yet

    def cut_within_a_transaction(self, command):
        """As after a crash amid writing: the last transaction that has `command` is left without its end, its last command
        torn. Redis 7.0 cuts the torn command off but leaves the transaction open in the file, so that after one more restart
        its first half is done together with whatever came next. Only while it is not running."""
        path = self.append_only_file()
        with open(path, "rb") as file:
            data = file.read()
        at = data.rindex(command)
        os.truncate(path, data.index(EXEC, at) - 2)
