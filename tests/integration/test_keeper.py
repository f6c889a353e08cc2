"""Production's keeper before a Redis that only seems to be one: what it does about states that real clusters come into by chance."""
import os
import subprocess

import pytest

from tests.lab.process import ROOT, wait_until

KEEPER = ROOT / "k8s/overlays/production/keeper.sh"
REDIS_CLI = """#!/bin/sh
for word; do shift; case $word in cluster | info) break ;; esac; done
printf '%s\\n' "$word $*" >>"$STATE/asked"
case "$word $*" in
  'cluster info') printf 'cluster_known_nodes:2\\r\\ncluster_slots_assigned:16384\\r\\n' ;;
  'cluster nodes') cat "$STATE/nodes" ;;
  'info replication') cat "$STATE/replication" ;;
  *) echo OK ;;
esac
"""


class Keeper:
    def __init__(self, directory):
        self.directory = directory
        (directory / "redis-cli").write_text(REDIS_CLI)
        (directory / "redis-cli").chmod(0o755)
        (directory / "password").write_text("secret")

    def asks(self, nodes, replication):
        """What it asks in its first two turns, but for how things are."""
        (self.directory / "nodes").write_text(nodes)
        (self.directory / "replication").write_text(replication.replace("\n", "\r\n"))
        asked = self.directory / "asked"
        asked.unlink(missing_ok=True)
        process = subprocess.Popen(["sh", KEEPER], env={
            "PATH": f"{self.directory}:{os.environ['PATH']}", "STATE": str(self.directory), "PASSWORD_FILE": str(self.directory / "password"),
            "TLS": "", "NODES": "one two", "SELF": "two", "REPLICAS": "1", "PAUSE": "0.1"})
        try:
            wait_until("it takes three turns", lambda: asked.exists() and asked.read_text().count("cluster info\n") >= 3, 30)
        finally:
            process.kill()
            process.wait()
        turns = asked.read_text().split("cluster info\n")[1:3]
        return {line for turn in turns for line in turn.splitlines()} - {"cluster nodes", "info replication"}


NODES = """aaaa {address}:6379@16379,one master - 0 1 2 connected 0-16383
bbbb 10.0.0.2:6379@16379,two myself,slave aaaa 0 1 2 connected
"""
ASKS = "role:slave\nmaster_host:{address}\nmaster_link_status:{status}\n"


@pytest.mark.parametrize("old, new", [("10.0.0.1", "10.0.0.9"), ("fd00::1", "fd00::9")])
def test_a_replica_that_asks_at_an_old_address_is_told_again_whose_it_is(tmp_path, old, new):
    keeper = Keeper(tmp_path)
    assert keeper.asks(NODES.format(address=new), ASKS.format(address=old, status="down")) == {"cluster replicate aaaa"}
    assert not keeper.asks(NODES.format(address=new), ASKS.format(address=new, status="down"))  # it is there, and will be tried again
    assert not keeper.asks(NODES.format(address=new), ASKS.format(address=old, status="up"))
    lost = NODES.format(address=new).replace("one master", "one master,fail")
    assert "cluster replicate aaaa" not in keeper.asks(lost, ASKS.format(address=old, status="down"))
