"""How a key's tokens are replaced: when a rotation begins, and what follows from what was seen. Pure.

       begin             every router accepts         every Secret has it         every workload is back
    ──────────▶ Proving ────────────────────▶ HandingOut ───────────────▶ Restarting ──────────────────▶ over
                                                  │ one is refused            │ one fails
                                                  └───────────▶ GoingBack ◀───┘

Over: the new token is Active and the old one Draining, or, after GoingBack, the other way round. Whatever drains is
revoked as soon as nobody uses it (`decide.draining`). Both tokens are valid all the time, so it does not matter who has
which; if the old one is not, because of an emergency or because its lifetime is over, there is no way back. `advance`
takes one step; the caller keeps what it returns before it acts on it. So a crash repeats an act at most, and every act
says what shall be, not what to change.
"""

import hashlib
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from turnout.api import ScopedKey
from turnout.api.scopedkey import Rotation as RotationRules
from turnout.api.scopedkey import TokenState
from turnout.decide.draining import drained, forgotten, is_over, overlap
from turnout.decide.facts import Facts, Names, Rollout, RolloutState
from turnout.decide.issued import Failure, Issued, Restart, Rotation, Step, Token

JITTER = 0.1
"""Share of its time, at most, by which a key rotates early: keys of one age must not do so at once. A guess."""
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


def span(key: ScopedKey) -> timedelta | None:
    """From a token's issue until time asks for the next: `rotation.every`, or a lifetime's end coming near; None:
    never.
    """
    spans = [key.spec.lifetime * RENEW_AT] if key.spec.lifetime else []
    if key.spec.rotation and key.spec.rotation.every:
        spans.append(key.spec.rotation.every)
    return min(spans, default=None)


def due_at(key: ScopedKey, issued: Issued) -> datetime | None:
    """When time asks for a rotation; None: never."""
    active, every = issued.active, span(key)
    if active is None or every is None:
        return None
    due = active.issued_at + every * (1 - JITTER * _fraction(active.id))
    if issued.failure is None:
        return due
    # No longer than the token lives that programs have.
    dies = active.issued_at + key.spec.lifetime if key.spec.lifetime else None
    return max(due, min(filter(None, (issued.failure.at + min(RETRY, every), dies))))


def triggered(key: ScopedKey, issued: Issued) -> bool:
    """Whether `rotation.trigger` asks for a rotation."""
    trigger = key.spec.rotation.trigger if key.spec.rotation else None
    return trigger is not None and trigger != issued.trigger


def is_dead(key: ScopedKey, now: datetime) -> bool:
    """Whether no router takes any token of it: it is revoked, or its time is over."""
    return key.spec.revoked or (key.spec.expires_at is not None and key.spec.expires_at <= now)


def is_due(key: ScopedKey, issued: Issued, *, now: datetime) -> bool:
    """Whether a rotation shall begin."""
    if issued.rotation or not issued.active or is_dead(key, now):
        return False
    due = due_at(key, issued)
    return triggered(key, issued) or (due is not None and due <= now)


def is_emergency(key: ScopedKey, issued: Issued) -> bool:
    """Whether the old tokens must die at once. A rotation under way is cut short: any of its tokens may be the one."""
    wanted = key.spec.rotation is not None and key.spec.rotation.emergency and triggered(key, issued)
    return wanted and bool(issued.known)


def obstacles(key: ScopedKey, issued: Issued, facts: Facts) -> str:
    """What speaks against beginning, for a person; empty: nothing. Nothing has been changed yet."""
    found = [(names, _obstacle(facts.rollouts.get(names))) for names in consumers(key)]
    words = [f"{kind} '{name}' {obstacle}." for (kind, name), obstacle in found if obstacle]
    if facts.denied:
        words.append(f"{facts.denied}.")
    if len(issued.tokens) >= MOST_TOKENS:
        oldest = min(issued.tokens, key=lambda t: t.issued_at)
        words.append(
            f"It has {MOST_TOKENS} tokens; the oldest, {oldest.id}, is {oldest.state.value} and must go first."
        )
    return " ".join(words)


def begin(key: ScopedKey, issued: Issued, token: Token, *, emergency: bool, now: datetime) -> Issued:
    """Begin a rotation to a new token, which is Pending."""
    if emergency:
        issued = issued.killed(now)
    trigger = key.spec.rotation.trigger if key.spec.rotation else None
    rotation = Rotation(token.id, Step.PROVING, now, emergency=emergency)
    return replace(issued.joined(token), rotation=rotation, trigger=trigger)


