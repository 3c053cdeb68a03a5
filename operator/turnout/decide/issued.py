"""What was issued for a ScopedKey, and where its rotation stands: what the keyring keeps of it. Pure data.

Everything that a rotation needs to go on after a crash is in here; decide.rotation says what comes next.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import count

from pydantic import SecretStr

from turnout.api.scopedkey import TokenState

KNOWN = frozenset({TokenState.PENDING, TokenState.ACTIVE, TokenState.DRAINING})
"""Tokens that routers accept."""


@dataclass(frozen=True)
class Token:
    """One token. Times are aware UTC.

    Attributes:
        owner: the key's uid, if it has one. A key that is deleted and made again has another: what was issued for the
            old one is dead.
        since: when it came into its state; None: with its issue.
        urgent: it was revoked at once, not when nobody used it any more.
        slot: what routers count it by, from 0: no other token of its key has it until this one is gone from the
            keyring. Tokens come and go for ever; what a router has begun to count stays in it as long as it runs.
    """

    id: str
    token: SecretStr
    issued_at: datetime
    owner: str | None = None
    state: TokenState = TokenState.ACTIVE
    since: datetime | None = None
    urgent: bool = False
    slot: int = 0

    @property
    def began(self) -> datetime:
        """When it came into its state."""
        return self.since or self.issued_at

    def turned(self, state: TokenState, now: datetime) -> "Token":
        """The token in another state from now on; in the same one, as it is."""
        return self if self.state is state else replace(self, state=state, since=now)


class Step(StrEnum):
    """Where a rotation stands. Each step is kept before anything is done for it."""

    PROVING = "Proving"
    """The new token is on its way to the routers; programs have the old one."""
    HANDING_OUT = "HandingOut"
    """Every router accepts the new token; it goes into the Secrets."""
    RESTARTING = "Restarting"
    """Every Secret holds it; workloads are restarted, one after the other."""
    GOING_BACK = "GoingBack"
    """Something failed: the old token goes back into the Secrets, and restarted workloads to what they were."""


@dataclass(frozen=True)
class Restart:
    """A workload that was told to restart.

    Attributes:
        before: value of its annotation until then; empty: it had none.
    """

    kind: str
    name: str
    before: str
    at: datetime


@dataclass(frozen=True)
class Rotation:
    """A rotation under way.

    Attributes:
        token: id of the new one.
        since: when the step began.
        emergency: the old token is dead already, dropped at once or at the end of its lifetime: there is no way back.
        restarts: workloads told to restart so far, in order.
        failure: why it goes back.
    """

    token: str
    step: Step
    since: datetime
    emergency: bool = False
    restarts: tuple[Restart, ...] = ()
    failure: str = ""


@dataclass(frozen=True)
class Failure:
    """How the last rotation failed; message is for a person; emergency: the old token is dead, so nothing went back."""

    at: datetime
    message: str
    emergency: bool = False


@dataclass(frozen=True)
class Revocation:
    """A token that every router was seen to refuse.

    Attributes:
        asked_at: when the operator learnt that it must die.
        took_ms: milliseconds from then until the last router refused it.
    """

    token: str
    asked_at: datetime
    took_ms: int


@dataclass(frozen=True)
class Issued:
    """All of one key.

    Attributes:
        tokens: newest last.
        trigger: spec.rotation.trigger when the newest was issued.
        failure: of the last rotation; None: it went well, or there was none.
        revocation: the last token that was dropped at once.
    """

    tokens: tuple[Token, ...] = ()
    rotation: Rotation | None = None
    trigger: str | None = None
    failure: Failure | None = None
    revocation: Revocation | None = None

    @property
    def active(self) -> Token | None:
        """The token that is in use."""
        return next((t for t in reversed(self.tokens) if t.state is TokenState.ACTIVE), None)

    @property
    def current(self) -> Token | None:
        """The token that Secrets shall hold now; None: leave them as they are."""
        rotation = self.rotation
        if rotation is not None and rotation.step in {Step.HANDING_OUT, Step.RESTARTING}:
            return self.find(rotation.token)
        return self.active

    @property
    def known(self) -> tuple[Token, ...]:
        """Those that routers accept."""
        return tuple(t for t in self.tokens if t.state in KNOWN)

    def find(self, token: str) -> Token | None:
        """The token of that id."""
        return next((t for t in self.tokens if t.id == token), None)

    def of(self, owner: str | None) -> "Issued":
        """Only what was issued for the object with that uid."""
        return self.with_tokens(t for t in self.tokens if t.owner == owner)

    def with_tokens(self, tokens: Iterable[Token]) -> "Issued":
        """With other tokens."""
        return replace(self, tokens=tuple(tokens))

    def joined(self, token: Token) -> "Issued":
        """With a token more, the newest, in the lowest slot that is free."""
        return self.with_tokens((*self.tokens, replace(token, slot=_free({t.slot for t in self.tokens}))))

    def slotted(self) -> "Issued":
        """With a slot for each token: those of a keyring that was written before there were any have all the same."""
        taken, seen, tokens = {t.slot for t in self.tokens}, set[int](), []
        for token in self.tokens:
            slot = token.slot if token.slot not in seen else _free(taken)
            taken.add(slot)
            seen.add(slot)
            tokens.append(replace(token, slot=slot))
        return self.with_tokens(tokens)

    def killed(self, now: datetime) -> "Issued":
        """With every token Revoked at once."""
        lives = (t for t in self.tokens if t.state is not TokenState.REVOKED)
        dead = {t.id: replace(t.turned(TokenState.REVOKED, now), urgent=True) for t in lives}
        return self.with_tokens(dead.get(t.id, t) for t in self.tokens)

    def turned(self, state: TokenState, ids: Iterable[str], now: datetime) -> "Issued":
        """With these tokens in another state."""
        chosen = frozenset(ids)
        return self.with_tokens(t.turned(state, now) if t.id in chosen else t for t in self.tokens)


def ids(keyring: Mapping[str, Issued]) -> frozenset[str]:
    """Ids of all tokens that are kept."""
    return frozenset(token.id for have in keyring.values() for token in have.tokens)


def _free(taken: Set[int]) -> int:
    return next(slot for slot in count() if slot not in taken)
