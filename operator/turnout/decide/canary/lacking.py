"""What keeps a step from ending whose hold is over: reason and message. Pure."""

from datetime import timedelta

from turnout.decide.canary.state import State
from turnout.decide.canary.turn import Turn

FRESH = timedelta(seconds=30)
"""How old the last look may be when a step ends. A guess: a few looks."""


def lacking(turn: Turn, state: State) -> tuple[str, str] | None:
    """What keeps a step from ending whose hold is over: reason and message."""
    book, least = state.ledger, turn.rollout.spec.gates.min_requests
    if book.broken.now:
        return "MeasurementBroken", f"A measurement makes no sense: {book.broken.words}."
    if book.missing.silent:
        names = ", ".join(sorted(book.missing.silent)[:3])
        return "EvidenceMissing", f"{len(book.missing.silent)} routers did not answer the last look: {names}."
    if book.looked_at is None or not book.open or abs(turn.now - book.looked_at) > FRESH:
        return "EvidenceMissing", "Routers were not looked at lately."
    if book.alone and turn.rollout.spec.bake and book.earlier.requests < least:
        message = (
            f"The last step is compared with what the baseline did in the steps before; {least} requests are needed,"
            f" and there are {book.earlier.requests}. Take promote back or add a step below 100 %, to measure it;"
            " or set bake to 0s, and it is promoted unmeasured."
        )
        return "NothingToCompare", message
    arms = {"canary": book.canary.requests}
    if not book.alone:
        arms["baseline"] = book.baseline.requests
    few = [f"the {name} has {count}" for name, count in arms.items() if count < least]
    if few:
        return "TooFewRequests", f"Each arm needs {least} requests in this step; {' and '.join(few)}."
    return None
