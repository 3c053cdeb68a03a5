"""Verdict, progress and what routers show → the status of each object. Pure; shared by both fronts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from turnout.api import ConditionType, ModelGroup
from turnout.api.quantities import format_decimal, format_time
from turnout.decide.build import Decision
from turnout.decide.canary.state import OVER
from turnout.decide.ir import Group
from turnout.decide.keys import KeyState
from turnout.decide.usage import Ledger
from turnout.decide.verdict import Phase, Verdict
from turnout.infra import conditions
from turnout.infra.conditions import Condition, fails, holds
from turnout.infra.key_status import limit_conditions, rotation_conditions, token_statuses
from turnout.infra.labels import Json
from turnout.infra.model_status import QUOTING, model_statuses, provider_conditions
from turnout.infra.observation import Observation, Programmed
from turnout.infra.rollout_status import rollout_conditions, rollout_fields
from turnout.infra.usage_status import budget_conditions, not_ready, usage_status

RENEWED = {*QUOTING, ConditionType.OLD_TOKEN_STILL_USED, ConditionType.BUDGET_WARNING}
"""Conditions whose message holds figures, or what a provider says now; of a rollout's status that is true of all."""
FIGURES = frozenset(
    {"fallbackShare", "usage", "message", "held", "analysis", "evidence", "missing", "broken", "ledger", "memory"}
)
"""Fields that differ from look to look."""


@dataclass(frozen=True)
class Moment:
    """What the statuses of a namespace have in common.

    Attributes:
        refused: groups that a router refused, with its words.
        url: OPENAI_BASE_URL of the routers.
        now: aware UTC; only for lastTransitionTime.
        unwritten: keys whose Secret could not be written, and why.
        blocked: keys whose rotation cannot begin, and why.
        split: whether routers split the limits of keys.
    """

    decision: Decision
    progress: Programmed
    refused: Mapping[str, str]
    seen: Observation
    url: str
    now: datetime
    unwritten: Mapping[str, str] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)
    split: bool = False


def object_status(verdict: Verdict, spec: ModelGroup | None, moment: Moment, old: Mapping[str, Any]) -> Json:
    """Status of any of the three resources. spec: a ModelGroup's, if it can be read; old: the status so far."""
    match verdict.kind:
        case "ModelGroup":
            return group_status(verdict, spec, moment, old)
        case "ScopedKey":
            return key_status(verdict, moment, old)
        case _:
            return rollout_status(verdict, moment, old)


def group_status(verdict: Verdict, spec: ModelGroup | None, moment: Moment, old: Mapping[str, Any]) -> Json:
    """Status of a ModelGroup. spec: as the user wrote it, if it can be read; old: the status so far, whose figures stay
    while there are no new ones.
    """
    group = moment.decision.router.group(verdict.name)
    if verdict.name in moment.refused:
        verdict = replace(verdict, problem=None)  # nothing is wrong that we know of; it is the router that says no
        moment = replace(moment, progress=replace(moment.progress, rejection=moment.refused[verdict.name]))
    found = [conditions.accepted(verdict), conditions.resolved(verdict)]
    found.append(conditions.programmed(verdict, moment.progress))
    found = [*found, *conditions.summary(verdict, found), *provider_conditions(group, moment.seen, old)]
    status: Json = {
        **_common(verdict, found, moment, old),
        "url": moment.url,
    }
    if spec is not None:
        status |= {"primary": spec.spec.models[0].name, "modelCount": len(spec.spec.models)}
    if group is None:
        return status
    if moment.progress.done:
        status["version"] = moment.progress.version
    status["models"] = model_statuses(group, moment.seen, old)
    share = _fallback_share(group, moment.seen, old)
    return status if share is None else {**status, "fallbackShare": share}


def key_status(verdict: Verdict, moment: Moment, old: Mapping[str, Any]) -> Json:
    """Status of a ScopedKey."""
    state = next((state for state in moment.decision.keys if state.name == verdict.name), None)
    ledger = moment.seen.ledger.at(moment.now) if moment.seen.ledger else None
    found = [conditions.accepted(verdict), conditions.resolved(verdict)]
    found.append(_programmed_key(verdict, state, moment.progress))
    found += _ready_key(verdict, state, found, moment)
    if state is not None:
        found += rotation_conditions(state, moment.blocked.get(verdict.name, ""), moment.seen.uses, moment.now)
        found += limit_conditions(state, moment.progress.routers) if moment.split else []
        found += budget_conditions(state, (ledger or Ledger()).of(verdict.name), moment.now)
    status = _common(verdict, found, moment, old)
    if state is None:
        return status
    status |= {"phase": state.phase.value, "secretName": state.secret_name}
    status |= token_statuses(state, moment.seen.uses, old)
    status |= (
        {"usage": old["usage"]} if ledger is None and "usage" in old else usage_status(verdict.name, ledger or Ledger())
    )
    return {**status, "expiresAt": format_time(state.expires_at)} if state.expires_at else status


