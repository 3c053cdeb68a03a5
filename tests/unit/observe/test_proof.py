"""Whether routers accept tokens: asked of all of them at one time, but never for long."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import httpx
from pydantic import SecretStr

from turnout.api.scopedkey import TokenState
from turnout.decide.issued import Token
from turnout.observe.proof import AT_ONCE, Proof, prove

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ROUTERS = ("http://one/v1", "http://two/v1")


class Routers:
    """Routers that know some tokens.

    Attributes:
        answers: host and token to a status, 0 to none; 200 for all others.
        patience_s: how long an answer is waited for.
        asked: tokens in the order of questions.
        most: questions at one time.
    """

    def __init__(self, **answers: int) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.most = 0
        self.patience_s = 0.0
        self._now = 0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """What one of them says; it takes a moment."""
        token = request.headers["authorization"].removeprefix("Bearer ")
        self.asked.append(token)
        self.patience_s = request.extensions["timeout"]["read"]
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0.001)
        self._now -= 1
        status = self.answers.get(f"{request.url.host}_{token}", 200)
        if not status:
            raise httpx.ReadTimeout("it hangs")
        return httpx.Response(status)

    async def prove(self, tokens: Sequence[Token], interrupted: Callable[[], bool] = lambda: False) -> Proof:
        """What is proven by asking both."""
        async with httpx.AsyncClient(transport=httpx.MockTransport(self.answer)) as http:
            return await prove(http, ROUTERS, tokens, interrupted)


def tokens(*names: str, state: TokenState = TokenState.PENDING) -> list[Token]:
    """Tokens, each of which is its name."""
    return [Token(name, SecretStr(name), NOW, state=state) for name in names]


async def test_only_what_every_router_says_is_proven() -> None:
    """One that disagrees, or does not answer, leaves it open."""
    routers = Routers(one_dead=401, two_dead=401, two_late=401, two_mute=0)
    proof = await routers.prove(tokens("well", "dead", "late", "mute"))
    assert proof == Proof(frozenset({"well"}), frozenset({"dead"}))


async def test_many_questions_go_out_at_one_time_and_not_all() -> None:
    """A thousand, one after the other, would wait for a thousand answers of a router that hangs."""
    routers = Routers()
    names = [f"t{n}" for n in range(AT_ONCE)]
    assert (await routers.prove(tokens(*names))).accepted == set(names)
    assert routers.most == AT_ONCE


async def test_what_is_urgent_does_not_wait_for_a_thousand_proofs() -> None:
    """A lot is asked in any case, or a busy namespace would never get on, and what must die comes first in it."""
    routers = Routers()
    revoked = tokens("leaked", state=TokenState.REVOKED)
    proof = await routers.prove([*tokens(*(f"t{n}" for n in range(100))), *revoked], lambda: True)
    assert routers.asked[0] == "leaked"
    assert len(routers.asked) == AT_ONCE
    assert routers.patience_s <= 1
    assert len(proof.accepted) == AT_ONCE // len(ROUTERS)
