"""Every object of every overlay is admitted by a real API server that enforces the Pod Security Standard `restricted`, kinds of other
projects by those projects' own definitions; what offends is refused."""
import copy
import json
import re

import pytest

from tests.kubernetes.documented import block
from tests.kubernetes.kubectl import Refused
from tests.lab.process import ROOT

TEMPLATES = {"Deployment": ("template",), "StatefulSet": ("template",), "DaemonSet": ("template",), "Job": ("template",),
             "CronJob": ("jobTemplate", "spec", "template")}
OVERLAYS = sorted(folder.name for folder in (ROOT / "k8s/overlays").iterdir())
FOREIGN = ("strimzi.io", "keda.sh", "monitoring.coreos.com", "gateway.networking.k8s.io", "cert-manager.io")
CREATE = ("create", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-o", "json", "-f", "-")


def documents(text):
    return [(re.search(r"^kind: (\S+)$", part, re.M).group(1), part) for part in re.split(r"^---$", text, flags=re.M) if part.strip()]


def objects_in(text):
    """One after the other, as kubectl prints them."""
    found, at = [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        each, at = json.JSONDecoder().raw_decode(text, at)
        found.append(each)
    return found


def all_of(objects):
    """For one call of kubectl, which goes through them to the end, whatever becomes of each."""
    return "\n---\n".join(json.dumps(each) for each in objects)


@pytest.fixture(scope="module", params=OVERLAYS)
def admitted(request, kubectl, manifests, definitions):
    """What the server makes of an overlay's objects, in a namespace where none of them is yet. Namespaces and accounts must be there, for
    other objects to be looked at."""
    text = re.sub(r"^(  name(?:space)?: citytotals)$", r"\1-admission", kubectl.kustomize(manifests / "overlays" / request.param), flags=re.M)
    parts = documents(text)
    assert len(parts) > 20
    for wanted in ("Namespace", "ServiceAccount"):
        there = "\n---\n".join(part for kind, part in parts if kind == wanted)
        kubectl("apply", "--validate=strict", "--warnings-as-errors", "-f", "-", data=there)
    others = [(kind, part) for kind, part in parts if kind not in ("Namespace", "ServiceAccount")]
    made = objects_in(kubectl(*CREATE, data="\n---\n".join(part for _, part in others)))
    assert [each["kind"] for each in made] == [kind for kind, _ in others]
    assert {each["metadata"]["namespace"] for each in made if "namespace" in each["metadata"]} == {"citytotals-admission"}
    yield request.param, made
    if not kubectl.own:
        kubectl("delete", "namespace", "citytotals-admission", seconds=180)


def pods(objects):
    """(name, pod), as controllers would make them."""
    for each in objects:
        if each["kind"] in TEMPLATES:
            template = each["spec"]
            for step in TEMPLATES[each["kind"]]:
                template = template[step]
            for claim in each["spec"].get("volumeClaimTemplates", []):
                volume = {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
                template["spec"].setdefault("volumes", []).append(volume)
            name = f"{each['kind']}-{each['metadata']['name']}".lower()
            yield name, {"apiVersion": "v1", "kind": "Pod", "spec": copy.deepcopy(template["spec"]),
                         "metadata": {"name": name, "namespace": each["metadata"]["namespace"],
                                      "labels": template["metadata"]["labels"]}}


def containers(pod):
    return pod["spec"].get("initContainers", []) + pod["spec"]["containers"]


def test_every_pod_is_admitted(admitted, kubectl):
    overlay, objects = admitted
    made = dict(pods(objects))
    assert {"deployment-gateway", "deployment-query", "cronjob-verify"} <= set(made), f"{overlay}: {sorted(made)}"
    assert len(objects_in(kubectl(*CREATE, data=all_of(made.values())))) == len(made)


def test_images_are_named_and_secrets_are_files(admitted):
    overlay, objects = admitted
    for name, pod in pods(objects):
        for container in containers(pod):
            image = container["image"]
            assert ("@sha256:" in image or re.search(r":[^/:]+$", image)) and ":latest" not in image, f"{overlay} {name}: {image}"
            text = json.dumps([container.get("env"), container.get("envFrom")])
            assert "secretKeyRef" not in text and "secretRef" not in text, f"{overlay} {name}: a secret in an environment variable"
            assert container["securityContext"]["readOnlyRootFilesystem"], f"{overlay} {name}"
            assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"], f"{overlay} {name}"
        assert pod["spec"]["automountServiceAccountToken"] is False, f"{overlay} {name}"


ANOTHER = "citytotals-danang"
OFFENCES = {
    "runs as root": lambda pod: pod["spec"]["securityContext"].update(runAsUser=0),
    "might run as root": lambda pod: pod["spec"]["securityContext"].pop("runAsNonRoot"),
    "no seccomp": lambda pod: pod["spec"]["securityContext"].pop("seccompProfile"),
    "privileged": lambda pod: containers(pod)[0]["securityContext"].update(privileged=True, allowPrivilegeEscalation=True),
    "keeps capabilities": lambda pod: containers(pod)[0]["securityContext"].pop("capabilities"),
    "the host's network": lambda pod: pod["spec"].update(hostNetwork=True),
    "the host's files": lambda pod: pod["spec"]["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
}


@pytest.mark.parametrize("offence", OFFENCES)
def test_an_offending_pod_is_refused(admitted, kubectl, offence):
    pod = dict(pods(admitted[1]))["deployment-gateway"]
    OFFENCES[offence](pod)
    with pytest.raises(Refused, match='violates PodSecurity "restricted:'):
        kubectl(*CREATE, data=pod)


def test_definitions_of_other_projects_judge(admitted, kubectl):
    """An object of theirs with an unknown field, or with none that they know, is refused: so being admitted means something."""
    overlay, objects = admitted
    theirs = [each for each in objects if each["apiVersion"].split("/")[0].endswith(FOREIGN)]
    assert (len(theirs) > 0) == (overlay == "production")
    for spec, words in (({"unheardOf": 1}, "unheardOf"), ([], "must be of type object|cannot unmarshal")):
        changed = [{**each, "spec": {**each["spec"], **spec} if spec else spec} for each in theirs]
        if theirs:
            with pytest.raises(Refused) as refused:
                kubectl(*CREATE, data=all_of(changed))
            said = [line for line in str(refused.value).splitlines() if re.search(words, line)]
            assert len(said) == len(theirs), refused.value


def test_another_citys_overlay_is_admitted(kubectl, manifests, definitions, shell):
    """Production's, as far as its last step, and that one by a server that makes nothing of it."""
    *steps, last = block("Another city", "danang").splitlines()
    assert last == "kubectl apply -k ."
    try:
        shell("\n".join(steps))
        said = shell("kubectl apply -k . --dry-run=server --validate=strict", "k8s/overlays/production-danang")
        assert "kafkatopic.kafka.strimzi.io/danang.headcount-changes" in said and "unchanged" not in said
        assert {each["metadata"]["name"] for each in kubectl.get("secrets", "-n", ANOTHER)["items"]} >= {"redis-users", "gateway-visitors"}
    finally:
        kubectl("delete", "namespace", ANOTHER, seconds=180)
