"""How a key's tokens are replaced: when a rotation begins, and what follows from what was seen. Pure.

       begin             every router accepts         every Secret has it         every workload is back
    ──────────▶ Proving ────────────────────▶ HandingOut ───────────────▶ Restarting ──────────────────▶ over
                                                  │ one is refused            │ one fails
                                                  └───────────▶ GoingBack ◀───┘

Over: the new token is Active and the old one Draining, or, after GoingBack, the other way round. Whatever drains is
revoked as soon as nobody uses it (`decide.draining`). Both tokens are valid all the time, so it does not matter who has
which. `advance` takes one step; the caller keeps what it returns before it acts on it. So a crash repeats an act at
most, and every act says what shall be, not what to change.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from turnout.api import ScopedKey
from turnout.api.scopedkey import Consumer, TokenState
from turnout.decide.draining import drained, forgotten, overlap
from turnout.decide.facts import Facts, Rollout, RolloutState
from turnout.decide.issued import Failure, Issued, Restart, Rotation, Step, Token

JITTER = 0.1
"""Share of `rotation.every`, at most, by which a key rotates early: keys of one age must not do so at once. A guess."""
RENEW_AT = 2 / 3
"""Share of a token's lifetime after which it is replaced. Source: cert-manager's default for certificates."""
RETRY = timedelta(hours=1)
"""How long a rotation that failed is left alone, if it is not asked for by a new trigger. A guess."""
MOST_TOKENS = 8
"""Tokens of one key at a time; the next rotation waits until an old one is gone."""
HAND_OUT_WITHIN = timedelta(minutes=1)
"""How long Secrets may fail to be written, for reasons that may pass, before a rotation goes back. A guess."""
LOOK = timedelta(seconds=1)
"""Between two looks at what a rotation waits for."""
LOOK_AT_DRAINING = timedelta(seconds=5)
"""Between two looks at whether an old token is still used; routers are asked as often."""


def due_at(key: ScopedKey, issued: Issued) -> datetime | None:
    """When time asks for a rotation: `rotation.every`, or a lifetime's end coming near; None: never."""
    active = issued.active
    if active is None:
        return None
    spans = [key.spec.lifetime * RENEW_AT] if key.spec.lifetime else []
    if key.spec.rotation and key.spec.rotation.every:
        spans.append(key.spec.rotation.every * (1 - JITTER * _fraction(active.id)))
    if not spans:
        return None
    due = active.issued_at + min(spans)
    return max(due, issued.failure.at + min(RETRY, *spans)) if issued.failure else due


def triggered(key: ScopedKey, issued: Issued) -> bool:
    """Whether `rotation.trigger` asks for a rotation."""
    trigger = key.spec.rotation.trigger if key.spec.rotation else None
    return trigger is not None and trigger != issued.trigger


def is_due(key: ScopedKey, issued: Issued, *, now: datetime) -> bool:
    """Whether a rotation shall begin."""
    if issued.rotation or not issued.active or len(issued.tokens) >= MOST_TOKENS:
        return False
    due = due_at(key, issued)
    return triggered(key, issued) or (due is not None and due <= now)


def is_emergency(key: ScopedKey, issued: Issued) -> bool:
    """Whether the old token must die at once. A rotation under way is cut short: its old token may be the one."""
    if not (key.spec.rotation and key.spec.rotation.emergency and triggered(key, issued)):
        return False
    return bool(issued.known) and not (issued.rotation and issued.rotation.emergency)


def obstacles(key: ScopedKey, facts: Facts) -> str:
    """What speaks against beginning, for a person; empty: nothing. Nothing has been changed yet."""
    found = [(c, facts.rollouts.get((c.kind.value, c.name))) for c in consumers(key)]
    words = [f"{c.kind.value} '{c.name}' {_obstacle(rollout)}." for c, rollout in found if _obstacle(rollout)]
    return " ".join([*words, f"{facts.denied}."] if facts.denied else words)


