"""ScopedKeys and what was issued for them → the keys that routers know, and what is to be issued or dropped. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from turnout.api import ScopedKey
from turnout.api.scopedkey import TokenState
from turnout.decide.ir import Key
from turnout.decide.issued import Issued, Token
from turnout.decide.rotation import is_dead, is_emergency
from turnout.decide.usage import Usage
from turnout.decide.verdict import Phase

NO_USAGE = Usage()


@dataclass(frozen=True)
class KeyState:
    """One ScopedKey as decided.

    Attributes:
        key: as the user wrote it.
        secret_name: the Secret that programs read the token from.
        expires_at: when the token dies, aware UTC; None: never, or not issued yet.
        token: the one to hand out; None: none is proven yet, or all are dead.
        issued: all tokens that were issued for this very object, and how their rotation stands.
        mint: it needs a token now: its first, or one in place of those that an emergency kills.
        spent: its budget of this month is used up.
        copies: namespace and name of further Secrets; namespace None: the key's own.
        conflicts: names of its Secrets in its own namespace that are somebody else's, so that it must not write them.
    """

    key: ScopedKey
    name: str
    secret_name: str
    phase: Phase
    expires_at: datetime | None
    token: Token | None
    issued: Issued
    mint: bool = False
    spent: bool = False
    copies: tuple[tuple[str | None, str], ...] = ()
    conflicts: frozenset[str] = frozenset()


def key_state(
    key: ScopedKey,
    issued: Issued,
    usage: Usage = NO_USAGE,
    *,
    conflicts: frozenset[str] = frozenset(),
    now: datetime,
) -> KeyState:
    """Where a ScopedKey stands at now (aware UTC). issued: for this very object; usage: of this month; conflicts: see
    KeyState.
    """
    token = issued.current
    expires_at = expiry(key, token or next(reversed(issued.known), None))
    mint = False
    if key.spec.revoked:
        phase, token = Phase.REVOKED, None
    elif is_dead(key, now):
        phase, token = Phase.EXPIRED, None
    else:
        mint = not issued.known or is_emergency(key, issued)
        phase = _living(issued, expires_at, now)
    name, secret = key.metadata.name, secret_name(key)
    copies = tuple((c.namespace, c.name) for c in key.spec.copies)
    return KeyState(key, name, secret, phase, expires_at, token, issued, mint, is_spent(key, usage), copies, conflicts)


def own_secrets(key: ScopedKey) -> tuple[str, ...]:
    """Names of the Secrets in the key's own namespace that its token goes into."""
    own = (None, key.metadata.namespace)
    return (secret_name(key), *(c.name for c in key.spec.copies if c.namespace in own))


def budget(key: ScopedKey) -> Decimal | None:
    """US dollars that it may spend in a month; None: no limit."""
    return key.spec.limits.usd_per_month if key.spec.limits else None


def is_spent(key: ScopedKey, usage: Usage) -> bool:
    """Whether its budget is used up."""
    limit = budget(key)
    return limit is not None and usage.spent >= limit


def _living(issued: Issued, expires_at: datetime | None, now: datetime) -> Phase:
    if issued.current is None:
        return Phase.ROTATING if issued.rotation else Phase.PENDING
    if expires_at is not None and expires_at <= now:
        return Phase.EXPIRED  # its lifetime is over, and it could not be replaced in time; it still will be
    return Phase.ROTATING if issued.rotation else Phase.ACTIVE


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
    """The key as routers know it, once for each token that they accept: nothing for a dead one. Each carries its
    expiry, which the router enforces.
    """
    if state.phase is Phase.REVOKED or (state.phase is Phase.EXPIRED and key.spec.expires_at is not None):
        return ()
    return tuple(
        Key(
            name=key.metadata.name,
            token_id=token.id,
            token=token.token,
            slot=token.slot,
            scopes=tuple(sorted(key.spec.scopes)),
            groups=tuple(sorted(key.spec.model_groups)),
            requests_per_minute=key.spec.limits.requests_per_minute if key.spec.limits else None,
            tokens_per_minute=key.spec.limits.tokens_per_minute if key.spec.limits else None,
            expires_at_ms=int(expires_at.timestamp() * 1000) if expires_at else None,
            spent=state.spent,
        )
        for token in state.issued.known
        for expires_at in (expiry(key, token),)
    )


def to_revoke(keys: tuple[ScopedKey, ...], issued: Mapping[str, Issued]) -> tuple[str, ...]:
    """Names of revoked keys that still have tokens which are not: they are to be marked so, and proven dead."""
    names = (k.metadata.name for k in keys if k.spec.revoked)
    return tuple(sorted(name for name in names if any(_lives(t) for t in issued.get(name, Issued()).tokens)))


def to_drop(keys: tuple[ScopedKey, ...], issued: Mapping[str, Issued], kept: frozenset[str]) -> tuple[str, ...]:
    """Names in the keyring that must go: the key is deleted, or another object of the same name.

    kept: keys that exist but do not parse; what they have stays.
    """
    owners = {k.metadata.name: k.metadata.uid for k in keys}
    return tuple(
        sorted(
            name
            for name, have in issued.items()
            if name not in kept and (name not in owners or have.of(owners[name]) != have)
        )
    )


def _lives(token: Token) -> bool:
    return token.state is not TokenState.REVOKED
