"""Envoy's rate limit service with a Redis, as docs/limits.md says to run it, on free ports of 127.0.0.1."""

import os
import subprocess
import time
from pathlib import Path

import httpx

from harness.binaries import rate_limit_service
from harness.packages import PATH, require
from harness.ports import free_ports
from harness.router import eventually

CONFIG = Path(__file__).parents[2] / "manifests" / "rate-limit-service"


class RateLimits:
    """The running service; `port` is its gRPC. The first one of a machine is built, which takes a minute."""

    def __init__(self, folder: Path) -> None:
        require({"redis-server": "redis-server"})
        program = rate_limit_service()
        redis, http, debug, self.port = free_ports(4)
        bind = ["--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        settings = {
            "REDIS_SOCKET_TYPE": "tcp",
            "REDIS_URL": f"127.0.0.1:{redis}",
            "RUNTIME_ROOT": str(CONFIG.parent),
            "RUNTIME_APPDIRECTORY": CONFIG.name,
            "RUNTIME_WATCH_ROOT": "false",
            "USE_STATSD": "false",
            "LOG_LEVEL": "error",
            **{f"{name}HOST": "127.0.0.1" for name in ("", "GRPC_", "DEBUG_")},
            "PORT": str(http),
            "GRPC_PORT": str(self.port),
            "DEBUG_PORT": str(debug),
        }
        with (folder / "ratelimits.log").open("ab") as log:
            self._redis = subprocess.Popen(
                ["redis-server", *bind], env={**os.environ, "PATH": PATH}, cwd=folder, stdout=log, stderr=log
            )
            eventually(lambda: b"Ready to accept" in (folder / "ratelimits.log").read_bytes())
            self._service = subprocess.Popen([program], env={**os.environ, **settings}, stdout=log, stderr=log)
        eventually(lambda: _answers(http))

    def kill(self) -> None:
        """End the service and its memory."""
        for process in (self._service, self._redis):
            process.kill()
            process.wait()


def seconds_left() -> float:
    """Of the minute that the service counts in, which is the clock's."""
    return 60 - time.time() % 60


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthcheck").status_code == 200
    except httpx.TransportError:
        return False