def begin(key: ScopedKey, issued: Issued, token: Token, *, emergency: bool, now: datetime) -> Issued:
    """Begin a rotation to a new token, which is Pending."""
    if emergency:
        issued = issued.turned(TokenState.REVOKED, (t.id for t in issued.tokens), now)
    trigger = key.spec.rotation.trigger if key.spec.rotation else None
    rotation = Rotation(token.id, Step.PROVING, now, emergency=emergency)
    return replace(issued, tokens=(*issued.tokens, token), rotation=rotation, trigger=trigger)


def revoke(issued: Issued, *, now: datetime) -> Issued:
    """Every token dies at once."""
    return replace(issued.turned(TokenState.REVOKED, (t.id for t in issued.tokens), now), rotation=None)


def take_on(
    key: ScopedKey, issued: Issued, facts: Facts, mint: Callable[[], Token], *, now: datetime
) -> tuple[Issued, str]:
    """What is to be kept next; and why a rotation that is due cannot begin, for a person. mint: a new Pending token."""
    after = advance(key, issued, facts, now=now)
    if not is_due(key, after, now=now):
        return after, ""
    if why := obstacles(key, facts):
        return after, why
    return begin(key, after, mint(), emergency=False, now=now), ""


def usable(issued: Issued, *, now: datetime) -> Issued:
    """With a first token Active, for who cannot ask routers."""
    fresh = [t.id for t in issued.tokens if t.state is TokenState.PENDING] if issued.rotation is None else []
    return issued.turned(TokenState.ACTIVE, fresh, now)


def advance(key: ScopedKey, issued: Issued, facts: Facts, *, now: datetime) -> Issued:
    """What follows from what was seen: at most one step of the rotation, and what becomes of older tokens."""
    rotation = issued.rotation
    if rotation is None:
        fresh = {t.id for t in issued.tokens if t.state is TokenState.PENDING}
        issued = issued.turned(TokenState.ACTIVE, fresh & facts.accepted, now)
    else:
        issued = _STEPS[rotation.step](key, issued, rotation, facts, now)
    return forgotten(drained(key, issued, facts.uses, now=now), facts.refused, now=now)


def in_motion(key: ScopedKey, issued: Issued, *, now: datetime) -> bool:
    """Whether anything is to be looked at, or done, beyond publishing what there is."""
    settled = all(token.state is TokenState.ACTIVE for token in issued.tokens)
    return issued.rotation is not None or not settled or is_due(key, issued, now=now)


def unproven(issued: Issued) -> tuple[Token, ...]:
    """Tokens of which routers are to be asked whether they accept them."""
    return tuple(t for t in issued.tokens if t.state in {TokenState.PENDING, TokenState.REVOKED})


def look_at(key: ScopedKey, issued: Issued, *, now: datetime) -> datetime | None:
    """When to look again, if nothing happens before; None: never."""
    times = [due for due in (due_at(key, issued),) if due is not None and due > now]
    if issued.rotation or unproven(issued) or is_due(key, issued, now=now):
        times.append(now + LOOK)
    rules = overlap(key)
    draining = (t.began + rules.min for t in issued.tokens if t.state is TokenState.DRAINING)
    times += [max(end, now + LOOK_AT_DRAINING) for end in draining]
    return min(times, default=None)


def consumers(key: ScopedKey) -> tuple[Consumer, ...]:
    """Workloads that are restarted for a new token."""
    return key.spec.rotation.consumers if key.spec.rotation else ()


def _proving(_: ScopedKey, issued: Issued, rotation: Rotation, facts: Facts, now: datetime) -> Issued:
    if rotation.token not in facts.accepted:
        return issued
    return _at(issued, rotation, Step.HANDING_OUT, now)


