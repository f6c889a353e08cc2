"""What k8s/ makes, looked at without a cluster: nothing is unpinned, unbounded, unprobed or open that need not be, and every name in it
(flags, environment, metrics, labels, partitions) is one that the programs have."""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("CITYTOTALS_KUBERNETES", ROOT / "build" / "kubernetes"))
KUBECTL = BINARIES / "kubectl" if (BINARIES / "kubectl").exists() else "kubectl"
PROMTOOL = os.environ.get("CITYTOTALS_PROMTOOL", "promtool")
MANIFESTS = ROOT / "k8s"
OVERLAYS = sorted(path.parent.name for path in (MANIFESTS / "overlays").glob("*/kustomization.yaml"))
OURS = ("citytotals-producer", "citytotals-consumer", "citytotals-query")
LONG_RUNNING = ("consumer", "gateway", "query")
FOREIGN_METRICS = {"kube_job_status_failed", "kube_cronjob_status_last_successful_time"}  # of kube-state-metrics
NAMES_OF_PROMQL = {"max", "sum", "by", "rate", "increase", "absent", "time", "and", "or"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """k8s/ with the local secrets, made as its documentation says."""
    folder = tmp_path_factory.mktemp("manifests") / "k8s"
    shutil.copytree(MANIFESTS, folder, ignore=shutil.ignore_patterns("secrets"))
    subprocess.run([folder / "overlays/local/make-secrets"], check=True, timeout=60)
    return folder


def built(folder):
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request, copy):
    return request.param, built(copy / "overlays" / request.param)


def of_kind(objects, *kinds):
    return [each for each in objects if each["kind"] in kinds]


def named(objects, kind, name):
    return next(each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)


def template(workload):
    spec = workload["spec"]
    return spec["jobTemplate"]["spec"]["template"] if workload["kind"] == "CronJob" else spec["template"]


def workloads(objects):
    return of_kind(objects, "Deployment", "StatefulSet", "Job", "CronJob")


def containers(objects):
    """(workload, pod spec, container), the ones that run first included."""
    for workload in workloads(objects):
        pod = template(workload)["spec"]
        for container in pod.get("initContainers", []) + pod["containers"]:
            yield workload, pod, container


def place(workload, container):
    return f"{workload['kind']} {workload['metadata']['name']}, container {container['name']}"


