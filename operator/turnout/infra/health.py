"""Figures, circuit and warm-ups of a model → its health in percent, and the worst circuit of all routers. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from turnout.api.modelgroup_status import CircuitState
from turnout.infra.observation import LaneState, ModelFigures

TOLERANCE = Decimal("1.5")
"""How many times its usual a model may take before its health suffers. A guess: prompts differ."""
AT_MOST: Mapping[CircuitState | None, int] = {CircuitState.OPEN: 0, CircuitState.HALF_OPEN: 50}
"""Health that a circuit allows for, if it is not closed."""
_WORST = (CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED)


def score(*, failed: Decimal, per_answer_ms: Decimal | None, usual_ms: Decimal | None) -> int:
    """The formula: 100 × share of attempts that did not fail × min(1, 1.5 × usual ÷ time per answer), 0 to 100.

    100 is as always. 50 is that half of the attempts fail, or that answers take three times as long as they usually do.
    The last factor is 1 as long as either time is unknown.

    >>> score(failed=Decimal("0.02"), per_answer_ms=Decimal(500), usual_ms=Decimal(400))
    98
    >>> score(failed=Decimal(0), per_answer_ms=Decimal(1200), usual_ms=Decimal(400))
    50
    """
    speed = Decimal(1)
    if per_answer_ms and usual_ms:
        speed = min(speed, TOLERANCE * usual_ms / per_answer_ms)
    return round(100 * (1 - failed) * speed)


def health(model: ModelFigures, lanes: Sequence[LaneState], usual_ms: Decimal | None) -> int | None:
    """Health of a model, 0 to 100; None: nothing was asked of it, so nobody can tell.

    It is `score`; without traffic in the last minutes, the share of routers whose last warm-up went well. A circuit
    that is open on any router makes it 0, one that is half-open at most 50.

    lanes: the model's lane as each router sees it; usual_ms: what an answer usually takes.
    """
    warmed = [lane for lane in lanes if lane.warmed_ms]
    found: int | None = None
    if model.error_rate is not None:
        found = score(failed=model.error_rate, per_answer_ms=model.per_answer_ms, usual_ms=usual_ms)
    elif warmed:
        failed = Decimal(sum(lane.warm_fault is not None for lane in warmed)) / len(warmed)
        found = score(failed=failed, per_answer_ms=None, usual_ms=None)
    return capped(found, worst(lanes))


def capped(found: int | None, circuit: CircuitState | None) -> int | None:
    """What a circuit leaves of a health. An open one is all that has to be known."""
    if circuit is CircuitState.OPEN:
        return AT_MOST[circuit]
    return None if found is None else min(found, AT_MOST.get(circuit, 100))


def worst(lanes: Sequence[LaneState]) -> CircuitState | None:
    """The worst circuit; None: no router has the lane."""
    return min((lane.circuit for lane in lanes), key=_WORST.index, default=None)
