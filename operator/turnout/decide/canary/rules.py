"""The decisions of a rollout, each a rule; the first that has something to say decides. Pure.

A weight rises when the rollout starts, when a step ends, and when a person promotes or resumes: always through `_rise`,
which knows of pauses and freezes. It falls at once, whatever holds.
"""

from collections.abc import Callable
from dataclasses import replace

from turnout.api.canaryrollout import OnBreach
from turnout.api.canaryrollout_status import Action, RolloutPhase
from turnout.api.quantities import format_duration, format_time
from turnout.decide.canary.freeze import frozen_until
from turnout.decide.canary.lacking import FRESH, lacking, unjudged
from turnout.decide.canary.state import BREACH, State
from turnout.decide.canary.turn import Turn

NOT_AGAIN = "The same spec is not tried again until it changes."
BY_HAND = "Promote", "spec.promote is set, whatever was measured"


def aborted(turn: Turn, state: State) -> State | None:
    """A person aborts."""
    if not turn.rollout.spec.abort or state.adopted:
        return None
    if state.phase is RolloutPhase.ROLLED_BACK:
        return None
    message = "spec.abort is set: the canary gets no first attempts. Without it, the step that was left begins anew."
    if state.phase is RolloutPhase.ABORTED:
        return state.told(RolloutPhase.ABORTED, "Abort", message)
    after = replace(state.fallen(), left=state.step).told(RolloutPhase.ABORTED, "Abort", message)
    return turn.decided(after, Action.ABORT, "Abort", message, left=state.step)


def _failed(turn: Turn, state: State) -> State | None:
    """What was rolled back stays so, but for a promote that was set afterwards."""
    spec = turn.rollout.spec
    if state.phase is not RolloutPhase.ROLLED_BACK or (spec.promote and not spec.paused and not state.failed_promoted):
        return None
    why = next((d for d in state.decisions if d.action is Action.ROLLBACK), None)
    told = state.told(state.phase, why.reason, f"{why.message} {NOT_AGAIN}") if why else state
    return replace(told, failed_promoted=spec.promote and state.failed_promoted)


def rolled_back(turn: Turn, state: State, reason: str, why: str) -> State:
    """To weight 0, and not again of itself."""
    after = replace(state.fallen(), failed=turn.found.spec, failed_promoted=turn.rollout.spec.promote)
    after = after.told(RolloutPhase.ROLLED_BACK, reason, f"{why} {NOT_AGAIN}")
    return turn.decided(after, Action.ROLLBACK, reason, why, left=state.step)


def _breached(turn: Turn, state: State) -> State | None:
    """Back to weight 0; whether it is paused or frozen does not matter."""
    if not turn.breaches or turn.rollout.spec.on_breach is not OnBreach.ROLLBACK:
        return None
    return rolled_back(turn, state, BREACH, turn.breaches)


def _promoted_by_hand(turn: Turn, state: State) -> State | None:
    """A person sends it to the last step, or takes that back."""
    spec = turn.rollout.spec
    if spec.promote and state.step < turn.last:
        leaving = replace(state, left=state.step or state.left or 1)
        return _rise(turn, leaving, turn.last, Action.PROMOTE, "Promote", "spec.promote is set")
    if spec.promote and state.held_at_breach and not spec.paused and not state.failed_promoted:
        return _promoted(turn, state, *BY_HAND)
    if spec.promote or state.step != turn.last or not turn.left_out(state):
        return None
    message = "spec.promote is not set any more: the step that was left begins anew."
    back = replace(state.at_step(state.left, turn.weight(state.left)), left=0)
    return turn.decided(back.told(RolloutPhase.PROGRESSING, "Resumed", message), Action.RESUME, "Resumed", message)


def _held(turn: Turn, state: State) -> State | None:
    """With onBreach: Hold it stays at a breach, whatever is measured later, until a person decides."""
    promote = turn.rollout.spec.promote
    if state.held_at_breach:
        return replace(state, failed_promoted=promote and state.failed_promoted)
    if not turn.breaches:
        return None
    ways = "take promote back, set abort," if promote else "set promote or abort,"
    message = f"{turn.breaches} spec.onBreach is Hold: {ways} or change the gates."
    held = replace(state, failed_promoted=promote).told(RolloutPhase.HOLDING, BREACH, message)
    return turn.decided(held, Action.HOLD, BREACH, turn.breaches)


def _mistaken(turn: Turn, state: State) -> State | None:
    """A mistake elsewhere keeps it where it is."""
    if turn.problem is None:
        return None
    phase = RolloutPhase.HOLDING if state.step else state.phase
    return state.told(phase, turn.problem.reason.value, turn.problem.message)