def revoke(issued: Issued, *, now: datetime) -> Issued:
    """Every token dies at once."""
    return replace(issued.killed(now), rotation=None)


def take_on(
    key: ScopedKey,
    issued: Issued,
    facts: Facts,
    mint: Callable[[], Token],
    *,
    now: datetime,
    room: Callable[[], bool] = lambda: True,
) -> tuple[Issued, str]:
    """What is to be kept next; and why a rotation that is due cannot begin, for a person.

    mint: a new Pending token; room: whether one may begin now against which nothing else speaks (decide.herd).
    """
    after = advance(key, issued, facts, now=now)
    if not is_due(key, after, now=now):
        return after, ""
    if why := obstacles(key, after, facts):
        return after, why
    if not room():
        return after, ""
    return begin(key, after, mint(), emergency=False, now=now), ""


def usable(issued: Issued, *, now: datetime) -> Issued:
    """With a first token Active, for who cannot ask routers."""
    fresh = [t.id for t in issued.tokens if t.state is TokenState.PENDING] if issued.rotation is None else []
    return issued.turned(TokenState.ACTIVE, fresh, now)


def advance(key: ScopedKey, issued: Issued, facts: Facts, *, now: datetime) -> Issued:
    """What follows from what was seen: at most one step of the rotation, and what becomes of older tokens."""
    issued = _lived(key, issued, now)
    rotation = issued.rotation
    if is_dead(key, now):
        issued = _ended(issued, now)
    elif rotation is None:
        fresh = {t.id for t in issued.tokens if t.state is TokenState.PENDING}
        issued = issued.turned(TokenState.ACTIVE, fresh & facts.accepted, now)
    else:
        issued = _STEPS[rotation.step](key, issued, rotation, facts, now)
    return forgotten(drained(key, issued, facts, now=now), facts.refused, now=now)


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
    # A clock that went back, and may come forward again, must not make it wait for hours.
    draining = (min(t.began, now) + rules.min for t in issued.tokens if t.state is TokenState.DRAINING)
    times += [max(end, now + LOOK_AT_DRAINING) for end in draining]
    return min(times, default=None)


def consumers(key: ScopedKey) -> list[Names]:
    """Workloads that are restarted for a new token, in order."""
    return [(c.kind.value, c.name) for c in key.spec.rotation.consumers] if key.spec.rotation else []


def _lived(key: ScopedKey, issued: Issued, now: datetime) -> Issued:
    """With what follows from lifetimes that are over: routers refuse those tokens, whatever state they are in."""
    over = {t.id for t in issued.tokens if is_over(key, t, now)}
    if not over:
        return issued
    rotation, active = issued.rotation, issued.active
    if rotation is not None and rotation.token in over:
        # Too late for it; the next begins with a token that lives.
        issued = replace(issued, rotation=None) if rotation.step is Step.PROVING else _ended(issued, now)
    elif rotation is not None and not rotation.emergency and active is not None and active.id in over:
        # Nobody must be given the old token any more, and who has it must not wait for others.
        ahead = replace(rotation, emergency=True)
        if rotation.step is Step.GOING_BACK:
            ahead = replace(ahead, step=Step.HANDING_OUT, since=now, restarts=(), failure="")
        issued = replace(issued, rotation=ahead)
    # Nobody ever had one that is still to be proven.
    return issued.with_tokens(t for t in issued.tokens if t.id not in over or t.state is not TokenState.PENDING)


def _proving(_: ScopedKey, issued: Issued, rotation: Rotation, facts: Facts, now: datetime) -> Issued:
    if rotation.token not in facts.accepted:
        return issued
    return _at(issued, rotation, Step.HANDING_OUT, now)


def _handing_out(key: ScopedKey, issued: Issued, rotation: Rotation, facts: Facts, now: datetime) -> Issued:
    # In an emergency the old token is dead: who can have the new one must not wait for others.
    if facts.handed_out or (rotation.emergency and facts.at_home and facts.unwritten):
        restarting = _at(issued, rotation, Step.RESTARTING, now)
        return restarting if consumers(key) else _restarting(key, issued, rotation, facts, now)
    if rotation.emergency:
        return issued
    if facts.denied or (facts.unwritten and now - rotation.since >= HAND_OUT_WITHIN):
        return _back(issued, rotation, facts.denied or facts.unwritten, now)
    return issued