def _handing_out(key: ScopedKey, issued: Issued, rotation: Rotation, facts: Facts, now: datetime) -> Issued:
    if facts.handed_out:
        return _at(issued, rotation, Step.RESTARTING, now) if consumers(key) else _over(issued, rotation, now)
    if rotation.emergency:
        return issued  # the old token is dead: to write on is all that helps
    if facts.denied or now - rotation.since >= HAND_OUT_WITHIN:
        why = facts.denied or "Secrets could not be written for a minute"
        return _back(issued, rotation, why, now)
    return issued


def _restarting(key: ScopedKey, issued: Issued, rotation: Rotation, facts: Facts, now: datetime) -> Issued:
    told = {(r.kind, r.name): r for r in rotation.restarts}
    for consumer in consumers(key):
        name = (consumer.kind.value, consumer.name)
        rollout = facts.rollouts.get(name)
        if rollout is None:
            return issued  # not looked at yet
        if rollout.state is RolloutState.MISSING:
            continue  # deleted meanwhile: nobody is left to restart
        if name not in told:
            restart = Restart(*name, before=rollout.token, at=now)
            return replace(issued, rotation=replace(rotation, restarts=(*rotation.restarts, restart)))
        late = now - told[name].at >= _within(key)
        if rollout.token == rotation.token and rollout.state is RolloutState.DONE:
            continue
        if late or (rollout.token == rotation.token and rollout.state is RolloutState.FAILED):
            why = rollout.message or "did not roll out in time"
            return _back(issued, rotation, f"{consumer.kind.value} '{consumer.name}' {why}", now)
        return issued
    return _over(issued, rotation, now)


def _going_back(key: ScopedKey, issued: Issued, rotation: Rotation, facts: Facts, now: datetime) -> Issued:
    late = now - rotation.since >= _within(key)  # the new token drains, so who still has it is not cut off
    if not facts.handed_out and not late:
        return issued
    if all(
        _is_back(restart, facts.rollouts.get((restart.kind, restart.name))) or late for restart in rotation.restarts
    ):
        back = issued.turned(TokenState.DRAINING, [rotation.token], now)
        return replace(back, rotation=None, failure=Failure(now, rotation.failure))
    return issued


_Advance = Callable[[ScopedKey, Issued, Rotation, Facts, datetime], Issued]
_STEPS: dict[Step, _Advance] = {
    Step.PROVING: _proving,
    Step.HANDING_OUT: _handing_out,
    Step.RESTARTING: _restarting,
    Step.GOING_BACK: _going_back,
}


def _at(issued: Issued, rotation: Rotation, step: Step, now: datetime) -> Issued:
    return replace(issued, rotation=replace(rotation, step=step, since=now))


def _over(issued: Issued, rotation: Rotation, now: datetime, failure: Failure | None = None) -> Issued:
    old = (t.id for t in issued.tokens if t.state is TokenState.ACTIVE)
    done = issued.turned(TokenState.DRAINING, old, now).turned(TokenState.ACTIVE, [rotation.token], now)
    return replace(done, rotation=None, failure=failure)


def _back(issued: Issued, rotation: Rotation, why: str, now: datetime) -> Issued:
    if rotation.emergency:  # there is nothing to go back to
        return _over(issued, rotation, now, Failure(now, why))
    return replace(issued, rotation=replace(rotation, step=Step.GOING_BACK, since=now, failure=why))


def _is_back(restart: Restart, rollout: Rollout | None) -> bool:
    if rollout is None:
        return False
    return rollout.state is RolloutState.MISSING or (
        rollout.token == restart.before and rollout.state is RolloutState.DONE
    )


def _obstacle(rollout: Rollout | None) -> str:
    if rollout is None:
        return "was not looked at yet"
    return "does not exist" if rollout.state is RolloutState.MISSING else rollout.obstacle


def _within(key: ScopedKey) -> timedelta:
    return key.spec.rotation.rollout_timeout if key.spec.rotation else timedelta()


def _fraction(token: str) -> float:
    """Always the same number from 0 to 1 for a token."""
    return int.from_bytes(hashlib.sha256(token.encode()).digest()[:4], "big") / 2**32
