"""Tokens: how they are made, kept, and read back."""

import base64
import re
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from turnout.apply import keyring
from turnout.decide.snapshot import Token
from turnout.errors import BrokenStateError

NOW = datetime(2026, 11, 20, 12, 30, 15, tzinfo=UTC)


def test_a_token_is_long_and_hides_itself() -> None:
    """256 bits behind a prefix that clients and scanners know; neither repr nor str shows it."""
    token = keyring.mint(None, now=NOW)
    text = token.token.get_secret_value()
    assert re.fullmatch(r"sk-turnout-[A-Za-z0-9_-]{43}", text)
    assert re.fullmatch("[0-9a-f]{8}", token.id)
    assert text not in f"{token!r} {token}"
    assert keyring.mint(None, now=NOW) != token


def test_the_keyring_reads_back_what_it_wrote() -> None:
    """Every token, with its id and the moment of its issue."""
    tokens = keyring.changed({}, mint_for={"app": "uid-1", "billing": None}, drop=[], now=NOW)
    assert keyring.read(keyring.keyring_secret("ai", tokens)) == tokens
    assert keyring.read(None) == {}


def test_minting_adds_and_dropping_forgets() -> None:
    """A second token stands behind the first; a dropped name is gone whatever it had."""
    first = Token("aa", SecretStr("sk-turnout-0123456789012345"), NOW)
    found = keyring.changed({"app": (first,), "gone": (first,)}, mint_for={"app": None}, drop=["gone"], now=NOW)
    assert list(found) == ["app"]
    assert found["app"][0] is first
    assert len(found["app"]) == 2


@pytest.mark.parametrize(
    "entry",
    ["no json", "{}", '{"tokens": [{"id": "x"}]}', '{"tokens": [{"id": "aa", "token": "", "issuedAt": "2026"}]}'],
)
def test_a_keyring_of_somebody_else_is_an_error(entry: str) -> None:
    """Issuing anew would cut every program off; the message names the entry and never quotes it."""
    data = {"app": base64.b64encode(entry.encode()).decode()}
    with pytest.raises(BrokenStateError, match="entry app") as raised:
        keyring.read({"data": data})
    assert raised.value.__suppress_context__
