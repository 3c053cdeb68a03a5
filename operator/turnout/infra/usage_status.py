"""What a key has used → its status and its conditions. Pure."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal

from turnout.api import ConditionType
from turnout.api.quantities import format_decimal, format_time
from turnout.api.scopedkey import MOST_MODELS
from turnout.decide.keys import KeyState, budget
from turnout.decide.usage import NOTHING, Ledger, Usage, Use, next_month
from turnout.infra.conditions import Condition, fails, holds
from turnout.infra.labels import Json

WARN_AT = Decimal("0.8")
"""Share of a budget from which on a condition warns."""


def usage_status(name: str, ledger: Ledger) -> Json:
    """The field `usage` of a key's status; nothing if nothing was used this month."""
    usage = ledger.of(name)
    if ledger.day is None or not usage.month:
        return {}
    today = _period(usage.today, ledger.day)
    return {"usage": {"today": today, "month": _period(usage.month, ledger.day.replace(day=1))}}


def budget_conditions(state: KeyState, usage: Usage, now: datetime) -> list[Condition]:
    """Conditions that hold because of what was spent this month."""
    limit = budget(state.key)
    if limit is None or usage.spent < limit * WARN_AT:
        return []
    told = f"{_dollars(usage.spent)} of {_dollars(limit)} USD are spent this month"
    kind = ConditionType.BUDGET_WARNING
    if not state.spent:
        return [holds(kind, "NearlySpent", f"{told}; at 100 % the key gets no answers until the month ends.")]
    until = format_time(next_month(now))
    words = f"{told}; routers answer 429 insufficient_quota until {until}, or until limits.usdPerMonth is raised."
    return [holds(kind, "Spent", words)]


def not_ready(state: KeyState, now: datetime) -> list[Condition]:
    """Why a key whose budget is used up is not ready."""
    words = f"Its budget of this month is used up; it works again from {format_time(next_month(now))} on."
    reason = "BudgetSpent"
    return (
        [fails(ConditionType.READY, reason, words), holds(ConditionType.STALLED, reason, words)] if state.spent else []
    )


def _period(found: Mapping[tuple[str, str], Use], since: date) -> Json:
    dearest = sorted(found.items(), key=lambda item: (-item[1].nano_usd, -item[1].tokens, item[0]))[:MOST_MODELS]
    models = [{"group": group, "model": model, **_use(use)} for (group, model), use in dearest]
    began = format_time(datetime.combine(since, time(), UTC))
    used = {"since": began, **_use(sum(found.values(), NOTHING))}
    return {**used, "models": models} if models else used


def _use(use: Use) -> Json:
    return {"requests": use.requests, "tokens": use.tokens, "usd": _dollars(use.usd)}


def _dollars(amount: Decimal) -> str:
    return format_decimal(amount.normalize())
