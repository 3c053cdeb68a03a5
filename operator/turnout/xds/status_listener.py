"""The router's listeners beside the clients': readiness, statistics and circuits; and, apart, drain. Pure.

Nothing secret passes here. Drain has a port of its own, because whoever may read statistics must not be able to take a
router out of service; a NetworkPolicy lets nobody to that port but the node, whose kubelet calls it.
Envoy's admin interface is a Unix socket; only these of its paths can be reached from outside the pod.
"""

from turnout.xds.envoy import HCM, HTTP, Json, extension, wasm_filter
from turnout.xds.place import Place

ADMIN_CLUSTER = "admin"

READ_ONLY = ("/ready", "/stats", "/stats/prometheus")
"""Paths of the admin interface that are passed through as they are."""


DRAIN = "/drain"
"""Answered by the filter when no request is left; from then on the router is not ready."""


def status_listener(place: Place, host: str, port: int) -> Json:
    """Readiness and statistics from Envoy, /lanes from the filter."""
    return _listener("status", host, port, place, [_route(path) for path in READ_ONLY], drain="DENY")


def drain_listener(place: Place, host: str, port: int) -> Json:
    """Only /drain."""
    return _listener("drain", host, port, place, [], drain="ALLOW")


def _listener(name: str, host: str, port: int, place: Place, routes: list[Json], *, drain: str) -> Json:
    """drain: the action for its path, ALLOW (then for no other) or DENY."""
    unknown = {"match": {"prefix": "/"}, "direct_response": {"status": 404}}
    path = {"url_path": {"path": {"exact": DRAIN}}}
    policy = {"permissions": [path], "principals": [{"any": True}]}
    manager = extension(
        "http",
        HCM,
        stat_prefix=name,
        route_config={"name": name, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [*routes, unknown]}]},
        http_filters=[
            extension("drain", f"{HTTP}.rbac.v3.RBAC", rules={"action": drain, "policies": {"drain": policy}}),
            wasm_filter("status", "status", place),
            extension("router", f"{HTTP}.router.v3.Router"),
        ],
        stream_idle_timeout="0s",
    )
    address = {"socket_address": {"address": host, "port_value": port}}
    return {"name": name, "address": address, "filter_chains": [{"filters": [manager]}]}


def _route(path: str) -> Json:
    headers = [{"name": ":method", "string_match": {"exact": "GET"}}]
    return {"match": {"path": path, "headers": headers}, "route": {"cluster": ADMIN_CLUSTER, "timeout": "10s"}}
