"""ScopedKeys and their tokens → the keys that routers know, and what is to be issued or dropped. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from turnout.api import ScopedKey
from turnout.decide.ir import Key
from turnout.decide.snapshot import Token
from turnout.decide.verdict import Phase


@dataclass(frozen=True)
class KeyState:
    """One ScopedKey as decided.

    Attributes:
        secret_name: the Secret that programs read the token from.
        expires_at: when the token dies, aware UTC; None: never, or not issued yet.
        token: the one to hand out; None: not issued yet, or dead.
    """

    name: str
    secret_name: str
    phase: Phase
    expires_at: datetime | None
    token: Token | None


def key_state(key: ScopedKey, tokens: tuple[Token, ...], *, now: datetime) -> KeyState:
    """Where a ScopedKey stands at now (aware UTC)."""
    token = tokens[-1] if tokens else None
    expires_at = expiry(key, token)
    if key.spec.revoked:
        phase, token = Phase.REVOKED, None
    elif expires_at is not None and expires_at <= now:
        phase, token = Phase.EXPIRED, None
    else:
        phase = Phase.ACTIVE if token else Phase.PENDING
    return KeyState(key.metadata.name, secret_name(key), phase, expires_at, token)


def own_tokens(key: ScopedKey, tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Those of the tokens under a key's name that were issued for this very object."""
    return tuple(t for t in tokens if t.owner == key.metadata.uid)


def secret_name(key: ScopedKey) -> str:
    """The Secret that the key's token goes into: spec.secretName, else the key's own name."""
    return key.spec.secret_name or key.metadata.name


def expiry(key: ScopedKey, token: Token | None) -> datetime | None:
    """When the token dies: spec.expiresAt, or spec.lifetime after its issue; None: never."""
    if key.spec.expires_at is not None:
        return key.spec.expires_at.astimezone(UTC)
    if key.spec.lifetime is not None and token is not None:
        return token.issued_at + key.spec.lifetime
    return None


def router_keys(key: ScopedKey, state: KeyState) -> tuple[Key, ...]:
    """The key as routers know it: nothing for a dead one. A living one carries its expiry; the router enforces it."""
    if state.token is None:
        return ()
    return (
        Key(
            name=key.metadata.name,
            token_id=state.token.id,
            token=state.token.token,
            scopes=tuple(sorted(key.spec.scopes)),
            groups=tuple(sorted(key.spec.model_groups)),
            requests_per_minute=key.spec.limits.requests_per_minute if key.spec.limits else None,
            tokens_per_minute=key.spec.limits.tokens_per_minute if key.spec.limits else None,
            expires_at_ms=int(state.expires_at.timestamp() * 1000) if state.expires_at else None,
        ),
    )


def tokens_to_drop(
    keys: tuple[ScopedKey, ...], tokens: Mapping[str, tuple[Token, ...]], kept: frozenset[str]
) -> tuple[str, ...]:
    """Names in the keyring whose tokens must go: the key is deleted, revoked (if it comes back, with a new token), or
    another object of the same name.

    kept: keys that exist but do not parse; what they have stays.
    """
    alive = {k.metadata.name: k for k in keys if not k.spec.revoked}
    return tuple(
        sorted(
            name
            for name, have in tokens.items()
            if name not in kept and (name not in alive or len(own_tokens(alive[name], have)) < len(have))
        )
    )
