"""The faults: how providers fail, each for a JSON answer and for a stream. What should come of them: `expected`."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from faults import shapes as s
from harness.wire import DONE, END, ROLE, Step, Steps, completion, event, head, stream, whole

LATE = 2.0
"""Seconds: later than every deadline of the table, and sooner than the client gives up."""

TOMORROW = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)
"""The tests may be collected more than an hour before the last of them runs."""

_SPOKEN = stream(*s.SPOKEN)
_CHUNK = {"object": "chat.completion.chunk", "choices": [], "usage": None}

LATE_COMMENTS = [piece for _ in range(80) for piece in (s.COMMENT, 0.1)]
LATE_BLANKS = [piece for _ in range(80) for piece in (b"\n", 0.1)]
LATE_EMPTIES = [piece for _ in range(20) for piece in (s.EMPTY, 0.1)]


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    Attributes:
        key: its short name, also the first part of the provider's path.
        says: it in words, for people.
        document, stream: what the provider does where JSON or a stream was asked for; None: has no such form.
        url: where else than at the provider of bytes it is; a format with the ports `refusing`, `deaf`, `http`.
    """

    key: str
    says: str
    document: Steps | None = None
    stream: Steps | None = None
    url: str | None = None

    @property
    def counted(self) -> bool:
        """Whether attempts reach the provider of bytes, which counts them."""
        return self.url is None


@dataclass(frozen=True)
class Case:
    """A fault, and whether a stream is asked for."""

    fault: Fault
    stream: bool

    @property
    def name(self) -> str:
        """Unique; also the name of the provider's scene, of the model and of the group."""
        return f"{self.fault.key}-{'stream' if self.stream else 'document'}"

    @property
    def steps(self) -> Steps | None:
        """What the provider does."""
        return self.fault.stream if self.stream else self.fault.document


def _both(key: str, says: str, steps: Steps) -> Fault:
    return Fault(key, says, steps, steps)


def _refuses(key: str, says: str, status: int, body: dict[str, Any], **headers: str) -> Fault:
    return _both(key, says, whole(body, status, **headers))


def _at(key: str, says: str, url: str) -> Fault:
    return Fault(key, says, [], [], url)


