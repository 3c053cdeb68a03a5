"""What a fake provider says: OpenAI's documents for made-up text. Pure: id and time come in as arguments.

Shapes follow OpenAI's API reference of 2026: chat completions, completions, embeddings, responses, models, errors.
"""

import base64
import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

USUAL_TOKENS = 24
"""Pieces of text in an answer that no limit cuts short: a sentence or two. With 20 ms between them, half a second."""

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 402: "insufficient_quota"}

HTML = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
GARBAGE = b'{"id": "chatcmpl-\xff\xfe", "choices": [{"ind'


@dataclass(frozen=True)
class Request:
    """What an answer depends on. limit bounds the tokens of the answer; kind is chat, text or responses."""

    kind: str
    id: str
    created: int
    model: str
    provider: str
    prompt: str
    limit: int | None = None
    usage_in_stream: bool = False

    @property
    def pieces(self) -> list[str]:
        """The answer in pieces of one token each; it names the provider, so that one sees who spoke."""
        said = " ".join(self.prompt.split())[-80:]
        words = f"Hello from {self.provider}, speaking as {self.model}. You said: {said or 'nothing'}.".split(" ")
        words += ["And", "so", "on."] * ((USUAL_TOKENS - len(words)) // 3)
        return [w if i == 0 else f" {w}" for i, w in enumerate(words)][: self.limit]

    @property
    def finish(self) -> str:
        """`length` if the request's limit ended the answer, else `stop`."""
        return "length" if len(self.pieces) == self.limit else "stop"

    @property
    def counts(self) -> tuple[int, int]:
        """Tokens in and out: a quarter of the prompt's characters, and the pieces."""
        return len(self.prompt) // 4 + 1, len(self.pieces)


def usage(request: Request) -> dict[str, Any]:
    """The usage block, in the words of the API that was asked."""
    read, written = request.counts
    if request.kind == "responses":
        return {
            "input_tokens": read, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": written, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": read + written,
        }  # fmt: skip
    return {
        "prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip


def whole(request: Request, text: str | None = None) -> dict[str, Any]:
    """The answer as one document. text replaces what would be said."""
    text = "".join(request.pieces) if text is None else text
    if request.kind == "responses":
        return _response(request, "completed", [_item(request, text)])
    if request.kind == "text":
        choice: dict[str, Any] = {"index": 0, "text": text, "logprobs": None, "finish_reason": request.finish}
    else:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": request.finish}
    name = "text_completion" if request.kind == "text" else "chat.completion"
    return _document(request, name, [choice]) | {"usage": usage(request)}


def opening(request: Request) -> Iterator[bytes]:
    """Events of a stream before its first content."""
    if request.kind == "chat":
        yield _chunk(request, {"role": "assistant", "content": "", "refusal": None}, None)
    if request.kind == "responses":
        yield _event("response.created", response=_response(request, "in_progress", []))
        yield _event("response.output_item.added", output_index=0, item=_item(request, None))
        yield _event("response.content_part.added", **_place(request), part=_part(""))


def piece(request: Request, text: str) -> bytes:
    """The event that carries one piece of content."""
    if request.kind == "responses":
        return _event("response.output_text.delta", **_place(request), delta=text)
    return _chunk(request, {"content": text}, None)


def closing(request: Request) -> Iterator[bytes]:
    """Events of a stream behind its last content: finish reason, usage if asked for, the end mark."""
    text = "".join(request.pieces)
    if request.kind == "responses":
        yield _event("response.output_text.done", **_place(request), text=text)
        yield _event("response.content_part.done", **_place(request), part=_part(text))
        yield _event("response.output_item.done", output_index=0, item=_item(request, text))
        yield _event("response.completed", response=_response(request, "completed", [_item(request, text)]))
        return
    yield _chunk(request, {}, request.finish)
    if request.usage_in_stream:
        yield _data(_document(request, _chunk_name(request), []) | {"usage": usage(request)})
    yield b"data: [DONE]\n\n"


def vector(text: str, dimensions: int, encoding: str | None) -> list[float] | str:
    """An embedding that depends on the text alone; as base64 of little-endian floats where that is asked for."""
    seed = hashlib.sha256(text.encode()).digest()
    numbers = [(seed[i % len(seed)] - 127.5) / 127.5 / dimensions**0.5 for i in range(dimensions)]
    return base64.b64encode(struct.pack(f"<{dimensions}f", *numbers)).decode() if encoding == "base64" else numbers


def error(status: int, message: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's shape, with the code that OpenAI uses for the status."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code or _CODES.get(status)}}


def error_event() -> bytes:
    """An error as OpenAI sends it inside a stream that began with 200."""
    return _data(error(500, "The server had an error while processing your request. Sorry about that!"))


def _document(request: Request, name: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    prefix = "cmpl" if request.kind == "text" else "chatcmpl"
    head = {"id": f"{prefix}-{request.id}", "object": name, "created": request.created, "model": request.model}
    return head | {"service_tier": "default", "system_fingerprint": "fp_fake", "choices": choices}


def _chunk_name(request: Request) -> str:
    return "text_completion" if request.kind == "text" else "chat.completion.chunk"


def _chunk(request: Request, delta: dict[str, Any], finish: str | None) -> bytes:
    choice: dict[str, Any] = {"index": 0}
    choice |= {"text": delta.get("content", "")} if request.kind == "text" else {"delta": delta}
    document = _document(request, _chunk_name(request), [choice | {"logprobs": None, "finish_reason": finish}])
    return _data(document | ({"usage": None} if request.usage_in_stream else {}))


def _response(request: Request, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"resp_{request.id}", "object": "response", "created_at": request.created, "status": status,
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "model": request.model,
        "output": output, "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [],
        "top_p": 1.0,
        "usage": usage(request) if status == "completed" else None,
    }  # fmt: skip


def _item(request: Request, text: str | None) -> dict[str, Any]:
    head = {"id": f"msg_{request.id}", "type": "message", "role": "assistant"}
    if text is None:
        return head | {"status": "in_progress", "content": []}
    return head | {"status": "completed", "content": [_part(text)]}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _place(request: Request) -> dict[str, Any]:
    return {"item_id": f"msg_{request.id}", "output_index": 0, "content_index": 0}


def _event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\n".encode() + _data({"type": name, **fields})


def _data(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
