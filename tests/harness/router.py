"""A router for tests: the real Envoy with our filter on free ports of 127.0.0.1, fed through a folder."""

import itertools
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import openai
from prometheus_client.parser import text_string_to_metric_families

from harness.envoy import ENVOY, FILTER
from harness.manifests import Manifest, snapshot, token
from turnout.decide.issued import Issued
from turnout.xds.bootstrap import ALONE, Address, bootstrap
from turnout.xds.compile import compile_namespace
from turnout.xds.limits import Sharing
from turnout.xds.place import Place

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
NOTEWORTHY = re.compile(r"\]\[(warning|error|critical)\]\[")
OF_NO_INTEREST = re.compile(r"work-in-progress|Unknown field|not intended for production|deprecated")
SOURCES = 4
"""Files that a router watches: clusters, routes and two filters."""

TAKE_UP = 60.0
"""Seconds within which a router must start, or take up a configuration. It takes about 0.5 and 0.1; on a machine that
starts twenty at a time, ten are not enough."""


def eventually(check: Callable[[], Any], *, within: float = TAKE_UP, why: str = "it never came true") -> Any:
    """The first true value of check, which is asked again and again. Raises AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := check()):
        assert time.monotonic() < deadline, why
        time.sleep(0.01)
    return value


class Metrics(list[Any]):
    """Samples of Prometheus: name, labels, value."""

    def sum(self, name: str, **labels: str) -> float:
        """The sum of the samples of exactly that name which bear these labels; 0 if there is none."""
        return sum(s.value for s in self if s.name == name and labels.items() <= s.labels.items())


class Router:
    """One Envoy process. `start` it with manifests, `publish` others while it runs, `stop` it.

    workers: its --concurrency; ca_bundle: the system's roots; before: words in front of its command; access_log: on?
    sharing: with which others it shares the limits of keys.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 1,
        wasm: Path = FILTER,
        ca_bundle: str = CA_BUNDLE,
        before: Sequence[str] = (),
        access_log: bool = False,
        sharing: Sharing = ALONE,
    ) -> None:
        self.folder, self.workers, self.before = folder, workers, before
        self.place = Place(wasm=str(wasm), xds_dir=str(folder / "xds"), ca_bundle=ca_bundle)
        self.process: subprocess.Popen[bytes] | None = None
        self.version = ""
        self._sources = SOURCES
        self._ports: dict[str, int] = {}
        self._numbers = itertools.count()
        self._clients: list[httpx.Client] = []
        self._sdks: dict[str, openai.OpenAI] = {}
        self.status = self._client(timeout=10)
        socket = str(folder / "admin.sock")
        self.admin = self._client(transport=httpx.HTTPTransport(uds=socket), base_url="http://admin", timeout=10)
        anywhere = Address("127.0.0.1", 0)
        config = bootstrap(
            self.place,
            listen=anywhere,
            status=anywhere,
            drain=anywhere,
            admin_socket=socket,
            node_id="test",
            log=access_log,
            sharing=sharing,
        )
        (folder / "bootstrap.json").write_bytes(config)

    def start(self, *manifests: Manifest) -> "Router":
        """Start with these manifests; returns when it serves them."""
        self.write(self.compile(*manifests))
        return self.launch()

    def launch(self, *, sources: int = SOURCES) -> "Router":
        """Start with what the folder holds; sources: of so many files, if a test has taken a filter out."""
        self._sources = sources
        command = [*self.before, ENVOY, "-c", self.folder / "bootstrap.json"]
        options = ["--concurrency", str(self.workers), "--disable-hot-restart", "-l", "info"]
        options += ["--file-flush-interval-msec", "20"]
        with (self.folder / "envoy.log").open("ab") as log, (self.folder / "stdout.log").open("ab") as out:
            self.process = subprocess.Popen([*command, *options], stdout=out, stderr=log)
        self._until(self._listening, "Envoy does not listen")
        self._until(self._applied, "Envoy does not take its first configuration")
        self.status.base_url = httpx.URL(self.status_url)
        return self

    def compile(self, *manifests: Manifest, issued: Mapping[str, Issued] | None = None) -> Mapping[str, bytes]:
        """The files for these manifests, which must be right; their version is what the router should report. issued:
        tokens of keys that have others than `token` says.
        """
        given = snapshot(*manifests)
        given = replace(given, issued={**given.issued, **(issued or {})})
        compiled = compile_namespace(given, None, now=datetime.now(UTC), place=self.place)
        problems = [v for v in compiled.decision.verdicts if v.problem]
        assert not problems, problems
        self.version = compiled.files.version
        return compiled.files.data

    def publish(self, *manifests: Manifest, issued: Mapping[str, Issued] | None = None) -> None:
        """Change to these manifests; returns when every part of the router runs them."""
        self.write(self.compile(*manifests, issued=issued))
        self.wait()

    def wait(self) -> None:
        """Until every part of the router runs what was written last."""
        self._until(self._applied, "Envoy does not take the new configuration")

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put files where the router reads them, as the kubelet does: a new folder, then one swap of ..data."""
        xds = self.folder / "xds"
        new = xds / f"..{next(self._numbers)}"
        new.mkdir(parents=True)
        for name, data in files.items():
            (new / name).write_bytes(data)
            if not (xds / name).is_symlink():
                (xds / name).symlink_to(f"..data/{name}")
        (xds / "..tmp").symlink_to(new.name)
        (xds / "..tmp").rename(xds / "..data")

    def stop(self) -> None:
        """End it. Raises AssertionError if it had ended by itself."""
        for client in self._clients:
            client.close()
        if self.process is not None:
            assert self.process.poll() is None, f"Envoy ended:\n{self.trouble()}"
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)

    @property
    def url(self) -> str:
        """Where clients come, without /v1."""
        return f"http://127.0.0.1:{self._ports['router']}"

    @property
    def status_url(self) -> str:
        """The status listener."""
        return f"http://127.0.0.1:{self._ports['status']}"

    @property
    def drain_url(self) -> str:
        """The listener that takes the router out of service."""
        return f"http://127.0.0.1:{self._ports['drain']}/drain"

    def sdk(self, key: str = "app") -> openai.OpenAI:
        """The openai client with that key; it does not retry, so that a test sees what the router says."""
        if key not in self._sdks:
            self._sdks[key] = openai.OpenAI(
                base_url=f"{self.url}/v1", api_key=token(key), max_retries=0, timeout=20, http_client=self._client()
            )
        return self._sdks[key]

    def http(self, key: str | None = "app", **options: Any) -> httpx.Client:
        """An httpx client with that key, or with none."""
        headers = {"authorization": f"Bearer {token(key)}"} if key else {}
        return self._client(base_url=self.url, headers=headers, **{"timeout": 20, **options})

    def stats(self, pattern: str) -> dict[str, Any]:
        """Envoy's statistics whose names match, by name."""
        found = self.admin.get("/stats", params={"filter": pattern, "format": "json"}).json()["stats"]
        return {s["name"]: s["value"] for s in found if "name" in s}

    def versions(self) -> dict[str, str]:
        """What each of the sources runs."""
        return self.stats("version_text")

    def lanes(self) -> dict[str, dict[str, Any]]:
        """The circuits, by the provider's name of the model."""
        found = self.status.get("/lanes").json()["lanes"]
        return {lane["lane"].rpartition("-")[0]: lane for lane in found}

    def metrics(self) -> "Metrics":
        """The filter's own metrics as they are now."""
        text = self.status.get("/stats/prometheus", params={"filter": "^wasmcustom"}).text
        return Metrics(s for family in text_string_to_metric_families(text) for s in family.samples)

    def log(self) -> str:
        """All that Envoy has logged."""
        return (self.folder / "envoy.log").read_text(errors="replace")

    def requests(self) -> list[dict[str, Any]]:
        """The lines of its access log so far; whatever else it prints is refused."""
        return [json.loads(line) for line in self.printed().splitlines()]

    def printed(self) -> str:
        """Its standard output, up to the last whole line."""
        return (self.folder / "stdout.log").read_text().rpartition("\n")[0]

    def trouble(self) -> str:
        """What Envoy has logged as a warning or worse, the end of it."""
        found = [
            line for line in self.log().splitlines() if NOTEWORTHY.search(line) and not OF_NO_INTEREST.search(line)
        ]
        return "\n".join(line[:500] for line in found[-20:])

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        assert self.process
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _client(self, **options: Any) -> httpx.Client:
        """A client that is closed with the router. Nothing here is https; not to load the authorities is quicker."""
        self._clients.append(httpx.Client(verify=False, **options))
        return self._clients[-1]

    def _until(self, check: Callable[[], bool], what: str) -> None:
        try:
            eventually(check)
        except AssertionError as error:
            raise AssertionError(f"{what} {error}: {self.trouble()}") from None

    def _listening(self) -> bool:
        assert self.process
        assert self.process.poll() is None, f"Envoy ended:\n{self.trouble()}"
        try:
            found = self.admin.get("/listeners", params={"format": "json"}).json()
        except (httpx.TransportError, json.JSONDecodeError):
            return False
        addresses = {s["name"]: s["local_address"] for s in found.get("listener_statuses", [])}
        self._ports = {n: a["socket_address"]["port_value"] for n, a in addresses.items() if "socket_address" in a}
        return self.admin.get("/ready").status_code == 200 and len(self._ports) == 3

    def _applied(self) -> bool:
        versions = self.versions()
        return len(versions) == self._sources and set(versions.values()) == {self.version}


Serve = Callable[..., Router]
"""The fixture that starts a router with manifests, which ends with the module."""
