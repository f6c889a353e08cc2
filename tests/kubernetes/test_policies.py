"""Who may speak to whom, on a cluster that enforces NetworkPolicies: what a table says is let through, and nothing else. Tried from inside
pods' networks; the local overlay's pods are themselves, those of production are stand-ins with their labels."""
import concurrent.futures
import json
import subprocess
import sys

import pytest
import yaml

from tests.kubernetes.cluster import process_of
from tests.kubernetes.deployed import NAMESPACE

PRODUCTION = "city-of-stand-ins"
LISTEN = """
import socket, sys, time
held = [socket.create_server(("0.0.0.0", int(port))) for port in sys.argv[1:]]
print("ready", flush=True)
time.sleep(600)
"""
ATTEMPT = """
import json, socket, sys, threading
reached = []
def attempt(name, address, port):
    udp = name.endswith("udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as way:
        way.settimeout(3)
        try:
            way.connect((address, port))
            if udp:  # who serves the root? any name server says something
                way.send(bytes.fromhex("000101000001000000000000" + "00" + "0002" + "0001"))
                way.recv(512)
            reached.append(name)
        except OSError:
            pass
threads = [threading.Thread(target=attempt, args=each) for each in json.load(sys.stdin)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(reached))
"""


def inside(pod, *command):
    """A command that runs here, but in a pod's network."""
    return ["nsenter", f"--net=/proc/{process_of(pod)}/ns/net", *command]


def reached_from(pod, targets):
    attempts = json.dumps([(name, *where) for name, where in targets.items()])
    done = subprocess.run(inside(pod, sys.executable, "-c", ATTEMPT), input=attempts, capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout))


def expect(ways, targets):
    """`ways`: for each pod what it reaches, of all targets."""
    with concurrent.futures.ThreadPoolExecutor(len(ways)) as pool:
        found = dict(zip(ways, pool.map(lambda pod: reached_from(pod, targets), ways)))
    faults = [f"{pod}: reaches {sorted(found[pod] - ways[pod])}, does not reach {sorted(ways[pod] - found[pod])}"
              for pod in ways if found[pod] != ways[pod]]
    assert not faults, "\n".join(faults)


