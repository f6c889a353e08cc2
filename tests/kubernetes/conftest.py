"""One cluster for all tests of a run: our own, or the one that CITYTOTALS_KUBECONFIG names (it must have the images, and room for a
namespace `citytotals`, which is removed in the end)."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from tests.kubernetes import images
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.deployed import Deployed
from tests.kubernetes.documented import Shell
from tests.kubernetes.kubectl import Kubectl
from tests.lab.process import ROOT

BINARIES = pathlib.Path(os.environ.get("CITYTOTALS_KUBERNETES", ROOT / "build" / "kubernetes"))
IMAGE = pathlib.Path(os.environ.get("CITYTOTALS_IMAGE", ROOT / "build" / "citytotals-image.tar"))
OLD_IMAGE = pathlib.Path(os.environ.get("CITYTOTALS_OLD_IMAGE", ROOT / "build" / "citytotals-old-image.tar"))
CRDS = pathlib.Path(os.environ.get("CITYTOTALS_CRDS", ROOT / "tests" / "kubernetes" / "crds"))

LOCAL_VOLUMES = (("redis", "1Gi"), ("kafka", "4Gi"), ("snapshots", "10Gi"))


@pytest.fixture(scope="session")
def manifests(directory):
    """k8s/ with secrets made as its documentation says."""
    folder = directory / "k8s"
    shutil.copytree(ROOT / "k8s", folder, ignore=shutil.ignore_patterns("secrets"))
    for script in folder.glob("overlays/*/make-secrets"):
        subprocess.run([script], check=True, timeout=60)
    return folder


@pytest.fixture(scope="session")
def kubectl(directory, manifests):
    theirs = os.environ.get("CITYTOTALS_KUBECONFIG")
    program = BINARIES / "kubectl"
    if theirs:
        client = Kubectl(program, theirs, own=False)
    else:
        client = start_own(directory, program, manifests)
    yield client
    client.close()


def start_own(directory, program, manifests):
    """It ends with the namespaces that `isolate` made."""
    named = image_names(program, manifests / "overlays/local")
    archives = {name: directory / f"{name}.tar" for name in ("pause", "names", "redis", "kafka")}
    images.pause(directory, archives["pause"])
    images.names(directory, archives["names"], BINARIES / "dns")
    images.redis(directory, archives["redis"], named["redis"])
    images.kafka(directory, archives["kafka"], named["kafka"], os.environ["CITYTOTALS_KAFKA_LIBS"])
    both = [archives["pause"], archives["names"], IMAGE, *([OLD_IMAGE] if OLD_IMAGE.exists() else [])]
    both.append(archives["redis"])
    cluster = Cluster(BINARIES).start("localhost/dns:1", [*both, archives["kafka"]], both)
    client = Kubectl(program, cluster.kubeconfig, own=True)
    client.add_volume = lambda *arguments: client("create", "-f", "-", data=cluster.add_volume(*arguments))
    for name, size in LOCAL_VOLUMES:
        client.add_volume(name, size)
    return client


def image_names(program, overlay):
    """What the overlay calls its Kafka and Redis."""
    text = subprocess.run([program, "kustomize", overlay], check=True, capture_output=True, text=True, timeout=60).stdout
    found = {line.split("image: ", 1)[1].strip() for line in text.splitlines() if " image: " in line or line.startswith("image: ")}
    return {part: next(name for name in found if f"/{part}:" in name) for part in ("kafka", "redis")}


@pytest.fixture(scope="session")
def definitions(kubectl):
    """Kinds of other projects; those that are there already stay as they are."""
    there = {each["metadata"]["name"] for each in kubectl.get("crds")["items"]}
    files = sorted(each for suffix in ("json", "yaml") for each in CRDS.glob(f"*.{suffix}"))
    assert files, f"no definitions in {CRDS}; CITYTOTALS_CRDS names a folder"
    made = []
    for file in files:
        name = json.loads(kubectl("create", "--dry-run=client", "-o", "json", "-f", file))["metadata"]["name"]
        if name not in there:
            kubectl("create", "-f", file)
            made.append(name)
    kubectl("wait", "--for=condition=Established", "--timeout=60s", *[f"crd/{name}" for name in made])
    yield made
    if made and not kubectl.own:
        kubectl("delete", "crd", *made)


@pytest.fixture(scope="session")
def deployed(kubectl, manifests):
    """The local overlay, applied and ready."""
    overlay = manifests / "overlays/local"
    kubectl("apply", "-k", overlay)
    city = Deployed(kubectl, (overlay / "secrets/token").read_text().strip())
    city.complete()
    yield city
    if not kubectl.own:
        kubectl("delete", "-k", overlay, "--ignore-not-found", "--wait=true", seconds=300)  # `topics` goes by itself


@pytest.fixture
def shell(deployed, kubectl, manifests):
    return Shell(kubectl, manifests.parent, deployed.state)
