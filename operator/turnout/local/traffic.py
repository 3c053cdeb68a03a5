"""Made-up requests for `turnout run --speed`: a day that passes in a minute needs its requests in that minute."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import httpx

from turnout.decide.ir import Router

CALLERS = 8
"""Requests at a time; fake providers answer each in about a twentieth of a second."""
PAUSE_S = 0.5
MESSAGES = [{"role": "user", "content": "A made-up request, so that there is something to measure."}]


async def make_traffic(url: str, router: Callable[[], Router]) -> None:
    """Call every group that has a rollout under way, for ever. url: OPENAI_BASE_URL; router: what runs now."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        await asyncio.gather(*(_call(http, url, router) for _ in range(CALLERS)))


async def _call(http: httpx.AsyncClient, url: str, router: Callable[[], Router]) -> None:
    while True:
        answered = [await _answers(http, url, group, token) for group, token in list(_calls(router()))]
        if not any(answered):  # nobody is to be called, or whoever is refuses at once
            await asyncio.sleep(PAUSE_S)


async def _answers(http: httpx.AsyncClient, url: str, group: str, token: str) -> bool:
    body = {"model": group, "messages": MESSAGES, "max_tokens": 3}
    with contextlib.suppress(httpx.HTTPError):
        answer = await http.post(f"{url}/chat/completions", json=body, headers={"authorization": f"Bearer {token}"})
        return answer.is_success
    return False


def _calls(router: Router) -> Iterator[tuple[str, str]]:
    """Groups with a canary, each with a token of a key that may call it."""
    for group in router.groups:
        keys = [
            key
            for key in router.keys
            if {"*", group.name} & set(key.groups) and {"*", "chat:create"} & set(key.scopes) and not key.spent
        ]
        if group.canary is not None and keys:
            yield group.name, keys[0].token.get_secret_value()
