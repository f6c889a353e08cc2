"""Pods come, go, move and die while agencies send; the totals are exact in the end, every time."""
import os
import signal

import pytest

from tests.kubernetes.cluster import process_of
from tests.kubernetes.deployed import NAMESPACE
from tests.kubernetes.documented import block, done, line

ALL = ("deployment/gateway", "deployment/query")


def test_consumers_from_one_to_four_and_back(deployed):
    with deployed.traffic() as traffic:
        for replicas in (1, 4, 1):
            deployed.scale_consumer(replicas)
            traffic.wait_for_batches(20)
    deployed.expect_exact(proved=False)
    deployed.scale_consumer(2)


def test_a_drained_node_loses_nothing(deployed, kubectl):
    keep = {pod["spec"]["nodeName"] for name in ("kafka", "redis") for pod in deployed.pods(name)}
    free = [node["metadata"]["name"] for node in kubectl.get("nodes")["items"] if node["metadata"]["name"] not in keep]
    if not free and not kubectl.own:
        pytest.skip("no node is without Kafka and Redis")
    with deployed.traffic() as traffic:
        kubectl("drain", free[0], "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s", seconds=150)
        try:
            stand = [pod["metadata"]["name"] for name in ("consumer", "gateway", "query") for pod in deployed.pods(name)
                     if pod["spec"].get("nodeName") == free[0]]
            assert not stand, f"still on {free[0]}: {stand}"
            deployed.rolled_out(deployed.consumer, *ALL)
            traffic.wait_for_batches(10)
        finally:
            kubectl("uncordon", free[0])
    deployed.expect_exact(proved=False)


def restarts(deployed):
    return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"]
            for name in ("consumer", "gateway", "query") for pod in deployed.pods(name)}


def test_who_waits_is_left_alone_and_who_is_stuck_is_restarted(deployed, kubectl):
    """Redis and Kafka go at once: no probe kills for that, but one consumer is stopped, and its probe does."""
    before = restarts(deployed)
    stuck = "consumer-0" if kubectl.own else None
    with deployed.traffic() as traffic:
        kubectl("scale", "statefulset/redis", "statefulset/kafka", "-n", NAMESPACE, "--replicas=0")
        if stuck:
            os.kill(process_of(stuck, b"citytotals"), signal.SIGSTOP)
        for name in ("redis", "kafka"):
            kubectl.wait_until(f"{name} is away", lambda: not kubectl.get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/name={name}")["items"])
        if stuck:
            kubectl.wait_until(f"{stuck} is restarted", lambda: restarts(deployed)[stuck] > before[stuck])
        kubectl.wait_until("consumers say that they can't fold", lambda: not any(
            status["ready"] for pod in deployed.pods("consumer") for status in pod["status"]["containerStatuses"]))
        after = restarts(deployed)
        assert {name: count for name, count in after.items() if name != stuck} == \
            {name: count for name, count in before.items() if name != stuck}
        kubectl("scale", "statefulset/redis", "statefulset/kafka", "-n", NAMESPACE, "--replicas=1")
        deployed.rolled_out("statefulset/redis", "statefulset/kafka", deployed.consumer, *ALL)
        traffic.wait_for_batches(5)
    deployed.expect_exact(proved=False)


def killed_while_folding(deployed):
    """Consumers that the kernel killed at their limit, after they had begun."""
    found = []
    for pod in deployed.pods("consumer"):
        for status in pod["status"].get("containerStatuses", []):
            name = pod["metadata"]["name"]
            if status["lastState"].get("terminated", {}).get("reason") == "OOMKilled":
                if "assigned" in deployed.kubectl("logs", name, "-n", NAMESPACE, "--previous"):
                    found.append(name)
    return found


def test_a_consumer_killed_for_memory_loses_nothing(deployed, kubectl):
    """Its limit is too small for a backlog; once that is mended it goes on from where Redis says."""
    enough = kubectl.get(deployed.consumer, "-n", NAMESPACE)["spec"]["template"]["spec"]["containers"][0]["resources"]
    deployed.scale_consumer(0)
    for _ in range(100):
        deployed.send(1000)
    deployed.patch_consumer(resources={"limits": {"memory": "16Mi"}, "requests": {"memory": "16Mi"}})
    kubectl("scale", deployed.consumer, "-n", NAMESPACE, "--replicas=2")
    kubectl.wait_until(lambda: f"a consumer is killed for memory\n{deployed.state()}", lambda: killed_while_folding(deployed))
    deployed.patch_consumer(resources=enough)
    deployed.rolled_out(deployed.consumer)
    deployed.expect_exact(proved=False)


def test_old_and_new_stand_side_by_side(deployed, kubectl, shell):
    """The way back to an older version, and its upgrade, with both folding for a while."""
    old, new = os.environ.get("CITYTOTALS_OLD_IMAGE_NAME", "localhost/citytotals:old"), deployed.image_of(deployed.consumer)
    undo, rolled_out, prove = line("Upgrade and rollback", "rollout undo"), *block("Upgrade and rollback", "rollout status").splitlines()[-2:]
    for before, after in ((new, old), (old, new)):
        with deployed.traffic() as traffic:
            deployed.update_from(1)
            if after == old:
                deployed.set_image(old, deployed.consumer, *ALL)
            else:
                shell(undo)
                shell(rolled_out)
            stand = {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in deployed.pods("consumer")}
            assert stand == {"consumer-0": before, "consumer-1": after}
            assert [deployed.image_of(workload) for workload in ALL] == [after, after]
            traffic.wait_for_batches(20)
            deployed.update_from(0)
            deployed.rolled_out(deployed.consumer)
            traffic.wait_for_batches(5)
        deployed.expect_exact(proved=False)
    shell(prove)
    done(kubectl, "verify-after-upgrade")
