"""What a cluster has beside Kubernetes itself: names by CoreDNS, as pods; CPU figures for autoscalers by metrics-server; NetworkPolicies
that are enforced."""
import base64
import pathlib

from tests.lab.process import wait_until

NAMES, METRICS_PORT, QUEUE = "10.96.0.10", 4443, 100
SYSTEM = "kube-system"
COREFILE = """.:53 {
  errors
  kubernetes cluster.local {
    ttl 2
  }
}
"""


def names(image):
    """CoreDNS on each node. As pods, so that policies speak of them."""
    labels = {"k8s-app": "kube-dns"}
    pod = {"serviceAccountName": "dns", "tolerations": [{"operator": "Exists"}],
           "containers": [{"name": "dns", "image": image, "imagePullPolicy": "Never", "command": ["/usr/bin/dns", "-conf", "/etc/dns/Corefile"],
                           "volumeMounts": [{"name": "config", "mountPath": "/etc/dns"}]}],
           "volumes": [{"name": "config", "configMap": {"name": "dns"}}]}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "dns", "namespace": SYSTEM}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "dns"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
         "subjects": [{"kind": "ServiceAccount", "name": "dns", "namespace": SYSTEM}]},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dns", "namespace": SYSTEM}, "data": {"Corefile": COREFILE}},
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "dns", "namespace": SYSTEM},
         "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": SYSTEM},
         "spec": {"clusterIP": NAMES, "selector": labels, "ports": [{"name": name, "port": 53, "protocol": name.upper()}
                                                                    for name in ("udp", "tcp")]}}]


def metrics(address, authority):
    """A server here at `address` that answers for metrics.k8s.io."""
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics-server", "namespace": SYSTEM},
         "spec": {"ports": [{"port": 443, "targetPort": METRICS_PORT}]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
         "metadata": {"name": "metrics-server", "namespace": SYSTEM, "labels": {"kubernetes.io/service-name": "metrics-server"}},
         "ports": [{"port": METRICS_PORT}], "endpoints": [{"addresses": [address]}]},
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"},
         "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
                  "caBundle": base64.b64encode(authority.read_bytes()).decode(),
                  "service": {"name": "metrics-server", "namespace": SYSTEM}}}]


def start_metrics(cluster, answers):
    d, address = cluster.directory, cluster.nodes[0].address
    cluster.certificate("metrics", "/CN=metrics-server", [f"subjectAltName=DNS:metrics-server.{SYSTEM}.svc", "extendedKeyUsage=serverAuth"])
    server = cluster.process(
        "metrics-server", cluster.binaries / "metrics-server", f"--bind-address={address}", f"--secure-port={METRICS_PORT}",
        *(f"--{use}kubeconfig={cluster.kubeconfig}" for use in ("", "authentication-", "authorization-")),
        f"--tls-cert-file={d}/metrics.crt", f"--tls-private-key-file={d}/metrics.key", f"--kubelet-certificate-authority={d}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP", "--metric-resolution=10s", "--kubelet-request-timeout=5s")
    wait_until("metrics-server answers", lambda: answers(f"https://{address}:{METRICS_PORT}/livez"), 60, server.check_alive)


def start_policies(cluster, run):
    """Packets from pods that begin a connection wait for a verdict, and are lost while nobody gives one. What comes from the nodes
    themselves, kubelets' probes and these tests, is let through, as anywhere."""
    for chain in ("FORWARD", "INPUT"):
        run("iptables", "-t", "mangle", "-A", chain, "-i", "node+", "-m", "conntrack", "--ctstate", "NEW", "-j", "NFQUEUE",
            "--queue-num", str(QUEUE))
    judge = cluster.process("policies", cluster.binaries / "policies", f"--kubeconfig={cluster.kubeconfig}")

    queues = pathlib.Path("/proc/net/netfilter/nfnetlink_queue")  # not there before the kernel's part is loaded

    def judging():
        return queues.exists() and any(line.split()[0] == str(QUEUE) for line in queues.read_text().splitlines())
    wait_until("policies are enforced", judging, 60, judge.check_alive)
