"""Rollouts, decision by decision: what follows from what was seen. Pure.

            start            the step is over               bake is over           the group names the canary first
    Pending ─────▶ step 1 ────────────────▶ … step n ─────────────────▶ Promoted ───────────────────────────▶ Adopted
                     │ a gate is breached               │ abort
                     ▼                                  ▼
                RolledBack (weight 0)              Aborted (weight 0)

In a step it is Progressing while it measures, Holding while something keeps the step from ending, Paused while a person
wants it so. `advance` makes at most one decision (`decide.canary.rules`), after it has taken in what was seen and what
changed. The caller keeps what it returns before it acts on it; only a fall to 0 may reach routers first. All state is
in what is returned, and routers' counters only grow, so after a crash it goes on as if nothing had been.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from turnout.api import CanaryRollout
from turnout.api.canaryrollout import Sticky
from turnout.api.canaryrollout_status import Action, RolloutPhase
from turnout.decide.canary.ledger import Ledger
from turnout.decide.canary.rules import RULES, aborted, rolled_back
from turnout.decide.canary.state import ADOPTED, NO_HASHES, OVER, REVERTED, Hashes, Seen, State, hashes_of
from turnout.decide.canary.turn import Turn
from turnout.decide.ir import Canary, digest
from turnout.decide.verdict import Finding, Reason

KEEPING = frozenset(
    {Reason.MODEL_GROUP_INVALID, Reason.TIME_ZONE_UNKNOWN, Reason.PRICE_MISSING, Reason.CANARY_IS_PRIMARY}
)
"""Mistakes with which a rollout under way keeps its weight; with others there is no canary, or the group is taken. That
the canary is the primary is none then, but what is to come of it all.
"""
PUBLISHING = timedelta(seconds=90)
"""For how long it may be unknown what routers run before hold time stands still. Any publish makes it so: for less than
a second, or up to 89 if the kubelet is not woken (measured, DESIGN.md). Longer, routers may run anything or be gone.
"""
CHANGED = "GroupChanged"
ADOPTING = Finding(
    Reason.CANARY_IS_PRIMARY,
    "spec.model",
    "The group names the canary first; the rollout is over when every ready router runs that.",
)


def advance(rollout: CanaryRollout, state: State, seen: Seen, *, now: datetime) -> State:
    """What is to be kept next, with what was decided at the front of its `decisions`.

    now: aware; fractions of a second are dropped, as in a status.
    """
    now = now.replace(microsecond=0)
    state, problem = _taken_in(rollout, replace(state, applied=seen.applied), seen, now), seen.problem
    if problem is not None and problem.reason is Reason.CANARY_IS_PRIMARY and _ran(rollout, state):
        if seen.primary == rollout.spec.model:
            return _adopted(state, now)
        problem, seen = ADOPTING, replace(seen, group=None)
    if problem is not None and not _stands(state, problem):
        return _refused(state, problem, now)
    before, found = state.hashes, hashes_of(rollout, seen.group, state.hashes)
    turn = Turn(rollout, found, state.judged(rollout) if state.measuring else (), now, problem, _free(rollout, seen))
    if before.steps != found.steps:
        return _anew(turn, state)
    # What is over keeps the entries that its evidence is of.
    state = replace(state, hashes=replace(found, entries=before.entries) if state.phase in OVER else found)
    if state.adopted:
        return _outlived(turn, state)
    if state.phase is RolloutPhase.PROMOTED:
        return aborted(turn, state) or _unmeasured(turn, state)
    changed = _changed(turn, state, before)
    if changed is not None:
        return changed
    return next((after for rule in RULES if (after := rule(turn, state)) is not None), state)


def canary_of(rollout: CanaryRollout, state: State, *, baseline: str) -> Canary | None:
    """What routers shall draw; None: all first attempts are the primary's. baseline: the group's first model.

    A weight is that of the model that came to it: one that is named in its place by now has not been decided on.
    """
    known, named = state.hashes.model, hashes_of(rollout, None).model
    if not state.weight or known not in {"", named}:
        return None
    sticky = rollout.spec.sticky is Sticky.KEY
    return Canary(
        rollout=state.run,
        tag=state.tag,
        model=rollout.spec.model,
        baseline=baseline,
        weight=state.weight * 100,
        sticky=sticky,
    )


def _taken_in(rollout: CanaryRollout, state: State, seen: Seen, now: datetime) -> State:
    """Evidence and hold time."""
    if not state.measuring:
        return replace(state, counted_at=None)
    if seen.look is not None:
        state = replace(state, ledger=state.ledger.looked(seen.look, rollout.spec.model_group, state.tag))
    running = seen.applied == state.weight
    if state.since is None:
        return replace(state, since=now, counted_at=now) if running else state
    counting = now if running else None
    if seen.applied is None and seen.unknown <= PUBLISHING:  # that time counts for what it turns out to be
        counting = state.counted_at
    held = state.held
    if running and state.counted_at is not None:
        held += max(now - state.counted_at, timedelta())  # a clock that went back takes nothing away
    return replace(state, held=held, counted_at=None if rollout.spec.paused else counting)


def _ran(rollout: CanaryRollout, state: State) -> bool:
    """Whether it was this rollout, and none of another model, that brought the canary so far."""
    ran = state.step > 0 or state.reason in {ADOPTED, REVERTED}
    return ran and state.hashes.steps == hashes_of(rollout, None).steps


def _free(rollout: CanaryRollout, seen: Seen) -> bool:
    models = seen.group.spec.models if seen.group else ()
    return any(m.name == rollout.spec.model and m.price is not None and m.price.free for m in models)


def _stands(state: State, problem: Finding) -> bool:
    """Whether it stays where it is with that mistake: it is over, or what routers run goes on being what it was."""
    return not state.live or (state.step > 0 and problem.reason in KEEPING)


def _refused(state: State, problem: Finding, now: datetime) -> State:
    """It cannot be, or not now."""
    reason, message = problem.reason.value, problem.message
    stopped = replace(state.fallen(), hashes=NO_HASHES).told(RolloutPhase.PENDING, reason, message)
    return stopped.decided(Action.ABORT, reason, message, now, left=state.step) if state.step else stopped


def _adopted(state: State, now: datetime) -> State:
    message = "The group names the canary first; the rollout has no effect any more and may be deleted."
    after = replace(state, weight=0, counted_at=None, left=0).told(RolloutPhase.PROMOTED, ADOPTED, message)
    return after if state.adopted else after.decided(Action.PROMOTE, ADOPTED, message, now)


def _outlived(turn: Turn, state: State) -> State:
    """The group names another model first by now. Put back to what it was, it says that the rollout has failed."""
    if turn.problem is not None and turn.problem.reason in KEEPING:
        return state
    if turn.problem is None and state.hashes.entries == turn.found.entries:
        return rolled_back(turn, state, REVERTED, "The canary was adopted, but the group was put back to what it was.")
    message = "The canary was adopted, and the group went on since; the rollout has no effect and may be deleted."
    return state.told(RolloutPhase.PROMOTED, ADOPTED, message)


def _unmeasured(turn: Turn, state: State) -> State:
    """It is promoted. What the group's entries are made into now stays so: the primary may be on its way out."""
    if turn.problem is not None:
        return state
    if state.hashes.entries == turn.found.entries:
        why = next((d for d in state.decisions if d.action is Action.PROMOTE), None)
        if why is None or state.reason != CHANGED:
            return state
        return state.told(RolloutPhase.PROMOTED, "Promoted", why.message or "")
    message = (
        "The group's entry of the canary or of the baseline changed after the promotion: it stays promoted, but was not"
        " measured like this. Set abort and take it back to have it measured, or name the canary first in the group."
    )
    after = state.told(RolloutPhase.PROMOTED, CHANGED, message)
    return after if state.reason == CHANGED else turn.decided(after, Action.CONTINUE, CHANGED, message)


