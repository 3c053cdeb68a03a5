"""One node inside a Namespace: containerd, kubelet, kube-proxy, controller manager, scheduler and DNS. Needs root.

Everything a kubelet and a containerd write is kept from the host: /run is a tmpfs, /var an overlay, the kernel settings
that a kubelet changes for the whole machine are copies, control groups hang below one of ours, removed at the end.
"""

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

from harness import images
from harness.control_plane import ADDRESS, ControlPlane
from harness.namespace import CommandError

PODS = "10.244.0.0/24"
SOCKET = "/run/containerd.sock"
CTR = ("ctr", "--address", SOCKET, "--namespace", "k8s.io")
CGROUPS = Path("/sys/fs/cgroup")
SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""What the kubelet sets at start (pkg/kubelet/cm, setupKernelTunables), not per namespace."""

ISOLATE = f"""
set -e
mount -t tmpfs -o mode=0755 turnout /run
mkdir -p /run/var/upper /run/var/work /run/lock
mount -t overlay -o lowerdir=/var,upperdir=/run/var/upper,workdir=/run/var/work turnout /var
for name in {" ".join(SYSCTLS)}; do
    copy=/run/$(echo $name | tr / -)
    cat /proc/sys/$name > $copy
    mount --bind $copy /proc/sys/$name
done
"""
COREFILE = """.:53 {{
    bind {address}
    ready {address}:8181
    errors
    cache 5
    kubernetes cluster.local {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""


class Node:
    """The node of a ControlPlane."""

    def __init__(self, control_plane: ControlPlane, binaries: Path) -> None:
        self.control, self.binaries = control_plane, binaries
        self.namespace, self.folder, self.data = control_plane.namespace, control_plane.folder, control_plane.data
        self.cgroup = f"turnout-test-{self.folder.name}"

    def start(self) -> None:
        """Start all and wait until the node is Ready. Raises CommandError, with the end of a log, if it never is."""
        make_cgroups(self.cgroup)
        containerd = self.namespace.start(
            "containerd", ["containerd", "-c", self._write("containerd.toml", self._containerd())]
        )
        self._write("cni/10-pods.conflist", json.dumps(self._network()))
        self._controllers()
        self._wait(lambda: self.ctr("version"), "containerd", containerd)
        self._import_images()
        kubelet = self.namespace.start(
            "kubelet",
            [
                self.binaries / "kubelet",
                f"--config={self._write('kubelet.json', json.dumps(self._kubelet()))}",
                f"--kubeconfig={self.control.kubeconfig('kubelet')}",
                f"--root-dir={self.data}/kubelet",
                "--hostname-override=node1",
                f"--node-ip={ADDRESS}",
            ],
        )
        self._wait(
            lambda: self.control.kubectl("wait", "node/node1", "--for=condition=Ready", "--timeout=60s"),
            "kubelet",
            kubelet,
        )

    def _import_images(self) -> None:
        """Straight from the layers in the cache into containerd, with no archive on disk between."""
        command = self.namespace.argv([*CTR, "images", "import", "-"])
        importing = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert importing.stdin is not None
        with contextlib.suppress(BrokenPipeError), importing.stdin as pipe:
            images.write_archive(pipe, self.binaries / "pause")
        said = importing.stdout.read().decode() if importing.stdout else ""
        if importing.wait():
            raise CommandError([*CTR, "images", "import"], importing.returncode, "", said)

    def _controllers(self) -> None:
        """What needs no container runtime: it starts while images are imported."""
        start, kubeconfig = self.namespace.start, self.control.kubeconfig
        certs = self.folder / "certs"
        start(
            "kube-controller-manager",
            [
                self.binaries / "kube-controller-manager",
                f"--kubeconfig={kubeconfig('kcm')}",
                f"--service-account-private-key-file={certs}/sa.key",
                f"--root-ca-file={certs}/apiserver.crt",
                "--use-service-account-credentials",
                "--leader-elect=false",
            ],
        )
        start(
            "kube-scheduler",
            [self.binaries / "kube-scheduler", f"--kubeconfig={kubeconfig('scheduler')}", "--leader-elect=false"],
        )
        start(
            "kube-proxy",
            [
                self.binaries / "kube-proxy",
                f"--kubeconfig={kubeconfig('proxy')}",
                "--proxy-mode=nftables",
                "--hostname-override=node1",
                f"--cluster-cidr={PODS}",
                "--conntrack-max-per-core=0",
            ],
        )
        corefile = self._write("Corefile", COREFILE.format(address=ADDRESS, kubeconfig=kubeconfig("dns")))
        start("dns", [self.binaries / "dns", "-conf", corefile])

    def _wait(self, check, name: str, process: subprocess.Popen[str]) -> None:  # type: ignore[no-untyped-def]
        """Until `check` no longer raises; at most 60 s, and no longer than `process` lives."""
        deadline = time.monotonic() + 60
        while True:
            try:
                check()
                return
            except CommandError as failed:
                if time.monotonic() > deadline or process.poll() is not None:
                    log = (self.folder / "logs" / f"{name}.log").read_text()[-3000:]
                    raise CommandError([name], process.returncode or 1, "", f"{failed.stderr}\n{log}") from failed
            time.sleep(0.2)

    def ctr(self, *args: str) -> str:
        """Run containerd's own client; standard output."""
        return self.namespace.run([*CTR, *args])

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def _containerd(self) -> str:
        """restrict_oom_score_adj: without it no sandbox starts here ("can't get final child's PID from pipe")."""
        return f"""
version = 2
root = "{self.data}/containerd"
state = "/run/containerd-state"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "turnout.local/pause:1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{self.folder}/cni"
"""

    def _network(self) -> dict[str, object]:
        ranges = [[{"subnet": PODS, "rangeStart": "10.244.0.10"}]]
        ipam = {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
        bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": ipam}
        return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}

    def _kubelet(self) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": ADDRESS,
            "authentication": {"anonymous": {"enabled": True}},  # the API server has no client certificate for it
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",  # no systemd in here
            "cgroupRoot": f"/{self.cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "localStorageCapacityIsolation": False,
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "volumePluginDir": f"{self.data}/plugins",
            "resolvConf": "",  # pods get the cluster's DNS and none of the machine's
            "clusterDNS": [ADDRESS],
            "clusterDomain": "cluster.local",
            "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "50Mi"},
            "serializeImagePulls": False,
            "registryPullQPS": 0,
            "eventRecordQPS": 50,
        }


def _hierarchies() -> list[Path]:
    """Mount points of control groups: one on version 2, one for each controller on version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    fields = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(f[1]) for f in fields if f[2] in ("cgroup", "cgroup2") and Path(f[1]).is_relative_to(CGROUPS)]


def make_cgroups(name: str) -> None:
    """The group below which the kubelet makes its own."""
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)
        controllers = hierarchy / "cgroup.controllers"
        if hierarchy == CGROUPS:
            # Version 2: a child has only the controllers that its parent hands on.
            for parent in (hierarchy, hierarchy / name):
                for controller in controllers.read_text().split():
                    with contextlib.suppress(OSError):
                        (parent / "cgroup.subtree_control").write_text(f"+{controller}")


def remove_cgroups(name: str) -> None:
    """Take the group and all below it away. Its processes are gone already; the kernel may take a moment to know it."""
    for hierarchy in _hierarchies():
        for _ in range(50):
            for folder, _dirs, _files in os.walk(hierarchy / name, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
            if not (hierarchy / name).exists():
                break
            time.sleep(0.1)
