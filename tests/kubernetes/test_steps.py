"""What docs/kubernetes.md tells operators to do, done: the commands stand there, and are run from there."""
import hashlib
import json
import os
import re
import subprocess

import pytest
import redis

from tests.kubernetes.deployed import NAMESPACE
from tests.kubernetes.documented import block, done, ended, line, section

APPLIED_LATE = 150  # a kubelet looks after mounted files once in a minute or so
LOCAL = "k8s/overlays/local"


@pytest.fixture
def password(manifests):
    """Redis's, by now."""
    return lambda: re.search(r":([0-9a-f]+)@", (manifests / "overlays/local/secrets/redis-url").read_text())[1]


@pytest.fixture
def redis_client(deployed, password):
    def answers():
        """A forwarded port ends with its pod, but is known to only when somebody connects."""
        try:
            host, port = deployed.kubectl.address(NAMESPACE, "redis", 6379)
            return redis.Redis(host=host, port=port, socket_timeout=10).ping()
        except redis.exceptions.AuthenticationError:
            return True
        except (redis.exceptions.RedisError, OSError):
            return False

    def client(secret=None):
        deployed.kubectl.wait_until("redis answers", answers, 60)
        host, port = deployed.kubectl.address(NAMESPACE, "redis", 6379)
        return redis.Redis(host=host, port=port, password=secret or password(), socket_timeout=10, decode_responses=True)
    return client


def test_the_first_deployment_is_told_as_it_is(deployed, kubectl, shell):
    for step in block("First deployment, on kind", "make-secrets").splitlines():
        if step.startswith(("k8s/", "kubectl", "for each")):
            shell(step)
    look = block("First deployment, on kind", "port-forward")
    forwards = re.findall(r"^kubectl (.*port-forward.*) &$", look, re.M)
    assert len(forwards) == 2
    running = [subprocess.Popen(kubectl.command(*each.split()), stdout=subprocess.PIPE, text=True) for each in forwards]
    try:
        for each in running:
            assert each.stdout.readline().startswith("Forwarding from")
        commands = look.split("&\n")[-1]
        deployed.count_also(json.loads(re.search(r"^  '(\{.*\})'$", commands, re.M)[1]))
        said = shell(commands)
    finally:
        for each in running:
            each.kill()
            each.wait()
    assert '"accepted":1' in said.replace(" ", "") and '"city":"haiphong"' in said, said
    deployed.expect_exact(proved=False)


def status_of(deployed, token):
    event = json.dumps({"type": "headcount-change", "id": "of-a-token", "agency": "hong-bang", "sector": "commune", "reason": "correction",
                        "delta": 0, "effective_date": "2020-01-01"}).encode()  # refused by a rule, once the token is known
    return deployed.kubectl.ask(NAMESPACE, "gateway", "POST", "/v1/events", event,
                                {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})[0]


def test_tokens_change_without_a_restart(deployed, kubectl, manifests, shell):
    command = line("Secrets", "create secret generic gateway-tokens")
    tokens, before = manifests / "overlays/local/secrets/tokens", {pod["metadata"]["uid"] for pod in deployed.pods("gateway")}
    kept, token = tokens.read_text(), "ct_" + os.urandom(32).hex()
    assert status_of(deployed, token) == 401
    tokens.write_text(kept + f"sha256:{hashlib.sha256(token.encode()).hexdigest()} source=other agencies=* rate=0\n")
    shell(command, LOCAL)
    kubectl.wait_until("the new token is known", lambda: {status_of(deployed, token) for _ in range(6)} == {422}, APPLIED_LATE)
    tokens.write_text(kept)
    shell(command, LOCAL)
    kubectl.wait_until("the new token is not known any more", lambda: {status_of(deployed, token) for _ in range(6)} == {401}, APPLIED_LATE)
    assert {pod["metadata"]["uid"] for pod in deployed.pods("gateway")} == before


def exit_status(kubectl, job):
    pods = kubectl.get("pods", "-n", NAMESPACE, "-l", f"job-name={job}")["items"]
    return [status["state"]["terminated"]["exitCode"] for pod in pods for status in pod["status"]["containerStatuses"]]