def _paused(turn: Turn, state: State) -> State | None:
    """A person stops it, or lets it go on."""
    if state.phase is RolloutPhase.ABORTED:
        return None
    if turn.rollout.spec.paused:
        message = "spec.paused is set: the weight does not rise and hold times stand still."
        after = state.told(RolloutPhase.PAUSED, "Paused", message)
        known = state.phase is RolloutPhase.PAUSED
        return after if known else turn.decided(after, Action.PAUSE, "Paused", message)
    if state.phase is not RolloutPhase.PAUSED:
        return None
    message = "spec.paused is not set any more."
    after = state.told(RolloutPhase.PROGRESSING if state.step else RolloutPhase.PENDING, "Resumed", message)
    return turn.decided(after, Action.RESUME, "Resumed", message)


def _unaborted(turn: Turn, state: State) -> State | None:
    """A person takes an abort back."""
    if state.phase is not RolloutPhase.ABORTED:
        return None
    why, step = "spec.abort is not set any more", max(state.left, 1)
    if state.hashes.entries != turn.found.entries:
        step = turn.comparing(step)
    risen = _rise(turn, state, step, Action.RESUME, "Resumed", why)
    return risen or state.told(RolloutPhase.ABORTED, "Paused", f"{why}, but spec.paused keeps the weight from rising.")


def _started(turn: Turn, state: State) -> State | None:
    return None if state.step else _rise(turn, state, 1, Action.START, "Started", "The rollout starts")


def _stepped(turn: Turn, state: State) -> State | None:
    """The step goes on, ends, or is kept from ending."""
    spec, last = turn.rollout.spec, state.step == turn.last
    hold = spec.hold_of(state.step)
    if state.counted_at is not None and state.applied is None:
        return state  # a publish, perhaps for another reason
    if state.since is None or state.applied != state.weight:
        runs = "that is not known" if state.applied is None else f"{state.applied} %"
        message = f"Step {state.step} wants {state.weight} %; what every ready router runs: {runs}."
        return state.told(RolloutPhase.PROGRESSING, "Applying", message)
    if state.held < hold:
        name = "bake" if last else "hold"
        message = f"Step {state.step} runs at {state.weight} % until its {name} of {format_duration(hold)} is over."
        return state.told(RolloutPhase.PROGRESSING, "Baking" if last else "Measuring", message)
    if not state.ledger.open and turn.now - state.since < FRESH:
        return state.told(RolloutPhase.PROGRESSING, "Measuring", "The routers were not looked at yet in this step.")
    if keeping := lacking(turn, state):
        return _waiting(turn, state, *keeping)
    if not last:
        why = f"Step {state.step} is over and no gate is breached"
        return _rise(turn, state, state.step + 1, Action.ADVANCE, "StepOver", why)
    if spec.promote and unjudged(turn, state):
        return _promoted(turn, state, *BY_HAND)
    return _promoted(turn, state, "Promoted", "The last step is over and no gate is breached")


RULES: tuple[Callable[[Turn, State], State | None], ...] = (
    aborted,
    _failed,
    _breached,
    _promoted_by_hand,
    _held,
    _mistaken,
    _paused,
    _unaborted,
    _started,
    _stepped,
)
"""In the order of their right."""


def _rise(turn: Turn, state: State, step: int, action: Action, reason: str, why: str) -> State | None:
    """The only way up. None: it is paused or mistaken, which rules of their own tell."""
    if turn.rollout.spec.paused or turn.problem is not None:
        return None
    until = frozen_until(turn.rollout.spec.freeze, turn.now)
    if until is not None:
        message = f"{why}, but spec.freeze keeps the weight from rising until {format_time(until)}."
        return _waiting(turn, state, "Frozen", message)
    message = f"{why}: {turn.weight(step)} % of first attempts go to the canary."
    same_models = state.hashes.entries == turn.found.entries
    risen = state.at_step(step, turn.weight(step), same_models=same_models)
    risen = replace(risen, hashes=turn.found, left=state.left if action is Action.PROMOTE else 0)
    return turn.decided(risen.told(RolloutPhase.PROGRESSING, "Applying", message), action, reason, message)


def _promoted(turn: Turn, state: State, reason: str, why: str) -> State:
    message = f"{why}. Name the canary first in the group to make it permanent."
    after = replace(state, counted_at=None, left=0).told(RolloutPhase.PROMOTED, "Promoted", message)
    return turn.decided(after, Action.PROMOTE, reason, message)


def _waiting(turn: Turn, state: State, reason: str, message: str) -> State:
    """Holding. One decision for each reason since the last other decision, however often the reasons take turns."""
    after = state.told(RolloutPhase.HOLDING if state.step else state.phase, reason, message)
    for decision in state.decisions:
        if decision.action is not Action.HOLD:
            break
        if decision.reason == reason:
            return after
    return turn.decided(after, Action.HOLD, reason, message)