def _anew(turn: Turn, state: State) -> State:
    """Another rollout under the same name, or the first: from the beginning, with weight 0 until it may start."""
    rollout, runs = turn.rollout, state.runs + 1
    fresh = State(
        runs=runs,
        # The time, because runs are counted from 1 again if a status is lost, and routers still have what they counted.
        run=digest(f"{rollout.metadata.uid or rollout.metadata.name}/{runs}/{turn.now.isoformat()}"),
        hashes=turn.found,
        applied=state.applied,
        ledger=Ledger(state.ledger.period + 1),
        decisions=state.decisions,
    ).told(RolloutPhase.PENDING, "Starting", "It is about to start.")
    if not state.step:
        return fresh
    message = "The rollout's group, model, steps or sticky changed: it begins anew, at its first step."
    return fresh.decided(Action.RESTART, "SpecChanged", message, turn.now)


def _changed(turn: Turn, state: State, before: Hashes) -> State | None:
    """The group, or rules of the rollout, changed under way; None: neither, or it makes no difference."""
    now = turn.now
    if state.phase is RolloutPhase.ROLLED_BACK:
        return _anew(turn, state) if state.failed != state.hashes.spec else None
    if not state.measuring:
        return None
    if before.entries != state.hashes.entries:
        return _measured_anew(turn, state)
    if before.spec != state.hashes.spec:  # before the group: who changed both wants what is held to be judged anew
        message = "Gates, onBreach or bake changed: the step goes on, and its evidence is judged by the new ones."
        going_on = state.told(RolloutPhase.PROGRESSING, "SpecChanged", message)
        return going_on.decided(Action.CONTINUE, "SpecChanged", message, now)
    if before.group != state.hashes.group:
        message = "The group changed, but neither the canary nor the baseline: the step goes on."
        return state.decided(Action.CONTINUE, CHANGED, message, now)
    return None


def _measured_anew(turn: Turn, state: State) -> State:
    """Canary or baseline is another by now. In the last step there is nothing to compare with, so it goes back, unless
    promote is set.
    """
    message = "The group's entry of the canary or of the baseline changed: the step begins anew, without evidence."
    back, left = turn.comparing(state.left or state.step), 0
    if turn.rollout.spec.promote and state.step == turn.last:
        back, left = state.step, back
    elif back != state.step:
        message = (
            "The group's entry of the canary or of the baseline changed. In the last step there is nothing to compare"
            f" with, so it is measured in step {back}."
        )
    again = replace(state.at_step(back, turn.weight(back), same_models=False), left=left)
    again = again.told(RolloutPhase.PROGRESSING, CHANGED, message)
    return again.decided(Action.RESTART, CHANGED, message, turn.now)
