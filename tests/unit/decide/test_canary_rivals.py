"""Two rollouts of one group: whoever has weight keeps it, whatever comes back from what was over."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.manifests import group, model, rollout, snapshot
from harness.rollouts import NOW, STEPS
from turnout.api.canaryrollout_status import RolloutPhase
from turnout.decide.build import decide
from turnout.decide.canary.state import Hashes, State, hashes_of
from turnout.decide.rollouts import advanced
from turnout.decide.snapshot import Invalid, Snapshot

MODELS = [model(name, f"http://{name}/v1") for name in ("old", "gpt", "new")]


def given(**spec: Any) -> Snapshot:
    """Rollouts `back`, with that spec, and `under-way`; both of one group."""
    back = rollout("back", modelGroup="assistant", model="gpt", steps=STEPS, **spec)
    other = rollout("under-way", modelGroup="assistant", model="new", steps=STEPS)
    return snapshot(group("assistant", *MODELS), back, other)


def hashes(of: Snapshot) -> Mapping[str, Hashes]:
    """As they are now."""
    return {r.metadata.name: hashes_of(r, of.groups[0]) for r in of.rollouts}


def under_way(known: Hashes) -> State:
    """In its first step, at all routers."""
    phase = RolloutPhase.PROGRESSING
    return State(phase, "Measuring", "x", step=1, weight=5, run="2", runs=1, since=NOW, counted_at=NOW, hashes=known)


BACK = {
    "abort-taken-back": ({}, State(RolloutPhase.ABORTED, "Abort", "x", run="1", runs=1, left=1), "Aborted"),
    "promote-set": ({"promote": True}, State(RolloutPhase.ROLLED_BACK, "Breach", "x", run="1", runs=1), "RolledBack"),
    "edited": ({"bake": "1h"}, State(RolloutPhase.ROLLED_BACK, "Breach", "x", run="1", runs=1, failed="x"), "Pending"),
}


@pytest.mark.parametrize("case", BACK)
def test_what_comes_back_takes_no_group_from_one_under_way(case: str) -> None:
    """It waits and says for whom, also with verdicts of before the change; and goes on when the other is over."""
    spec, state, phase = BACK[case]
    snap = given(**spec)
    known = hashes(snap)
    failed = state.failed or known["back"].spec
    states: Mapping[str, State] = {
        "back": replace(state, hashes=known["back"], failed=failed),
        "under-way": under_way(known["under-way"]),
    }
    decision = decide(replace(snap, rollout_states=states), None, now=NOW)
    for _ in range(3):
        states = advanced(replace(snap, rollout_states=states), decision.verdicts, decision.router, None, now=NOW)
    assert (states["under-way"].weight, states["under-way"].phase) == (5, RolloutPhase.PROGRESSING)
    assert (states["back"].phase, states["back"].reason) == (phase, "GroupHasRollout")
    states = {**states, "under-way": replace(states["under-way"], phase=RolloutPhase.ROLLED_BACK, step=0, weight=0)}
    for _ in range(2):
        decision = decide(replace(snap, rollout_states=states), None, now=NOW)
        states = advanced(replace(snap, rollout_states=states), decision.verdicts, decision.router, None, now=NOW)
    assert states["back"].weight > 0


def test_two_that_begin_at_once_share_no_group() -> None:
    """The second sees in the same turn that the first has it, though no verdict says so."""
    snap = given()
    states = {name: State(hashes=known, run="1", runs=1) for name, known in hashes(snap).items()}
    after = advanced(replace(snap, rollout_states=states), (), None, None, now=NOW)
    assert sorted((state.weight, state.reason) for state in after.values()) == [(0, "GroupHasRollout"), (5, "Applying")]


@pytest.mark.parametrize("rival", [State(), State(RolloutPhase.ABORTED, left=1, run="3", runs=1)])
def test_one_that_cannot_be_read_keeps_its_group_while_it_exists(rival: State) -> None:
    """A rival waits until it is deleted, be it that a finalizer still holds the object."""
    snap = given()
    known = hashes(snap)
    states = {"back": replace(rival, hashes=known["back"]), "under-way": under_way(known["under-way"])}
    last = decide(replace(snap, rollout_states=states), None, now=NOW).router
    readable = tuple(r for r in snap.rollouts if r.metadata.name == "back")
    snap = replace(snap, rollouts=readable, invalid=(Invalid("CanaryRollout", "under-way", "a typo"),))
    for _ in range(3):
        decision = decide(replace(snap, rollout_states=states), last, now=NOW)
        states = advanced(replace(snap, rollout_states=states), decision.verdicts, last, None, now=NOW)
        last = decision.router
    found = last.group("assistant")
    assert found is not None
    assert found.canary is not None
    assert (found.canary.model, found.canary.weight, states["back"].reason) == ("new", 500, "GroupHasRollout")
    gone = decide(replace(snap, invalid=(), rollout_states=states), last, now=NOW)
    assert [g.canary for g in gone.router.groups] == [None]
    assert not any(v.problem for v in gone.verdicts)
