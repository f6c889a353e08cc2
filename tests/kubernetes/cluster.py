"""A real Kubernetes of two nodes on this machine, without Docker: API server, controllers, scheduler, kubelets over containerd and
runc, Services by kube-proxy, and what `beside` has. Only under `isolate`: it has the machine's network namespace to itself there, so ports
are fixed, and all of it ends with its process."""
import json
import os
import pathlib
import ssl
import subprocess
import threading
import urllib.request

from tests.kubernetes import beside
from tests.lab.process import Process, wait_until

API, ETCD, SERVICES, PODS = 6443, 2379, "10.96.0.0/16", "10.244.0.0/16"
CLUSTER_IP = "10.96.0.1"
CGROUPS = "/sys/fs/cgroup"
USERS = {"admin": "system:masters", "system:kube-controller-manager": "", "system:kube-scheduler": ""}
INSECURE = ssl._create_unverified_context()


def run(*command, **options):
    done = subprocess.run([os.fspath(part) for part in command], capture_output=True, text=True, timeout=120, **options)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=2, context=INSECURE if url.startswith("https") else None).status == 200
    except OSError:
        return False


def node_groups(name):
    """Where a node's cgroups begin: two kubelets on one machine would remove each other's pods. In every hierarchy of version 1,
    or in the one of version 2."""
    if os.path.exists(f"{CGROUPS}/cgroup.controllers"):
        return [f"{CGROUPS}/{name}"]
    return [f"{CGROUPS}/{each}/{name}" for each in os.listdir(CGROUPS) if os.path.exists(f"{CGROUPS}/{each}/cgroup.procs")]


def delegate(controllers=("cpu", "cpuset", "memory", "hugetlb", "pids")):
    """In version 2 a group has the controllers that the one above hands down; kubelets refuse one that lacks any of these."""
    with open(f"{CGROUPS}/cgroup.controllers") as there, open(f"{CGROUPS}/cgroup.subtree_control") as already:
        missing = (set(there.read().split()) & set(controllers)) - set(already.read().split())
    if missing:
        with open(f"{CGROUPS}/cgroup.subtree_control", "w") as handed_down:
            handed_down.write(" ".join(f"+{each}" for each in sorted(missing)))


def make_groups(name):
    if os.path.exists(f"{CGROUPS}/cgroup.controllers"):
        delegate()
    for group in node_groups(name):
        os.makedirs(group, exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            above = os.path.join(os.path.dirname(group), file)
            if os.path.exists(above) and os.path.exists(f"{CGROUPS}/cpuset"):
                with open(above) as source, open(os.path.join(group, file), "w") as target:
                    target.write(source.read())


def new_volume(name, size, node=1):
    """Room on a node for a claim of this size."""
    path = pathlib.Path(os.environ["CITYTOTALS_ISOLATED"]) / "volumes" / name
    path.mkdir(parents=True)
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [f"node{node}"]}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "local": {"path": str(path)},
                     "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}}}}


def process_of(pod, program=b""):
    """One of a pod's processes, as this machine sees it."""
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if (entry / "root/etc/hostname").read_text().strip() == pod and program in (entry / "cmdline").read_bytes():
                return int(entry.name)
        except OSError:  # no process, or over by now
            continue
    raise AssertionError(f"no process of {pod}")


