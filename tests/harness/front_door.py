"""A provider's front door, as real ones have it: TLS and HTTP/2, before a fake provider. Another Envoy plays it."""

import json
import subprocess
from pathlib import Path

import httpx

from harness.certificates import Pair
from harness.envoy import ENVOY
from harness.router import eventually
from turnout.xds.envoy import HCM, UPSTREAM_HTTP, Json, extension, typed

ROUTER = "envoy.extensions.filters.http.router.v3.Router"
INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"


class FrontDoor:
    """TLS on a port of its own, before the port of a provider, which is told how it was asked in x-seen-* headers."""

    def __init__(self, folder: Path, provider: int, shown: Pair, *, protocols: tuple[str, ...]) -> None:
        self._folder = folder
        socket = folder / "admin.sock"
        config = {
            "admin": {"address": {"pipe": {"path": str(socket)}}},
            "static_resources": {"listeners": [_listener(shown, protocols)], "clusters": [_cluster(provider)]},
        }
        (folder / "door.json").write_text(json.dumps(config))
        self._admin = httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://admin")
        self.start()

    def start(self) -> None:
        """Open, on any free port."""
        command = [ENVOY, "-c", self._folder / "door.json", "--concurrency", "1", "--disable-hot-restart"]
        with (self._folder / "door.log").open("ab") as log:
            self._process = subprocess.Popen([*command, "-l", "warning"], stdout=log, stderr=log)
        self.port: int = eventually(self._port)

    def kill(self) -> None:
        """Close at once, with all that is under way."""
        self._process.kill()
        self._process.wait(5)

    def stats(self, pattern: str) -> dict[str, int]:
        """Its Envoy's statistics whose names match."""
        found = self._admin.get("/stats", params={"filter": pattern, "format": "json"}).json()["stats"]
        return {s["name"]: s["value"] for s in found if "name" in s}

    def close(self) -> None:
        """End it."""
        self._admin.close()
        self._process.terminate()
        self._process.wait(10)

    def _port(self) -> int | None:
        assert self._process.poll() is None, (self._folder / "door.log").read_text()[-2000:]
        try:
            found = self._admin.get("/listeners", params={"format": "json"}).json()
        except (httpx.TransportError, json.JSONDecodeError):
            return None
        ports = [s["local_address"]["socket_address"]["port_value"] for s in found.get("listener_statuses", [])]
        return next((p for p in ports if p), None)


def _listener(shown: Pair, protocols: tuple[str, ...]) -> Json:
    told = [("protocol", "%PROTOCOL%"), ("name", "%REQUESTED_SERVER_NAME%"), ("connection", "%CONNECTION_ID%")]
    tell = [{"header": {"key": f"x-seen-{name}", "value": value}} for name, value in told]
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "provider", "timeout": "0s"},
        "request_headers_to_add": tell,
    }
    hosts = [{"name": "all", "domains": ["*"], "routes": [route]}]
    manager = extension(
        "http",
        HCM,
        stat_prefix="door",
        route_config={"virtual_hosts": hosts},
        http_filters=[extension("router", ROUTER)],
    )
    files = {"certificate_chain": {"filename": str(shown.certificate)}, "private_key": {"filename": str(shown.key)}}
    context = {"tls_certificates": [files], "alpn_protocols": list(protocols)}
    return {
        "name": "door",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "listener_filters": [extension("tls_inspector", INSPECTOR)],
        "filter_chains": [
            {"filters": [manager], "transport_socket": extension("tls", TLS, common_tls_context=context)}
        ],
    }


def _cluster(port: int) -> Json:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    options = typed(UPSTREAM_HTTP, explicit_http_config={"http_protocol_options": {}})
    return {
        "name": "provider",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "provider",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {UPSTREAM_HTTP: options},
    }