def config(objects):
    return next(each for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"].startswith("citytotals"))["data"]


def selects(selector, labels):
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or []:
        assert term["operator"] == "In"
        if labels.get(term["key"]) not in term["values"]:
            return False
    return True


def labels_of(workload):
    return template(workload)["metadata"]["labels"]


# --- whole ---

def test_every_component_is_used_by_an_overlay():
    used = "".join((MANIFESTS / "overlays" / name / "kustomization.yaml").read_text() for name in OVERLAYS)
    components = [path.parent.name for path in (MANIFESTS / "components").glob("*/kustomization.yaml")]
    assert components and all(f"components/{name}\n" in used for name in components)


def test_overlays_make_each_object_once_and_in_one_namespace(overlay):
    _, objects = overlay
    places = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(places) == len(set(places))
    assert {each["metadata"].get("namespace", "citytotals") for each in objects} == {"citytotals"}
    namespace = named(objects, "Namespace", "citytotals")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


# --- images and secrets ---

def test_images_have_a_version_and_never_latest(overlay):
    _, objects = overlay
    for workload, _, container in containers(objects):
        image = container["image"]
        assert re.fullmatch(r"[^@:]+(/[^@:]+)+(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})", image) and not image.endswith(":latest"), \
            f"{place(workload, container)}: {image}"
        assert container["imagePullPolicy"] == "IfNotPresent", place(workload, container)


def test_image_names_stand_in_one_place(overlay):
    name, _ = overlay
    texts = [path.read_text() for path in MANIFESTS.rglob("*.yaml") if path.name != "kustomization.yaml"]
    assert set(re.findall(r"^ *(?:- )?image: (\S+)", "\n".join(texts), re.M)) == {"citytotals", "kafka", "redis"}, name


def test_pinned_images_are_named_by_digest(copy, tmp_path):
    shutil.copytree(copy, tmp_path / "k8s")
    folder = tmp_path / "k8s/overlays/production"
    digests = {"citytotals": "sha256:" + 64 * "a", "redis": "sha256:" + 64 * "b"}
    for name, digest in digests.items():
        subprocess.run([folder / "pin", name, f"registry.example/{name}@{digest}"], check=True, timeout=60)
    images = {container["image"] for _, _, container in containers(built(folder))}
    assert images == {f"registry.example/{name}@{digest}" for name, digest in digests.items()}
    for wrong in (["citytotals", "registry.example/citytotals:1.0"], ["citytotals", "a@sha256:12"], ["kafka", "a@sha256:" + 64 * "c"], []):
        assert subprocess.run([folder / "pin", *wrong], capture_output=True, timeout=60).returncode == 2, wrong


def test_secrets_are_made_also_where_sums_have_another_name(tmp_path):
    """macOS has shasum."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "cat", "cut", "dirname", "mkdir", "od", "tr"):
        (programs / name).symlink_to(shutil.which(name))
    (programs / "shasum").write_text(f"#!/bin/sh\n[ \"$*\" = '-a 256' ] && exec {shutil.which('sha256sum')}\n")
    (programs / "shasum").chmod(0o755)
    shutil.copytree(MANIFESTS, tmp_path / "k8s", ignore=shutil.ignore_patterns("secrets"))
    for overlay in OVERLAYS:
        subprocess.run([tmp_path / f"k8s/overlays/{overlay}/make-secrets"], check=True, timeout=60, env={"PATH": str(programs)})
    secrets = tmp_path / "k8s/overlays/local/secrets"
    digest = hashlib.sha256((secrets / "token").read_text().strip().encode()).hexdigest()
    assert (secrets / "tokens").read_text().startswith(f"sha256:{digest} ")
    users = (tmp_path / "k8s/overlays/production/secrets/users.acl").read_text()
    assert len(re.findall(r" #[0-9a-f]{64} ", users)) == users.count(" on ") == 5, users


def test_no_secret_is_in_git_or_in_the_environment(overlay):
    name, objects = overlay
    tracked = subprocess.run(["git", "ls-files", "k8s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert tracked and not [path for path in tracked if "/secrets/" in path]
    for path in tracked:
        assert not re.search(r"^kind: Secret$", (ROOT / path).read_text(), re.M), path
    if name == "production":
        assert not of_kind(objects, "Secret")
    for workload, _, container in containers(objects):
        for source in container.get("envFrom", []):
            assert "secretRef" not in source, place(workload, container)
        for variable in container.get("env", []):
            assert "secretKeyRef" not in variable.get("valueFrom", {}), place(workload, container)
            assert not re.search(r"(?i)password|://[^/]*@", variable.get("value", "")), place(workload, container)
    assert not any(re.search(r"(?i)password|://[^/]*@", text) for each in of_kind(objects, "ConfigMap")
                   for name, text in each["data"].items() if name.startswith(("CITYTOTALS_", "GATEWAY_")))


def test_secrets_are_mounted_readable_for_the_pod_alone(overlay):
    _, objects = overlay
    for workload in workloads(objects):
        pod = template(workload)["spec"]
        for volume in pod.get("volumes", []):
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440 and pod["securityContext"]["fsGroup"], volume


# --- what a pod may, needs and says ---

def test_every_container_is_restricted(overlay):
    _, objects = overlay
    for workload, pod, container in containers(objects):
        where, context = place(workload, container), container["securityContext"]
        assert context == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}, where
        assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0, where
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False, where
        assert not [volume for volume in pod.get("volumes", []) if "hostPath" in volume], where
    for account in of_kind(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_every_container_has_resources_and_every_pod_its_grace(overlay):
    _, objects = overlay
    for workload, pod, container in containers(objects):
        resources = container["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"]) and "memory" in resources["limits"], place(workload, container)
        assert pod["terminationGracePeriodSeconds"] >= 10, place(workload, container)


def test_long_running_pods_have_probes_that_tell_live_from_ready(overlay):
    _, objects = overlay
    for workload in of_kind(objects, "Deployment", "StatefulSet"):
        for container in template(workload)["spec"]["containers"]:
            if not container.get("ports"):  # beside another, and nobody asks it
                continue
            where = place(workload, container)
            probes = [container[name] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
            if container["command"][0] in OURS:
                assert [probe["httpGet"]["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"], where
                assert {probe["httpGet"]["port"] for probe in probes} == {"management"}, where
    for name in LONG_RUNNING:
        kind = "StatefulSet" if name == "consumer" else "Deployment"
        container = template(named(objects, kind, name))["spec"]["containers"][0]
        listening = {"management": 9100, "http": 8080} if name != "consumer" else {"management": 9100}
        assert {port["name"]: port["containerPort"] for port in container["ports"]} == listening
        assert "--management=0.0.0.0:9100" in container["args"]


def test_grace_is_longer_than_what_a_pod_does_at_its_end(overlay):
    """preStop, then: the gateway waits for Kafka (--ack-timeout, 10 s, and 2 s more), query 5 s for answers, a consumer a commit's 30 s
    and 5 s to leave."""
    _, objects = overlay
    for kind, name, seconds in (("Deployment", "gateway", 12 + 5), ("Deployment", "query", 5 + 5), ("StatefulSet", "consumer", 30 + 5 + 5)):
        pod = template(named(objects, kind, name))["spec"]
        before = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod["terminationGracePeriodSeconds"] >= before + seconds, name
        assert before >= 5 or name == "consumer"


# --- names that the programs have ---

def settings_of(command):
    """The flags and the environment of a command, as docs/configuration.md has them from the tables."""
    flags, variables, taken = set(), set(), False
    for line in (ROOT / "docs" / "configuration.md").read_text().splitlines():
        if line.startswith("## "):
            taken = line == "## Every command" or re.match(rf"## `{command}[ `]", line)
        match = re.match(r"\| `(?:-\w, )?(--[a-z-]+)[^`]*` \| `(\w+)`", line)
        if taken and match:
            flags.add(match[1])
            variables.add(match[2])
            if "A secret:" in line:
                variables.add(match[2] + "_FILE")
    return flags, variables


def test_flags_and_environment_are_settings_of_the_command(overlay):
    _, objects = overlay
    every = set()
    for workload, _, container in containers(objects):
        if container["command"][0] not in OURS:
            continue
        where = place(workload, container)
        flags, variables = settings_of(f"{container['command'][0]} {container['args'][0]}")
        every |= variables
        assert len(flags) > 7, where
        for argument in container["args"][1:]:
            assert not argument.startswith("-") or argument.split("=")[0] in flags, f"{where}: {argument}"
        for variable in container.get("env", []):
            assert not variable["name"].startswith("CITYTOTALS_") or variable["name"] in variables, f"{where}: {variable['name']}"
    assert {name for name in config(objects) if name.startswith("CITYTOTALS_")} <= every


def expressions(objects):
    for rules in of_kind(objects, "PrometheusRule"):
        for group in rules["spec"]["groups"]:
            for rule in group["rules"]:
                yield rule["alert"], rule["expr"]
    for scaled in of_kind(objects, "ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            yield scaled["metadata"]["name"], trigger["metadata"]["query"]


def test_alerts_and_scaling_ask_for_metrics_that_exist(copy):
    objects = built(copy / "overlays/production")
    have = {}
    for name, label in re.findall(r"^\| `(citytotals_\w+)` \| \w+ \| (\w*) \|", (ROOT / "docs/metrics.md").read_text(), re.M):
        have[name] = label
    asked = list(expressions(objects))
    assert len(asked) >= 10
    for where, text in asked:
        plain = re.sub(r'"[^"]*"', "", text)
        for name in re.findall(r"\b(?:citytotals|kube)_\w+", plain):
            assert name in have or name in FOREIGN_METRICS, f"{where}: {name}"
        for name, selector in re.findall(r"(citytotals_\w+)\{(.*?)\}", plain):
            for label in re.findall(r"(\w+)=", selector):
                assert label in (have[name], "namespace"), f"{where}: {name} has no label {label}"
    assert {name for _, text in asked for name in re.findall(r"citytotals_\w+", text)} >= {
        "citytotals_halted", "citytotals_waiting", "citytotals_lag_records", "citytotals_dead_letters_total"}


def test_a_failed_proof_alerts(copy):
    objects = built(copy / "overlays/production")
    job = named(objects, "CronJob", "verify")["spec"]["jobTemplate"]["spec"]
    fail = next(rule for rule in job["podFailurePolicy"]["rules"] if rule["action"] == "FailJob")
    assert 4 in fail["onExitCodes"]["values"] and job["template"]["spec"]["restartPolicy"] == "Never"
    alert = next(text for name, text in expressions(objects) if name == "CitytotalsVerifyFailed")
    assert 'kube_job_status_failed{namespace="citytotals", job_name=~"verify-.*"} ' in alert.replace(")", " ")


def series(namespace, name, values, **labels):
    labels = ", ".join(f'{label}="{value}"' for label, value in {"namespace": namespace, **labels}.items())
    return {"series": f"{name}{{{labels}}}", "values": values}


AILS = [  # what a city shows for two hours and more when all is not well
    ("citytotals_halted", "1x150", {"partition": "a/0"}), ("citytotals_assigned_partitions", "0x150", {}),
    ("citytotals_lag_records", "200000x150", {}), ("citytotals_folded_total", "0+60x150", {}),
    ("citytotals_waiting", "1x150", {"partition": "a/0"}), ("citytotals_dead_letters_total", "0+1x150", {}),
    ("citytotals_untaken_partitions", "8x150", {}),
    ("citytotals_stale_ms", "90000x150", {}), ("citytotals_gateway_events_unacknowledged_total", "0+1x150", {}),
    ("citytotals_gateway_token_reloads_total", "0+1x150", {"result": "refused"}), ("citytotals_metric_changes_dropped_total", "0+1x150", {}),
    ("kube_job_status_failed", "1x150", {"job_name": "verify-1"}), ("kube_job_status_failed", "1x150", {"job_name": "snapshot-1"}),
    ("kube_cronjob_status_last_successful_time", "-200000x150", {"cronjob": "verify"})]
WELL = [("citytotals_assigned_partitions", "8x150", {}), ("citytotals_untaken_partitions", "0x150", {}), ("citytotals_lag_records", "200000x150", {}),
        ("citytotals_folded_total", "0+600000x150", {}), ("citytotals_gateway_token_reloads_total", "0+1x150", {"result": "taken"}),
        ("kube_job_status_failed", "0x150", {"job_name": "verify-1"}), ("kube_cronjob_status_last_successful_time", "0x150", {"cronjob": "verify"})]


def test_each_city_has_its_own_alerts_once(copy, tmp_path):
    """Two cities' rules before one Prometheus, which sees both: what ails one is told once, under its name."""
    files, names = [], None
    for namespace in ("citytotals", "citytotals-danang"):
        shutil.copytree(copy, tmp_path / namespace)
        kustomization = tmp_path / namespace / "overlays/production/kustomization.yaml"
        kustomization.write_text(kustomization.read_text().replace("namespace: citytotals\n", f"namespace: {namespace}\n"))
        rules = named(built(kustomization.parent), "PrometheusRule", "citytotals")["spec"]
        files.append(tmp_path / f"{namespace}.yaml")
        files[-1].write_text(yaml.safe_dump(rules))
        names = [each["alert"] for group in rules["groups"] for each in group["rules"]]
    for ill, well in (("citytotals", "citytotals-danang"), ("citytotals-danang", "citytotals")):
        shown = [series(ill, *each[:2], **each[2]) for each in AILS] + [series(well, *each[:2], **each[2]) for each in WELL]
        # As Prometheus has them while they fire, of each exactly one.
        firing = [{"expr": f'count by (namespace) (ALERTS{{alertname="{name}", alertstate="firing"}})', "eval_time": "140m",
                   "exp_samples": [{"labels": f'{{namespace="{ill}"}}', "value": 1}]} for name in names]
        case = tmp_path / "case.yaml"
        case.write_text(yaml.safe_dump({"rule_files": [str(each) for each in files], "evaluation_interval": "1m", "tests": [
            {"interval": "1m", "input_series": shown, "promql_expr_test": firing}]}))
        done = subprocess.run([PROMTOOL, "test", "rules", case], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


# --- who reaches whom ---

def test_networks_deny_all_but_what_is_named(overlay):
    _, objects = overlay
    policies = of_kind(objects, "NetworkPolicy")
    deny = named(objects, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for workload in workloads(objects):
        labels = labels_of(workload)
        mine = [each["spec"] for each in policies if selects(each["spec"]["podSelector"], labels)]
        opened = {port["port"] for spec in mine for rule in spec.get("ingress", []) for port in rule["ports"]}
        listening = {port["containerPort"] for container in template(workload)["spec"]["containers"] for port in container.get("ports", [])}
        assert opened <= listening, f"{workload['metadata']['name']}: open, and nobody listens: {opened - listening}"
        management = {9100} if not of_kind(objects, "PodMonitor") or labels["app.kubernetes.io/name"] in ("verify", "topics") else set()
        assert listening - opened <= management, f"{workload['metadata']['name']}: nobody may reach {listening - opened}"
        for spec in mine:
            for rule in spec.get("egress", []):
                assert rule.get("ports"), "egress to every port"
                assert rule.get("to") or labels.get("citytotals/kafka") == "operator", "egress to everywhere"


def server_ports(objects, part):
    """What the servers of a part let their clients in by: here, or in Strimzi's listener."""
    policy = named(objects, "NetworkPolicy", f"{part}-server")["spec"]
    return {port["port"] for rule in policy["ingress"] for peer in rule["from"]
            if selects(peer.get("podSelector", {}), {f"citytotals/{part}": "client"}) for port in rule["ports"]}


@pytest.mark.parametrize("part", ["kafka", "redis"])
def test_clients_reach_their_servers_and_nobody_else_does(overlay, part):
    _, objects = overlay
    policy = named(objects, "NetworkPolicy", f"{part}-clients")["spec"]
    assert policy["egress"][0]["to"] == [{"podSelector": {"matchLabels": {f"citytotals/{part}": "server"}}}]
    assert server_ports(objects, part) and server_ports(objects, part) <= {port["port"] for port in policy["egress"][0]["ports"]}
    need = {"kafka": {"consumer", "gateway", "query", "verify", "rebuild", "restore", "topics"},
            "redis": {"consumer", "gateway", "query", "verify", "rebuild", "restore", "snapshot"}}
    clients = {each["metadata"]["name"] for each in workloads(objects) if labels_of(each).get(f"citytotals/{part}") == "client"}
    assert clients == need[part] & {each["metadata"]["name"] for each in workloads(objects)}


def test_selectors_and_targets_find_what_they_name(overlay):
    _, objects = overlay
    pods = [labels_of(each) for each in workloads(objects)]
    for service in of_kind(objects, "Service"):
        found = [labels for labels in pods if selects({"matchLabels": service["spec"]["selector"]}, labels)]
        assert len(found) == 1, service["metadata"]["name"]
    for each in of_kind(objects, "PodDisruptionBudget", "PodMonitor"):
        assert [labels for labels in pods if selects(each["spec"]["selector"], labels)], each["metadata"]["name"]
    for each in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        target = each["spec"]["scaleTargetRef"]
        assert "replicas" not in named(objects, target["kind"], target["name"])["spec"], "two would set the replicas"
    for route in of_kind(objects, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                assert backend["port"] in [port["port"] for port in named(objects, "Service", backend["name"])["spec"]["ports"]]
    budgets = {each["metadata"]["name"] for each in of_kind(objects, "PodDisruptionBudget")}
    assert set(LONG_RUNNING) <= budgets


# --- Kafka ---

def test_topics_of_production_are_as_the_contract_wants_them(copy):
    objects = built(copy / "overlays/production")
    city = config(objects)["CITYTOTALS_CITY"]
    topics = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "KafkaTopic")}
    assert set(topics) == {f"{city}.{name}" for name in ("headcount-changes", "unit-mergers", "page-visits", "dead-letters")}
    for name, spec in topics.items():
        settings = spec["config"]
        assert (spec["replicas"], settings["min.insync.replicas"], settings["cleanup.policy"]) == (3, 2, "delete"), name
        assert settings["message.timestamp.type"] == "LogAppendTime" and 64 % spec["partitions"] == 0, name
        assert settings["retention.ms"] == (90 * 86400 * 1000 if name.endswith("visits") else -1), name
    maker = (ROOT / "producer/topics.c").read_text()
    letters = re.search(r'#define LETTER_BYTES "(\d+)"', maker)[1]
    assert topics[f"{city}.dead-letters"]["config"]["max.message.bytes"] == int(letters)
    most = named(objects, "ScaledObject", "consumer")["spec"]["maxReplicaCount"]
    assert most <= topics[f"{city}.headcount-changes"]["partitions"]
    for user in of_kind(objects, "KafkaUser"):
        for rule in user["spec"]["authorization"]["acls"]:
            assert rule["resource"]["name"] in {*topics, f"citytotals.{city}"}, user["metadata"]["name"]


def test_each_program_has_the_certificate_of_its_own_user(copy):
    objects = built(copy / "overlays/production")
    users = {each["metadata"]["name"] for each in of_kind(objects, "KafkaUser")}
    used = set()
    for workload in workloads(objects):
        volumes = {each["name"]: each["secret"]["secretName"] for each in template(workload)["spec"].get("volumes", []) if "secret" in each}
        if labels_of(workload).get("citytotals/kafka") == "client":
            assert volumes["kafka-user"] in users and volumes["kafka-ca"] == "citytotals-cluster-ca-cert"
            used.add(volumes["kafka-user"])
    assert used == users


# --- Redis ---

def test_redis_speaks_tls_and_nothing_else(copy):
    """And whoever speaks to it has the authority that vouches for it, not its key."""
    objects = built(copy / "overlays/production")
    server = template(named(objects, "StatefulSet", "redis"))["spec"]
    settings = dict(line.split(" ", 1) for line in (copy / "overlays/production/redis.conf").read_text().splitlines() if line[:1] not in ("#", ""))
    assert (settings["port"], settings["tls-port"], settings["tls-cluster"], settings["tls-replication"]) == ("0", "6379", "yes", "yes")
    tls = next(each["secret"]["secretName"] for each in server["volumes"] if each["name"] == "tls")
    for container in server["containers"]:
        place = next(each["mountPath"] for each in container["volumeMounts"] if each["name"] == "tls")
        assert {settings[f"tls-{name}-file"].rsplit("/", 1)[0] for name in ("cert", "key", "ca-cert")} == {place}
    authority = config(objects)["CITYTOTALS_REDIS_CA"]
    clients = [each for each in workloads(objects) if labels_of(each).get("citytotals/redis") == "client"]
    assert len(clients) >= 6
    for workload in clients:
        pod = template(workload)["spec"]
        mount = next(each for each in pod["containers"][0]["volumeMounts"] if authority.startswith(each["mountPath"] + "/"))
        secret = next(each["secret"] for each in pod["volumes"] if each["name"] == mount["name"])
        assert secret["secretName"] == tls and secret["items"] == [{"key": "ca.crt", "path": authority.rsplit("/", 1)[1]}], workload["metadata"]["name"]


def test_redis_has_a_certificate_for_every_name_that_clients_are_sent_to(copy):
    objects = built(copy / "overlays/production")
    redis = named(objects, "StatefulSet", "redis")
    server, keeper = template(redis)["spec"]["containers"]
    nodes = next(each["value"] for each in keeper["env"] if each["name"] == "NODES").split()
    assert len(nodes) == redis["spec"]["replicas"] and nodes[0] == f"redis-0.{redis['spec']['serviceName']}"
    assert server["command"][server["command"].index("--cluster-announce-hostname") + 1] == f"$(POD_NAME).{redis['spec']['serviceName']}"
    made = {each["spec"]["secretName"]: each["spec"] for each in of_kind(objects, "Certificate")}
    subprocess.run([copy / "overlays/production/make-secrets"], check=True, timeout=60)
    for role in ("consumer", "gateway", "query"):
        url = (copy / f"overlays/production/secrets/redis-{role}").read_text()
        service = re.fullmatch(r"rediss\+cluster://" + role + r":[0-9a-f]{64}@([a-z]+):6379\n", url)[1]
        assert set(made["redis-tls"]["dnsNames"]) == {named(objects, "Service", service)["metadata"]["name"], *nodes}
    assert {"server auth", "client auth"} <= set(made["redis-tls"]["usages"])  # nodes are each other's clients
    issuers = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "Issuer")}
    for each in made.values():
        assert each["issuerRef"]["name"] in issuers
    assert made[issuers[made["redis-tls"]["issuerRef"]["name"]]["ca"]["secretName"]]["isCA"] is True


