"""A Redis Cluster as production has it: its configuration, users and keeper, on loopback addresses of its own."""
import os
import re
import shutil
import socket
import subprocess

import redis

from tests.lab.certificates import Authority
from tests.lab.process import ROOT, Process, wait_until

PRODUCTION = ROOT / "k8s" / "overlays" / "production"
NODES = 6


def name_of(address):
    """A name by which every resolver finds the address, and which is none itself: 0x7f010101 for 127.1.1.1."""
    return "0x" + "".join(f"{int(part):02x}" for part in address.split("."))


class RedisCluster:
    """`tls`: as in production; otherwise without, for programs that are built without it."""

    def __init__(self, directory, city, tls=False):
        self.directory, self.city, self.tls = directory, city, directory / "tls" if tls else None
        directory.mkdir(parents=True)
        self.block = f"127.{os.getpid() % 200 + 20}"
        self.port = self.free_port()
        self.processes, self.keepers, self.clients = {}, {}, {}
        shutil.copy(PRODUCTION / "make-secrets", directory)
        subprocess.run(["./make-secrets"], cwd=directory, env={**os.environ, "CITY": city}, check=True, timeout=60)
        self.password = (directory / "secrets/keeper").read_text()
        if tls:
            self.tls.mkdir()
            self.authority = Authority(directory / "authority")
            self.new_certificate("first")

    def new_certificate(self, name, subnets=(1, 2)):
        """For all nodes, by the names that they announce, and by the address that clients ask first; in force once nodes take it."""
        hosts = [f"{self.block}.{subnet}.{number}" for subnet in subnets for number in range(1, NODES + 1)]
        cert, key = self.authority.issue(name, ",".join([f"IP:{host}" for host in hosts] + [f"DNS:{name_of(host)}" for host in hosts]))
        for source, target in ((self.authority.cert, "ca.crt"), (cert, "tls.crt"), (key, "tls.key")):
            shutil.copy(source, self.tls / f"{target}.new")
            os.replace(self.tls / f"{target}.new", self.tls / target)

    def free_port(self):
        """One that is free, with the bus's beside it, at every address."""
        while True:
            with socket.create_server((f"{self.block}.1.1", 0)) as one:
                port = one.getsockname()[1]
            if port <= 55535:
                return port

    def url(self, role, address):
        text = (self.directory / f"secrets/redis-{role}").read_text()
        if not self.tls:
            text = text.replace("rediss+", "redis+")
        return text.replace("@redis:6379", f"@{address}:{self.port}").strip()

    def start(self, subnet=1):
        """Nodes at the addresses of a subnet, as pods come back at others."""
        self.addresses = [f"{self.block}.{subnet}.{number}" for number in range(1, NODES + 1)]
        for number, address in enumerate(self.addresses):
            self.start_node(number, address)
            self.keepers[address] = Process(f"keeper-{number}", ["sh", PRODUCTION / "keeper.sh"], self.directory,
                                            env={"NODES": " ".join(self.addresses), "SELF": address, "REPLICAS": "1", "PAUSE": "1",
                                                 "PORT": str(self.port), "TLS": str(self.tls or ""), "PASSWORD_FILE": str(self.directory / "secrets/keeper")})
        wait_until("the cluster is whole", self.whole, 60)
        return self

    def start_node(self, number, address):
        data = self.directory / f"node-{number}"
        data.mkdir(exist_ok=True)
        text = (PRODUCTION / "redis.conf").read_text()
        if not self.tls:
            text = re.sub(r"^(port 0|tls-(?!port).*)\n", "", text, flags=re.M).replace("tls-port", "port")
        for old, new in (("port 6379", f"port {self.port}\nbind {address}"), ("/etc/redis-users", self.directory / "secrets"),
                         ("/data", data), ("/etc/redis-tls", self.tls), ("cluster-node-timeout 5000", "cluster-node-timeout 1000")):
            text = text.replace(old, str(new))
        (data / "redis.conf").write_text(text)
        self.processes[address] = Process(f"redis-{number}", ["redis-server", data / "redis.conf", "--cluster-announce-ip", address,
                                                              "--cluster-announce-hostname", name_of(address)], self.directory)

    def lose_data(self, address):
        """A node's volume; it comes back empty."""
        self.kill(address)
        number = self.addresses.index(address)
        shutil.rmtree(self.directory / f"node-{number}")
        self.start_node(number, address)

    def node(self, address):
        if address not in self.clients:
            tls = {"ssl": True, "ssl_ca_certs": str(self.authority.cert), "ssl_check_hostname": False} if self.tls else {}
            self.clients[address] = redis.Redis(host=address, port=self.port, username="keeper", password=self.password,
                                                decode_responses=True, socket_timeout=10, **tls)
        return self.clients[address]

    def seen_by(self, address):
        try:
            return self.node(address).execute_command("CLUSTER NODES")
        except redis.exceptions.RedisError:
            return {}

    def whole(self):
        """Every node sees three masters with a replica each, all well, and the replicas have what their masters have."""
        for address in self.addresses:
            nodes = self.seen_by(address)
            flags = [each["flags"] for each in nodes.values()]
            if len(flags) != NODES or sum("master" in each for each in flags) != NODES // 2 or \
                    any("fail" in each or "handshake" in each for each in flags):
                return False
            if len({each["master_id"] for each in nodes.values() if "slave" in each["flags"]}) != NODES // 2:
                return False
            if not all(each["connected"] for each in nodes.values()) or set(nodes) != {f"{a}:{self.port}" for a in self.addresses}:
                return False
            if self.node(address).info("replication").get("master_link_status", "up") != "up":
                return False
        return True

    def master(self):
        """The address of the node that has the city's slot and answers for it."""
        key = f"{{{self.city}}}:totals"
        for address in self.addresses:
            if not self.processes[address].running():
                continue
            try:
                self.node(address).exists(key)
                if self.node(address).info("replication")["role"] == "master":
                    return address
            except redis.exceptions.RedisError:
                continue
        return None

    @property
    def client(self):
        return self.node(wait_until("a master has the city's slot", self.master, 60))

    def kill(self, address):
        self.processes[address].kill()

    def stop(self):
        for process in (*self.keepers.values(), *self.processes.values()):
            if process.running():
                process.kill()
        for client in self.clients.values():
            client.close()
        self.processes, self.keepers, self.clients = {}, {}, {}
