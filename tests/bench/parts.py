"""What the measurements share: processes pinned to a core, wrk as the load, and Envoy's processor time."""

import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from harness.envoy import ENVOY
from harness.router import eventually
from turnout.xds.envoy import HCM, LONGEST_BODY, UPSTREAM_HTTP, Json, extension, typed

MEASURED_CORE, OTHER_CORE = (sorted(os.sched_getaffinity(0)) * 2)[:2]
"""The core of what is measured, and that of load and provider; on a machine with one core they are the same."""

ROUTER = "envoy.extensions.filters.http.router.v3.Router"
BUFFER = "envoy.extensions.filters.http.buffer.v3.Buffer"

ANSWER = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello. " * 20}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 40, "total_tokens": 60},
}  # fmt: skip


def pinned(core: int) -> list[str]:
    """Words before a command that keep it on one core."""
    return ["taskset", "-c", str(core)]


def need_wrk() -> None:
    """Install wrk where it is missing. Ends the program if that cannot be done."""
    root = Path(__file__).parents[2]
    if subprocess.run([root / ".ci" / "need", "/usr/bin/wrk:wrk"], check=False).returncode:
        sys.exit("the measurements need wrk: apt-get install wrk")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, all its threads, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Plain:
    """An Envoy of few words on a port of its own: a bare proxy, or a provider that answers at once."""

    def __init__(
        self, folder: Path, core: int, routes: list[Json], *clusters: Json, filters: Sequence[Json] = ()
    ) -> None:
        folder.mkdir()
        manager = extension(
            "http",
            HCM,
            stat_prefix="plain",
            route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
            http_filters=[*filters, extension("router", ROUTER)],
        )
        listener = {
            "name": "plain",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "per_connection_buffer_limit_bytes": LONGEST_BODY,
            "filter_chains": [{"filters": [manager]}],
        }
        config = {
            "admin": {"address": {"pipe": {"path": str(folder / "admin.sock")}}},
            "static_resources": {"listeners": [listener], "clusters": list(clusters)},
        }
        (folder / "envoy.json").write_text(json.dumps(config))
        options = ["--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        self.process = subprocess.Popen([*pinned(core), ENVOY, "-c", folder / "envoy.json", *options])
        transport = httpx.HTTPTransport(uds=str(folder / "admin.sock"))
        with httpx.Client(transport=transport, base_url="http://admin") as self._admin:
            self.port: int = eventually(self._port)

    def _port(self) -> int | None:
        try:
            found: list[Any] = self._admin.get("/listeners?format=json").json().get("listener_statuses", [])
        except (httpx.TransportError, json.JSONDecodeError):
            return None
        return next((s["local_address"]["socket_address"]["port_value"] for s in found), None)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)


def provider(folder: Path) -> Plain:
    """A provider that reads a request to its end and answers the same at once."""
    answer = {"status": 200, "body": {"inline_string": json.dumps(ANSWER)}}
    headers = [{"header": {"key": "content-type", "value": "application/json"}}]
    route = {"match": {"prefix": "/"}, "direct_response": answer, "response_headers_to_add": headers}
    reading = extension("buffer", BUFFER, max_request_bytes=LONGEST_BODY)
    return Plain(folder, OTHER_CORE, [route], filters=[reading])


def bare_proxy(folder: Path, port: int) -> Plain:
    """Envoy between clients and the provider, doing nothing."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    breakers = {f"max_{what}": 1_000_000 for what in ("connections", "requests", "pending_requests", "retries")}
    cluster = {
        "name": "provider",
        "type": "STATIC",
        "per_connection_buffer_limit_bytes": LONGEST_BODY,
        "circuit_breakers": {"thresholds": [breakers]},
        "load_assignment": {
            "cluster_name": "provider",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            UPSTREAM_HTTP: typed(UPSTREAM_HTTP, explicit_http_config={"http_protocol_options": {}})
        },
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "provider", "timeout": "0s"}}
    return Plain(folder, MEASURED_CORE, [route], cluster)


@dataclass(frozen=True)
class Load:
    """What wrk sends: a script of its own with the request, made once."""

    script: Path
    connections: int

    @staticmethod
    def of(file: Path, body: dict[str, Any], token: str, *, connections: int) -> "Load":
        """Chat calls with this body, as fast as they are answered, on so many connections."""
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        table = "".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}\n" for k, v in headers.items())
        text = json.dumps(body).replace("]]", "] ]")
        file.write_text(f'wrk.method = "POST"\n{table}wrk.body = [[{text}]]\n')
        return Load(file, connections)

    def run(self, url: str, seconds: int) -> int:
        """Requests answered in that time. Raises RuntimeError if one failed."""
        options = ["-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(self.script)]
        command = [*pinned(OTHER_CORE), "wrk", *options, f"{url}/v1/chat/completions"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in said or "Socket errors" in said:
            raise RuntimeError(said)
        found = re.search(r"(\d+) requests in", said)
        return int(found[1]) if found else 0


@dataclass
class Contender:
    """Something measured: where it listens, its process, and microseconds per request of each round."""

    name: str
    url: str
    pid: int
    rounds: list[float]

    def round(self, load: Load, seconds: int, *, per_request: int = 1) -> None:
        """One round; per_request: what one request counts for, such as the chunks of its stream."""
        before = cpu_seconds(self.pid)
        done = load.run(self.url, seconds) * per_request
        self.rounds.append((cpu_seconds(self.pid) - before) / done * 1e6)

    @property
    def median(self) -> float:
        """Microseconds."""
        return statistics.median(self.rounds)


def compare(contenders: list[Contender], load: Load, *, rounds: int, seconds: int, per_request: int = 1) -> None:
    """Rounds of all in turn, so that whatever else the machine does meets all alike. The first one warms up."""
    for contender in contenders:
        contender.round(load, 1, per_request=per_request)
        contender.rounds.clear()
    for _ in range(rounds):
        for contender in contenders:
            contender.round(load, seconds, per_request=per_request)


def ratios(one: Contender, other: Contender) -> tuple[float, float, float]:
    """Median, least and most of one's rounds over the other's."""
    found = [a / b for a, b in zip(one.rounds, other.rounds, strict=True)]
    return statistics.median(found), min(found), max(found)
