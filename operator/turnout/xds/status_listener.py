"""The router's second listener: readiness, statistics, the circuits, and drain. Nothing secret passes here. Pure.

Envoy's admin interface is a Unix socket; only these of its paths can be reached from outside the pod.
"""

from turnout.xds.envoy import HTTP, Json, extension, wasm_filter
from turnout.xds.place import Place

ADMIN_CLUSTER = "admin"
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"

READ_ONLY = ("/ready", "/stats", "/stats/prometheus")
"""Paths of the admin interface that are passed through as they are."""


def status_listener(place: Place, host: str, port: int) -> Json:
    """The listener. /lanes is answered by the filter; /drain holds its answer until no request is left."""
    routes: list[Json] = [_route(path) for path in READ_ONLY]
    routes.append({"match": {"prefix": "/"}, "direct_response": {"status": 404}})
    manager = extension(
        "http",
        HCM,
        stat_prefix="status",
        route_config={"name": "status", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        http_filters=[wasm_filter("status", "status", place), extension("router", f"{HTTP}.router.v3.Router")],
        stream_idle_timeout="0s",
    )
    address = {"socket_address": {"address": host, "port_value": port}}
    return {"name": "status", "address": address, "filter_chains": [{"filters": [manager]}]}


def _route(path: str) -> Json:
    headers = [{"name": ":method", "string_match": {"exact": "GET"}}]
    return {"match": {"path": path, "headers": headers}, "route": {"cluster": ADMIN_CLUSTER, "timeout": "10s"}}
