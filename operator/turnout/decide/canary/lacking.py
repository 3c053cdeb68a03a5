"""What keeps a step from ending whose hold is over: reason and message. Pure.

No step ends for lack of data. A person may promote without: what routers do must be known then too, but not what the
gates say of it, nor need there be any requests.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

from turnout.api.canaryrollout_status import Gate
from turnout.decide.canary.state import State
from turnout.decide.canary.telling import words
from turnout.decide.canary.turn import Turn

FRESH = timedelta(seconds=30)
"""How old the last look may be when a step ends. A guess: a few looks."""
Lack = tuple[str, str] | None
"""Reason and message; None: it lacks nothing."""
Check = Callable[[Turn, State], Lack]


def lacking(turn: Turn, state: State) -> Lack:
    """The first thing that keeps it."""
    passed = _passed_over(turn, state)
    return _first(turn, state, [check for check in _CHECKS if not (passed and check in _JUDGING)])


def unjudged(turn: Turn, state: State) -> Lack:
    """What would keep it if it were not promoted by a person."""
    return _first(turn, state, _JUDGING)


def _passed_over(turn: Turn, state: State) -> bool:
    """Whether a person promotes it, whatever was measured. If promote left steps out, bake is still asked for."""
    spec = turn.rollout.spec
    return spec.promote and not (spec.bake and turn.left_out(state))


def _ways(turn: Turn) -> str:
    """How a person ends the step without."""
    return "take promote back, or set bake to 0s" if turn.rollout.spec.promote else "or set promote"


def _first(turn: Turn, state: State, checks: Sequence[Check]) -> Lack:
    return next((lack for check in checks if (lack := check(turn, state))), None)


def _unseen(turn: Turn, state: State) -> Lack:
    """Not all routers said something that makes sense, just now."""
    book = state.ledger
    if book.broken.now:
        return "MeasurementBroken", f"A measurement makes no sense: {book.broken.words}."
    if book.missing.silent:
        names = ", ".join(sorted(book.missing.silent)[:3])
        return "EvidenceMissing", f"{len(book.missing.silent)} routers did not answer the last look: {names}."
    if book.looked_at is None or not book.open or abs(turn.now - book.looked_at) > FRESH:
        return "EvidenceMissing", "Routers were not looked at lately."
    return None


def _incomparable(turn: Turn, state: State) -> Lack:
    """The last step has only what the baseline did before, and that is nothing, or not enough."""
    book, least = state.ledger, turn.rollout.spec.gates.min_requests
    if not book.alone or book.earlier.requests >= least:
        return None
    by_hand = turn.rollout.spec.promote
    measure, leave = ("take promote back", "set bake to 0s") if by_hand else ("add a step below 100 %", "set promote")
    message = (
        f"The last step is compared with what the baseline did in the steps before; {least} requests are needed,"
        f" and there are {book.earlier.requests}. To measure it, {measure}; to have it promoted unmeasured, {leave}."
    )
    return "NothingToCompare", message


def _uneven(turn: Turn, state: State) -> Lack:
    """The canary has more of what is no evidence, and it is no evidence for that reason only."""
    if not state.by_lot(turn.rollout) or not (excess := state.excess(turn.rollout)):
        return None
    words = (
        "The clients of both are the same, drawn by lot, so it is the model: see to what it does, or set promote. If it"
        " is over, set abort and take it back: the step is measured anew."
    )
    return "ExcludedUneven", f"{excess} {words}"


def _few(turn: Turn, state: State) -> Lack:
    book, least = state.ledger, turn.rollout.spec.gates.min_requests
    arms = {"canary": book.canary.requests}
    if not book.alone:
        arms["baseline"] = book.baseline.requests
    few = [f"the {name} has {count}" for name, count in arms.items() if count < least]
    if few:
        return "TooFewRequests", f"Each arm needs {least} requests in this step; {' and '.join(few)}."
    return None


def _speechless(turn: Turn, _state: State) -> Lack:
    """A gate has no bounds at all. A canary that is free cannot be too dear."""
    gates = [one for one in turn.judged if one.bounds is None and not (one.gate is Gate.COST and turn.free)]
    if not gates:
        return None
    told = " ".join(map(words, gates))
    return "GateWithoutData", f"{told} The step does not end without: wait for it, leave the gate out, {_ways(turn)}."


def _early(turn: Turn, _state: State) -> Lack:
    """What has ended tells of a breach. The more is drawn, the less of it is pending: it is one soon, or is none."""
    told = " ".join(words(one) for one in turn.judged if one.early)
    if not told:
        return None
    return "StillPending", f"{told} By what has ended that is too much, but many requests have not ended yet."


_CHECKS: tuple[Check, ...] = (_unseen, _incomparable, _uneven, _few, _speechless, _early)
"""In the order in which they are told."""
_JUDGING: tuple[Check, ...] = (_incomparable, _few, _speechless, _early)
"""Those that a promote passes over."""