def rollout_status(verdict: Verdict, moment: Moment, old: Mapping[str, Any]) -> Json:
    """Status of a CanaryRollout. One that is refused and does not run is as its verdict says, unless it is over; one
    that does not parse stays as it stood.
    """
    found = [conditions.accepted(verdict), conditions.resolved(verdict)]
    rollout, state = moment.decision.rollouts.get(verdict.name, (None, None))
    if rollout is None or state is None:
        return {**old, **_common(verdict, [*found, *conditions.summary(verdict, found)], moment, old)}
    refused = verdict.problem is not None and not state.step and state.phase not in OVER
    found += conditions.summary(verdict, found) if refused else rollout_conditions(rollout, state)
    status = _common(verdict, found, moment, old)
    return {**status, **rollout_fields(rollout, state)}


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two statuses say the same; the API server may order their lists by key."""
    return _ordered(one) == _ordered(other)


def presses(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the new status must be written at once: more differs than figures, or than what a provider says now."""
    return not same(_pressing(old), _pressing(new))


def _pressing(status: Mapping[str, Any]) -> Json:
    models = [{name: m[name] for name in ("name", "circuit") if name in m} for m in status.get("models") or ()]
    found = [
        {name: value for name, value in c.items() if name != "message" or not _renewed(c["type"], status)}
        for c in status.get("conditions") or ()
    ]
    tokens = [{n: value for n, value in token.items() if n != "lastUsedAt"} for token in status.get("tokens") or ()]
    weight = status.get("weight") or {}
    weight = {**{name: weight.get(name) for name in ("desired", "applied")}, "observed": "observed" in weight}
    left = {name: value for name, value in status.items() if name not in FIGURES}
    return {**left, "weight": weight, "models": models, "conditions": found, "tokens": tokens}


def _renewed(kind: str, status: Mapping[str, Any]) -> bool:
    return kind in RENEWED or "ledger" in status


def _ordered(status: Mapping[str, Any]) -> Json:
    lists = {"conditions": "type", "models": "name", "tokens": "id"}
    return {
        name: sorted(value, key=lambda entry, key=lists[name]: entry[key]) if name in lists else value  # type: ignore[misc]
        for name, value in status.items()
        if value != []
    }


def _common(verdict: Verdict, found: Sequence[Condition], moment: Moment, old: Mapping[str, Any]) -> Json:
    stamped = conditions.stamped(found, old.get("conditions") or (), generation=verdict.generation, now=moment.now)
    return {"observedGeneration": verdict.generation, "conditions": stamped}


def _programmed_key(verdict: Verdict, state: KeyState | None, progress: Programmed) -> Condition:
    found = conditions.programmed(verdict, progress)
    if state is None or not found.holds:
        return found
    if state.phase is Phase.PENDING:
        return fails(ConditionType.PROGRAMMED, "Pending", "Its token is being issued.")
    if state.phase in {Phase.ACTIVE, Phase.ROTATING}:
        return found
    return holds(ConditionType.PROGRAMMED, found.reason, "Every ready router refuses it.")


def _ready_key(verdict: Verdict, state: KeyState | None, found: Sequence[Condition], moment: Moment) -> list[Condition]:
    if (unwritten := moment.unwritten.get(verdict.name)) is not None:
        reason = "ApplyFailed"
        return [fails(ConditionType.READY, reason, unwritten), holds(ConditionType.RECONCILING, reason, unwritten)]
    if verdict.problem is None and state is not None and state.phase is Phase.EXPIRED:
        message = f"The key expired at {format_time(state.expires_at) if state.expires_at else ''}; routers refuse it."
        return [fails(ConditionType.READY, "Expired", message), holds(ConditionType.STALLED, "Expired", message)]
    spent = not_ready(state, moment.now) if state is not None and verdict.problem is None else []
    return spent or conditions.summary(verdict, found)


def _fallback_share(group: Group, seen: Observation, old: Mapping[str, Any]) -> str | None:
    measured = seen.group(group.name)
    if measured is None:
        return old.get("fallbackShare")
    return None if measured.fallback_share is None else format_decimal(measured.fallback_share)
