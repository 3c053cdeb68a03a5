"""How a rollout goes, for the live view: a line on where it is, and a row for each gate."""

from datetime import timedelta

from rich.table import Table
from rich.text import Text

from turnout.api import CanaryRollout
from turnout.api.canaryrollout_status import GateVerdict, RolloutPhase
from turnout.api.quantities import format_duration
from turnout.decide.canary.gates import Judgement
from turnout.decide.canary.state import State
from turnout.decide.canary.telling import measure
from turnout.infra.rollout_status import observed_share

COLOURS = {GateVerdict.PASS: "green", GateVerdict.BREACH: "red", GateVerdict.UNDECIDED: ""}
BAD = {RolloutPhase.ROLLED_BACK, RolloutPhase.ABORTED}


def rollout_table(rollout: CanaryRollout, state: State) -> Table:
    """The picture of one rollout."""
    book = state.ledger
    title = Text(f"{rollout.metadata.name}: ", "bold").append(
        state.phase.value, "red" if state.phase in BAD else "bold"
    )
    title.append(f"  {_where(rollout, state)}")
    table = Table(title=title, title_justify="left", expand=False)
    table.add_column("gate")
    for name in (
        f"{rollout.spec.model} ({book.canary.requests})",
        f"baseline ({book.compared.requests})",
        "surely between",
        "allowed",
    ):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for judged in state.judged(rollout) if book.open else ():
        table.add_row(*_row(judged))
    return table


def _where(rollout: CanaryRollout, state: State) -> str:
    if not state.step:
        return state.message
    steps = rollout.spec.steps
    words = f"step {state.step} of {len(steps)}, {state.weight} % wanted"
    share = observed_share(state)
    if share is not None:
        value, bounds = share
        words += f", {100 * value:.3g} % seen ({100 * bounds.low:.3g} to {100 * bounds.high:.3g})"
    left = _left(rollout, state)
    return f"{words}, {format_duration(left)} left" if left else words


def _left(rollout: CanaryRollout, state: State) -> timedelta:
    """Of the step's hold, or of bake."""
    left = max(rollout.spec.hold_of(state.step) - state.held, timedelta())
    return timedelta(seconds=round(left.total_seconds()))


def _row(judged: Judgement) -> list[str | Text]:
    bounds = judged.bounds
    span = "-" if bounds is None else f"{_text(bounds.low)} and {_text(bounds.high)}"
    values = [_text(judged.canary), _text(judged.baseline)]
    verdict = Text(judged.verdict.value, COLOURS[judged.verdict])
    return [judged.gate.value, *values, span, _text(judged.limit), verdict]


def _text(value: float | None) -> str:
    found = measure(value)
    return "-" if found is None else str(found)
