"""Production's Redis, a cluster over TLS: programs are sent from node to node, a master is lost, certificates are renewed."""
import json

import pytest

from tests.lab.process import wait_until
from tests.lab.redis_cluster import RedisCluster, name_of
from tests.tls.conftest import CONSUMER
from tests.tls.test_redis_tls import given, run, shown


@pytest.fixture(scope="module")
def cluster(directory):
    made = RedisCluster(directory / "redis-cluster", "haiphong", tls=True)
    try:
        yield made.start()
    finally:
        made.stop()


def serial(client):
    """Of the certificate that a node shows."""
    client.connection_pool.disconnect()
    connection = client.connection_pool.get_connection()
    try:
        return connection._sock.getpeercert()["serialNumber"]
    finally:
        client.connection_pool.release(connection)


def test_every_node_leads_to_the_master_and_each_is_checked(cluster, brokers):
    trusted = ("--redis-ca", cluster.authority.cert)
    given(brokers, "cluster-1", 10)
    fold = ("run", "--until-end", "-b", brokers, *trusted)
    run(CONSUMER, *fold, "--redis", cluster.url("consumer", cluster.addresses[0]))
    for address in (*cluster.addresses, name_of(cluster.addresses[5])):
        assert json.loads(shown(cluster.url("query", address), *trusted))["headcount"]["baseline"] == 10
    # The one that is asked first may be away: the next is asked.
    nobody = cluster.url("query", f"127.0.0.1:1,{cluster.addresses[1]}")
    assert json.loads(shown(nobody, *trusted))["events"] == 1
    shown(cluster.url("query", cluster.addresses[0]).replace("rediss+", "redis+"), status=1)
    shown(cluster.url("query", cluster.addresses[0]), status=1, says="trusted: the system's authorities")


def test_a_node_that_others_lead_to_is_checked_by_its_name(cluster):
    """Its certificate is sound but for the name by which it is known to the others."""
    master = cluster.master()
    others = [address for address in cluster.addresses if address != master]
    cert, key = cluster.authority.issue("nameless", ",".join(f"IP:{address}" for address in cluster.addresses))
    before = [cluster.node(master).config_get(f"tls-{name}-file")[f"tls-{name}-file"] for name in ("cert", "key")]
    cluster.node(master).config_set("tls-cert-file", str(cert), "tls-key-file", str(key))
    try:
        shown(cluster.url("query", others[0]), "--redis-ca", cluster.authority.cert, status=1,
              says=f"TLS with redis at {name_of(master)}:{cluster.port}: its certificate is not for {name_of(master)}: hostname mismatch")
    finally:
        cluster.node(master).config_set("tls-cert-file", before[0], "tls-key-file", before[1])
    shown(cluster.url("query", others[0]), "--redis-ca", cluster.authority.cert)


def test_a_renewed_certificate_comes_into_force_at_every_node(cluster):
    before = {address: serial(cluster.node(address)) for address in cluster.addresses}
    cluster.new_certificate("second")
    for address in cluster.addresses:
        wait_until(f"{address} has the new certificate", lambda: serial(cluster.node(address)) != before[address], 60)
    assert cluster.whole()
    shown(cluster.url("query", cluster.addresses[0]), "--redis-ca", cluster.authority.cert)


def test_a_lost_master_is_replaced_over_tls(cluster, brokers):
    trusted = ("--redis-ca", cluster.authority.cert)
    lost = cluster.master()
    left = [address for address in cluster.addresses if address != lost]
    cluster.kill(lost)
    wait_until("a replica takes over", lambda: cluster.master() or None, 60)
    given(brokers, "cluster-2", 5)
    run(CONSUMER, "run", "--until-end", "-b", brokers, *trusted, "--redis", cluster.url("consumer", f"{lost}:{cluster.port},{left[0]}"))
    assert json.loads(shown(cluster.url("query", left[1]), *trusted))["headcount"]["baseline"] == 15
