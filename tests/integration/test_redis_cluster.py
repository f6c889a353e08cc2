"""Redis as production has it, a cluster with users of few rights: a master is lost under load, all
pods come back elsewhere, one comes back empty."""
import json
import socket
import subprocess
import threading

import pytest

from tests.lab import events as e
from tests.lab.process import BUILD, wait_until
from tests.lab.redis_cluster import RedisCluster


@pytest.fixture
def cluster(directory, request):
    name = f"cluster-{len(request.node.name)}"
    made = RedisCluster(directory / name, name)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def city(cluster, kafka, directory):
    from tests.lab.city import City
    city = City(cluster.city, kafka, cluster, directory / cluster.city, 2)
    yield city
    city.stop()
    kafka.forget_city(city.name)


def test_a_node_that_comes_back_empty_becomes_the_replica_of_who_lacks_one(cluster, city, seed):
    with city.traffic(seed):
        consumer = city.consumer("--batch-events", "60", redis_url=cluster.url("consumer", cluster.addresses[0]))
        city.wait_for_commits(10, alive=consumer.check_alive)
        lost = cluster.master()
        gone = cluster.node(lost).execute_command("CLUSTER MYID")
        cluster.lose_data(lost)
        wait_until(lambda: f"a replica takes over\n{cluster.seen_by(lost)}", lambda: cluster.master() not in (None, lost), 60)
        wait_until("the cluster is whole", cluster.whole, 60)
        assert all(gone not in str(cluster.seen_by(address)) for address in cluster.addresses)
        city.wait_for_commits(10, alive=consumer.check_alive)
    city.wait_until_folded(alive=consumer.check_alive)
    city.expect_exact()


def test_a_lost_master_and_other_addresses_keep_totals_exact(cluster, city, seed):
    seed_node = cluster.addresses[0]
    with city.traffic(seed):
        consumer = city.consumer("--batch-events", "60", redis_url=cluster.url("consumer", seed_node))
        city.wait_for_commits(10, alive=consumer.check_alive)
        lost = cluster.master()
        cluster.kill(lost)
        took_over = wait_until("a replica takes over", lambda: cluster.master() or None, 60)
        assert took_over != lost
        if not cluster.processes[seed_node].running():  # the Service would name another
            consumer.kill()
            consumer = city.consumer("--batch-events", "60", redis_url=cluster.url("consumer", took_over))
        city.wait_for_commits(10, alive=consumer.check_alive)
    city.wait_until_folded(alive=consumer.check_alive)
    city.expect_exact()
    consumer.kill()
    # Every pod goes and comes back with another address: nobody knows where anybody is.
    cluster.stop()
    cluster.start(subnet=2)
    city.given_events(e.headcount("after", "hong-bang", 5))
    consumer = city.consumer(redis_url=cluster.url("consumer", cluster.addresses[3]))
    city.wait_until_folded(alive=consumer.check_alive)
    assert consumer.stop() == 0
    city.expect_exact()
    # A reader's user reads, from whichever node it asks first, and can't write.
    for address in cluster.addresses[:3]:
        shown = json.loads(city.query("--format", "json", redis_url=cluster.url("query", address)).stdout)
        assert shown["as_of"]["version"] == city.version()
    refused = city.fold(redis_url=cluster.url("query", cluster.addresses[0]), status=1)
    assert "redis refuses" in refused.log()


class MovingNode:
    """A node of a cluster that answers so many times first that the slot is a node's whose host it does not know, at its own port."""

    def __init__(self, redis, moves):
        self.redis, self.moves = redis, moves
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.redis.port)) as node:
            threading.Thread(target=self.answer, args=(node, client), daemon=True).start()
            while asked := client.recv(1 << 16):
                if b"EXISTS" in asked and self.moves:
                    self.moves -= 1
                    client.sendall(b"-MOVED 7 :%d\r\n" % self.port)
                else:
                    node.sendall(asked)

    @staticmethod
    def answer(node, client):
        try:
            while said := node.recv(1 << 16):
                client.sendall(said)
        except OSError:  # both ways end with the client's
            pass

    def close(self):
        self.listener.close()


@pytest.mark.parametrize("moves, status", [(0, 0), (6, 0), (99, 1)])
def test_nodes_that_do_not_know_the_new_master_yet_are_asked_again(redis, moves, status):
    redis.client.hset("{moved}:meta", "epoch", "5")
    redis.client.hset("{moved}:totals", mapping={"version": "9", "headcount_current": "7"})
    node = MovingNode(redis, moves)
    try:
        done = subprocess.run([BUILD / "query" / "citytotals-query", "print", "--format", "json", "--city", "moved", "--redis",
                               f"redis+cluster://127.0.0.1:{node.port}"], capture_output=True, text=True, timeout=60)
    finally:
        node.close()
    assert done.returncode == status, done.stderr
    if status == 0:
        assert json.loads(done.stdout)["headcount"]["current"] == 7
    else:
        assert "too many redirections" in done.stderr
