"""Load at a steady rate, whatever becomes of the answers: a request whenever one is due, as many at once as it takes.

Times count from the moment a request was due, so that a program that is held up hides nothing.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp

from harness.manifests import token

LONGEST_WAIT = aiohttp.ClientTimeout(total=30)
BODY = json.dumps({"model": "assistant", "messages": [{"role": "user", "content": "Say hello."}]})
HEADERS = {"content-type": "application/json", "authorization": f"Bearer {token('app')}"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: when it was due and how long it took, in seconds; its status, 0 without an answer; who answered."""

    due: float
    took: float
    status: int
    model: str

    @property
    def failed(self) -> bool:
        """Whether the client saw an error."""
        return self.status != 200


Ask = Callable[[aiohttp.ClientSession], Awaitable[tuple[int, str]]]
"""One request as a client makes it: the status that it saw last, and who answered."""


def through(router: str, model: str = "assistant") -> Ask:
    """The client of a router: it asks once, and does not retry."""
    url, body = f"{router}/v1/chat/completions", BODY.replace("assistant", model)

    async def ask(session: aiohttp.ClientSession) -> tuple[int, str]:
        return await _post(session, url, body)

    return ask


def in_order(providers: Sequence[str]) -> Ask:
    """The client that helps itself: every provider in order until one answers; each base URL is a name."""

    async def ask(session: aiohttp.ClientSession) -> tuple[int, str]:
        status = 0
        for base in providers:
            status, _ = await _post(session, f"{base}/chat/completions", BODY)
            if status == 200:
                return status, base
        return status, ""

    return ask


async def _post(session: aiohttp.ClientSession, url: str, body: str) -> tuple[int, str]:
    try:
        async with session.post(url, data=body, headers=HEADERS) as answer:
            whole = await answer.read()
            good = answer.status == 200 and b'"choices"' in whole
            return answer.status if good or answer.status != 200 else 0, answer.headers.get("x-turnout-model", "")
    except (aiohttp.ClientError, TimeoutError):
        return 0, ""


async def steady(ask: Ask, *, rate: float, seconds: float, began: float) -> list[Call]:
    """So many requests a second from `began` on (time.monotonic()); returns when all have come to an end."""
    calls: list[Call] = []

    async def one(session: aiohttp.ClientSession, due: float) -> None:
        status, model = await ask(session)
        calls.append(Call(due - began, time.monotonic() - due, status, model))

    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=LONGEST_WAIT) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for number in range(round(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.create_task(one(session, due))
    return sorted(calls, key=lambda call: call.due)


def quantile(calls: Sequence[Call], share: float) -> float:
    """Milliseconds within which that share of the calls had come to an end; NaN without calls."""
    took = sorted(call.took for call in calls)
    return took[min(len(took) - 1, int(share * len(took)))] * 1000 if took else float("nan")
