"""What providers say when something is wrong, as bytes: error documents and events in each provider's own form.

Forms are those of the providers' API references and of their error pages, as of 2026. Pure.
"""

import gzip
import json
from typing import Any

from harness.wire import DONE, END, ROLE, Step, Steps, chunk, completion, event, head, whole

PRIMARY_SAYS = "Hello from the primary"
ANSWER = completion(PRIMARY_SAYS)
TEXT = json.dumps(ANSWER).encode()
HALF = TEXT[: len(TEXT) // 2]

FIRST, SECOND = (chunk(said) for said in ("Hello", " from the primary"))
SPOKEN = (ROLE, FIRST, SECOND, END, DONE)
"""A good stream."""

COMMENT = b": OPENROUTER PROCESSING\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
EMPTY = chunk("")

HTML = "text/html; charset=UTF-8"
OF_NGINX = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"  # noqa: E501
OF_CLOUDFLARE = b"<!DOCTYPE html><html><head><title>api.example.com | 524: A timeout occurred</title></head><body><h1>A timeout occurred</h1></body></html>"  # noqa: E501
SIGN_IN = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form></form></body></html>"


def openai(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error of OpenAI's and of all who copy it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


OPENAI = openai("The server had an error while processing your request. Sorry about that!", "server_error")
OVERLOADED = openai("The engine is currently overloaded, please try again later", "server_error", "service_unavailable")
RATE_LIMIT = openai(
    "Rate limit reached for gpt-4.1 in organization org-x on requests per min (RPM): Limit 500, Used 500, Requested 1.",
    "requests",
    "rate_limit_exceeded",
)
QUOTA = openai(
    "You exceeded your current quota, please check your plan and billing details.",
    "insufficient_quota",
    "insufficient_quota",
)
WRONG_KEY = openai("Incorrect API key provided: sk-x***y.", "invalid_request_error", "invalid_api_key")
NO_BALANCE = openai("Insufficient Balance", "unknown_error", "invalid_request_error")
NO_REGION = openai("Country, region, or territory not supported", "request_forbidden", "unsupported_country")
NO_MODEL = openai("The model `m` does not exist or you do not have access to it.", "invalid_request_error")
BAD_VALUE = openai("Invalid value for 'temperature': must be at most 2.", "invalid_request_error", "invalid_value")
ANTHROPIC = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_x"}
GEMINI = {
    "error": {"code": 503, "message": "The model is overloaded. Please try again later.", "status": "UNAVAILABLE"}
}
MISTRAL = {"object": "error", "message": {"detail": [{"type": "less_than_equal", "loc": ["body", "temperature"]}]}}
OPENROUTER = {"error": {"code": 502, "message": "Provider returned error", "metadata": {"provider_name": "X"}}}

OPENROUTER_CHUNK = {
    "id": "gen-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "provider": "X",
    "error": {"code": "server_error", "message": "Provider disconnected unexpectedly"},
    "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
}
ERROR_IN_CHOICE = {
    "index": 0,
    "error": {"code": 502, "message": "Provider returned error"},
    "finish_reason": "error",
    "message": {"role": "assistant", "content": ""},
}
ANTHROPIC_EVENT = b"event: error\n" + event(ANTHROPIC)


def page(html: bytes, status: int) -> Steps:
    """An error page, from something in front of the model."""
    return whole(html, status, kind=HTML)


def unfinished(body: bytes, *steps: bytes | float | Step) -> Steps:
    """A JSON answer that announces the whole of TEXT and sends `body`; what comes then is up to the steps."""
    return [head(length=len(TEXT)) + body, *steps]


def zipped(body: bytes, kind: str) -> Steps:
    """A gzipped answer, which nobody asked for."""
    return whole(gzip.compress(body, mtime=0), kind=kind, content_encoding="gzip")


def padding(headers: int, size: int) -> dict[str, Any]:
    """So many headers of so many bytes each, as keywords for `whole` and `stream`."""
    return {f"x_padding_{i}": "x" * size for i in range(headers)}
