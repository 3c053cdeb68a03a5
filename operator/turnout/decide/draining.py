"""When an old token is revoked, and when it is forgotten. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from turnout.api import ScopedKey
from turnout.api.scopedkey import OnStillUsed, Overlap, TokenState
from turnout.decide.facts import Facts, Uses
from turnout.decide.issued import Issued, Revocation, Token


def drained(key: ScopedKey, issued: Issued, facts: Facts, *, now: datetime) -> Issued:
    """Draining tokens that may go are Revoked: routers are to refuse them.

    None while a Secret may still hold one, because it could not be written: a program that starts next reads it there,
    however unused it is until then. But who wants it revoked though it is used (`onStillUsed`) wants that, too.
    """
    draining = [t for t in issued.tokens if t.state is TokenState.DRAINING]
    rules = overlap(key)
    gone = [t.id for t in draining if is_over(key, t, now) or _is_cut_off(rules, t, now)]
    if facts.handed_out or facts.none_old:
        gone += [t.id for t in draining if may_go(rules, t, facts.uses, now)]
    return issued.turned(TokenState.REVOKED, gone, now)


def may_go(rules: Overlap, token: Token, uses: Uses, now: datetime) -> bool:
    """Whether a draining token may be revoked for being unused.

    After `min`, if routers have seen no request with it for as long. At `max` too if nobody can tell, because routers
    do not answer, and it was not seen lately.
    """
    age, unused = now - token.began, uses.unused_for(token.id)
    if age >= rules.min and unused is not None and unused >= rules.min:
        return True
    return age >= rules.max and unused is None and not still_used(rules, token, uses, now)


def _is_cut_off(rules: Overlap, token: Token, now: datetime) -> bool:
    return rules.on_still_used is OnStillUsed.REVOKE and now - token.began >= rules.max


def still_used(rules: Overlap, token: Token, uses: Uses, now: datetime) -> bool:
    """Whether a draining token was used so recently that it is not revoked for it."""
    return uses.seen_within(token.id, max(rules.min, timedelta(minutes=1)), now)


def is_over(key: ScopedKey, token: Token, now: datetime) -> bool:
    """Whether the token's own lifetime is over: routers refuse it by themselves."""
    return key.spec.lifetime is not None and now >= token.issued_at + key.spec.lifetime


def overlap(key: ScopedKey) -> Overlap:
    """The key's rules for old tokens."""
    return key.spec.rotation.overlap if key.spec.rotation else Overlap()


def forgotten(issued: Issued, refused: frozenset[str], *, now: datetime) -> Issued:
    """Without revoked tokens that every router was seen to refuse; of those that had to die at once, the last is
    remembered as the proof.
    """
    gone = [t for t in issued.tokens if t.state is TokenState.REVOKED and t.id in refused]
    left = issued.with_tokens(t for t in issued.tokens if t not in gone)
    urgent = [t for t in gone if t.urgent]
    if not urgent:
        return left
    last = max(urgent, key=lambda t: (t.began, t.issued_at))
    took = max(now - last.began, timedelta()) // timedelta(milliseconds=1)
    return replace(left, revocation=Revocation(last.id, last.began, took))
