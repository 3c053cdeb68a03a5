"""etcd and the API server inside a Namespace: all that tests of the resource definitions need. Up in 3 seconds."""

import json
import secrets
import subprocess
import time
from pathlib import Path

from harness.namespace import CommandError, Namespace

ADDRESS = "10.244.0.1"
"""Of the node, in the box's own network: the bridge that pods hang on, so that they reach the API server."""

SERVICES = "10.96.0.0/16"
API = "https://127.0.0.1:6443"
USERS = {
    "admin": ("admin", "system:masters"),
    "kubelet": ("system:node:node1", "system:nodes"),
    "kcm": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "dns": ("system:coredns", "system:masters"),
}
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "Metadata",
            "users": [],
            "userGroups": ["system:serviceaccounts"],
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
        },
        {"level": "None"},
    ],
}
"""Writes by service accounts only: what the tests count to say that an operator wrote nothing."""


class ControlPlane:
    """A running API server with its own folder for certificates, logs and kubeconfigs."""

    def __init__(self, namespace: Namespace, binaries: Path, folder: Path) -> None:
        self.namespace, self.binaries, self.folder = namespace, binaries, folder
        self.data = folder / "data"
        self.audit_log = folder / "logs" / "audit.log"

    def start(self) -> None:
        """Start both and wait until the API server is ready. Raises CommandError with its last words if it never is."""
        self._credentials()
        run, data = self.namespace, self.data
        run.run(["ip", "link", "add", "cni0", "type", "bridge"])
        run.run(["ip", "addr", "add", f"{ADDRESS}/24", "dev", "cni0"])
        run.run(["ip", "link", "set", "cni0", "up"])
        run.run(
            ["ip", "route", "add", SERVICES, "dev", "cni0"]
        )  # so that service addresses are reached from the node itself too
        client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
        run.start(
            "etcd",
            [
                self.binaries / "server",
                "--data-dir",
                data / "etcd",
                "--unsafe-no-fsync",
                "--listen-client-urls",
                client,
                "--advertise-client-urls",
                client,
                "--listen-peer-urls",
                peer,
            ],
        )
        run.start("kube-apiserver", [self.binaries / "kube-apiserver", *self._flags(client)])
        self._wait_ready()

    def kubectl(self, *args: str, stdin: str | None = None, timeout_s: float = 120) -> str:
        """Run kubectl as cluster admin; its standard output. Raises CommandError with the server's message."""
        command = [self.binaries / "kubectl", "--kubeconfig", self.kubeconfig("admin"), *args]
        return self.namespace.run(command, stdin=stdin, timeout_s=timeout_s)

    def kubeconfig(self, user: str) -> Path:
        """Path of one user's kubeconfig; it works inside the namespace only."""
        return self.folder / f"{user}.kubeconfig"

    def _flags(self, etcd: str) -> list[str]:
        certs = self.folder / "certs"
        return [
            f"--etcd-servers={etcd}",
            f"--cert-dir={certs}",
            "--secure-port=6443",
            f"--advertise-address={ADDRESS}",
            f"--token-auth-file={self.folder}/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-account-key-file={certs}/sa.pub",
            f"--service-account-signing-key-file={certs}/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICES}",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-policy-file={self.folder}/audit-policy.json",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking",
        ]

    def _credentials(self) -> None:
        certs = self.folder / "certs"
        certs.mkdir(mode=0o700)
        self.namespace.run(["openssl", "genrsa", "-out", certs / "sa.key", "2048"])
        self.namespace.run(["openssl", "rsa", "-in", certs / "sa.key", "-pubout", "-out", certs / "sa.pub"])
        lines = []
        for user, (name, group) in USERS.items():
            token = secrets.token_hex(16)
            lines.append(f'{token},{name},{user},"{group}"' if group else f"{token},{name},{user}")
            self.kubeconfig(user).write_text(json.dumps(_kubeconfig(token)))
            self.kubeconfig(user).chmod(0o600)
        (self.folder / "tokens.csv").write_text("\n".join(lines) + "\n")
        (self.folder / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY))

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.kubectl("get", "--raw", "/readyz", timeout_s=10)
                return
            except (CommandError, subprocess.TimeoutExpired) as failed:
                if time.monotonic() > deadline:
                    tail = (self.folder / "logs" / "kube-apiserver.log").read_text()[-2000:]
                    raise CommandError(["kube-apiserver"], 1, "", f"{failed}\n{tail}") from failed
            time.sleep(0.2)


def _kubeconfig(token: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": API, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
