"""The local overlay on a cluster, in domain verbs: agencies send through the gateway's Service, readers ask the query's, pods come and
go, and totals are exact."""
import functools
import json
import random
import threading
import time

from tests.kubernetes.kubectl import Refused
from tests.lab.process import wait_until

NAMESPACE = "citytotals"
AGENCIES = [f"agency-{number}" for number in range(24)]
SECTORS = ("administrative", "public_service", "commune")
REASONS = {"baseline": 1, "recruited": 1, "transferred_in": 1, "retired": -1, "streamlined": -1, "resigned": -1}
PATIENCE = 180


def state(kubectl, namespace):
    """For whoever reads of a failure."""
    parts = [kubectl("get", "pods", "-n", namespace, "-o", "wide"),
             kubectl("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")[-3000:]]
    for pod in kubectl.get("pods", "-n", namespace)["items"]:
        name = pod["metadata"]["name"]
        try:
            parts.append(f"--- {name}\n" + kubectl("logs", name, "-n", namespace, "--tail=8"))
        except Refused as failure:
            parts.append(f"--- {name}: {failure}")
    return "\n".join(parts)


class Deployed:
    def __init__(self, kubectl, token, namespace=NAMESPACE):
        self.kubectl, self.token, self.namespace = kubectl, token, namespace
        self.random = random.Random(20201030)
        self.sums = {(measure, sector): 0 for measure in ("baseline", "current") for sector in SECTORS}
        self.events = self.refusals = 0

    # --- what agencies do ---

    def make(self):
        self.events += 1
        reason = self.random.choice(sorted(REASONS))
        return {"type": "headcount-change", "id": f"event-{self.events}", "agency": self.random.choice(AGENCIES),
                "sector": self.random.choice(SECTORS), "reason": reason, "delta": REASONS[reason] * self.random.randint(1, 400),
                "effective_date": f"20{self.random.randint(15, 21)}-{self.random.randint(1, 12):02d}-15"}

    def count_also(self, event):
        """One that somebody else sends."""
        self.events += 1
        self.count(event)

    def count(self, event):
        self.sums["current", event["sector"]] += event["delta"]
        if event["reason"] == "baseline":
            self.sums["baseline", event["sector"]] += event["delta"]

    def send(self, count, patience=PATIENCE):
        """A batch, sent again as long as anything is in its way: what was taken already counts once."""
        events = [self.make() for _ in range(count)]
        body = "".join(json.dumps(event) + "\n" for event in events).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/x-ndjson"}
        until = time.monotonic() + patience
        while True:
            try:
                status, answer = self.kubectl.ask(self.namespace, "gateway", "POST", "/v1/events", body, headers)
            except (OSError, Refused) as failure:
                status, answer = 0, str(failure).encode()
            if status == 200:
                break
            self.refusals += 1
            assert status in (0, 503), f"the gateway answers {status}: {answer[:500]}"
            assert time.monotonic() < until, f"for {patience} s no gateway takes events: {status} {answer[:500]}"
            time.sleep(0.2)  # as a client does before it tries again
        for event in events:
            self.count(event)

    def traffic(self, **options):
        return Traffic(self, **options)

    # --- what readers see ---

    def totals(self):
        """None while no query answers."""
        try:
            status, body = self.kubectl.ask(self.namespace, "query", "GET", "/v1/totals")
        except (OSError, Refused):
            return None
        return json.loads(body) if status == 200 else None

    def differences(self, totals):
        heads = totals["headcount"]
        wanted = {f"{measure} of {sector}": value for (measure, sector), value in self.sums.items()}
        have = {f"{measure} of {sector}": heads["by_sector"][sector][measure] for measure, sector in self.sums}
        for measure in ("baseline", "current"):
            wanted[measure] = sum(value for (name, _), value in self.sums.items() if name == measure)
            have[measure] = heads[measure]
        wanted |= {"events": self.events, "dead letters": 0}
        have |= {"events": totals["events"], "dead letters": totals["dead_letters"]}
        return [f"{name}: sent {wanted[name]}, shown {have[name]}" for name in wanted if wanted[name] != have[name]]

    def wait_until_folded(self, seconds=PATIENCE):
        def folded():
            totals = self.totals()
            return totals if totals and totals["events"] >= self.events else None
        return self.kubectl.wait_until(lambda: f"{self.events} events are folded\n{self.state()}", folded, seconds)

    def expect_exact(self, proved=True):
        """The numbers shown are those that were sent, and the proof that the cluster itself runs finds no difference. It looks at the whole
        log, so tests that others follow leave it to them."""
        found = self.differences(self.wait_until_folded())
        assert not found, "\n".join(found)
        if proved:
            self.verify()

    def verify(self):
        """The nightly proof, now."""
        name = f"verify-{time.monotonic_ns()}"
        self.kubectl("create", "job", name, "-n", self.namespace, "--from=cronjob/verify")

        def over():
            status = self.kubectl.get("job", name, "-n", self.namespace)["status"]
            return status.get("succeeded") or status.get("failed")
        self.kubectl.wait_until(lambda: f"job {name} ends\n{self.state()}", over, 120)
        log = self.kubectl("logs", f"job/{name}", "-n", self.namespace)
        assert self.kubectl.get("job", name, "-n", self.namespace)["status"].get("succeeded") == 1, log

    # --- what operators do ---

    def complete(self):
        """All of it has come up."""
        self.rolled_out("statefulset/kafka", "statefulset/redis")
        self.kubectl("wait", "-n", self.namespace, "--for=condition=complete", "job/topics", "--timeout=180s", seconds=200)
        self.rolled_out(self.consumer, "deployment/gateway", "deployment/query")

    def rolled_out(self, *names, seconds=PATIENCE):
        for name in names:
            try:
                self.kubectl("rollout", "status", name, "-n", self.namespace, f"--timeout={seconds}s", seconds=seconds + 30)
            except Refused as failure:
                raise AssertionError(f"{failure}\n{self.state()}") from None

    def pods(self, name):
        """Those that are not on their way out."""
        found = self.kubectl.get("pods", "-n", self.namespace, "-l", f"app.kubernetes.io/name={name}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    @functools.cached_property
    def consumer(self):
        """Its kind and name."""
        return self.kubectl("get", "deployment,statefulset", "-n", self.namespace, "-l", "app.kubernetes.io/name=consumer", "-o", "name").strip()

    def scale_consumer(self, replicas):
        self.kubectl("scale", self.consumer, "-n", self.namespace, f"--replicas={replicas}")
        self.rolled_out(self.consumer)
        self.kubectl.wait_until(lambda: f"{replicas} consumers\n{self.state()}", lambda: len(self.pods("consumer")) == replicas, 90)

    def patch_consumer(self, **container):
        """By fields of its container."""
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "consumer", **container}]}}}}
        self.kubectl("patch", self.consumer, "-n", self.namespace, "-p", json.dumps(patch))

    def update_from(self, ordinal):
        """An update leaves those below as they are."""
        patch = {"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": ordinal}}}}
        self.kubectl("patch", self.consumer, "-n", self.namespace, "-p", json.dumps(patch))

    def image_of(self, workload):
        return self.kubectl.get(workload, "-n", self.namespace)["spec"]["template"]["spec"]["containers"][0]["image"]

    def set_image(self, image, *workloads):
        for workload in workloads:
            self.kubectl("set", "image", workload, "-n", self.namespace, f"{workload.split('/')[1]}={image}")
        self.rolled_out(*workloads)

    def state(self):
        return state(self.kubectl, self.namespace)


class Traffic:
    """Batches that keep coming while the block under `with` runs; in the end every event of theirs was taken."""

    def __init__(self, deployed, size=20, pause=0.05):
        self.deployed, self.size, self.pause = deployed, size, pause
        self.batches, self.failure = 0, None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.stopping.is_set():
                self.deployed.send(self.size)
                self.batches += 1
                self.stopping.wait(self.pause)
        except BaseException as failure:  # told by __exit__
            self.failure = failure

    def wait_for_batches(self, count, seconds=PATIENCE):
        """So many more, from now."""
        wanted = self.batches + count
        wait_until(f"{count} batches more", lambda: self.batches >= wanted or self.failure, seconds)

    def __enter__(self):
        self.thread.start()
        self.wait_for_batches(1)
        return self

    def __exit__(self, kind, *rest):
        self.stopping.set()
        self.thread.join(PATIENCE + 30)
        if self.failure and not kind:
            raise self.failure
