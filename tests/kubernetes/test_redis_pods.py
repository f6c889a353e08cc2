"""Production's Redis, a cluster of pods that their keepers make and mend, under the three programs: its nodes are lost, come back with
other addresses or empty, its passwords change; consumers fold through it all, and totals are exact."""
import hashlib
import os
import shutil
import ssl

import pytest
import yaml

from tests.kubernetes.deployed import Deployed
from tests.kubernetes.documented import Shell, block, done, line
from tests.kubernetes.kubectl import Refused
from tests.lab.certificates import Authority

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
THEIRS = "citytotals-cluster"
FOLDER = "k8s/overlays/cluster"
PODS = [f"redis-{number}" for number in range(6)]
REDIS = "Redis: backup, restore, loss"


def overlay(manifests):
    """Production, and local's Kafka in place of Strimzi's; without what else needs others' programs."""
    folder = manifests / "overlays/cluster"
    shutil.copytree(manifests / "overlays/production", folder)
    for name in ("kafka.yaml", "server.properties", "log4j2.properties"):
        shutil.copy(manifests / "overlays/local" / name, folder)
    made = yaml.safe_load((folder / "kustomization.yaml").read_text())
    made["namespace"] = THEIRS
    made["resources"] = [each for each in made["resources"] if each not in ("topics.yaml", "users.yaml", "redis-tls.yaml")]
    made["components"] = ["../../components/backup", "../../components/topics", "../../components/redis-tls"]
    made["patches"] = [each for each in made["patches"] if each.get("path") == "spread.yaml"]
    made["images"] = yaml.safe_load((manifests / "overlays/local/kustomization.yaml").read_text())["images"]
    for each in made["configMapGenerator"]:
        if each["name"] == "citytotals":
            each["literals"] = [literal for literal in each["literals"] if not literal.startswith("CITYTOTALS_BROKERS=")]
    made["configMapGenerator"].append({"name": "kafka", "files": ["server.properties", "log4j2.properties"]})
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(made))
    return folder


class CertManager:
    """Stands in for it: makes of redis-tls.yaml the Secret that it would, and another one after that."""

    def __init__(self, kubectl, manifests, directory):
        asked = [each for each in yaml.safe_load_all((manifests / "overlays/production/redis-tls.yaml").read_text()) if each["kind"] == "Certificate"]
        names = next(each["spec"]["dnsNames"] for each in asked if each["spec"]["secretName"] == "redis-tls")
        self.kubectl, self.names = kubectl, ",".join(f"DNS:{name}" for name in names)
        self.authority = Authority(directory)

    def issue(self, name):
        cert, key = self.authority.issue(name, self.names)
        made = self.kubectl("create", "secret", "generic", "redis-tls", "-n", THEIRS, f"--from-file=tls.crt={cert}", f"--from-file=tls.key={key}",
                            f"--from-file=ca.crt={self.authority.cert}", "--dry-run=client", "-o", "yaml")
        self.kubectl("apply", "-f", "-", data=made)


