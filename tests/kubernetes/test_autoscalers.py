"""Gateways and query servers become more under load and fewer after it, by their HorizontalPodAutoscalers; nobody is refused meanwhile."""
import json
import threading

import pytest

from tests.kubernetes.deployed import NAMESPACE
from tests.kubernetes.kubectl import Refused

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
BOTH = ("gateway", "query")
# As they are, but for what two cores can be made to ask for, and half a minute in place of five. Query servers read each change from
# Redis, which costs each of them some 25m while events come: they are no fewer for less.
QUICK = {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "50m"}}}],
         "behavior": {"scaleDown": {"stabilizationWindowSeconds": 30}}}


class Load:
    """Requests one after the other from a few clients while the block under `with` runs; none may fail."""

    def __init__(self, kubectl, service, status, *request, clients=2):
        self.kubectl, self.service, self.status, self.request = kubectl, service, status, request
        self.stopping, self.failures, self.answers = threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        self.address = kubectl.address(NAMESPACE, service, 80)  # asked for once: kubectl itself costs more than an answer

    def run(self):
        while not self.stopping.is_set() and not self.failures:
            try:
                status, answer = self.kubectl.ask_at(self.address, *self.request)
                if status != self.status:
                    self.failures.append(f"{self.service}: {status} {answer[:300]}")
                self.answers += 1
            except (OSError, Refused) as failure:
                self.failures.append(f"{self.service}: {failure}")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *rest):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        assert kind or (not self.failures and self.answers > 10), f"{self.answers} answers; {self.failures}"


@pytest.fixture
def quick(kubectl):
    """Their figures for this test."""
    before = {name: kubectl.get("hpa", name, "-n", NAMESPACE)["spec"] for name in BOTH}
    for name in BOTH:
        kubectl("patch", "hpa", name, "-n", NAMESPACE, "-p", json.dumps({"spec": QUICK}))
    yield
    for name, spec in before.items():
        kubectl("patch", "hpa", name, "-n", NAMESPACE, "--type=merge", "-p", json.dumps({"spec": {"behavior": None, **spec}}))


def standing(kubectl, name):
    status = kubectl.get("deployment", name, "-n", NAMESPACE)["status"]
    return status.get("readyReplicas", 0), status.get("replicas", 0)


def told(kubectl):
    return kubectl("describe", "hpa", "-n", NAMESPACE)


def test_gateways_and_queries_follow_their_load(deployed, kubectl, quick):
    if not any(each["metadata"]["name"] == "v1beta1.metrics.k8s.io" for each in kubectl.get("apiservices")["items"]):
        pytest.skip("the cluster has no metrics-server")
    for name in BOTH:
        assert standing(kubectl, name) == (2, 2)
    events = "".join(json.dumps(deployed.make() | {"id": f"dry-{number}"}) + "\n" for number in range(1000)).encode()
    deployed.events -= 1000  # they are only asked about
    headers = {"Authorization": f"Bearer {deployed.token}", "Content-Type": "application/x-ndjson"}
    refusals = deployed.refusals
    with deployed.traffic(pause=1) as traffic:
        with Load(kubectl, "gateway", 200, "POST", "/v1/events?dry_run=true", events, headers), \
                Load(kubectl, "query", 200, "GET", "/v1/history?measure=headcount_current&step=day"):
            for name in BOTH:
                kubectl.wait_until(lambda: f"more than 2 of {name} stand\n{told(kubectl)}", lambda: standing(kubectl, name)[0] > 2, 240)
            traffic.wait_for_batches(10)
        for name in BOTH:
            kubectl.wait_until(lambda: f"2 of {name} are left\n{told(kubectl)}", lambda: standing(kubectl, name) == (2, 2), 240)
        traffic.wait_for_batches(5)
    assert deployed.refusals == refusals or not kubectl.own  # a forwarded port ends with its pod
    deployed.expect_exact()
