"""A provider that speaks bytes: it answers exactly what a test gives it, and keeps exactly what it was sent.

For what an HTTP library would smooth over: hop-by-hop headers, a cut inside a chunk, silence at any point, and which
bytes of a body arrived.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from harness.background import Background


class Step(Enum):
    """What to do in an answer beside sending bytes (bytes) and waiting seconds (float)."""

    CUT = auto()
    """Close the connection."""
    RESET = auto()
    """Close it with a TCP reset."""
    STALL = auto()
    """Say nothing until the client closes."""


Steps = Sequence[bytes | float | Step]


@dataclass
class Asked:
    """One request as it came. left: the client closed the connection before the answer was over."""

    head: str
    body: bytes = b""
    left: bool = False
    headers: dict[str, list[str]] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """Method, path and version."""
        return self.head.split("\r\n", 1)[0]

    @property
    def path(self) -> str:
        """The request's path with its query."""
        return self.line.split(" ")[1]

    @property
    def scene(self) -> str:
        """The first name in the path."""
        return self.path.split("/")[1]


class Wire:
    """A provider on a port of its own. `answer` is what it says to each request; `asked` what it was sent.

    `scenes`: what it says under paths that begin with a name of theirs, so that one port serves as many providers.
    """

    def __init__(self, background: Background) -> None:
        self.answer: Steps = whole(COMPLETION)
        self.scenes: dict[str, Steps] = {}
        self.answers: list[Steps] = []
        """Said first, one to each request."""
        self.asked: list[Asked] = []
        self.connections = 0
        self._background = background
        self._server = background.run(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def asked_in(self, scene: str) -> int:
        """How many requests came for that scene."""
        return sum(asked.scene == scene for asked in self.asked)

    def reset(self) -> None:
        """Answer rightly but in scenes, and forget what was asked."""
        self.answer, self.answers, self.asked = whole(COMPLETION), [], []

    def close(self) -> None:
        """Stop listening."""
        self._background.loop.call_soon_threadsafe(self._server.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                asked = await _request(reader)
                self.asked.append(asked)
                if not await _play(self._steps(asked), asked, reader, writer):
                    break
        writer.close()

    def _steps(self, asked: Asked) -> Steps:
        if asked.scene in self.scenes:
            return self.scenes[asked.scene]
        return self.answers.pop(0) if self.answers else self.answer


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    asked = Asked(head)
    for line in head.split("\r\n")[1:-2]:
        name, _, value = line.partition(":")
        asked.headers.setdefault(name.lower(), []).append(value.strip())
    if "transfer-encoding" in asked.headers:
        while size := int(await reader.readline(), 16):
            asked.body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        asked.body = await reader.readexactly(int(asked.headers.get("content-length", ["0"])[0]))
    return asked


async def _play(steps: Steps, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Go through the steps. False if the connection is to be closed."""
    for step in steps:
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
            continue
        # Waits look at the connection too: what a client sends during an answer is nothing, so a read means it left.
        with contextlib.suppress(TimeoutError):
            if isinstance(step, float) or step is Step.STALL:
                await asyncio.wait_for(reader.read(1), step if isinstance(step, float) else 60)
                asked.left = True
                return False
        if step is Step.RESET:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if not isinstance(step, float):
            return False
    return True


def completion(content: str = "Hello", **fields: Any) -> dict[str, Any]:
    """A chat completion; fields replace its parts."""
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
    return {**head, "choices": [choice], "usage": usage, **fields}


def chunk(content: str | None = None, *, finish: str | None = None, **delta: Any) -> bytes:
    """One event of a streamed chat completion."""
    said = {"content": content} if content is not None else {}
    choice = {"index": 0, "delta": {**delta, **said}, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event({**head, "choices": [choice]})


def event(document: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(document).encode() + b"\n\n"


ROLE = chunk(role="assistant", content="")
END = chunk(finish="stop")
DONE = b"data: [DONE]\n\n"
COMPLETION = completion()


def head(status: int = 200, *, kind: str = "application/json", length: int | None = None, **headers: str) -> bytes:
    """Status line and headers; without a length the body is chunked. Underscores in names stand for dashes."""
    framing = {"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    lines = [f"{k}: {v}\r\n" for k, v in {"content-type": kind, **framing, **named}.items()]
    return f"HTTP/1.1 {status} Whatever\r\n{''.join(lines)}\r\n".encode()


def whole(body: dict[str, Any] | bytes, status: int = 200, *, kind: str = "application/json", **headers: str) -> Steps:
    """An answer of one piece."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [head(status, kind=kind, length=len(data), **headers) + data]


def stream(*pieces: bytes | float | Step, kind: str = "text/event-stream", **headers: str) -> Steps:
    """A chunked answer, by default of server-sent events, a chunk for each piece; ended unless a step before did it."""
    started: list[bytes | float | Step] = [head(kind=kind, **headers)]
    sent = [b"%x\r\n%b\r\n" % (len(p), p) if isinstance(p, bytes) else p for p in pieces]
    return [*started, *sent, b"0\r\n\r\n"]