@pytest.fixture(scope="module")
def cert_manager(kubectl, manifests, tmp_path_factory):
    return CertManager(kubectl, manifests, tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def city(kubectl, manifests, cert_manager):
    folder, token = overlay(manifests), "ct_" + os.urandom(32).hex()
    for name, size, node in (("cluster-kafka", "4Gi", 1), ("cluster-snapshots", "10Gi", 1), *[
            (f"cluster-{pod}", "20Gi", 1 + number % 2) for number, pod in enumerate(PODS)]):
        kubectl.add_volume(name, size, node)
    (folder / "secrets/tokens").write_text(f"sha256:{hashlib.sha256(token.encode()).hexdigest()} source=local agencies=* rate=0\n")
    made = Deployed(kubectl, token, THEIRS)
    namespace = (manifests / "base/namespace.yaml").read_text().replace("name: citytotals", f"name: {THEIRS}")
    kubectl("apply", "-f", "-", data=namespace)
    Run(made, manifests)("./make-secrets apply", FOLDER)
    cert_manager.issue("first")
    kubectl("apply", "-k", folder)
    made.complete()
    yield made
    kubectl("delete", "namespace", THEIRS, seconds=300)


class Run:
    """Commands of the documentation, in this city's namespace."""

    def __init__(self, city, manifests):
        self.shell = Shell(city.kubectl, manifests.parent, city.state)

    def __call__(self, text, below=".", **options):
        return self.shell(text.replace("-n citytotals", f"-n {THEIRS}"), below, NAMESPACE=THEIRS, **options)


@pytest.fixture
def shell(city, manifests):
    return Run(city, manifests)


class Nodes:
    """The cluster as its keepers see it."""

    def __init__(self, city):
        self.kubectl, self.city = city.kubectl, city

    def ask(self, pod, *words):
        try:
            return self.kubectl("exec", pod, "-n", THEIRS, "-c", "keeper", "--", "sh", "/etc/redis/keeper.sh", *words)
        except Refused as failure:
            return f"({failure})"

    def seen_by(self, pod):
        """Lists of id, address, flags, …"""
        return [each.split() for each in self.ask(pod, "cluster", "nodes").splitlines() if each.count(" ") >= 7]

    def address(self, pod):
        return self.kubectl.get("pod", pod, "-n", THEIRS)["status"].get("podIP")

    def unwell(self):
        """What is missing to a whole cluster: each sees three masters with slots, each with a replica that has what it has."""
        found = []
        for pod in PODS:
            seen = self.seen_by(pod)
            masters = [each for each in seen if "master" in each[2] and len(each) > 8]
            replicas = [each for each in seen if "slave" in each[2]]
            if len(seen) != 6 or any(word in each[2] for each in seen for word in ("fail", "handshake", "noaddr")):
                found.append(f"{pod} sees {seen}")
            elif any(each[7] != "connected" for each in seen):
                found.append(f"{pod} is not connected: {seen}")
            elif len(masters) != 3 or {each[3] for each in replicas} != {each[0] for each in masters}:
                found.append(f"{pod} sees masters {masters} and replicas {replicas}")
            elif "master_link_status:down" in self.ask(pod, "info", "replication"):
                found.append(f"{pod} has not what its master has")
        return found

    def wait_until_whole(self, seconds=180):
        self.kubectl.wait_until(lambda: "\n".join(["a whole cluster", *self.unwell(), self.city.state()]), lambda: not self.unwell(), seconds)

    def master(self):
        """The pod that has the city's slot."""
        for pod in PODS:
            if self.ask(pod, "exists", "{haiphong}:totals").strip().isdigit() and "role:master" in self.ask(pod, "info", "replication"):
                return pod
        return None

    def replaced(self, lost):
        return self.kubectl.wait_until("a replica takes over", lambda: (found := self.master()) and found != lost and found, 60)


@pytest.fixture
def nodes(city):
    return Nodes(city)


def test_keepers_make_one_cluster(city, nodes):
    """And nothing is missing to them in their image."""
    nodes.wait_until_whole()
    for pod in PODS:
        assert "not found" not in city.kubectl("logs", pod, "-n", THEIRS, "-c", "keeper")
        assert "Error accepting a client connection" not in city.kubectl("logs", pod, "-n", THEIRS, "-c", "redis")
    made = [pod for pod in PODS if "All 16384 slots covered" in city.kubectl("logs", pod, "-n", THEIRS, "-c", "keeper")]
    assert made == ["redis-0"]
    city.send(200)
    city.expect_exact()


def test_a_lost_master_is_replaced_and_comes_back_elsewhere(city, nodes, kubectl):
    lost = nodes.master()
    address, node = nodes.address(lost), kubectl.get("pod", lost, "-n", THEIRS)["spec"]["nodeName"]
    with city.traffic() as traffic:
        kubectl("cordon", node)  # it stays away for a while
        try:
            kubectl("delete", "pod", lost, "-n", THEIRS, "--grace-period=0", "--force")
            nodes.replaced(lost)
            traffic.wait_for_batches(20)
        finally:
            kubectl("uncordon", node)
        nodes.wait_until_whole()
        assert nodes.address(lost) != address
        traffic.wait_for_batches(20)
    city.expect_exact()


def test_all_nodes_come_back_with_other_addresses(city, nodes, kubectl):
    before = {pod: nodes.address(pod) for pod in PODS}
    with city.traffic() as traffic:
        kubectl("delete", "pod", *PODS, "-n", THEIRS, "--wait=true")
        city.rolled_out("statefulset/redis")
        nodes.wait_until_whole()
        traffic.wait_for_batches(20)
    assert all(nodes.address(pod) != address for pod, address in before.items())
    city.expect_exact()


def test_a_node_that_comes_back_empty_becomes_a_replica(city, nodes, kubectl, shell):
    lost = nodes.master()
    node = int(kubectl.get("pod", lost, "-n", THEIRS)["spec"]["nodeName"][-1]) if kubectl.own else 0
    gone = next(each[0] for each in nodes.seen_by(lost) if "myself" in each[2])
    with city.traffic() as traffic:
        kubectl.add_volume("cluster-again", "20Gi", node)
        shell(line(REDIS, "delete pvc/data-redis-N").replace("redis-N", lost))
        successor = nodes.replaced(lost)
        nodes.wait_until_whole()
        assert gone not in {each[0] for pod in PODS for each in nodes.seen_by(pod)} and nodes.master() == successor
        traffic.wait_for_batches(20)
    city.expect_exact()


@pytest.mark.parametrize("user", ["consumer", "gateway", "query", "keeper", "replication"])
def test_a_password_is_replaced_while_events_come(city, nodes, shell, manifests, user):
    users = manifests / "overlays/cluster/secrets/users.acl"
    before = {each.split()[1]: each for each in users.read_text().splitlines()}
    command = line("Secrets", "new-password").replace("production", "cluster").replace(" consumer", f" {user}")
    with city.traffic() as traffic:
        shell(command, seconds=900)
        traffic.wait_for_batches(20)
    after = {each.split()[1]: each for each in users.read_text().splitlines()}
    assert {name for name in before if before[name] != after[name]} == {user}
    assert len(after[user]) == len(before[user])  # one hash, another
    for pod in PODS:
        assert hashes(nodes, pod, user) == [after[user].split("#")[1].split()[0]]
    nodes.wait_until_whole()
    city.expect_exact()


def hashes(nodes, pod, user):
    """The hashes of a user's passwords."""
    listed = nodes.ask(pod, "acl", "list").splitlines()
    return [word[1:] for each in listed if each.split()[1] == user for word in each.split() if word.startswith("#")]


def certificate_of(nodes, pod):
    """The one that it shows."""
    return ssl.get_server_certificate((nodes.address(pod), 6379), timeout=10)


def test_nodes_take_a_new_certificate_while_events_come(city, nodes, kubectl, cert_manager):
    if not kubectl.own:
        pytest.skip("nodes are asked by their own addresses")
    before = {pod: certificate_of(nodes, pod) for pod in PODS}
    started = {pod: kubectl.get("pod", pod, "-n", THEIRS)["metadata"]["uid"] for pod in PODS}
    with city.traffic() as traffic:
        cert_manager.issue("second")
        kubectl.wait_until("each node shows the new one", lambda: all(certificate_of(nodes, pod) != before[pod] for pod in PODS), 180)
        traffic.wait_for_batches(20)
    assert started == {pod: kubectl.get("pod", pod, "-n", THEIRS)["metadata"]["uid"] for pod in PODS}
    nodes.wait_until_whole()
    city.expect_exact()


def test_jobs_of_operators_have_the_rights(city, nodes, kubectl, shell):
    """Those of the consumer's user, in a cluster."""
    city.send(200)
    city.expect_exact()
    kubectl("create", "job", "snapshot-now", "-n", THEIRS, "--from=cronjob/snapshot")
    done(kubectl, "snapshot-now", THEIRS)
    shell(block("Rebuild", "rebuild-1").splitlines()[0])
    done(kubectl, "rebuild-1", THEIRS)
    city.expect_exact()
    city.scale_consumer(0)
    nodes.ask(nodes.master(), "flushall")
    shell(line(REDIS, "restore-2"))
    done(kubectl, "restore-2", THEIRS)
    assert not city.differences(city.totals())  # before anything is folded
    city.scale_consumer(2)
    shell(block(REDIS, "restore-1").split("kubectl apply -f -\n")[0] + "kubectl apply -f -")
    done(kubectl, "restore-1", THEIRS)
    city.send(20)
    city.expect_exact()


def test_all_of_redis_is_lost_and_made_anew(city, nodes, kubectl, shell):
    for number, pod in enumerate(PODS):
        kubectl.add_volume(f"cluster-{pod}-anew", "20Gi", 1 + number % 2)
    before = {each[0] for each in nodes.seen_by(PODS[0])}
    with city.traffic() as traffic:
        shell(line(REDIS, "delete pvc,pod"))
        nodes.wait_until_whole(300)
        assert not before & {each[0] for each in nodes.seen_by(PODS[0])}
        traffic.wait_for_batches(20)
    city.expect_exact()
