"""Slots of tokens: by them routers count, so that what they count is bounded."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from harness.manifests import key, snapshot
from turnout.api import ScopedKey
from turnout.api.scopedkey import TokenState
from turnout.decide.build import decide
from turnout.decide.facts import Facts
from turnout.decide.issued import Issued, Token, ids
from turnout.decide.rotation import advance, begin

NOW = datetime(2026, 11, 20, tzinfo=UTC)
KEY = ScopedKey.parse(key("app", rotation={"trigger": "now", "emergency": True}))


def token(name: str) -> Token:
    """A new token of that id."""
    return Token(name, SecretStr(f"sk-turnout-{name}"), NOW, state=TokenState.PENDING)


def slots(issued: Issued) -> dict[str, int]:
    """Id → slot of each token."""
    return {t.id: t.slot for t in issued.tokens}


@given(st.lists(st.integers(0, 9), max_size=60))
def test_a_token_keeps_its_slot_for_life_and_nobody_else_has_it(steps: list[int]) -> None:
    """Whatever comes and goes: no slot is higher than there were tokens at one time."""
    issued, most = Issued(), 0
    for number, step in enumerate(steps):
        before = slots(issued)
        if step < len(issued.tokens):
            issued = issued.with_tokens(t for t in issued.tokens if t is not issued.tokens[step])
        else:
            issued = issued.joined(token(str(number)))
        after = slots(issued)
        assert all(after.get(name, slot) == slot for name, slot in before.items())
        most = max(most, len(after))
        assert len(set(after.values())) == len(after)
        assert all(slot < most for slot in after.values())


def test_a_slot_is_free_when_every_router_refuses_its_token() -> None:
    """Not when the token is only marked as revoked: a router may still count requests with it."""
    issued = begin(KEY, Issued((token("old").turned(TokenState.ACTIVE, NOW),)), token("new"), emergency=True, now=NOW)
    assert slots(issued) == {"old": 0, "new": 1}
    assert slots(begin(KEY, issued, token("third"), emergency=True, now=NOW)) == {"old": 0, "new": 1, "third": 2}
    refused = advance(KEY, issued, Facts(refused=frozenset({"old"})), now=NOW)
    assert slots(begin(KEY, refused, token("third"), emergency=True, now=NOW)) == {"new": 1, "third": 0}


def test_routers_are_told_the_slots() -> None:
    """Those of the keyring, whatever the order of the tokens."""
    issued = Issued().joined(token("a")).joined(token("b")).joined(token("c"))
    left = issued.with_tokens(t for t in reversed(issued.tokens) if t.id != "b")
    namespace = replace(snapshot(key("app")), issued={"app": left})
    assert [(k.token_id, k.slot) for k in decide(namespace, None, now=NOW).router.keys] == [("a", 0), ("c", 2)]
    assert ids({"app": left, "billing": Issued((token("d"),))}) == {"a", "c", "d"}