def test_a_proof_fails_and_a_rebuild_heals(deployed, kubectl, shell, redis_client):
    title = "When the proof fails"
    deployed.send(100)
    deployed.wait_until_folded()
    with redis_client() as client:
        client.hincrby("{haiphong}:totals", "headcount_current:commune", 7)
    shell(line(title, "verify-again"))
    assert not ended(kubectl, "verify-again")[0] and exit_status(kubectl, "verify-again") == [4]  # and not tried four times
    named = shell(line(title, "logs job/verify-…").replace("…", "again"))
    found = [each for each in named.splitlines() if "headcount_current:commune" in each]
    assert len(found) == 1, named
    shell(line(title, "snapshot-before"))
    assert "/snapshots/before.snapshot" in done(kubectl, "snapshot-before")
    rebuild, follow = block("Rebuild", "rebuild-1").splitlines()
    with deployed.traffic():
        shell(rebuild)
        done(kubectl, "rebuild-1")
    assert "rebuilt" in shell(follow)
    deployed.expect_exact()
    shell(line("Rebuild", "rebuild-look"))
    done(kubectl, "rebuild-look")


def test_all_of_redis_is_lost_and_a_snapshot_is_restored(deployed, kubectl, shell, redis_client):
    deployed.send(500)
    deployed.wait_until_folded()
    kubectl("create", "job", "snapshot-now", "-n", NAMESPACE, "--from=cronjob/snapshot")
    done(kubectl, "snapshot-now")
    with redis_client() as client:
        client.flushall()
    deployed.send(1)  # an idle consumer's connection does not tell it
    deployed.expect_exact(proved=False)
    title = "Redis: backup, restore, loss"
    shell(line(title, "restore-2"))
    succeeded, log = ended(kubectl, "restore-2")
    assert not succeeded and "give --replace" in log
    restore, follow = block(title, "restore-1").split("kubectl apply -f -\n")
    shell(restore + "kubectl apply -f -")
    done(kubectl, "restore-1")
    assert "is in place" in shell(follow)
    deployed.expect_exact(proved=False)


def visit(deployed):
    """By one browser, on whichever page."""
    headers = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Host": "totals.example",
               "Origin": "https://portal.example"}
    status, answer = deployed.kubectl.ask(NAMESPACE, "gateway", "POST", "/v1/visits", None, headers)
    assert status == 204, answer


def wait_for_visits(deployed, count):
    deployed.kubectl.wait_until(f"{count} visits", lambda: (deployed.totals() or {}).get("visitors", {}).get("all") == count, 60)


def offsets_from(redis_client, partition):
    """What is folded of the organisational topics' partitions from this one on."""
    with redis_client() as client:
        offsets = client.hgetall("{haiphong}:offsets")
    return {name: int(offset) for name, offset in offsets.items() if int(name.split("/")[1]) >= partition and "visits" not in name}


def test_partitions_are_added_and_secrets_replaced(deployed, kubectl, shell, redis_client, password):
    """All pods are rolled, and refuse nobody. Consumers see that the partitions added before are nobody's, and have them shared."""
    secret, earlier, refusals = "rm secrets/visitor-secret && ./make-secrets", password(), deployed.refusals
    visit(deployed)
    visit(deployed)
    wait_for_visits(deployed, 1)
    with deployed.traffic() as traffic:
        shell(block("More partitions", "--partitions 16"))
        assert secret in section("Secrets")
        shell(secret, LOCAL)
        shell(line("Secrets", "rm secrets/redis-url"), LOCAL)
        shell(line("Secrets", "rollout restart deploy/gateway"))
        deployed.rolled_out("statefulset/redis", deployed.consumer, "deployment/gateway", "deployment/query")
        deployed.kubectl.wait_until("consumers use the new partitions", lambda: any(offsets_from(redis_client, 8).values()), 120)
        traffic.wait_for_batches(20)
    deployed.expect_exact()
    assert deployed.refusals == refusals or not kubectl.own  # a forwarded port ends with its pod
    visit(deployed)
    wait_for_visits(deployed, 2)
    assert password() != earlier
    with redis_client(earlier) as client, pytest.raises(redis.exceptions.AuthenticationError):
        client.ping()


@pytest.mark.slow
def test_consumers_and_gateways_notice_partitions_by_themselves(deployed, shell, redis_client):
    with deployed.traffic() as traffic:
        shell(block("More partitions", "--partitions 16").replace("--partitions 16", "--partitions 32"))
        deployed.kubectl.wait_until("gateways and consumers use them", lambda: any(offsets_from(redis_client, 16).values()), 400)
        traffic.wait_for_batches(5)
    deployed.expect_exact()