class Node:
    def __init__(self, cluster, number):
        self.cluster, self.name = cluster, f"node{number}"
        self.address, self.network, self.bridge = f"10.244.{number}.1", f"10.244.{number}.0/24", f"node{number}"
        self.directory = cluster.directory / self.name
        self.socket = self.directory / "containerd.sock"
        self.groups = f"{cluster.directory.name}.{self.name}"

    def write(self, name, text):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    def start_runtime(self):
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "address", "add", f"{self.address}/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        make_groups(self.groups)
        ranges = [[{"subnet": self.network, "gateway": self.address}]]
        bridge = {"type": "bridge", "bridge": self.bridge, "isGateway": True, "hairpinMode": True,
                  "ipam": {"type": "host-local", "dataDir": str(self.directory / "addresses"), "ranges": ranges,
                           "routes": [{"dst": "0.0.0.0/0"}]}}
        self.write("cni/10-pods.conflist", {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]})
        config = self.write("containerd.toml", f"""
version = 2
root = "{self.directory}/containerd"
state = "{self.directory}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{self.directory}/cni"
""")
        self.runtime = self.cluster.process(f"containerd-{self.name}", "containerd", "--config", config)
        wait_until("containerd answers", lambda: not subprocess.run(self.ctr("version"), capture_output=True).returncode, 60,
                   self.runtime.check_alive)

    def ctr(self, *arguments):
        return ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *map(str, arguments)]

    def load(self, *archives):
        for archive in archives:
            run(*self.ctr("images", "import", archive))

    def start_kubelet(self):
        self.cluster.certificate(self.name, f"/CN={self.name}", [f"subjectAltName=IP:{self.address}", "extendedKeyUsage=serverAuth"])
        config = self.write("kubelet.json", {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "address": self.address, "port": 10250, "readOnlyPort": 0, "healthzPort": 0,
            "tlsCertFile": f"{self.cluster.directory}/{self.name}.crt", "tlsPrivateKeyFile": f"{self.cluster.directory}/{self.name}.key",
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                               "x509": {"clientCAFile": str(self.cluster.directory / "ca.crt")}},
            "authorization": {"mode": "Webhook"}, "containerRuntimeEndpoint": f"unix://{self.socket}",
            "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{self.groups}", "failSwapOn": False, "failCgroupV1": False,
            "oomScoreAdj": 0, "maxOpenFiles": 20000, "makeIPTablesUtilChains": False,
            "resolvConf": str(self.write("resolv.conf", "nameserver 127.0.0.1\n")),
            "clusterDomain": "cluster.local", "clusterDNS": [beside.NAMES], "podLogsDir": str(self.directory / "logs"),
            "volumePluginDir": str(self.directory / "plugins"),
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100, "nodeStatusUpdateFrequency": "2s", "syncFrequency": "2s"})
        self.kubelet = self.cluster.process(
            f"kubelet-{self.name}", self.cluster.binaries / "kubelet", f"--config={config}",
            f"--kubeconfig={self.cluster.kubeconfig_of(f'system:node:{self.name}')}", f"--root-dir={self.directory}/kubelet",
            f"--cert-dir={self.directory}/kubelet/pki", f"--hostname-override={self.name}", f"--node-ip={self.address}")


