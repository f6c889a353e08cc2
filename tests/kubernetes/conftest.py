"""One cluster for all tests of a run: our own, or the one that CITYTOTALS_KUBECONFIG names (it must have the images, and room for a
namespace `citytotals`, which is removed in the end). On our own two workers share it: tests of the city that is deployed there follow one
another, and beside them go those that need no city."""
import fcntl
import json
import os
import pathlib
import shutil
import subprocess

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.kubernetes import images
from tests.kubernetes.cluster import Cluster, new_volume
from tests.kubernetes.deployed import NAMESPACE, Deployed, state
from tests.kubernetes.documented import Shell
from tests.kubernetes.kubectl import Kubectl
from tests.lab.process import ROOT

BINARIES = pathlib.Path(os.environ.get("CITYTOTALS_KUBERNETES", ROOT / "build" / "kubernetes"))
IMAGE = pathlib.Path(os.environ.get("CITYTOTALS_IMAGE", ROOT / "build" / "citytotals-image.tar"))
OLD_IMAGE = pathlib.Path(os.environ.get("CITYTOTALS_OLD_IMAGE", ROOT / "build" / "citytotals-old-image.tar"))
CRDS = pathlib.Path(os.environ.get("CITYTOTALS_CRDS", ROOT / "tests" / "kubernetes" / "crds"))

LOCAL_VOLUMES = (("redis", "1Gi"), ("kafka", "4Gi"), ("snapshots", "10Gi"))


WITHOUT_A_CITY = ("test_manifests.py", "test_image.py", "test_admission.py")


class TheCityAndTheRest(LoadScopeScheduling):
    def _split_scope(self, nodeid):
        return "the rest" if nodeid.split("::")[0].endswith(WITHOUT_A_CITY) else "the city"


def pytest_xdist_make_scheduler(config, log):
    return TheCityAndTheRest(config, log)


def pytest_collection_modifyitems(items):
    """What needs no cluster comes last: it works, where tests of the city mostly wait; the cluster starts quicker alone."""
    items.sort(key=lambda item: "kubectl" not in item.fixturenames)


@pytest.fixture(scope="session")
def manifests(directory):
    """k8s/ with secrets made as its documentation says."""
    folder = directory / "k8s"
    shutil.copytree(ROOT / "k8s", folder, ignore=shutil.ignore_patterns("secrets"))
    for script in folder.glob("overlays/*/make-secrets"):
        subprocess.run([script], check=True, timeout=60)
    return folder


@pytest.fixture(scope="session")
def kubectl(directory, manifests, tmp_path_factory):
    theirs = os.environ.get("CITYTOTALS_KUBECONFIG")
    program = BINARIES / "kubectl"
    if theirs:
        client = Kubectl(program, theirs, own=False)
    else:
        folder = tmp_path_factory.getbasetemp()
        client = the_own(directory, program, manifests, folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)
    yield client
    client.close()


def the_own(directory, program, manifests, shared):
    """Whichever worker comes first starts it; they share a folder."""
    started = shared / "kubeconfig"
    with open(shared / "starting", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not started.exists():
            started.symlink_to(start_own(directory, program, manifests))
    client = Kubectl(program, started, own=True)
    client.add_volume = lambda *arguments: client("create", "-f", "-", data=new_volume(*arguments))
    return client


def start_own(directory, program, manifests):
    """The kubeconfig of one that has room for a city. It ends with the namespaces that `isolate` made."""
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
    for each in LOCAL_VOLUMES:
        client("create", "-f", "-", data=new_volume(*each))
    return cluster.kubeconfig


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
def shell(kubectl, manifests):
    return Shell(kubectl, manifests.parent, lambda: state(kubectl, NAMESPACE))