# --- what docs/kubernetes.md tells to do ---

@pytest.mark.parametrize("overlay", OVERLAYS)
def test_another_city_is_a_copy_with_its_own_names(copy, tmp_path, overlay):
    shutil.copytree(copy, tmp_path / "k8s")
    steps = (ROOT / "docs/kubernetes.md").read_text().split("## Another city", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    steps = re.sub(r" apply$|^.*kubectl apply.*$", "", steps, flags=re.M).replace("production", overlay)  # there is no cluster here
    subprocess.run(["bash", "-euc", steps], cwd=tmp_path, check=True, timeout=60)
    folder = tmp_path / f"k8s/overlays/{overlay}-danang"
    objects = built(folder)
    assert config(objects)["CITYTOTALS_CITY"] == "danang" and {each["metadata"].get("namespace") for each in objects} <= {"citytotals-danang", None}
    assert named(objects, "Namespace", "citytotals-danang")
    assert not config(objects)["CITYTOTALS_AGENCIES"] and "haiphong" not in yaml.dump_all(objects)
    if overlay == "production":
        assert named(objects, "KafkaTopic", "danang.headcount-changes")
        assert 'namespace="citytotals-danang"' in named(objects, "ScaledObject", "consumer")["spec"]["triggers"][0]["metadata"]["query"]
        assert "~{danang}:*" in (folder / "secrets/users.acl").read_text()
