"""Envoy's own answers in OpenAI's shape: what a client sees when no provider has answered. Pure.

Documented by OpenAI's API reference ("Error codes", read 2026-11): {"error": {"message", "type", "param", "code"}}.
"""

from turnout.xds.envoy import Json

OWN_REPLY = "x-turnout-reply"
"""Request header that the filter sets before it answers itself: its body is complete and passes as it is."""

MESSAGES = {
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    408: ("The request did not arrive in time.", "invalid_request_error", "request_timeout"),
    413: ("The request is larger than 32 MiB.", "invalid_request_error", "request_too_large"),
    429: ("Rate limit of this API key reached. Try again later.", "rate_limit_exceeded", "rate_limit_exceeded"),
    502: ("No model gave a usable answer.", "upstream_error", "bad_gateway"),
    503: ("No model could be reached.", "upstream_error", "service_unavailable"),
    504: ("No model answered in time.", "upstream_error", "timeout"),
}
"""Status → message, type and code. Everything else is shaped with Envoy's own words."""


def local_reply_config() -> Json:
    """Mappers in order: the filter's own answers as they are, then by status, then anything else."""
    own = {
        "filter": {"header_filter": {"header": {"name": OWN_REPLY, "present_match": True}}},
        "body_format_override": _format("%LOCAL_REPLY_BODY%"),
    }
    return {"mappers": [own, *_by_status()], "body_format": _rest()}


def hop_reply_config() -> Json:
    """The same words for the hop, which also says why it failed: Envoy's response flags, read by the filter."""
    failed = [{"header": {"key": "x-turnout-hop-failed", "value": "%RESPONSE_FLAGS%"}}]
    mappers = [*_by_status(), {"filter": _status(400, "GE"), "body_format_override": _rest()}]
    return {"mappers": [{**m, "headers_to_add": failed} for m in mappers]}


def _by_status() -> list[Json]:
    return [
        {"filter": _status(status), "body_format_override": {"json_format": _error(*words)}}
        for status, words in MESSAGES.items()
    ]


def _rest() -> Json:
    return {"json_format": _error("%LOCAL_REPLY_BODY%", "router_error", "%RESPONSE_CODE_DETAILS%")}


def _format(text: str) -> Json:
    return {"text_format_source": {"inline_string": text}, "content_type": "application/json"}


def _error(message: str, kind: str, code: str) -> Json:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _status(status: int, op: str = "EQ") -> Json:
    comparison = {"op": op, "value": {"default_value": status, "runtime_key": f"turnout.reply.{status}"}}
    return {"status_code_filter": {"comparison": comparison}}
