"""Redis as production has it, a cluster with users of few rights: a master is lost under load, all
pods come back elsewhere, one comes back empty."""
import json

import pytest

from tests.lab import events as e
from tests.lab.process import wait_until
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
