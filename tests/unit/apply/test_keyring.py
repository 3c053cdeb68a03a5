"""Tokens: how they are made, kept, and read back."""

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from harness.manifests import key, snapshot
from turnout.api.scopedkey import TokenState
from turnout.apply import keyring
from turnout.decide.build import decide
from turnout.decide.issued import Failure, Issued, Restart, Revocation, Rotation, Step, Token
from turnout.errors import BrokenStateError

NOW = datetime(2026, 11, 20, 12, 30, 15, 250_000, tzinfo=UTC)


def test_a_token_is_long_and_hides_itself() -> None:
    """256 bits behind a prefix that clients and scanners know; neither repr nor str shows it. It is not proven yet."""
    token = keyring.mint(None, now=NOW)
    text = token.token.get_secret_value()
    assert re.fullmatch(r"sk-turnout-[A-Za-z0-9_-]{43}", text)
    assert re.fullmatch("[0-9a-f]{8}", token.id)
    assert text not in f"{token!r} {token}"
    assert keyring.mint(None, now=NOW) != token
    assert token.state is TokenState.PENDING


def test_the_keyring_reads_back_what_it_wrote() -> None:
    """Every token, and all that a rotation needs to go on, to the millisecond."""
    old = replace(keyring.mint("uid", now=NOW), state=TokenState.DRAINING, since=NOW + timedelta(hours=1))
    new = replace(keyring.mint("uid", now=NOW), slot=1)
    rotation = Rotation(new.id, Step.GOING_BACK, NOW, True, (Restart("Deployment", "app", "aa", NOW),), "it failed")
    whole = Issued((old, new), rotation, "2026-11-22", Failure(NOW, "before"), Revocation("bb", NOW, 730))
    issued = {"whole": whole, "plain": Issued((keyring.mint(None, now=NOW),)), "revoked": Issued()}
    assert keyring.read(keyring.keyring_secret("ai", issued)) == issued
    assert keyring.read(None) == {}


def test_a_keyring_without_slots_is_read_with_slots() -> None:
    """One of before there were any: always the same, and those that are written beside it are nobody else's."""
    old, new, newest = (keyring.mint("uid", now=NOW) for _ in range(3))
    document = keyring.keyring_secret("ai", {"app": Issued((old, new, newest))})
    assert "slot" not in base64.b64decode(document["data"]["app"]).decode()
    for _ in range(2):
        read = keyring.read(document)["app"]
        assert [t.slot for t in read.tokens] == [0, 1, 2]
    left = read.with_tokens(read.tokens[1:])
    assert keyring.read(keyring.keyring_secret("ai", {"app": left})) == {"app": left}
    mixed = Issued((old, new, replace(newest, slot=1)))
    assert [t.slot for t in keyring.read(keyring.keyring_secret("ai", {"app": mixed}))["app"].tokens] == [0, 2, 1]


def test_what_a_decision_asks_for_is_done_to_the_keyring() -> None:
    """A new key gets a first token, a deleted one is forgotten, and one that is revoked has only revoked tokens."""
    given = snapshot(key("new"), key("leaked", revoked=True))
    have = {"leaked": given.issued["leaked"], "gone": Issued((keyring.mint(None, now=NOW),))}
    found = keyring.changed(have, decide(replace(given, issued=have), None, now=NOW), now=NOW)
    assert set(found) == {"new", "leaked"}
    assert [t.state for t in found["new"].tokens] == [TokenState.PENDING]
    assert [(t.state, t.since) for t in found["leaked"].tokens] == [(TokenState.REVOKED, NOW)]
    again = decide(replace(given, issued=found), None, now=NOW)
    assert again.is_settled
    assert [k.name for k in again.router.keys] == ["new"]


@pytest.mark.parametrize(
    "entry",
    [
        "no json",
        '{"tokens": [{"id": "x"}]}',
        '{"tokens": [{"id": "aa", "token": "", "issued_at": "2026-01-01T00:00Z"}]}',
        '{"tokens": [{"id": "aa", "token": "sk-turnout-0123456789012", "issued_at": "2026-01-01T00:00Z", "slot": -1}]}',
    ],
)
def test_a_keyring_of_somebody_else_is_an_error(entry: str) -> None:
    """Issuing anew would cut every program off; the message names the entry and never quotes it."""
    data = {"app": base64.b64encode(entry.encode()).decode()}
    with pytest.raises(BrokenStateError, match="entry app") as raised:
        keyring.read({"data": data})
    assert raised.value.__context__ is None


def test_a_token_never_leaves_the_keyring_by_a_repr() -> None:
    """Whatever is logged of it."""
    token = Token("aa", SecretStr("sk-turnout-0123456789012345"), NOW)
    assert "0123456789" not in repr(Issued((token,)))
