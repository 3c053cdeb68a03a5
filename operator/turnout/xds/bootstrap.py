"""The router's bootstrap: its two listeners, which never change while it runs, and where everything else is read. Pure.

The listener is static on purpose: Envoy drains the connections of a listener that changes, and so none can.
"""

from dataclasses import dataclass
from typing import Any

from turnout.decide.evidence import BUCKETS_MS
from turnout.decide.ir import canonical
from turnout.xds.access_log import SWITCH, access_log
from turnout.xds.clusters import BREAKERS
from turnout.xds.envoy import HCM, HTTP, LONGEST_BODY, Json, extension, source, wasm_filter
from turnout.xds.filters import API_KEY_AUTH
from turnout.xds.hop import EXTENSION, hop_cluster, hop_listener
from turnout.xds.limits import PEERS, Sharing, limit_clusters, limiters
from turnout.xds.place import Place
from turnout.xds.replies import local_reply_config
from turnout.xds.routes import DEADLINE, ROUTE_CONFIG
from turnout.xds.status_listener import ADMIN_CLUSTER, drain_listener, status_listener

WASM = f"{HTTP}.wasm.v3.Wasm"
CHAIN = {"keys": API_KEY_AUTH, "front": WASM}
"""The discovered filters in the order in which a request meets them, with their types."""

ALONE = Sharing()

MOST_CONNECTIONS = 50_000
"""Client connections at a time; more are refused rather than letting the process run out of files or memory. A guess:
each takes about 10 KB when idle."""

TAGS = ("group", "model", "to", "key", "slot", "arm", "attempt", "result", "reason", "code", "rollout", "of")
"""Labels of the filter's metrics; each travels as ;name=value in the stat's name."""


@dataclass(frozen=True)
class Address:
    """Where to listen."""

    host: str
    port: int


def bootstrap(
    place: Place,
    *,
    listen: Address,
    status: Address,
    admin_socket: str,
    node_id: str,
    drain: Address | None = None,
    log: bool = False,
    sharing: Sharing = ALONE,
) -> bytes:
    """The bootstrap file as canonical JSON.

    listen: where clients come; status: probes and statistics; drain: where a pod's end is announced, if it is;
    admin_socket: path of the Unix socket that is the only way to Envoy's admin interface; node_id: the router's name in
    logs; log: whether it writes a line for each request to its standard output; sharing: with which other
    routers it shares the limits of keys.
    """
    listeners = [
        _listener(place, listen, sharing, log=log),
        hop_listener(),
        status_listener(place, status.host, status.port),
    ]
    if drain:
        listeners.append(drain_listener(place, drain.host, drain.port))
    return canonical(
        {
            "node": {"id": node_id, "cluster": "turnout", **({"metadata": {SWITCH: True}} if log else {})},
            "admin": {"address": {"pipe": {"path": admin_socket}}},
            "stats_config": _stats_config(),
            "bootstrap_extensions": [EXTENSION],
            "overload_manager": {"resource_monitors": [_connection_limit()]},
            "static_resources": {
                "listeners": listeners,
                "clusters": [_admin_cluster(admin_socket), hop_cluster(BREAKERS), *limit_clusters(sharing)],
            },
            **({"cluster_manager": {"local_cluster_name": PEERS}} if sharing.split else {}),
            "dynamic_resources": {"cds_config": source(place, "cds.json")},
        }
    )


def _listener(place: Place, address: Address, sharing: Sharing, *, log: bool) -> Json:
    filters: list[Json] = [
        {
            "name": name,
            "config_discovery": {"config_source": source(place, f"ecds_{name}.json"), "type_urls": [type_url(t)]},
        }
        for name, t in CHAIN.items()
    ]
    filters += limiters(sharing)
    upstream = [
        wasm_filter("lane", "lane", place),
        extension("codec", f"{HTTP}.upstream_codec.v3.UpstreamCodec"),
    ]
    filters.append(
        extension("router", f"{HTTP}.router.v3.Router", suppress_envoy_headers=True, upstream_http_filters=upstream)
    )
    logged = {"access_log": access_log()} if log else {}
    return listener("router", address.host, address.port, connection_manager(place, filters, **logged))


def type_url(type_name: str) -> str:
    """The type as discovery names it."""
    return f"type.googleapis.com/{type_name}"


def listener(name: str, host: str, port: int, manager: Json) -> Json:
    """A TCP listener with one HTTP connection manager."""
    return {
        "name": name,
        "address": {"socket_address": {"address": host, "port_value": port}},
        "per_connection_buffer_limit_bytes": LONGEST_BODY,
        "filter_chains": [{"filters": [manager]}],
    }


def connection_manager(place: Place, filters: list[Json], **more: Any) -> Json:
    """What happens to every request before and after the filters; more goes into it."""
    ours = {"safe_regex": {"regex": all_of_ours_but(DEADLINE)}}
    strip = [{"remove_on_match": {"key_matcher": matcher}} for matcher in (ours, {"prefix": "x-envoy-"})]
    return extension(
        "http",
        HCM,
        stat_prefix="router",
        rds={"route_config_name": ROUTE_CONFIG, "config_source": source(place, "rds.json")},
        http_filters=filters,
        local_reply_config=local_reply_config(),
        early_header_mutation_extensions=[
            extension(
                "strip",
                "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                mutations=strip,
            )
        ],
        use_remote_address=True,
        skip_xff_append=True,
        normalize_path=True,
        merge_slashes=True,
        server_name="turnout",
        delayed_close_timeout="0.1s",  # else a cut stream reaches its client a second late
        request_headers_timeout="10s",
        request_timeout="300s",  # for a whole request to arrive, not for its answer
        stream_idle_timeout="3600s",  # the filter has finer deadlines; this ends clients that stop reading
        common_http_protocol_options={"idle_timeout": "3600s", "headers_with_underscores_action": "REJECT_REQUEST"},
        **more,
    )


def all_of_ours_but(name: str) -> str:
    """Regular expression of the headers that a client must not bring in: x-turnout-* but for one name.

    Envoy's RE2 has no lookahead, so each alternative is a beginning of the name that goes on differently. The ^ is for
    speed: a header that does not begin with x-turnout- costs one comparison.
    """
    prefix = "x-turnout-"
    rest = name.removeprefix(prefix)
    others = [f"{rest[:length]}([^{goes_on}].*)?" for length, goes_on in enumerate(rest)]
    return f"^{prefix}({'|'.join([*others, f'{rest}.+'])})$"


def _admin_cluster(admin_socket: str) -> Json:
    endpoint = {"endpoint": {"address": {"pipe": {"path": admin_socket}}}}
    return {
        "name": ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": ADMIN_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _connection_limit() -> Json:
    name = "downstream_connections.v3.DownstreamConnectionsConfig"
    return extension(
        "envoy.resource_monitors.global_downstream_max_connections",
        f"envoy.extensions.resource_monitors.{name}",
        max_active_downstream_connections=MOST_CONNECTIONS,
    )


def _stats_config() -> Json:
    # The prefix matters: without it every stat of every cluster is searched (1,000 lanes: 3.4 s to ready).
    tags = [{"tag_name": t, "regex": rf"^wasmcustom\..*?(;{t}=([^;]*))"} for t in TAGS]
    return {
        "stats_tags": tags,
        "histogram_bucket_settings": [{"match": {"prefix": "wasmcustom"}, "buckets": list(BUCKETS_MS)}],
    }
