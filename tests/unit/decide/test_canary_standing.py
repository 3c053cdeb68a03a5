"""In which order rises and falls are kept and published, and which decisions are told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.manifests import group, model, rollout, snapshot
from turnout.api.canaryrollout_status import Action, RolloutPhase
from turnout.decide.build import decide
from turnout.decide.canary.standing import NEVER, Change, Standing
from turnout.decide.canary.state import State, hashes_of
from turnout.decide.ir import Canary

NOW = datetime(2026, 11, 27, tzinfo=UTC)
STEPS = [{"weight": 5, "hold": "1m"}, {"weight": 100}]
MODELS = [model(name, f"http://{name}/v1") for name in ("old", "new", "spare")]

GROUPS = [group(name, *MODELS) for name in ("assistant", "other")]
FREEZE = [{"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}]


def moved(standing: Standing, seconds: int = 0, **spec: object) -> Change:
    """One turn of a rollout."""
    document = rollout("r", modelGroup="assistant", model="new", steps=STEPS, **spec)
    given = snapshot(group("assistant", *MODELS), document)
    decision = decide(given, None, now=NOW)
    return standing.advance(given, decision.verdicts, None, None, NOW + timedelta(seconds=seconds))


def started() -> Standing:
    """A rollout that wants its first step."""
    standing = Standing()
    standing.meet("r", State())
    assert moved(standing) is Change.NEWS
    assert moved(standing) is Change.NEWS
    assert standing.now["r"].weight == 5
    return standing


def test_a_rise_is_kept_before_it_is_published() -> None:
    """Until then routers are told nothing of it."""
    standing = started()
    assert standing.publishable["r"].weight == 0
    assert standing.is_published
    [decision] = standing.kept("r", standing.tellable["r"])
    assert decision.weight == 5
    assert standing.publishable["r"].weight == 5
    assert not standing.is_published
    assert standing.published(standing.publishable) == {}
    assert standing.is_published


def test_a_fall_is_published_before_it_is_kept() -> None:
    """And told then, once, with all decisions since the last that was told: its status may be refused for ever."""
    standing = started()
    standing.kept("r", standing.now["r"])
    standing.published(standing.publishable)
    before = standing.now["r"]
    assert moved(standing, abort=True) is Change.FALL
    assert standing.publishable["r"].weight == 0
    assert standing.tellable["r"].weight == 5
    assert standing.kept("r", standing.tellable["r"]) == ()
    fallen = standing.published(standing.publishable)
    assert {name: [d.reason for d in decisions] for name, decisions in fallen.items()} == {"r": ["Abort"]}
    told = standing.tellable["r"]
    assert (told.weight, told.phase) == (0, RolloutPhase.ABORTED)
    assert standing.published(standing.publishable) == {}
    assert standing.kept("r", told) == ()
    assert standing.kept("r", before) == (), "of a write that was under way"
    assert standing.kept("r", told) == ()
    standing.now["r"] = told.decided(Action.HOLD, "Paused", "Later.", NOW)
    assert [d.reason for d in standing.kept("r", standing.tellable["r"])] == ["Paused"]


def again(state: State) -> State:
    """Its step begins anew."""
    return state.at_step(state.step, state.weight, same_models=False)


def back(state: State) -> State:
    """A promote is taken back."""
    return state.at_step(1, 5)


@pytest.mark.parametrize(("weight", "change"), [(5, again), (100, back)], ids=["restart", "fall"])
def test_a_period_is_kept_before_routers_count_for_it(weight: int, change: Callable[[State], State]) -> None:
    """An operator that crashes in between would give its number to other evidence. They count for the old."""
    standing = started()
    standing.now["r"] = standing.now["r"].at_step(1, weight)
    standing.kept("r", standing.now["r"])
    standing.published(standing.publishable)
    before = standing.now["r"]
    standing.now["r"] = after = change(before)
    assert (standing.publishable["r"], standing.tellable["r"]) == (before, after)
    assert standing.is_published
    standing.kept("r", after)
    assert standing.publishable["r"] == after
    assert not standing.is_published
    standing.published(standing.publishable)
    assert standing.is_published


def test_a_fall_of_what_was_never_kept_is_nothing_for_routers() -> None:
    """They were not told of the rise."""
    standing = started()
    assert moved(standing, abort=True) is Change.FALL
    assert standing.publishable["r"].weight == 0
    assert [d.action.value for d in standing.kept("r", standing.tellable["r"])] == ["Start", "Abort"]


def test_figures_alone_are_no_news_and_what_is_gone_stays_so() -> None:
    """A decision that was under way when its rollout was deleted changes nothing."""
    standing = started()
    assert moved(standing, 1) is Change.FIGURES
    standing.forget("r")
    moved(standing, 2)
    assert standing.now == {}
    assert standing.kept("r", NEVER) == ()


def test_a_rollout_that_is_over_is_news_to_those_that_wait_for_its_group() -> None:
    """So it is decided again, though routers are told nothing."""
    standing = Standing()
    standing.meet("r", State())
    moved(standing, paused=True)
    standing.published(standing.publishable)
    moved(standing, abort=True)
    assert standing.publishable["r"].phase is RolloutPhase.ABORTED
    assert not standing.is_published


def test_a_new_operator_tells_a_fall_after_routers_were_told() -> None:
    """They run what the status keeps, as far as anybody knows."""
    before = started()
    after = Standing()
    after.meet("r", before.now["r"])
    assert moved(after, abort=True) is Change.FALL
    assert after.tellable["r"].weight == 5
    assert [d.reason for d in after.published(after.publishable)["r"]] == ["Abort"]
    assert after.tellable["r"].weight == 0


def drawn(standing: Standing, *, seconds: int, **spec: object) -> list[Canary | None]:
    """What routers are told one after the other, when the loops of watch and local are woken four times."""
    given = snapshot(*GROUPS, rollout("r", **{"modelGroup": "assistant", "model": "new", "steps": STEPS, **spec}))
    told: list[Canary | None] = []
    running = None
    for turn in range(4):
        while True:
            states = standing.publishable
            decision = decide(replace(given, rollout_states=states), running, now=NOW)
            standing.advance(given, decision.verdicts, running, None, NOW + timedelta(seconds=seconds + turn))
            if standing.is_all(states):
                break
        running = decision.router
        told += [one.canary for one in running.groups if one.canary or one.name == "assistant"]
        standing.published(states)
        standing.kept("r", standing.tellable["r"])
    return told


def at(phase: RolloutPhase, step: int, weight: int) -> Standing:
    """A rollout in that step, which routers run."""
    first = snapshot(*GROUPS, rollout("r", modelGroup="assistant", model="new", steps=STEPS))
    state = State(phase, phase.value, "x", step=step, weight=weight, run="1", runs=1, since=NOW, counted_at=NOW)
    standing = Standing()
    standing.meet("r", replace(state, hashes=hashes_of(first.rollouts[0], first.groups[0])))
    standing.published(standing.publishable)
    return standing


def test_hold_time_stands_still_while_nobody_knows_for_long_what_routers_run() -> None:
    """A publish takes seconds, which count if it turns out to be so. With no router for hours nothing is held."""
    standing = at(RolloutPhase.PROGRESSING, 1, 5)
    document = rollout("r", modelGroup="assistant", model="new", steps=[{"weight": 5, "hold": "24h"}, STEPS[1]])
    given = snapshot(*GROUPS, document)
    known = hashes_of(given.rollouts[0], given.groups[0])
    standing.meet("r", replace(standing.now["r"], hashes=known))
    decision = decide(replace(given, rollout_states=standing.now), None, now=NOW)
    seen = {}
    for minute in range(0, 20 * 60, 1):
        unknown = minute in {30, 60} or 120 <= minute < 1_100
        running = None if unknown else decision.router
        standing.advance(given, decision.verdicts, running, None, NOW + timedelta(minutes=minute))
        seen[minute] = standing.now["r"]
    assert [seen[m].held for m in (29, 31, 61, 119)] == [timedelta(minutes=m) for m in (29, 31, 61, 119)]
    assert (seen[30].reason, seen[121].reason, seen[122].reason) == ("Measuring", "Measuring", "Applying")
    assert "5 %; what every ready router runs: that is not known" in seen[500].message
    assert (seen[1_100].held, seen[1_100].reason) == (timedelta(minutes=119), "Measuring")
    assert seen[1_199].held == timedelta(minutes=119 + 99)


def test_an_operator_that_was_away_counts_what_routers_ran_meanwhile() -> None:
    """At first it does not know what they run."""
    before = at(RolloutPhase.PROGRESSING, 1, 5).now["r"]
    standing = Standing()
    standing.meet("r", before)
    given = snapshot(*GROUPS, rollout("r", modelGroup="assistant", model="new", steps=STEPS))
    decision = decide(replace(given, rollout_states=standing.now), None, now=NOW)
    for seconds, running in ((3_600, None), (3_605, None), (3_610, decision.router)):
        standing.advance(given, decision.verdicts, running, None, NOW + timedelta(seconds=seconds))
    assert standing.now["r"].held == timedelta(seconds=3_610)


@pytest.mark.parametrize("spec", [{"model": "spare"}, {"modelGroup": "other"}])
@pytest.mark.parametrize("before", [(RolloutPhase.PROGRESSING, 1, 5), (RolloutPhase.PROMOTED, 2, 100)])
def test_another_rollout_of_the_same_name_begins_with_what_its_first_step_says(
    before: tuple[RolloutPhase, int, int], spec: dict[str, Any]
) -> None:
    """Its model is never told with the weight that the one before had come to, nor with what counts that one's."""
    standing = at(*before)
    seen = drawn(standing, seconds=9, **spec)
    assert seen[0] is None
    assert standing.now["r"].weight
    assert {one.tag for one in seen if one} == {standing.now["r"].tag}
    assert {one.weight for one in seen if one} == {standing.now["r"].weight * 100}


@pytest.mark.parametrize(
    "spec",
    [
        {"gates": {"minRequests": 7}},
        {"paused": True},
        {"bake": "1h"},
        {"onBreach": "Hold"},
        {"freeze": FREEZE},
        {"sticky": "Key"},
        {"steps": [STEPS[0], {"weight": 50, "hold": "1m"}, STEPS[1]]},
    ],
)
def test_an_edit_that_leaves_the_model_as_it_is_moves_no_traffic(spec: dict[str, Any]) -> None:
    """Not for a moment, though other steps begin anew."""
    seen = drawn(at(RolloutPhase.PROGRESSING, 1, 5), seconds=9, **spec)
    assert {(one.model, one.weight) if one else None for one in seen} == {("new", 500)}
