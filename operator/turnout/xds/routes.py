"""IR → the one route of the router: the lane that the filter chose, looked at anew for each attempt. Pure."""

import json

from turnout.decide.ir import Router
from turnout.xds import hop
from turnout.xds.envoy import Json, extension, typed

ROUTE_CONFIG = "router"

MATCHER = "envoy.extensions.router.cluster_specifiers.matcher.v3"
LANE_STATE = "wasm.lane"
"""Filter state in which the filter leaves the name of the cluster for the next attempt."""

DEADLINE = "x-turnout-timeout-ms"
"""The one header of ours that a client may send: how long its request may take, milliseconds. Read by the filter."""

STRIPPED = [
    *("accept-encoding", "cookie", "te", "trailer", "keep-alive", "upgrade", "proxy-authorization"),
    *("x-api-key", "api-key", "x-goog-api-key"),
    *("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-request-id"),
    *("x-turnout-client", "x-turnout-group", "x-turnout-key", "x-turnout-rpm", "x-turnout-tpm"),
    *("x-turnout-reply", DEADLINE),
    *("x-envoy-expected-rq-timeout-ms", "x-envoy-hedge-on-per-try-timeout"),
    *("x-envoy-external-address", "x-envoy-internal"),
]
"""Request headers that no provider sees: hop by hop; a client's key under another name; who the client is; our own.
accept-encoding, because answers are read on their way and so must not be compressed."""

UNKNOWN_PATH = {
    "error": {"message": "Unknown request URL.", "type": "invalid_request_error", "param": None, "code": "unknown_url"}
}


def route_configuration(router: Router) -> Json:
    """The route table. Only the list of clusters in it ever changes."""
    lanes = {
        "name": "lanes",
        "match": {"prefix": "/v1/", "headers": [{"name": "x-turnout-group", "present_match": True}]},
        "request_headers_to_remove": STRIPPED,
        "route": _lanes(router),
    }
    unknown = {
        "name": "unknown",
        "match": {"prefix": "/"},
        "direct_response": {"status": 404, "body": {"inline_string": json.dumps(UNKNOWN_PATH)}},
        "response_headers_to_add": [{"header": {"key": "content-type", "value": "application/json"}}],
    }
    routes = [lanes, unknown] if router.groups else [unknown]
    return {"name": ROUTE_CONFIG, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}


def _lanes(router: Router) -> Json:
    return {
        "inline_cluster_specifier_plugin": {"extension": _specifier(router)},
        "timeout": "0s",  # deadlines are the filter's: per attempt, by header
        "idle_timeout": "0s",  # would run on over the attempts; the filter cuts silent streams
        "retry_policy": {
            # Which answers are tried elsewhere is for the filter to say: it marks them.
            "retry_on": "reset,connect-failure,refused-stream,retriable-headers",
            "retriable_headers": [{"name": "x-turnout-retry", "present_match": True}],
            "refresh_cluster_on_retry": True,
            "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.01s"},
            "rate_limited_retry_back_off": {
                "reset_headers": [{"name": "x-turnout-wait", "format": "SECONDS"}],
                "max_interval": "2s",
            },
        },
    }


def _specifier(router: Router) -> Json:
    clusters = {
        name: {"action": {"name": name, "typed_config": typed(f"{MATCHER}.ClusterAction", cluster=name)}}
        for name in (*(e.cluster for e in router.endpoints), hop.NAME)
    }
    state = extension("lane", "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput", key=LANE_STATE)
    tree: Json = {"input": state, "exact_match_map": {"map": clusters}}
    return extension("lane", f"{MATCHER}.MatcherClusterSpecifier", cluster_matcher={"matcher_tree": tree})
