"""Namespaces of Linux as a box: what is started inside cannot touch the host, and all of it ends when the box does.

The box is one process, PID 1 of a PID namespace, with network and mount namespaces of its own. When it dies, the kernel
kills every process inside and takes interfaces, nftables rules and mounts away. It dies when its standard input closes,
which happens when the process that made it ends, however it ends: `kill -9` of pytest leaves no process, port, bridge,
rule or mount behind.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness.packages import PATH, HarnessError

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
PID_1 = """
import signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)   # the kernel reaps orphans then
print("ready", flush=True)
sys.stdin.buffer.read()
"""
SETUP = 'set -e; ip link set lo up; mount --make-rprivate /; exec "$0" -c "$1"'


class Namespace:
    """A running box. `run` and `start` put programs into it, `call` a Python function's sockets."""

    def __init__(self, logs: Path) -> None:
        """Start the box; programs of `start` log to `logs`. Raises HarnessError if the machine does not allow it."""
        self.logs = logs
        as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        command = [
            "unshare",
            *as_root,
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            SETUP,
            sys.executable,
            PID_1,
        ]
        self._unshare = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PATH": PATH},
        )
        assert self._unshare.stdout is not None
        assert self._unshare.stderr is not None
        if self._unshare.stdout.readline() != "ready\n":
            raise HarnessError(
                f"namespaces cannot be made here: {self._unshare.stderr.read().strip() or 'unshare failed'}"
            )
        pid = self._unshare.pid
        self.pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        """The box's PID 1, as the host numbers it."""
        self._enter = [
            "nsenter",
            "--target",
            str(self.pid),
            *(["--user", "--preserve-credentials"] if as_root else []),
            "--net",
            "--mount",
            "--pid",
            "--root",
            f"--wd={os.sep}",
        ]

    def run(
        self, command: Sequence[str | Path], *, stdin: str | None = None, timeout_s: float = 120, check: bool = True
    ) -> str:
        """Run inside to the end; its standard output. Raises CommandError, which shows standard error."""
        done = subprocess.run(
            self.argv(command),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=self.environment(),
            check=False,
        )
        if check and done.returncode:
            raise CommandError(command, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def start(
        self, name: str, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a program inside that runs until the box ends or it is stopped; output goes to logs/NAME.log."""
        with (self.logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self.argv(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                env=self.environment(env),
                start_new_session=True,
            )

    def argv(self, command: Sequence[str | Path]) -> list[str]:
        """The command line that runs `command` inside, for callers with needs of their own."""
        return [*self._enter, "--", *(str(c) for c in command)]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What programs inside see: nothing of the machine's proxies and tokens, and a home that goes with the run."""
        return {"PATH": PATH, "HOME": str(self.logs.parent), "LANG": "C.UTF-8", **(extra or {})}

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a Python function whose sockets belong to the box's network. Only the network: files stay the host's.

        A thread enters the namespace and ends with the call, so nothing else of this process is moved. Needs root.
        """
        result: list[T] = []
        error: list[BaseException] = []

        def inside() -> None:
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                with Path(f"/proc/{self.pid}/ns/net").open() as net:
                    if libc.setns(net.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                result.append(function(*args))
            except BaseException as caught:  # noqa: BLE001  handed to the caller, whatever it is
                error.append(caught)

        thread = threading.Thread(target=inside, name="in-namespace")
        thread.start()
        thread.join()
        if error:
            raise error[0]
        return result[0]

    def close(self) -> None:
        """End the box and all that runs inside; returns when it is gone. Safe to call twice."""
        if self._unshare.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._unshare.stdin.close()
        self._unshare.wait(timeout=60)


class CommandError(Exception):
    """A program inside ended with an error; the text shows what it said."""

    def __init__(self, command: Sequence[str | Path], code: int, stdout: str, stderr: str) -> None:
        super().__init__(f"{' '.join(str(c) for c in command)}: exit code {code}\n{stderr or stdout}".strip())
        self.code, self.stdout, self.stderr = code, stdout, stderr


def available() -> str | None:
    """None if a node can run here, else why not, as a sentence."""
    if sys.platform != "linux":
        return "a Kubernetes node needs Linux"
    if os.geteuid() != 0:
        return "a Kubernetes node needs root"
    if not shutil.which("unshare", path=PATH):
        return "unshare (Debian package util-linux) is missing"
    return None
