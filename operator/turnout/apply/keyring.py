"""Tokens: made here, kept in the Secret turnout-keyring, one entry per ScopedKey."""

import json
import logging
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from turnout.decide.ir import canonical
from turnout.decide.snapshot import Token
from turnout.errors import BrokenStateError
from turnout.infra.labels import KEYRING, Json
from turnout.infra.objects import decoded, secret
from turnout.infra.ownership import stamped

if TYPE_CHECKING:  # the Kubernetes client takes 0.3 s to import, and `turnout run` never needs it
    from turnout.apply.kube import Kube

log = logging.getLogger(__name__)

PREFIX = "sk-turnout-"
"""What a token begins with: OpenAI's own prefix, which clients and secret scanners know, and whose it is."""
TOKEN_BYTES = 32
"""Random bytes of a token: 256 bits, 43 characters of base64url."""
ID_BYTES = 4
"""Random bytes of a token's public name, 8 hex digits."""

Tokens = Mapping[str, tuple[Token, ...]]


def mint(owner: str | None, *, now: datetime) -> Token:
    """A new token for the ScopedKey with that uid; now is aware UTC."""
    return Token(secrets.token_hex(ID_BYTES), SecretStr(PREFIX + secrets.token_urlsafe(TOKEN_BYTES)), now, owner)


def changed(
    tokens: Tokens, *, mint_for: Mapping[str, str | None], drop: Iterable[str], now: datetime
) -> dict[str, tuple[Token, ...]]:
    """The tokens without those of the dropped names, and with one more for each of mint_for (name → uid)."""
    gone = set(drop)
    result = {name: have for name, have in tokens.items() if name not in gone}
    for name, owner in mint_for.items():
        result[name] = (*result.get(name, ()), mint(owner, now=now))
    return result


def read(keyring: Mapping[str, Any] | None) -> dict[str, tuple[Token, ...]]:
    """The tokens in the Secret turnout-keyring; none if there is none. Raises BrokenStateError."""
    return {name: _read_entry(name, entry) for name, entry in decoded(keyring or {}).items()}


def keyring_secret(namespace: str, tokens: Tokens) -> Json:
    """The Secret turnout-keyring. Contains tokens."""
    entries = {name: canonical({"tokens": [_entry(token) for token in have]}) for name, have in tokens.items()}
    return secret(namespace, KEYRING, entries)


async def save(kube: "Kube", live: Mapping[str, Any] | None, namespace: str, tokens: Tokens) -> None:
    """Write the keyring, or delete it when no token is left.

    live: as the tokens were read from. Raises ConflictError if it has changed since: whoever did that knows tokens that
    this would forget.
    """
    if not tokens:
        if live is not None:
            await kube.delete(live)
        return
    desired = stamped(keyring_secret(namespace, tokens))
    if live is not None:
        desired["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    await kube.apply(desired)


def _entry(token: Token) -> Json:
    issued_at = token.issued_at.astimezone(UTC).isoformat(timespec="seconds")
    entry = {"id": token.id, "token": token.token.get_secret_value(), "issuedAt": issued_at}
    return entry if token.owner is None else {**entry, "owner": token.owner}


def _read_entry(name: str, entry: bytes) -> tuple[Token, ...]:
    try:
        return tuple(_token(**found) for found in json.loads(entry)["tokens"])
    except (ValueError, TypeError, KeyError):
        # Not with the cause: it may quote a token.
        raise BrokenStateError(f"Secret {KEYRING}: entry {name} is not what Turnout wrote") from None


def _token(
    *,
    id: str,  # noqa: A002  the names in the Secret
    token: str,
    issuedAt: str,  # noqa: N803
    owner: str | None = None,
) -> Token:
    if not (re.fullmatch("[0-9a-f]+", id) and re.fullmatch("[!-~]{20,200}", token)):
        raise ValueError("not a token")
    return Token(id, SecretStr(token), datetime.fromisoformat(issuedAt).astimezone(UTC), owner)
