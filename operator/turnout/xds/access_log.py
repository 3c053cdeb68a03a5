"""The access log: one JSON line for each request of a client, on Envoy's standard output. Pure.

Envoy writes what it knows; the filter leaves the rest in the request's filter state (filter/src/log.rs) at its end,
because Envoy asks its filters before its access loggers (run on 1.40: tests/envoy/test_access_log.py). A request for
which there was no filter has the first part alone. Only what cannot hold a quotation mark stands in the first part: the
format is plain text, because the JSON format cannot hold the list of attempts.
"""

from turnout.xds.envoy import Json, extension

SWITCH = "access_log"
"""In the node's metadata: tells the filter whether anybody reads what it would write."""

ENVOYS_OWN = {
    "time": '"%START_TIME%"',  # RFC 3339 with milliseconds: when the request arrived
    "status": "%RESPONSE_CODE%",  # 0: the client left before an answer began
    "durationMs": "%DURATION%",
    "bytesIn": "%BYTES_RECEIVED%",
    "bytesOut": "%BYTES_SENT%",
    "flags": '"%RESPONSE_FLAGS%"',
}
"""Members that Envoy fills in, and its words for them; the bytes are those of bodies."""

FILTERS_OWN = "%FILTER_STATE(wasm.log:PLAIN)%"
"""Members that the filter adds, with a comma before each."""


def access_log() -> list[Json]:
    """The connection manager's access loggers."""
    line = ",".join(f'"{name}":{value}' for name, value in ENVOYS_OWN.items())
    return [
        extension(
            "stdout",
            "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            log_format={
                "text_format_source": {"inline_string": f"{{{line}{FILTERS_OWN}}}\n"},
                "omit_empty_values": True,  # else a missing state is written as a dash
            },
        )
    ]
