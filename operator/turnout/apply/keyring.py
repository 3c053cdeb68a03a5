"""Tokens: made here, kept in the Secret turnout-keyring, one entry per ScopedKey with all that its rotation needs."""

import logging
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr, TypeAdapter, ValidationError

from turnout.api.scopedkey import TokenState
from turnout.decide.build import Decision
from turnout.decide.ir import canonical
from turnout.decide.issued import Issued, Token
from turnout.decide.rotation import begin, is_emergency, revoke
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

Keyring = Mapping[str, Issued]
_ENTRY = TypeAdapter(Issued)


def mint(owner: str | None, *, now: datetime) -> Token:
    """A new token, Pending, for the ScopedKey with that uid; now is aware UTC."""
    text = SecretStr(PREFIX + secrets.token_urlsafe(TOKEN_BYTES))
    return Token(secrets.token_hex(ID_BYTES), text, now, owner, TokenState.PENDING)


def changed(issued: Keyring, decision: Decision, *, now: datetime) -> dict[str, Issued]:
    """The keyring as a decision wants it: without what is dropped, with new tokens where they are needed at once."""
    result = {name: have for name, have in issued.items() if name not in decision.drop}
    for name in decision.revoke:
        if name in result:
            result[name] = revoke(result[name], now=now)
    for name, key in decision.mint.items():
        have, token = result.get(name, Issued()), mint(key.metadata.uid, now=now)
        if is_emergency(key, have):
            result[name] = begin(key, have, token, emergency=True, now=now)
        else:
            trigger = key.spec.rotation.trigger if key.spec.rotation else None
            result[name] = Issued(have.joined(token).tokens, trigger=trigger, revocation=have.revocation)
    return result


def read(keyring: Mapping[str, Any] | None) -> dict[str, Issued]:
    """What the Secret turnout-keyring holds; nothing if there is none. Raises BrokenStateError."""
    return {name: _read_entry(name, entry) for name, entry in decoded(keyring or {}).items()}


def keyring_secret(namespace: str, issued: Keyring) -> Json:
    """The Secret turnout-keyring. Contains tokens."""
    return secret(namespace, KEYRING, {name: canonical(_entry(have)) for name, have in issued.items()})


async def save(kube: "Kube", live: Mapping[str, Any] | None, namespace: str, issued: Keyring) -> None:
    """Write the keyring, or delete it when nothing is left.

    live: as it was read. Raises ConflictError if it has changed since: whoever did that knows tokens that this would
    forget.
    """
    if not issued:
        if live is not None:
            await kube.delete(live)
        return
    desired = stamped(keyring_secret(namespace, issued))
    if live is not None:
        desired["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    await kube.apply(desired)


def _entry(have: Issued) -> Json:
    entry: Json = _ENTRY.dump_python(have, mode="json", exclude_defaults=True)
    for token, kept in zip(have.tokens, entry.get("tokens", ()), strict=True):
        kept["token"] = token.token.get_secret_value()
    return entry


def _read_entry(name: str, entry: bytes) -> Issued:
    try:
        have = _ENTRY.validate_json(entry)
    except ValidationError:
        have = None
    if have is None or not all(map(_is_ours, have.tokens)):
        # Not with the cause: it may quote a token.
        raise BrokenStateError(f"Secret {KEYRING}: entry {name} is not what Turnout wrote")
    return have.slotted()


def _is_ours(token: Token) -> bool:
    text = token.token.get_secret_value()
    return bool(re.fullmatch("[0-9a-f]+", token.id) and re.fullmatch("[!-~]{20,200}", text) and token.slot >= 0)
