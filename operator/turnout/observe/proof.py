"""Tokens → whether each router accepts them, asked of the routers themselves at GET /v1/auth/verify."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import httpx

from turnout.api.scopedkey import TokenState
from turnout.decide.issued import Token
from turnout.lots import in_lots

PATH = "/auth/verify"
AT_ONCE = 32
"""Questions at one time, over all routers. A guess: a thousand new keys are a thousand questions for each."""
ANSWER_S = 1.0
"""Seconds for a router to answer. A silent one must not keep a revoked key alive on the others."""


@dataclass(frozen=True)
class Proof:
    """Ids of tokens that all routers accept, and that all refuse; the others are unknown, or both."""

    accepted: frozenset[str]
    refused: frozenset[str]


async def prove(
    http: httpx.AsyncClient,
    routers: Sequence[str],
    tokens: Iterable[Token],
    interrupted: Callable[[], bool] = lambda: False,
) -> Proof:
    """Ask every router about every token, first about those that must die. routers: their OPENAI_BASE_URLs; none proves
    nothing. interrupted: whether something is more urgent, seen between two lots; of the rest nothing is known then.
    """

    async def ask(token: Token) -> set[int]:
        return set(await asyncio.gather(*(_status(http, router, token) for router in routers)))

    wanted = sorted(tokens, key=lambda token: token.state is not TokenState.REVOKED)
    lot = max(AT_ONCE // max(len(routers), 1), 1)
    answers = list(zip(wanted, await in_lots(ask, wanted, lot, interrupted), strict=False))
    return Proof(
        frozenset(token.id for token, statuses in answers if statuses == {200}),
        frozenset(token.id for token, statuses in answers if statuses == {401}),
    )


async def _status(http: httpx.AsyncClient, router: str, token: Token) -> int:
    """The answer's status; 0: none came."""
    headers = {"authorization": f"Bearer {token.token.get_secret_value()}"}
    try:
        return (await http.get(router + PATH, headers=headers, timeout=ANSWER_S)).status_code
    except httpx.HTTPError:
        return 0
