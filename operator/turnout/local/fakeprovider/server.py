"""The fake provider's HTTP side, on aiohttp: routes, credential, control path. How answers travel is in delivery."""

import asyncio
import contextlib
import hashlib
import json
import math
import random
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from turnout.local.fakeprovider import answers
from turnout.local.fakeprovider.control import LARGEST_BODY_KEPT, Control, Raw, Seen
from turnout.local.fakeprovider.delivery import Broken, Pace, deliver, fail
from turnout.local.fakeprovider.faults import Fault, Outage, parse

Handler = Callable[[web.Request, dict[str, Any], Fault], Awaitable[web.StreamResponse]]

OK = Fault()

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of a request that are read; twice what the router lets through."""


@dataclass(frozen=True)
class Options:
    """How one fake provider behaves. Times are seconds.

    Attributes:
        port: 0 = one that is free.
        base_path: in front of /chat/completions and so on, such as /v1beta/openai.
        api_key: the credential that requests must bear; None = any, or none.
        models: names that it knows; empty = all.
        latency: before any answer's headers.
        jitter: standard deviation of the logarithm of what latency is multiplied by: with 0.5 one in twenty takes more
            than 2.3 times as long. 0: always the same.
        first_token: further wait before the first content.
        chunk_delay: between pieces.
        error_rate: share of requests, 0 to 1, that are answered with error_status.
    """

    name: str
    host: str = "127.0.0.1"
    port: int = 0
    base_path: str = "/v1"
    api_key: SecretStr | None = None
    models: tuple[str, ...] = ()
    latency: float = 0.05
    jitter: float = 0.0
    first_token: float = 0.0
    chunk_delay: float = 0.02
    error_rate: float = 0.0
    error_status: int = 500
    outage: Outage | None = None
    mode: Fault = OK
    seed: int | None = None
    tls: ssl.SSLContext | None = None


class FakeProvider:
    """One provider on one port: `await start()`, then `await stop()`. The same process may use its control directly."""

    def __init__(self, options: Options) -> None:
        self.options = options
        chance = random.Random(options.seed)  # noqa: S311  (faults, not secrets)
        self.control = Control(options.error_rate, options.error_status, options.outage, chance, options.mode)
        self.port = options.port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The base URL, as a ModelGroup names it."""
        scheme = "https" if self.options.tls else "http"
        return f"{scheme}://{self.options.host}:{self.port}{self.options.base_path}"

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        # Without handler_cancellation a client that hangs up would go unnoticed, and providers do stop working then.
        runner = web.AppRunner(self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.options.host, self.port, ssl_context=self.options.tls)
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self.port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Close everything, held requests too."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        base = self.options.base_path.rstrip("/")
        for path, kind in (("chat/completions", "chat"), ("completions", "text"), ("responses", "responses")):
            app.router.add_post(f"{base}/{path}", self._answer(_generator(kind, self.options)))
        app.router.add_post(f"{base}/embeddings", self._answer(_embeddings))
        app.router.add_get(f"{base}/models", self._models)
        app.router.add_route("*", "/ctl", self._ctl)
        app.router.add_get("/ctl/seen", self._seen)
        app.router.add_route("*", "/{path:.*}", self._unknown)
        return app

    def _answer(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            fault = self.control.next()
            seen, document = self._note(request, body, fault)
            try:
                response: web.StreamResponse | None = self._refusal(request, document)
                if response is None:
                    latency, late = self.options.latency, self._late()
                    response = await fail(request, fault, self.control.raw, latency=latency, late=late)
                if response is None:
                    response = await handler(request, document or {}, fault)
                seen.outcome = "answered"
            except Broken as broken:
                seen.outcome = "broken"
                response = broken.response
            except (asyncio.CancelledError, ConnectionError):
                seen.outcome = "hung-up"
                raise
            finally:
                seen.seconds = round(self.control.elapsed - seen.at, 4)
            return response

        return handle

    def _late(self) -> float:
        jitter = self.options.jitter
        return math.exp(self.control.chance.gauss(0, jitter)) if jitter else 1.0

    def _note(self, request: web.Request, body: bytes, fault: Fault) -> tuple[Seen, dict[str, Any] | None]:
        document = None
        with contextlib.suppress(ValueError):
            document = json.loads(body)
        document = document if isinstance(document, dict) else None
        model = document.get("model") if document else None
        seen = Seen(
            method=request.method, path=request.path_qs, headers=request.headers, model=model,
            stream=bool(document and document.get("stream")), bytes=len(body), sha256=hashlib.sha256(body).hexdigest(),
            body=body.decode(errors="replace") if len(body) <= LARGEST_BODY_KEPT else None,
            mode=str(fault), at=self.control.elapsed,
        )  # fmt: skip
        self.control.seen.append(seen)
        return seen, document

    def _refusal(self, request: web.Request, document: dict[str, Any] | None) -> web.Response | None:
        """What a provider refuses before all else: a wrong credential, a broken body, an unknown model."""
        refusal = self._unauthorized(request)
        if refusal is not None:
            return refusal
        if document is None:
            return _error(400, "We could not parse the JSON body of your request.")
        model = document.get("model")
        if not isinstance(model, str):
            return _error(400, "you must provide a model parameter")
        if self.options.models and model not in self.options.models:
            return _error(404, f"The model `{model}` does not exist or you do not have access to it.")
        return None

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        key = self.options.api_key
        if key is None or secrets.compare_digest(
            request.headers.get("authorization", "").encode(), f"Bearer {key.get_secret_value()}".encode()
        ):
            return None
        return _error(401, "Incorrect API key provided. You can find your API key at the provider's own site.")

    async def _models(self, request: web.Request) -> web.StreamResponse:
        refusal = self._unauthorized(request)
        names = self.options.models or (self.options.name,)
        data = [{"id": n, "object": "model", "created": int(time.time()), "owned_by": self.options.name} for n in names]
        return refusal or web.json_response({"object": "list", "data": data})

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        self._note(request, await request.read(), self.control.next())[0].outcome = "answered"
        return _error(404, f"Invalid URL ({request.method} {request.path})", code="unknown_url")

    async def _ctl(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        try:
            if "mode" in query:
                times, seconds = query.get("times"), query.get("for")
                self.control.set(
                    parse(query["mode"]),
                    times=int(times) if times else None,
                    seconds=float(seconds) if seconds else None,
                )
            if query.get("mode") == "raw":
                content_type = query.get("type", "application/json")
                status = int(query.get("status", "200"))
                self.control.raw = Raw(status, content_type, await request.read(), query.get("then", "end"))
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.Response(text=json.dumps(self.control.state()) + "\n", content_type="application/json")

    async def _seen(self, request: web.Request) -> web.StreamResponse:
        seen = self.control.requests_seen()
        if request.query.get("clear"):
            self.control.seen.clear()
        return web.json_response(seen)


def _error(status: int, message: str, *, code: str | None = None, param: str | None = None) -> web.Response:
    return web.json_response(answers.error(status, message, code=code, param=param), status=status)


def _generator(kind: str, options: Options) -> Handler:
    """The handler of an API that generates text: chat, text or responses."""

    async def generate(request: web.Request, body: dict[str, Any], fault: Fault) -> web.StreamResponse:
        prompt = _prompt(kind, body)
        if prompt is None:
            field = {"chat": "messages", "text": "prompt", "responses": "input"}[kind]
            return _error(400, f"Missing required parameter: '{field}'.", param=field)
        limit = next((body[k] for k in ("max_completion_tokens", "max_tokens", "max_output_tokens") if k in body), None)
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            return _error(400, "Invalid 'max_tokens': an integer of 1 or more is expected.")
        wanted = body.get("stream_options")
        if wanted is not None and not body.get("stream"):
            message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            return _error(400, message, param="stream_options")
        asked = answers.Request(
            kind=kind, id=secrets.token_hex(12), created=int(time.time()), model=body["model"], provider=options.name,
            prompt=prompt, limit=limit,
            usage_in_stream=bool((wanted or {}).get("include_usage")),
        )  # fmt: skip
        pace = Pace(first=options.first_token, gap=options.chunk_delay)
        return await deliver(request, asked, fault, pace, stream=bool(body.get("stream")))

    return generate


def _prompt(kind: str, body: dict[str, Any]) -> str | None:
    """The text of the last message, or of the prompt; None if there is none."""
    if kind == "chat":
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
            return None
        return _text(messages[-1].get("content"))
    given = body.get("prompt" if kind == "text" else "input")
    if isinstance(given, list) and given and isinstance(given[-1], dict):
        return _text(given[-1].get("content"))
    return None if given is None else _text(given)


def _text(content: Any) -> str:
    """Text of a message's content, which may be a list of parts."""
    if isinstance(content, list):
        return " ".join(str(p.get("text", "")) if isinstance(p, dict) else str(p) for p in content)
    return "" if content is None else str(content)


async def _embeddings(_: web.Request, body: dict[str, Any], __: Fault) -> web.StreamResponse:
    given = body.get("input")
    if not given:
        return _error(400, "Missing required parameter: 'input'.")
    texts = given if isinstance(given, list) else [given]
    dimensions = body.get("dimensions") or 8
    vectors = [answers.vector(str(text), dimensions, body.get("encoding_format")) for text in texts]
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    tokens = sum(len(str(text)) // 4 + 1 for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})