def _restarting(key: ScopedKey, issued: Issued, rotation: Rotation, facts: Facts, now: datetime) -> Issued:
    told = {(r.kind, r.name): r for r in rotation.restarts}
    lacks = rotation.emergency and bool(facts.unwritten)
    failed = [facts.unwritten] if lacks else []
    untold = _untold(key, told.keys(), facts, now)
    if rotation.emergency and untold:  # all at one time: what they have is dead already
        return _telling(issued, rotation, untold)
    for names in consumers(key):
        rollout = facts.rollouts.get(names)
        if rollout is None:
            return issued  # not looked at yet
        if rollout.state is RolloutState.MISSING:
            continue  # deleted meanwhile: nobody is left to restart
        if names not in told:
            return _telling(issued, rotation, untold[:1])
        late = now - told[names].at >= _within(key)
        if rollout.token == rotation.token and rollout.state is RolloutState.DONE:
            continue
        if late or (rollout.token == rotation.token and rollout.state is RolloutState.FAILED):
            failed.append("{} '{}' {}".format(*names, rollout.message or "did not roll out in time"))
            if rotation.emergency:
                continue  # there is nothing to go back to, and the others need the new token
            return _back(issued, rotation, failed[0], now)
        return issued
    if lacks and not facts.denied and now - rotation.since < HAND_OUT_WITHIN:
        return issued
    return _over(issued, rotation, now, Failure(now, "; ".join(failed), rotation.emergency) if failed else None)


def _untold(key: ScopedKey, told: Container[Names], facts: Facts, now: datetime) -> list[Restart]:
    """Workloads that are there and were not told yet, in order."""
    seen = [(n, facts.rollouts[n]) for n in consumers(key) if n not in told and n in facts.rollouts]
    return [Restart(*n, before=r.token, at=now) for n, r in seen if r.state is not RolloutState.MISSING]


def _going_back(key: ScopedKey, issued: Issued, rotation: Rotation, facts: Facts, now: datetime) -> Issued:
    late = [f"{r.kind} '{r.name}'" for r in rotation.restarts if not _is_back(r, facts.rollouts.get((r.kind, r.name)))]
    # Late: the new token drains, and not as long as a Secret may hold it; so who still has it is not cut off.
    if (late or not facts.handed_out) and now - rotation.since < _within(key):
        return issued
    lacks = [] if facts.handed_out else [facts.unwritten or "no time was left for the Secrets"]
    lacks += [f"{name} is not back" for name in late]
    rest = f"; and it could not all be taken back: {'; '.join(lacks)}" if lacks else ""
    return _gone_back(issued, rotation, f"{rotation.failure}{rest}", now)


def _ended(issued: Issued, now: datetime) -> Issued:
    """Of a dead key: no rotation, and no token that nobody has. Others stay, in case expiresAt is edited."""
    rotation = issued.rotation
    if rotation is not None and rotation.step is Step.GOING_BACK:
        issued = _gone_back(issued, rotation, rotation.failure, now)
    elif rotation is not None and rotation.step is not Step.PROVING:
        issued = _over(issued, rotation, now)
    fresh = (t.id for t in issued.tokens if t.state is TokenState.PENDING)
    return replace(issued.turned(TokenState.REVOKED, fresh, now), rotation=None)


_Advance = Callable[[ScopedKey, Issued, Rotation, Facts, datetime], Issued]
_STEPS: dict[Step, _Advance] = {
    Step.PROVING: _proving,
    Step.HANDING_OUT: _handing_out,
    Step.RESTARTING: _restarting,
    Step.GOING_BACK: _going_back,
}


def _at(issued: Issued, rotation: Rotation, step: Step, now: datetime) -> Issued:
    return replace(issued, rotation=replace(rotation, step=step, since=now))


def _telling(issued: Issued, rotation: Rotation, restarts: Sequence[Restart]) -> Issued:
    return replace(issued, rotation=replace(rotation, restarts=(*rotation.restarts, *restarts)))


def _over(issued: Issued, rotation: Rotation, now: datetime, failure: Failure | None = None) -> Issued:
    old = (t.id for t in issued.tokens if t.state is TokenState.ACTIVE)
    done = issued.turned(TokenState.DRAINING, old, now).turned(TokenState.ACTIVE, [rotation.token], now)
    return replace(done, rotation=None, failure=failure)


def _gone_back(issued: Issued, rotation: Rotation, why: str, now: datetime) -> Issued:
    back = issued.turned(TokenState.DRAINING, [rotation.token], now)
    return replace(back, rotation=None, failure=Failure(now, why))


def _back(issued: Issued, rotation: Rotation, why: str, now: datetime) -> Issued:
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
    return (key.spec.rotation or RotationRules()).rollout_timeout


def _fraction(token: str) -> float:
    """Always the same number from 0 to 1 for a token."""
    return int.from_bytes(hashlib.sha256(token.encode()).digest()[:4], "big") / 2**32
