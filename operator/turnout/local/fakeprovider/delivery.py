"""How a fake provider's answers travel, and how they fail on the way: whole or as events, late, cut, stalled.

Called by server for each request. Ends by returning the response, or by Broken when the connection was cut on purpose.
"""

import asyncio
import contextlib
import json
import socket
import struct
from dataclasses import dataclass

from aiohttp import web

from turnout.local.fakeprovider import answers
from turnout.local.fakeprovider.control import Raw
from turnout.local.fakeprovider.faults import Fault, Kind

FOREVER = 3600.0
"""Seconds for which a hanging provider hangs: longer than any deadline that a ModelGroup can set."""

EVENTS = "text/event-stream; charset=utf-8"
COMMENT_EVERY = 0.2


class Broken(Exception):  # noqa: N818  (no error: it is what was asked for)
    """The connection was closed on purpose. response is what aiohttp is told, which has nowhere left to send it."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__("closed on purpose")
        self.response = response


@dataclass(frozen=True)
class Pace:
    """Seconds before the first content, and between pieces of it."""

    first: float
    gap: float


async def fail(
    request: web.Request, fault: Fault, raw: Raw | None, *, latency: float, late: float
) -> web.StreamResponse | None:
    """Wait the latency, `late` times as long, and do what the fault does before any answer is made. None: go on and
    answer.
    """
    if fault.kind in (Kind.DROP, Kind.RESET):
        raise Broken(_close(request, web.Response(), reset=fault.kind is Kind.RESET))
    if fault.kind is Kind.HANG:
        await asyncio.sleep(FOREVER)
    await asyncio.sleep(late * ((fault.seconds or 0.0) if fault.kind is Kind.SLOW else latency))
    if fault.kind is Kind.STATUS:
        headers = {} if fault.seconds is None else {"Retry-After": f"{fault.seconds:g}"}
        document = answers.error(fault.status, f"This fake provider was told to answer {fault.status}.")
        return web.json_response(document, status=fault.status, headers=headers)
    if fault.kind is Kind.HTML:
        return web.Response(text=answers.HTML, content_type="text/html")
    if fault.kind is Kind.RAW and raw is not None:
        return await _raw(request, raw)
    return None


async def deliver(
    request: web.Request, asked: answers.Request, fault: Fault, pace: Pace, *, stream: bool
) -> web.StreamResponse:
    """Answer, whole or as a stream, spoilt as the fault says."""
    send = _stream if stream else _whole
    return await send(request, asked, fault, pace)


async def _whole(request: web.Request, asked: answers.Request, fault: Fault, pace: Pace) -> web.StreamResponse:
    await asyncio.sleep(pace.first + pace.gap * len(asked.pieces))
    document = answers.whole(asked, "" if fault.kind is Kind.NO_CONTENT else None)
    if fault.kind is Kind.NO_CHOICES:
        document["output" if asked.kind == "responses" else "choices"] = []
    if fault.kind is Kind.ERROR_EVENT:
        document = answers.error(500, "The server had an error while processing your request. Sorry about that!")
    body = json.dumps(document).encode()
    if fault.kind in (Kind.GARBAGE, Kind.EMPTY):
        body = answers.GARBAGE if fault.kind is Kind.GARBAGE else b""
    if fault.kind is Kind.END:
        body = body[: len(body) // 2]
    if fault.kind in (Kind.TTFT, Kind.CUT, Kind.STALL, Kind.COMMENTS):
        return await _piecemeal(request, body, fault)
    response = web.Response(body=body, content_type="application/json")
    response.enable_compression()  # if the client offers it, as real providers do
    return response


async def _piecemeal(request: web.Request, body: bytes, fault: Fault) -> web.StreamResponse:
    """A JSON answer whose headers come long before its end, if that ever comes."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    if fault.kind is Kind.TTFT:
        await asyncio.sleep(fault.seconds or 0.0)
        await response.write(body)
        await response.write_eof()
        return response
    await response.write(body[: len(body) // 2])
    return await _trouble(request, response, "cut" if fault.kind is Kind.CUT else "stall")


async def _stream(request: web.Request, asked: answers.Request, fault: Fault, pace: Pace) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": EVENTS, "Cache-Control": "no-cache"})
    await response.prepare(request)
    if fault.kind is Kind.EMPTY:
        await response.write_eof()
        return response
    if fault.kind is Kind.GARBAGE:
        await response.write(b"data: " + answers.GARBAGE + b"\n\n")
        await response.write_eof()
        return response
    if fault.kind is Kind.COMMENTS:
        return await _comments(response)
    if fault.kind is not Kind.ERROR_EVENT or fault.pieces:
        for event in answers.opening(asked):
            await response.write(event)
    await asyncio.sleep(fault.seconds or 0.0 if fault.kind is Kind.TTFT else pace.first)
    spoilt = await _pieces(request, response, asked, fault, pace)
    if not spoilt:
        for event in answers.closing(asked):
            await response.write(event)
    await response.write_eof()
    return response


async def _pieces(
    request: web.Request, response: web.StreamResponse, asked: answers.Request, fault: Fault, pace: Pace
) -> bool:
    """Write the content, up to the piece at which the fault strikes. True if it struck: no closing events then."""
    pieces = [] if fault.kind in (Kind.NO_CHOICES, Kind.NO_CONTENT) else asked.pieces
    strikes = fault.kind in (Kind.CUT, Kind.STALL, Kind.END, Kind.ERROR_EVENT)
    for number, text in enumerate(pieces):
        if strikes and number >= fault.pieces:
            break
        await response.write(answers.piece(asked, text))
        await asyncio.sleep(pace.gap)
    if fault.kind in (Kind.CUT, Kind.STALL):
        await _trouble(request, response, fault.kind.value)
    if fault.kind is Kind.ERROR_EVENT:
        await response.write(answers.error_event())
    return strikes


async def _comments(response: web.StreamResponse) -> web.StreamResponse:
    for _ in range(int(FOREVER / COMMENT_EVERY)):
        await response.write(b": still working on it\n\n")
        await asyncio.sleep(COMMENT_EVERY)
    return response


async def _raw(request: web.Request, raw: Raw) -> web.StreamResponse:
    response = web.StreamResponse(status=raw.status, headers={"Content-Type": raw.content_type})
    await response.prepare(request)
    await response.write(raw.body)
    if raw.then in ("cut", "stall"):
        return await _trouble(request, response, raw.then)
    await response.write_eof()
    return response


async def _trouble(request: web.Request, response: web.StreamResponse, how: str) -> web.StreamResponse:
    """Break off an answer under way: cut the connection, or say nothing more. Never returns."""
    if how == "stall":
        await asyncio.sleep(FOREVER)
    raise Broken(_close(request, response, reset=False))


def _close(request: web.Request, response: web.StreamResponse, *, reset: bool) -> web.StreamResponse:
    """Close the connection under the request; with a TCP reset in place of a clean end, if asked for."""
    transport = request.transport
    if transport is None:
        return response
    if reset:
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    return response