_CONNECTION = (
    _at("refused", "connection refused", "http://127.0.0.1:{refusing}/v1"),
    _at("black-hole", "connection attempts vanish", "http://127.0.0.1:{deaf}/v1"),
    _at("no-tls", "no TLS where TLS is expected", "https://127.0.0.1:{http}/v1"),
    _both("closed", "closed before headers", [Step.CUT]),
    _both("reset", "reset before headers", [Step.RESET]),
    _both("half-headers", "closed within headers", [head()[:30], Step.CUT]),
    Fault("closed-after-headers", "closed after headers", s.unfinished(b"", Step.CUT), stream(Step.CUT)),
    Fault("reset-after-headers", "reset after headers", s.unfinished(b"", Step.RESET), stream(Step.RESET)),
    _both("not-http", "another protocol than HTTP", [b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", Step.CUT]),
    Fault("bad-chunk", "broken chunk framing", [head() + b"zz\r\n"], [head(kind="text/event-stream") + b"zz\r\n"]),
)

_SILENCE = (
    _both("silent", "takes the request, says nothing", [Step.STALL]),
    Fault("late-headers", "headers after the deadline", [LATE, *whole(s.ANSWER)], [LATE, *_SPOKEN]),
    Fault("late-content", "headers at once, content late", s.unfinished(b"", LATE, s.TEXT), stream(LATE, *s.SPOKEN)),
    Fault("late-token", "role at once, first token late", stream=stream(ROLE, LATE, *s.SPOKEN[1:])),
    Fault("only-headers", "headers, then silence", s.unfinished(b"", Step.STALL), stream(Step.STALL)),
    Fault("only-role", "role chunk, then silence", stream=stream(ROLE, Step.STALL)),
    Fault(
        "keep-alive", "keep-alives without end", stream(*LATE_BLANKS, kind="application/json"), stream(*LATE_COMMENTS)
    ),
    Fault("keep-alive-silence", "keep-alives, then silence", stream=stream(s.KEEP_ALIVE, s.KEEP_ALIVE, Step.STALL)),
    Fault("only-empty", "empty pieces of content, then silence", stream=stream(ROLE, *LATE_EMPTIES, Step.STALL)),
)

_STATUS = (
    _refuses("500", "500", 500, s.OPENAI),
    _both("502", "502, an HTML page", s.page(s.OF_NGINX, 502)),
    _refuses("503", "503", 503, s.OVERLOADED),
    _refuses("503-after", "503 with Retry-After", 503, s.OVERLOADED, retry_after="60"),
    _both("504", "504 without a body", whole(b"", 504)),
    _both("524", "524, an HTML page", s.page(s.OF_CLOUDFLARE, 524)),
    _refuses("529", "529 overloaded (Anthropic)", 529, s.ANTHROPIC),
    _refuses("408", "408", 408, s.openai("Request timed out.", "timeout")),
    _refuses("409", "409", 409, s.openai("Conflict. Try again.", "conflict")),
    _both("302", "302 to a page for people", whole(b"", 302, location="/sign-in")),
)

_RESET = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "1m0s"}

_LIMITS = (
    _refuses("429", "429 without a time", 429, s.RATE_LIMIT),
    _refuses("429-seconds", "429, Retry-After in seconds", 429, s.RATE_LIMIT, retry_after="60"),
    _refuses("429-date", "429, Retry-After as a date", 429, s.RATE_LIMIT, retry_after=TOMORROW),
    _refuses("429-ms", "429, retry-after-ms", 429, s.RATE_LIMIT, retry_after_ms="60000"),
    _refuses("429-reset", "429, x-ratelimit-reset-requests", 429, s.RATE_LIMIT, **_RESET),
    _refuses("429-quota", "429 insufficient_quota", 429, s.QUOTA),
)

_OURS = (
    _refuses("401", "401, our key", 401, s.WRONG_KEY),
    _refuses("402", "402, our balance", 402, s.NO_BALANCE),
    _refuses("403", "403, our region", 403, s.NO_REGION),
    _refuses("404", "404, our model", 404, s.NO_MODEL),
)

_CLIENTS = (
    _refuses("400", "400, the client's own", 400, s.BAD_VALUE),
    _refuses("413", "413, the client's own", 413, s.openai("Request too large.", "invalid_request_error")),
    _refuses("422", "422, the client's own", 422, s.MISTRAL),
)

_NO_ANSWER = (
    _both("html", "200 with an HTML page", s.page(s.SIGN_IN, 200)),
    Fault("garbage", "200, broken JSON", whole(b'{"id": "\xff", "choices": [}'), stream(b'data: {"choices": [}\n\n')),
    Fault("half", "200, half the JSON, clean end", whole(s.HALF), stream(s.FIRST[:40])),
    Fault("half-cut", "200, half the JSON, closed", s.unfinished(s.HALF, Step.CUT), stream(s.FIRST[:40], Step.CUT)),
    Fault("half-silence", "200, half the JSON, silence", s.unfinished(s.HALF, Step.STALL)),
    _both("nothing", "200 without a body", whole(b"")),
    Fault("no-events", "a stream without events", stream=stream()),
    _both("204", "204", [b"HTTP/1.1 204 No Content\r\n\r\n"]),
    Fault("no-content", "empty completion", whole(completion("")), stream(ROLE, END, DONE)),
    Fault(
        "no-choices", "empty choices", whole({**s.ANSWER, "choices": []}), stream(event({**s.ANSWER, **_CHUNK}), DONE)
    ),
    Fault("only-done", "[DONE] at once", stream=stream(DONE)),
    Fault("not-a-stream", "JSON where a stream was asked for", stream=whole(s.ANSWER)),
    Fault("not-json", "a stream where JSON was asked for", document=_SPOKEN),
)

_ERRORS_IN_200 = (
    Fault("error-openai", "error in a 200 (OpenAI)", whole(s.OPENAI), stream(event(s.OPENAI), DONE)),
    Fault("error-anthropic", "error in a 200 (Anthropic)", whole(s.ANTHROPIC), stream(s.ANTHROPIC_EVENT)),
    Fault("error-gemini", "error in a 200 (Gemini)", whole(s.GEMINI), stream(event(s.GEMINI))),
    Fault(
        "error-gemini-list",
        "error in a 200 (Gemini, in a list)",
        whole(json.dumps([s.GEMINI]).encode()),
        stream(event([s.GEMINI])),
    ),
    Fault(
        "error-openrouter",
        "error in a 200 (OpenRouter)",
        whole(s.OPENROUTER),
        stream(s.COMMENT, event(s.OPENROUTER_CHUNK), DONE),
    ),
    Fault("error-in-choice", "error in a choice (OpenRouter)", whole({**s.ANSWER, "choices": [s.ERROR_IN_CHOICE]})),
    Fault("error-after-role", "role chunk, then an error", stream=stream(ROLE, event(s.OPENAI))),
)

_BEGUN = (ROLE, s.FIRST, 0.2)
"""The first token has reached the client before the fault strikes."""

_UNDER_WAY = (
    Fault("cut", "closed after the first token", stream=stream(*_BEGUN, Step.CUT)),
    Fault("cut-reset", "reset after the first token", stream=stream(*_BEGUN, Step.RESET)),
    Fault("cut-clean", "clean end after the first token", stream=stream(*_BEGUN)),
    Fault("cut-half", "clean end within an event", stream=stream(*_BEGUN, s.SECOND[:40])),
    Fault("stall", "silence after the first token", stream=stream(*_BEGUN, Step.STALL)),
    Fault("error-under-way", "error after the first token", stream=stream(*_BEGUN, event(s.OPENAI))),
)

_GZIPPED = s.zipped(b"".join(s.SPOKEN), "text/event-stream")
_FEW_LARGE, _MANY_SMALL = s.padding(13, 8000), s.padding(300, 1)

_ODD = (
    Fault("gzip", "gzip that nobody asked for", s.zipped(s.TEXT, "application/json"), _GZIPPED),
    Fault(
        "wrong-type",
        "content type text/plain",
        whole(s.ANSWER, kind="text/plain"),
        stream(*s.SPOKEN, kind="text/plain"),
    ),
    Fault("huge-headers", "100 KB of headers", whole(s.ANSWER, **_FEW_LARGE), stream(*s.SPOKEN, **_FEW_LARGE)),
    Fault("many-headers", "300 headers", whole(s.ANSWER, **_MANY_SMALL), stream(*s.SPOKEN, **_MANY_SMALL)),
    Fault("well", "nothing wrong", whole(s.ANSWER), _SPOKEN),
)

GROUPS: dict[str, tuple[Fault, ...]] = {
    "The connection": _CONNECTION,
    "Silence": _SILENCE,
    "Statuses": _STATUS,
    "The provider's limits": _LIMITS,
    "Our credential, account, model": _OURS,
    "The client's own mistakes": _CLIENTS,
    "200, and no answer": _NO_ANSWER,
    "Errors in a 200": _ERRORS_IN_200,
    "After the first token": _UNDER_WAY,
    "Odd, and yet": _ODD,
}
"""All faults, under headings for people."""

CASES = tuple(
    case
    for faults in GROUPS.values()
    for fault in faults
    for case in (Case(fault, stream=False), Case(fault, stream=True))
    if case.steps is not None
)