class StandIns:
    """Pods that do nothing, in whose networks somebody listens."""

    def __init__(self, kubectl):
        self.kubectl, self.addresses, self.listeners = kubectl, {}, []

    def namespace(self, name):
        self.kubectl("create", "namespace", name)
        self.kubectl.wait_until(f"{name} has its account", lambda: self.kubectl.get("serviceaccounts", "-n", name)["items"])

    def make(self, namespace, pods):
        """`pods`: labels and ports of each."""
        for name, (labels, _) in pods.items():
            container = {"name": "pause", "image": "localhost/pause:1", "imagePullPolicy": "Never",
                         "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
            self.kubectl("create", "-f", "-", data={
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1, "containers": [container],
                         "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}}})
        self.kubectl("wait", "-n", namespace, "--for=condition=Ready", "--timeout=60s", *(f"pod/{name}" for name in pods))
        for name, (_, ports) in pods.items():
            self.addresses[name] = self.kubectl.get("pod", name, "-n", namespace)["status"]["podIP"]
            if ports:
                self.listeners.append(subprocess.Popen(inside(name, sys.executable, "-c", LISTEN, *map(str, ports)), stdout=subprocess.PIPE))
                assert self.listeners[-1].stdout.readline() == b"ready\n"

    def close(self):
        for listener in self.listeners:
            listener.kill()
            listener.wait()


@pytest.fixture(scope="module")
def stand_ins(kubectl):
    if not kubectl.own:
        pytest.skip("pods' networks are entered from the node that they stand on")
    made = StandIns(kubectl)
    for namespace in ("strangers", "monitoring"):
        made.namespace(namespace)
    made.make("strangers", {"stranger": ({}, [8080])})
    made.make("monitoring", {"prometheus": ({}, [])})
    yield made
    made.close()


NAMES = {"names/udp", "names/tcp"}
OUTSIDE = {"the API server", "a node's kubelet", "stranger"}


def surroundings(kubectl, stand_ins):
    names = kubectl.get("service", "kube-dns", "-n", "kube-system")["spec"]["clusterIP"]
    api = kubectl.get("service", "kubernetes", "-n", "default")["spec"]["clusterIP"]
    node = next(each["address"] for each in kubectl.get("nodes")["items"][0]["status"]["addresses"] if each["type"] == "InternalIP")
    return {"names/udp": (names, 53), "names/tcp": (names, 53), "the API server": (api, 443), "a node's kubelet": (node, 10250),
            "stranger": (stand_ins.addresses["stranger"], 8080)}


def test_pods_of_the_local_overlay_reach_what_they_need_and_nothing_else(deployed, kubectl, stand_ins):
    stand_ins.make(NAMESPACE, {"of-no-kind": ({}, [])})
    pods = {kind: deployed.pods(kind)[0] for kind in ("consumer", "gateway", "query", "redis", "kafka")}
    targets = surroundings(kubectl, stand_ins)
    for service, port in (("redis", 6379), ("kafka", 9092), ("gateway", 80), ("query", 80)):
        targets[service] = kubectl.address(NAMESPACE, service, port)
    for kind in ("consumer", "gateway", "query"):
        targets[f"{kind}'s metrics"] = pods[kind]["status"]["podIP"], 9100
    named = {kind: pod["metadata"]["name"] for kind, pod in pods.items()}
    client = NAMES | {"redis", "kafka"}
    own = {named["consumer"]: {"consumer's metrics"}, named["gateway"]: {"gateway's metrics"}, named["query"]: {"query's metrics"}}
    expect({pod: client | itself for pod, itself in own.items()} |
           {named["redis"]: NAMES, named["kafka"]: NAMES | {"kafka"}, "of-no-kind": NAMES} |
           {pod: NAMES | OUTSIDE | {"gateway", "query"} for pod in ("stranger", "prometheus")}, targets)
    kubectl("delete", "pod", "of-no-kind", "-n", NAMESPACE)
    deployed.send(20)
    deployed.expect_exact(proved=False)


def labels_of(objects):
    """Of the pods that an overlay's objects make, by name."""
    found = {}
    for each in objects:
        name, spec = each["metadata"]["name"], each.get("spec", {})
        if each["kind"] in ("Deployment", "StatefulSet"):
            found[name] = spec["template"]["metadata"]["labels"]
        elif each["kind"] == "CronJob":
            found[name] = spec["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
        elif each["kind"] == "Kafka":  # with what Strimzi itself adds to all that it makes
            strimzi = {"strimzi.io/cluster": name, "strimzi.io/kind": "Kafka"}
            found["broker"] = strimzi | {"strimzi.io/name": f"{name}-kafka"} | spec["kafka"]["template"]["pod"]["metadata"]["labels"]
            found["operator"] = strimzi | spec["entityOperator"]["template"]["pod"]["metadata"]["labels"]
    return found


def of_strimzi(objects):
    """The policy that Strimzi makes for its brokers: their own ports, and each listener for its peers, or for all."""
    kafka = next(each for each in objects if each["kind"] == "Kafka")
    cluster = {"podSelector": {"matchLabels": {"strimzi.io/cluster": kafka["metadata"]["name"]}}}
    ingress = [{"from": [cluster], "ports": [{"protocol": "TCP", "port": port} for port in (9090, 9091)]}]
    for listener in kafka["spec"]["kafka"]["listeners"]:
        ingress.append({"from": listener.get("networkPolicyPeers", []), "ports": [{"protocol": "TCP", "port": listener["port"]}]})
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "strimzi"}, "spec": {
        "podSelector": {"matchLabels": {"strimzi.io/name": f"{kafka['metadata']['name']}-kafka"}}, "policyTypes": ["Ingress"],
        "ingress": ingress}}


def test_policies_of_production_let_each_reach_what_it_needs_and_nothing_else(kubectl, manifests, stand_ins):
    objects = [each for each in yaml.safe_load_all(kubectl.kustomize(manifests / "overlays/production")) if each]
    stand_ins.namespace(PRODUCTION)
    for policy in [each for each in objects if each["kind"] == "NetworkPolicy"] + [of_strimzi(objects)]:
        policy["metadata"] = {"name": policy["metadata"]["name"], "namespace": PRODUCTION}
        kubectl("create", "-f", "-", data=policy)
    labels = labels_of(objects)
    ports = {"broker": [9090, 9091, 9093], "redis": [6379, 16379], "gateway": [8080, 9100], "query": [8080, 9100], "consumer": [9100],
             "rebuild": [9100], "solver": [8089]}
    labels |= {"another-redis": labels["redis"], "another-broker": labels["broker"], "of-no-kind": {},
               "solver": {"acme.cert-manager.io/http01-solver": "true"}}  # cert-manager's, while it asks for a certificate
    stand_ins.make(PRODUCTION, {name: (each, ports.get(name, [])) for name, each in labels.items()})
    targets = surroundings(kubectl, stand_ins)
    targets |= {f"{name}:{port}": (stand_ins.addresses[name], port) for name, each in ports.items() for port in each}

    own = {name: {f"{name}:{port}" for port in each} for name, each in ports.items()}  # a pod reaches itself
    public = {"gateway:8080", "query:8080", "solver:8089"}
    metrics = {"consumer:9100", "gateway:9100", "query:9100", "rebuild:9100"}
    ways = {name: NAMES for name in labels}
    ways |= {name: NAMES | {"broker:9093", "redis:6379"} for name in ("consumer", "gateway", "query", "verify", "rebuild", "restore")}
    ways |= {"snapshot": NAMES | {"redis:6379"}, "another-redis": NAMES | own["redis"],
             "another-broker": NAMES | {"broker:9090", "broker:9091"}, "operator": NAMES | {"broker:9091", "the API server"},
             "stranger": NAMES | OUTSIDE | public, "prometheus": NAMES | OUTSIDE | public | metrics}
    expect({name: each | own.get(name, set()) for name, each in ways.items()}, targets)
