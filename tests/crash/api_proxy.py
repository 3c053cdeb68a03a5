"""Between an operator and the API server: every write of the operator is counted, and may go wrong on its way."""

import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

API = "https://127.0.0.1:6443"
KEPT = ("authorization", "content-type", "accept")
"""Headers that go on to the API server."""


@dataclass(frozen=True)
class Write:
    """A request of the operator that may change something. body: as it was sent; it may hold tokens."""

    number: int
    method: str
    path: str
    body: Any = field(repr=False)

    @property
    def where(self) -> str:
        """Its object: secrets/turnout-keyring."""
        parts = self.path.split("/")
        return "/".join(parts[parts.index("namespaces") + 2 :])

    @property
    def what(self) -> str:
        """What it does, for people: PATCH secrets/turnout-keyring. Pods come and go: without their names."""
        return f"{self.method} {'pods' if self.where.startswith('pods/') else self.where}"


Forward = Callable[[], Awaitable[web.StreamResponse]]
Handle = Callable[[Write, Forward], Awaitable[web.StreamResponse]]


class ApiProxy:
    """A plain HTTP server that passes requests on.

    handle: what is done with each write; it may pass it on or not, answer as it likes, or raise ConnectionError to hang
    up. It runs one write at a time.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._numbers = 0
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False, limit=0),
            timeout=aiohttp.ClientTimeout(),
            skip_auto_headers=["accept-encoding", "content-type"],
        )
        app = web.Application(client_max_size=16 << 20)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End."""
        await self._runner.cleanup()
        await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.method == "GET":
            return await self._forward(request, body)
        self._numbers += 1
        write = Write(self._numbers, request.method, request.path, json.loads(body) if body else None)
        try:
            return await self._handle(write, lambda: self._forward(request, body))
        except ConnectionError:
            if request.transport is not None:
                request.transport.abort()
            raise

    async def _forward(self, request: web.Request, body: bytes) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in KEPT if name in request.headers}
        url, data = API + request.path_qs, body or None
        async with self._session.request(request.method, url, headers=headers, data=data) as answer:
            if request.query.get("watch") != "true":
                return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)
            told = web.StreamResponse(status=answer.status)
            told.content_type = answer.content_type
            await told.prepare(request)
            with contextlib.suppress(aiohttp.ClientConnectionResetError):  # who watched was killed
                async for chunk in answer.content.iter_any():
                    await told.write(chunk)
            return told


def refusal(status: int) -> web.Response:
    """An error as the API server words it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "by a test", "code": status}
    return web.json_response(body, status=status)
