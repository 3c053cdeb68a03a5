"""One chat call by the real openai SDK as its program sees it, put into one word; and the calls that a case takes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx
import openai

from faults.catalogue import Case
from faults.shapes import PRIMARY_SAYS
from faults.stage import FALLBACK_SAYS, Stage
from harness.asking import MESSAGES

PATIENCE = 6.0
"""Seconds that the client waits for the end of an answer."""

CALLS = 3
"""Calls of one case: two failures in a row open a circuit, and the third shows it."""

RAISED = (openai.OpenAIError, httpx.HTTPError, ValueError)
"""What the SDK raises; ValueError is a JSONDecodeError that it lets through."""


class Saw(StrEnum):
    """What the client saw."""

    FALLBACK = "answered by the fallback"
    PRIMARY = "answered by the primary"
    ERROR = "error"
    BROKEN = "raised under way"
    JOINED = "two answers joined"
    WRONG = "no answer, no error"
    HUNG = "hung"


@dataclass(frozen=True)
class Call:
    """One call. primary is None where attempts cannot be counted; detail is for people."""

    saw: Saw
    seconds: float
    primary: int | None
    fallback: int
    status: int | None = None
    detail: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Gateway:
    """Something between the client and the providers, which knows each case as a model of that name."""

    name: str
    base_url: str
    key: str
    headers: Callable[[Case], dict[str, str]] = lambda _: {}

    @asynccontextmanager
    async def sdk(self) -> AsyncIterator[openai.AsyncOpenAI]:
        """The openai client. It does not retry, so that one sees what the gateway says."""
        async with httpx.AsyncClient(verify=False, timeout=PATIENCE + 1) as http:
            yield openai.AsyncOpenAI(base_url=self.base_url, api_key=self.key, max_retries=0, http_client=http)


class _Reading:
    """What has been read of an answer so far."""

    def __init__(self) -> None:
        self.text, self.finish = "", ""
        self.headers: Mapping[str, str] = {}

    async def read(self, client: openai.AsyncOpenAI, case: Case, headers: dict[str, str]) -> None:
        """Ask, and read to the end, as programs do."""
        create: Any = client.chat.completions.with_raw_response.create
        raw = await create(model=case.name, messages=MESSAGES, stream=case.stream, extra_headers=headers)
        self.headers = raw.headers
        if not case.stream:
            choice = raw.parse().choices[0]
            self.text, self.finish = choice.message.content or "", choice.finish_reason or ""
            return
        async for chunk in raw.parse():
            for choice in chunk.choices:
                self.text += choice.delta.content or ""
                self.finish = choice.finish_reason or self.finish

    def saw(self) -> Saw:
        """Of what ended without an exception."""
        if FALLBACK_SAYS in self.text and not self.text.startswith(FALLBACK_SAYS):
            return Saw.JOINED
        if self.finish != "stop":
            return Saw.WRONG
        if self.text.startswith(FALLBACK_SAYS):
            return Saw.FALLBACK
        return Saw.PRIMARY if self.text == PRIMARY_SAYS else Saw.WRONG


async def ask(client: openai.AsyncOpenAI, stage: Stage, case: Case, headers: dict[str, str]) -> Call:
    """One call, and what it was to the providers."""
    before, started, reading = stage.asked(case), time.monotonic(), _Reading()
    status, detail = None, ""
    try:
        async with asyncio.timeout(PATIENCE):
            await reading.read(client, case, headers)
        saw = reading.saw()
        detail = repr(reading.text) if saw is Saw.WRONG else ""
    except (TimeoutError, openai.APITimeoutError):
        saw = Saw.HUNG
    except RAISED as error:
        saw = Saw.BROKEN if reading.text else Saw.ERROR
        status, detail = getattr(error, "status_code", None), type(error).__name__
    except (AttributeError, TypeError, LookupError) as error:
        saw, detail = Saw.WRONG, type(error).__name__  # the SDK has given the program something that is no answer
    seconds = time.monotonic() - started
    (was, spare), (primary, fallback) = before, stage.asked(case)
    asked = None if primary is None or was is None else primary - was
    return Call(saw, seconds, asked, fallback - spare, status, detail, reading.headers)


async def measure(gateway: Gateway, stage: Stage, case: Case) -> list[Call]:
    """The calls of one case, one after the other. A client that hung does not come back."""
    calls: list[Call] = []
    async with gateway.sdk() as client:
        while len(calls) < CALLS and not any(call.saw is Saw.HUNG for call in calls):
            calls.append(await ask(client, stage, case, gateway.headers(case)))
    return calls
