"""Judgements and evidence, as statuses, events and the live view tell them. Pure."""

import math
from decimal import Decimal

from turnout.api.canaryrollout_status import Gate, GateStatus, GateVerdict
from turnout.decide.canary.gates import Judgement

NAMES = {
    Gate.ERROR_RATE: "error rate",
    Gate.MEAN_LATENCY: "mean latency",
    Gate.P95_LATENCY: "p95 latency",
    Gate.COST: "cost per 1,000 tokens",
}


def gate_status(judgement: Judgement) -> GateStatus:
    """As a status has it."""
    bounds = judgement.bounds
    return GateStatus(
        gate=judgement.gate,
        verdict=judgement.verdict,
        baseline=measure(judgement.baseline),
        canary=measure(judgement.canary),
        low=measure(bounds.low) if bounds else None,
        high=measure(bounds.high) if bounds else None,
        limit=measure(judgement.limit),
        message=words(judgement),
    )


def words(judgement: Judgement) -> str:
    """One sentence: what was measured, what it means, what is allowed."""
    name, bounds, limit = NAMES[judgement.gate], judgement.bounds, judgement.limit
    if bounds is None:
        return f"Nothing is sure of the {name}: {judgement.lacks}."
    seen = f"{_value(judgement.gate, judgement.canary)} against {_value(judgement.gate, judgement.baseline)}"
    if judgement.gate is Gate.ERROR_RATE:
        low, high, most = (f"{100 * value:.3g}" for value in (bounds.low, bounds.high, limit))
        span = f"a difference of {low} to {high} percentage points"
    else:
        low, high, most = f"{bounds.low:.3g}", _upto(bounds.high), f"{limit:.3g}"
        span = f"a ratio of {low} to {high}"
    meaning = {
        GateVerdict.BREACH: f"surely more than the {most} allowed",
        GateVerdict.PASS: f"surely not more than the {most} allowed",
        GateVerdict.UNDECIDED: f"{most} allowed",
    }[judgement.verdict]
    return f"The {name} is {seen}, {span}: {meaning}."


def measure(value: float | None) -> Decimal | None:
    """Four significant digits. None for what is not known or infinite."""
    if value is None or math.isinf(value):
        return None
    text = format(Decimal(f"{value:.4g}"), "f")
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _value(gate: Gate, value: float | None) -> str:
    if value is None:
        return "nothing"
    if gate is Gate.ERROR_RATE:
        return f"{100 * value:.3g} %"
    return f"{value:.3g} USD" if gate is Gate.COST else f"{value:.0f} ms"


def _upto(value: float) -> str:
    return "anything" if math.isinf(value) else f"{value:.3g}"