class Cluster:
    def __init__(self, binaries, nodes=2):
        if "CITYTOTALS_ISOLATED" not in os.environ:
            raise AssertionError("a cluster of our own runs only under tests/kubernetes/isolate")
        self.directory, self.binaries = pathlib.Path(os.environ["CITYTOTALS_ISOLATED"]), binaries
        self.processes = []
        self.nodes = [Node(self, number) for number in range(1, nodes + 1)]

    def process(self, name, *command, env=None):
        self.processes.append(Process(name, command, self.directory / "logs", env=env))
        return self.processes[-1]

    # --- who may do what ---

    def certificate(self, name, subject, extensions, signed=True):
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-x509",
            *(["-CA", "ca.crt", "-CAkey", "ca.key"] if signed else []), "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.crt",
            *[part for each in extensions for part in ("-addext", each)], cwd=self.directory)

    def make_credentials(self):
        self.certificate("ca", "/CN=ca", ["keyUsage=critical,keyCertSign,digitalSignature"], signed=False)
        names = f"DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:{CLUSTER_IP}"
        self.certificate("apiserver", "/CN=kube-apiserver", [f"subjectAltName={names}", "extendedKeyUsage=serverAuth"])
        self.certificate("kubelet-client", "/O=system:masters/CN=apiserver", ["extendedKeyUsage=clientAuth"])
        self.certificate("front-proxy", "/CN=front-proxy", ["extendedKeyUsage=clientAuth"])
        self.certificate("accounts", "/CN=accounts", [])
        users = {**USERS, **{f"system:node:{node.name}": "system:nodes" for node in self.nodes}}
        self.tokens = {user: os.urandom(16).hex() for user in users}
        lines = [f'{self.tokens[user]},{user},{user}{"," + group if group else ""}' for user, group in users.items()]
        (self.directory / "tokens.csv").write_text("\n".join(lines) + "\n")

    def kubeconfig_of(self, user):
        path = self.directory / f"{user.replace(':', '-')}.kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "own",
            "clusters": [{"name": "own", "cluster": {"server": f"https://127.0.0.1:{API}",
                                                     "certificate-authority": str(self.directory / "ca.crt")}}],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": "own", "context": {"cluster": "own", "user": user}}]}))
        return path

    # --- its parts ---

    def start(self, names, *images):
        """`names`: the image of CoreDNS. `images`: for each node, the archives that it gets."""
        self.make_credentials()
        self.kubeconfig = self.kubeconfig_of("admin")
        failures = []

        def load(node, archives):
            try:
                node.start_runtime()
                node.load(*archives)
            except Exception as failure:  # raised below
                failures.append(failure)
        loading = [threading.Thread(target=load, args=each) for each in zip(self.nodes, images)]
        for thread in loading:
            thread.start()
        try:
            self.start_control_plane()
        finally:
            for thread in loading:
                thread.join()
        if failures:
            raise failures[0]
        for node in self.nodes:
            node.start_kubelet()
        self.start_network(names)
        for node in self.nodes:
            wait_until(f"{node.name} is ready", lambda: self.ready(node), 120, node.kubelet.check_alive)
        return self

    def start_control_plane(self):
        d = self.directory
        self.process("etcd", "etcd", "--data-dir", d / "etcd", "--unsafe-no-fsync", "--listen-client-urls", f"http://127.0.0.1:{ETCD}",
                     "--advertise-client-urls", f"http://127.0.0.1:{ETCD}", "--logger", "zap", "--log-level", "warn")
        wait_until("etcd answers", lambda: answers(f"http://127.0.0.1:{ETCD}/health"), 60, self.processes[-1].check_alive)
        self.process(
            "apiserver", self.binaries / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{ETCD}", "--bind-address=0.0.0.0",
            f"--secure-port={API}", f"--advertise-address={self.nodes[0].address}",
            f"--service-cluster-ip-range={SERVICES}", "--authorization-mode=Node,RBAC", "--allow-privileged=true",
            "--enable-admission-plugins=NodeRestriction",
            f"--client-ca-file={d}/ca.crt", f"--tls-cert-file={d}/apiserver.crt", f"--tls-private-key-file={d}/apiserver.key",
            f"--token-auth-file={d}/tokens.csv", f"--kubelet-client-certificate={d}/kubelet-client.crt",
            f"--kubelet-client-key={d}/kubelet-client.key", "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={d}/accounts.crt",
            f"--service-account-signing-key-file={d}/accounts.key", f"--requestheader-client-ca-file={d}/ca.crt",
            "--requestheader-allowed-names=front-proxy", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={d}/front-proxy.crt", f"--proxy-client-key-file={d}/front-proxy.key",
            "--enable-aggregator-routing=true")
        wait_until("the API server is ready", lambda: answers(f"https://127.0.0.1:{API}/readyz"), 120, self.processes[-1].check_alive)
        for name, user, port, flags in (
                ("kube-controller-manager", "system:kube-controller-manager", 10257,
                 [f"--service-account-private-key-file={d}/accounts.key", f"--root-ca-file={d}/ca.crt", "--node-monitor-period=2s",
                  "--use-service-account-credentials=true", "--node-monitor-grace-period=20s",
                  "--horizontal-pod-autoscaler-sync-period=5s"]),
                ("kube-scheduler", "system:kube-scheduler", 10259, [])):
            config = self.kubeconfig_of(user)
            self.process(name, self.binaries / name, "--bind-address=127.0.0.1", "--leader-elect=false", f"--kubeconfig={config}",
                         f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}", *flags)
            wait_until(f"{name} is healthy", lambda: answers(f"https://127.0.0.1:{port}/healthz"), 60, self.processes[-1].check_alive)

    def start_network(self, names):
        config = self.directory / "kube-proxy.json"
        config.write_text(json.dumps({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "bindAddress": "127.0.0.1",
            "clientConnection": {"kubeconfig": str(self.kubeconfig)}, "mode": "nftables", "clusterCIDR": PODS,
            "hostnameOverride": self.nodes[0].name, "nodePortAddresses": ["127.0.0.0/8"],
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}}))
        run("ip", "route", "add", SERVICES, "dev", self.nodes[0].bridge)  # for processes here; pods ask their bridge
        self.process("kube-proxy", self.binaries / "kube-proxy", f"--config={config}")
        beside.start_metrics(self, answers)
        beside.start_policies(self, run)
        objects = [*beside.names(names), *beside.metrics(self.nodes[0].address, self.directory / "ca.crt")]
        run(self.binaries / "kubectl", f"--kubeconfig={self.kubeconfig}", "create", "-f", "-",
            input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def ready(self, node):
        """And no longer tainted, which a controller sees to a moment later."""
        done = subprocess.run([self.binaries / "kubectl", f"--kubeconfig={self.kubeconfig}", "get", "node", node.name, "-o",
                               'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.spec.taints}'], capture_output=True, text=True)
        return done.stdout.strip() == "True"

    def check_alive(self):
        for process in self.processes:
            process.check_alive()
