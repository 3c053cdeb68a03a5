"""Tokens → whether each router accepts them, asked of the routers themselves at GET /v1/auth/verify."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import httpx

from turnout.decide.issued import Token

PATH = "/auth/verify"
AT_ONCE = 32
"""Questions at one time, over all routers. A guess: a thousand new keys are a thousand questions for each."""


@dataclass(frozen=True)
class Proof:
    """Ids of tokens that all routers accept, and that all refuse; the others are unknown, or both."""

    accepted: frozenset[str]
    refused: frozenset[str]


async def prove(http: httpx.AsyncClient, routers: Sequence[str], tokens: Iterable[Token]) -> Proof:
    """Ask every router about every token. routers: their OPENAI_BASE_URLs; none proves nothing."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(router: str, token: Token) -> int:
        async with gate:
            return await _status(http, router, token)

    wanted = tuple(tokens)
    answers = [await asyncio.gather(*(ask(router, token) for router in routers)) for token in wanted]
    told = list(zip(wanted, answers, strict=True))
    return Proof(
        frozenset(token.id for token, statuses in told if statuses and set(statuses) == {200}),
        frozenset(token.id for token, statuses in told if statuses and set(statuses) == {401}),
    )


async def _status(http: httpx.AsyncClient, router: str, token: Token) -> int:
    """The answer's status; 0: none came."""
    headers = {"authorization": f"Bearer {token.token.get_secret_value()}"}
    try:
        return (await http.get(router + PATH, headers=headers)).status_code
    except httpx.HTTPError:
        return 0
