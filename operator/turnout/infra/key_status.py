"""What was issued for a key, how its rotation stands, what its limits come to → its tokens and conditions. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from turnout.api import ConditionType
from turnout.api.quantities import format_time
from turnout.api.scopedkey import OnStillUsed, TokenState
from turnout.decide.draining import overlap, still_used
from turnout.decide.facts import Uses
from turnout.decide.issued import Step, Token
from turnout.decide.keys import KeyState
from turnout.decide.verdict import Phase
from turnout.infra.conditions import Condition, holds
from turnout.infra.labels import Json

STEPS = {
    Step.PROVING: "Every router is asked whether it accepts the new token {token}.",
    Step.HANDING_OUT: "The new token {token} is written to the Secrets.",
    Step.RESTARTING: "Workloads are restarted for the new token {token}: {names}.",
    Step.GOING_BACK: "The old token is put back: {failure}.",
}


def token_statuses(state: KeyState, uses: Uses, old: Mapping[str, Any]) -> Json:
    """Fields of the status. old: the status so far, whose times of last use stay while nothing newer is seen."""
    known = {token["id"]: token.get("lastUsedAt") for token in old.get("tokens") or ()}
    dead = state.phase in {Phase.REVOKED, Phase.EXPIRED} and state.token is None
    tokens = (t.turned(TokenState.REVOKED, t.began) if dead else t for t in reversed(state.issued.tokens))
    fields: Json = {"tokens": [_token(t, uses, known.get(t.id)) for t in tokens]}
    if revocation := state.issued.revocation:
        asked_at = format_time(revocation.asked_at)
        fields["lastRevocation"] = {"token": revocation.token, "askedAt": asked_at, "tookMs": revocation.took_ms}
    return fields


def rotation_conditions(state: KeyState, blocked: str, uses: Uses, now: datetime) -> list[Condition]:
    """Conditions that hold. blocked: why a rotation that is due cannot begin; empty: it can."""
    issued, found = state.issued, []
    if rotation := issued.rotation:
        names = ", ".join(f"{r.kind} '{r.name}'" for r in rotation.restarts) or "none yet"
        words = STEPS[rotation.step].format(token=rotation.token, names=names, failure=rotation.failure.rstrip("."))
        found.append(holds(ConditionType.ROTATING, rotation.step.value, words))
    if blocked:
        words = f"A rotation is due and cannot begin; nothing was changed. {blocked}"
        found.append(holds(ConditionType.ROTATION_BLOCKED, "Obstacle", words))
    if failure := issued.failure:
        reason = "OldTokenRevoked" if failure.emergency else "RolledBack"
        found.append(holds(ConditionType.ROTATION_FAILED, reason, failure.message))
    rules = overlap(state.key)
    late = [t for t in issued.tokens if t.state is TokenState.DRAINING and now - t.began >= rules.max]
    used = [t for t in late if still_used(rules, t, uses, now) and rules.on_still_used is OnStillUsed.WAIT]
    if used:
        words = f"It is not revoked while it is used. {' '.join(_use(t, uses, now) for t in used)}"
        found.append(holds(ConditionType.OLD_TOKEN_STILL_USED, "StillUsed", words))
    return found


def limit_conditions(state: KeyState, routers: int) -> list[Condition]:
    """Whether so many routers, which split it, leave nothing of a limit."""
    limits = state.key.spec.limits
    limit = limits.requests_per_minute if limits else None
    if limit is None or limit >= routers:
        return []
    words = (
        f"limits.requestsPerMinute is {limit}, and {routers} routers share it: no part is a whole request, so each "
        "gets 429. Raise it, or give the operator a rate limit service (TURNOUT_RATE_LIMIT_SERVICE)."
    )
    return [holds(ConditionType.LIMIT_BELOW_ROUTERS, "NothingPasses", words)]


def _use(token: Token, uses: Uses, now: datetime) -> str:
    since = max(token.began, now - timedelta(hours=1))
    count, last = uses.requests_since(token.id, since), format_time(uses.last[token.id])
    return f"Token {token.id}: {count} requests seen since {format_time(since)}, the last at {last}."


def _token(token: Token, uses: Uses, before: str | None) -> Json:
    status = {"id": token.id, "state": token.state.value, "issuedAt": format_time(token.issued_at)}
    last = uses.last.get(token.id)
    # To the minute: a status is written no more often for it. Never back: a new operator may see what was seen before.
    seen = format_time(last.replace(second=0, microsecond=0)) if last else None
    used = max(filter(None, (seen, before)), default=None)
    return {**status, "lastUsedAt": used} if used else status
