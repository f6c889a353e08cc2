"""Two cities beside each other, the second made as docs/kubernetes.md says: each has its own totals, none sees the other's."""
import pytest

from tests.kubernetes.conftest import LOCAL_VOLUMES
from tests.kubernetes.deployed import NAMESPACE, Deployed
from tests.kubernetes.documented import block
from tests.kubernetes.kubectl import Refused

STEPS = block("Another city", "danang")
THEIRS = "citytotals-danang"


@pytest.mark.slow
def test_two_cities_count_each_its_own(deployed, kubectl, manifests, shell):
    for name, size in LOCAL_VOLUMES:
        kubectl.add_volume(f"danang-{name}", size)
    overlay = manifests / "overlays/local-danang"
    shell(STEPS.replace("production", "local"))
    theirs = Deployed(kubectl, (overlay / "secrets/token").read_text().strip(), THEIRS)
    theirs.complete()
    with deployed.traffic(), theirs.traffic() as traffic:
        traffic.wait_for_batches(30)
    for city, name in ((theirs, "danang"), (deployed, "haiphong")):
        city.expect_exact()
        assert city.totals()["city"] == name
    here = deployed.totals()
    theirs.send(100)
    theirs.expect_exact()
    assert deployed.totals()["as_of"]["version"] == here["as_of"]["version"]
    # Gone as the documentation says, with all data.
    shell("kubectl delete -k k8s/overlays/local-danang", seconds=300)
    with pytest.raises(Refused, match="not found"):
        kubectl("get", "namespace", THEIRS)
    deployed.expect_exact()
    assert kubectl.get("pvc", "-n", NAMESPACE)["items"]
