"""What docs/kubernetes.md tells operators to do, done: the commands stand there, and are run from there."""
import base64
import hashlib
import json
import os
import re
import subprocess

import pytest
import redis

from tests.kubernetes.deployed import NAMESPACE
from tests.lab.process import ROOT

TEXT = (ROOT / "docs" / "kubernetes.md").read_text()
APPLIED_LATE = 150  # a kubelet looks after mounted files once in a minute or so


def section(title):
    return TEXT.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def block(title, containing):
    """The commands of a section that has these words."""
    return next(each for each in re.findall(r"```sh\n(.*?)```", section(title), re.S) if containing in each)


@pytest.fixture
def shell(deployed, kubectl, manifests):
    """Runs commands of the documentation, in the folder that holds k8s/."""
    def run(text, folder=manifests.parent, seconds=300):
        env = {**os.environ, "KUBECONFIG": kubectl.kubeconfig, "PATH": f"{os.path.dirname(kubectl.program)}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=env, capture_output=True, text=True, timeout=seconds)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}\n{deployed.state()}"
        return done.stdout
    return run


def ended(kubectl, job, seconds=180):
    def over():
        status = kubectl.get("job", job, "-n", NAMESPACE)["status"]
        return status.get("succeeded") or any(each["type"] == "Failed" for each in status.get("conditions", []))
    kubectl.wait_until(f"job {job} ends", over, seconds)
    log = kubectl("logs", f"job/{job}", "-n", NAMESPACE)
    assert kubectl.get("job", job, "-n", NAMESPACE)["status"].get("succeeded") == 1, log
    return log


def test_the_first_deployment_is_told_as_it_is(deployed, shell):
    steps = block("First deployment, on kind", "make-secrets").splitlines()
    for step in steps:
        if step.startswith(("k8s/", "kubectl", "for each")):
            shell(step)
    deployed.send(20)
    deployed.expect_exact()


def status_of(deployed, token):
    event = json.dumps({"type": "headcount-change", "id": "of-a-token", "agency": "hong-bang", "sector": "commune", "reason": "correction",
                        "delta": 0, "effective_date": "2020-01-01"}).encode()  # refused by a rule, once the token is known
    return deployed.kubectl.ask(NAMESPACE, "gateway", "POST", "/v1/events", event,
                                {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})[0]


def test_tokens_change_without_a_restart(deployed, kubectl, manifests, shell):
    command = re.search(r"^  `(kubectl -n citytotals create secret generic gateway-tokens .*)`$", section("Secrets"), re.M)[1]
    overlay = manifests / "overlays/local"
    tokens, before = overlay / "secrets/tokens", {pod["metadata"]["uid"] for pod in deployed.pods("gateway")}
    kept, token = tokens.read_text(), "ct_" + os.urandom(32).hex()
    assert status_of(deployed, token) == 401
    tokens.write_text(kept + f"sha256:{hashlib.sha256(token.encode()).hexdigest()} source=other agencies=* rate=0\n")
    shell(command, overlay)
    kubectl.wait_until("the new token is known", lambda: {status_of(deployed, token) for _ in range(6)} == {422}, APPLIED_LATE)
    tokens.write_text(kept)
    shell(command, overlay)
    kubectl.wait_until("the new token is not known any more", lambda: {status_of(deployed, token) for _ in range(6)} == {401}, APPLIED_LATE)
    assert {pod["metadata"]["uid"] for pod in deployed.pods("gateway")} == before
    deployed.send(20)
    deployed.expect_exact()


def test_a_rebuild_beside_the_live_totals(deployed, kubectl, shell):
    with deployed.traffic():
        shell(block("Rebuild", "rebuild-1").splitlines()[0])
        log = ended(kubectl, "rebuild-1")
    assert "rebuilt" in log, log
    deployed.expect_exact()
    look = next(line for line in re.findall(r"`([^`]*)`", section("Rebuild").replace("\n", " ")) if "rebuild-look" in line)
    shell(look)
    ended(kubectl, "rebuild-look")


def redis_client(deployed):
    secrets = deployed.kubectl.get("secrets", "-n", NAMESPACE)["items"]
    url = next(each["data"]["url"] for each in secrets if each["metadata"]["name"].startswith("redis-consumer"))
    password = base64.b64decode(url).decode().split(":")[2].split("@")[0]
    host, port = deployed.kubectl.address(NAMESPACE, "redis", 6379)
    return redis.Redis(host=host, port=port, password=password, socket_timeout=10)


def test_all_of_redis_is_lost_and_then_kafka_and_redis_go_at_once(deployed, kubectl):
    for _ in range(5):
        deployed.send(100)
    deployed.expect_exact()
    with redis_client(deployed) as client:
        client.flushall()
    deployed.send(1)  # an idle consumer's connection does not tell it
    deployed.expect_exact()
    with deployed.traffic() as traffic:
        kubectl("delete", "pod", "-n", NAMESPACE, "redis-0", "kafka-0", "--wait=false")
        deployed.rolled_out("statefulset/kafka", "statefulset/redis")
        traffic.wait_for_batches(5)
    deployed.expect_exact()
