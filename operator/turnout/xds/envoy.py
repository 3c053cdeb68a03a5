"""The few shapes that every Envoy resource shares: typed configs, file sources, the Wasm filter. Pure."""

from typing import Any

from turnout.xds.place import Place

Json = dict[str, Any]

TYPE = "type.googleapis.com/"
HTTP = "envoy.extensions.filters.http"
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
UPSTREAM_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

LONGEST_BODY = 32 * 1024 * 1024
"""Bytes of a request or of an answer held whole, 32 MiB: what the mission promises, and room for images in prompts."""

READ_AT_ONCE = 1024 * 1024
"""Bytes of an answer that reach the filter at once, 1 MiB: it holds 16 MiB at most, and must see that it does before
Envoy's buffer of 32 MiB is full."""

VM_ID = "turnout"
"""One VM id for all roles of the filter, so that they share memory within a worker and data between workers."""

RELOAD_BACKOFF = "0.02s"
"""How soon a crashed filter VM is replaced. Measured (Envoy 1.40, a crash every 0.4 s): Envoy's default back-off serves
17 % of good requests meanwhile, this one 93 %."""


def typed(type_name: str, **fields: Any) -> Json:
    """An Any in JSON form."""
    return {"@type": TYPE + type_name, **fields}


def extension(name: str, type_name: str, **fields: Any) -> Json:
    """A TypedExtensionConfig: a filter, a matcher input, a socket."""
    return {"name": name, "typed_config": typed(type_name, **fields)}


def source(place: Place, file: str) -> Json:
    """A file of the xDS folder, re-read whenever the folder's ..data link is swapped, as the kubelet does it."""
    path = {"path": f"{place.xds_dir}/{file}", "watched_directory": {"path": place.xds_dir}}
    return {"path_config_source": path, "resource_api_version": "V3"}


def wasm_filter(role: str, configuration: str, place: Place) -> Json:
    """The filter in one of its roles: front, lane or status. configuration is what the role reads at start."""
    return extension(
        role,
        f"{HTTP}.wasm.v3.Wasm",
        config={
            "name": role,
            "root_id": role,
            "allow_on_headers_stop_iteration": True,
            "failure_policy": "FAIL_RELOAD",
            "reload_config": {"backoff": {"base_interval": RELOAD_BACKOFF}},
            "configuration": typed("google.protobuf.StringValue", value=configuration),
            "vm_config": {
                "vm_id": VM_ID,
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": place.wasm}},
            },
        },
    )
