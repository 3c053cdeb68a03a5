"""What routers show of a group's lanes → status.models, and the conditions that quote providers. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from turnout.api import ConditionType
from turnout.api.modelgroup_status import CircuitState
from turnout.api.quantities import format_decimal, format_duration, format_time, parse_duration
from turnout.decide.ir import Group, Member
from turnout.infra.conditions import LONGEST_MESSAGE, Condition, holds
from turnout.infra.health import capped, health, worst
from turnout.infra.labels import Json
from turnout.infra.observation import LaneState, ModelFigures, Observation

FIGURES = (
    *("share", "firstAttemptShare", "requestsPerMinute", "tokensPerMinute", "errorRate", "errors"),
    *("latency", "costPer1kTokens"),
)
"""Fields of status.models that come from measurement over time; they stay as they were until there is enough of it, so
that an operator that starts again changes nothing."""
QUOTING = (ConditionType.PROVIDER_REFUSED, ConditionType.FALLBACK_UNVERIFIED)
"""Conditions whose messages are a provider's words, which may differ each time."""
LONGEST_QUOTE = 300
"""Characters of one provider's words; fewer if many have to fit into one message."""


def model_statuses(group: Group, seen: Observation, old: Mapping[str, Any]) -> list[Json]:
    """status.models in the order of the chain. old: the status so far."""
    before = {entry["name"]: entry for entry in old.get("models") or ()}
    measured = seen.group(group.name)
    return [
        _model(member, seen, None if measured is None else measured.of(member.name), before.get(member.name, {}))
        for member in group.members
    ]


def provider_conditions(group: Group | None, seen: Observation, old: Mapping[str, Any]) -> list[Condition]:
    """Which providers refuse our credential, account or model, and which models failed their last warm-up."""
    if seen.lanes is None:
        known = {c["type"]: c for c in old.get("conditions") or ()}
        return [holds(kind, known[kind]["reason"], known[kind]["message"]) for kind in QUOTING if kind in known]
    refused, unverified = {}, {}
    for member in group.members if group else ():
        lanes = _lanes(seen, member)
        if refusals := [lane.refusal for lane in lanes if lane.refusal]:
            latest = max(refusals, key=lambda refusal: (refusal.at_ms, refusal.message))
            refused[member.name] = f"{latest.status} {latest.message}".rstrip()
        if faults := [(lane.warmed_ms, lane.warm_fault) for lane in lanes if lane.warm_fault is not None]:
            unverified[member.name] = max(faults)[1]
    found = zip(QUOTING, (refused, unverified), strict=True)
    return [holds(kind, kind.value, _quoted(words)) for kind, words in found if words]


def _quoted(words: Mapping[str, str]) -> str:
    """Each model's name with what its provider says, as long as there is room for all of them."""
    names = sum(len(name) + len(": ; ") for name in words)
    room = max(1, min(LONGEST_QUOTE, (LONGEST_MESSAGE - 2 - names) // len(words)))
    return "; ".join(f"{name}: {text if len(text) <= room else f'{text[: room - 1]}…'}" for name, text in words.items())


def _lanes(seen: Observation, member: Member) -> Sequence[LaneState]:
    return seen.by_lane.get(member.lane.id, ())


def _model(member: Member, seen: Observation, measured: ModelFigures | None, known: Mapping[str, Any]) -> Json:
    entry: Json = {"name": member.name}
    lanes = _lanes(seen, member)
    circuit = worst(lanes)
    if seen.lanes is None and "circuit" in known:
        circuit = CircuitState(known["circuit"])
    if circuit is not None:
        entry["circuit"] = circuit.value
    if measured is None:
        found = capped(known.get("health"), circuit)
        figures = {name: known[name] for name in FIGURES if name in known}
    else:
        usual = measured.usual_ms if measured.usual_ms is not None else _known_usual(known)
        found = health(measured, lanes, usual)
        figures = _figures(measured, usual)
    if found is not None:
        entry["health"] = found
    entry |= figures
    warmed = max((lane.warmed_ms for lane in lanes), default=0)
    if warmed or "lastWarmed" in known:
        entry["lastWarmed"] = format_time(datetime.fromtimestamp(warmed / 1000, UTC)) if warmed else known["lastWarmed"]
    return entry


def _figures(model: ModelFigures, usual_ms: Decimal | None) -> Json:
    numbers = {
        "share": model.share,
        "firstAttemptShare": model.first_attempt_share,
        "requestsPerMinute": model.requests_per_minute,
        "tokensPerMinute": model.tokens_per_minute,
        "errorRate": model.error_rate,
        "costPer1kTokens": model.cost_per_1k_tokens,
    }
    entry: Json = {name: format_decimal(value) for name, value in numbers.items() if value is not None}
    if model.errors:
        entry["errors"] = [{"class": kind, "share": format_decimal(share)} for kind, share in model.errors]
    if model.mean_ms is not None and model.p95_ms is not None:
        times = {"mean": model.mean_ms, "p95": model.p95_ms, "firstTokenP95": model.first_token_p95_ms}
        times["usual"] = usual_ms
        entry["latency"] = {name: _duration(value) for name, value in times.items() if value is not None}
    return entry


def _known_usual(known: Mapping[str, Any]) -> Decimal | None:
    """What another operator knew before this one was started, which has not seen enough yet."""
    text = known.get("latency", {}).get("usual")
    return None if text is None else Decimal(parse_duration(text) // timedelta(milliseconds=1))


def _duration(milliseconds: Decimal) -> str:
    return format_duration(timedelta(milliseconds=float(milliseconds)))
