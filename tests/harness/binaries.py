"""Kubernetes, etcd, CoreDNS and Envoy's rate limit service from their Go modules; cold 4 minutes for an API server, 3
more for a node, 1 for the service (2 cores).

`kubernetes/go.mod` names the programs as tools, so there is no Go source of ours in them;
`dns/main.go` picks CoreDNS's plugins.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from harness.cache import folder, key_of
from harness.packages import HarnessError, go

HERE = Path(__file__).parent
VERSION = "v1.34.4"
"""Kubernetes. The last minor versions that serve cgroup v1 without a fight are 1.34 and 1.35."""

K8S = "k8s.io/kubernetes/cmd"
CONTROL_PLANE = ("go.etcd.io/etcd/server/v3", f"{K8S}/kube-apiserver", f"{K8S}/kubectl")
NODE = (f"{K8S}/kube-controller-manager", f"{K8S}/kube-scheduler", f"{K8S}/kubelet", f"{K8S}/kube-proxy")
_STAMP = "k8s.io/component-base/version"
LDFLAGS = f"-s -w -X {_STAMP}.gitVersion={VERSION} -X {_STAMP}.gitMajor=1 -X {_STAMP}.gitMinor=34"


def control_plane() -> Path:
    """Folder with `server` (etcd's name for itself), `kube-apiserver`, `kubectl`."""
    return _built("kube-control-plane", HERE / "kubernetes", CONTROL_PLANE)


def node() -> Path:
    """Folder with kube-controller-manager, kube-scheduler, kubelet, kube-proxy, pause, and CoreDNS as dns."""
    source = (HERE / "pause.c").read_bytes()
    _built("kube-node", HERE / "kubernetes", NODE)
    _built("coredns", HERE / "dns", (".",))
    return folder(
        "node-bin",
        key_of(source, *(_key(m, p) for m, p in ((HERE / "kubernetes", NODE), (HERE / "dns", (".",))))),
        _link_node,
    )


def rate_limit_service() -> Path:
    """Envoy's rate limit service."""
    program = "github.com/envoyproxy/ratelimit/src/service_cmd"
    return _built("ratelimit", HERE / "ratelimit", (program,)) / "service_cmd"


def _link_node(into: Path) -> None:
    """One folder for all of the node's programs: links to those built apart, and pause compiled here."""
    for built in (_built("kube-node", HERE / "kubernetes", NODE), _built("coredns", HERE / "dns", (".",))):
        for program in built.iterdir():
            (into / program.name).symlink_to(program)
    subprocess.run(["gcc", "-static", "-Os", "-o", str(into / "pause"), str(HERE / "pause.c")], check=True)


def _key(module: Path, programs: tuple[str, ...]) -> str:
    sources = [f.read_bytes() for f in sorted(module.iterdir())]
    return key_of(*sources, *programs, LDFLAGS, os.uname().machine)


def _built(name: str, module: Path, programs: tuple[str, ...]) -> Path:
    """The programs of one Go module, built once. Go's own cache makes a build that was cut go on where it stopped."""

    def build(into: Path) -> None:
        started = time.monotonic()
        print(
            f"building {name} {VERSION if name.startswith('kube') else ''} from Go modules (minutes, once)",
            file=sys.stderr,
            flush=True,
        )
        env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false"}
        command = ["nice", str(go()), "build", "-ldflags", LDFLAGS, "-o", f"{into}/", *programs]
        done = subprocess.run(command, cwd=module, env=env, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise HarnessError(f"building {name} failed:\n{done.stderr[-4000:]}")
        print(f"built {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)

    return folder(name, _key(module, programs), build)
