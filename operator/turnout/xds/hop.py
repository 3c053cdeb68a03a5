"""The hop: an in-process detour of held streams (delivery Complete), so that their first answer has a deadline. Pure.

Envoy's deadline of an attempt runs until the router sees response headers. The filter holds those of a stream that must
be whole, and so the deadline would end it; hedging, which would not, does not choose the cluster anew (run on 1.40).
In the hop nothing is held: the same deadline ends with the provider's headers, and what the hop answers can be retried.
"""

from turnout.xds.envoy import HCM, HTTP, READ_AT_ONCE, Json, extension
from turnout.xds.replies import hop_reply_config

NAME = "hop"
"""Name of its listener, its cluster and its statistics; the filter knows it (request.rs)."""

CLUSTER_HEADER = "x-turnout-hop"
DEADLINE_HEADER = "x-turnout-first-ms"
ADDED = ["x-forwarded-proto", "x-request-id", "x-envoy-expected-rq-timeout-ms"]
"""Request headers that the second connection manager adds, and no provider should see."""

EXTENSION = extension("internal", "envoy.extensions.bootstrap.internal_listener.v3.InternalListener")
"""Bootstrap extension without which there are no internal listeners."""


def hop_listener() -> Json:
    """The listener: to the cluster that a header names, within the deadline that a header names."""
    deadline = {
        "append": {
            "header": {"key": "x-envoy-upstream-rq-per-try-timeout-ms", "value": f"%REQ({DEADLINE_HEADER})%"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
    }
    route = {
        "match": {"prefix": "/"},
        "request_headers_to_remove": [CLUSTER_HEADER, *ADDED],
        "route": {"cluster_header": CLUSTER_HEADER, "timeout": "0s", "idle_timeout": "0s"},
    }
    manager = extension(
        "http",
        HCM,
        stat_prefix=NAME,
        route_config={"name": NAME, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        http_filters=[
            extension(
                "deadline",
                f"{HTTP}.header_mutation.v3.HeaderMutation",
                mutations={"request_mutations": [deadline, {"remove": DEADLINE_HEADER}]},
            ),
            extension("router", f"{HTTP}.router.v3.Router", suppress_envoy_headers=True),
        ],
        local_reply_config=hop_reply_config(),
        use_remote_address=False,
        skip_xff_append=True,
        generate_request_id=False,
        server_header_transformation="PASS_THROUGH",
        stream_idle_timeout="0s",
        delayed_close_timeout="0.1s",
    )
    return {
        "name": NAME,
        "internal_listener": {},
        "per_connection_buffer_limit_bytes": READ_AT_ONCE,
        "filter_chains": [{"filters": [manager]}],
    }


def hop_cluster(breakers: Json) -> Json:
    """The cluster that leads into the listener."""
    address = {"address": {"envoy_internal_address": {"server_listener_name": NAME}}}
    return {
        "name": NAME,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": READ_AT_ONCE,
        "circuit_breakers": {"thresholds": [breakers]},
        "load_assignment": {"cluster_name": NAME, "endpoints": [{"lb_endpoints": [{"endpoint": address}]}]},
    }
