"""The local overlay runs: Kafka, Redis, consumers, gateways and query servers as pods on two nodes."""


def test_totals_through_services_are_exact(deployed):
    for _ in range(20):
        deployed.send(50)
    deployed.expect_exact()


def test_pods_of_a_kind_stand_on_both_nodes(deployed, kubectl):
    nodes = len(kubectl.get("nodes")["items"])
    for name in ("consumer", "gateway", "query"):
        stand = {pod["spec"]["nodeName"] for pod in deployed.pods(name)}
        assert len(stand) == min(2, nodes), f"{name}: {stand}"
