"""Which rollout has a group, and what groups are told of it."""

from dataclasses import replace

import pytest

from harness.manifests import group, model, rollout, snapshot
from harness.rollouts import NOW, answers
from turnout.api.canaryrollout_status import RolloutPhase
from turnout.decide.build import Decision, decide
from turnout.decide.canary.ledger import Ledger
from turnout.decide.canary.state import State, hashes_of
from turnout.decide.evidence import Arm, Look
from turnout.decide.ir import Router
from turnout.decide.rollouts import advanced
from turnout.decide.snapshot import Invalid, Snapshot

MODELS = [model(name, f"http://{name}/v1") for name in ("old", "gpt", "new")]
RUNNING = State(phase=RolloutPhase.PROGRESSING, step=1, weight=5, run="1a")
BACK = State(phase=RolloutPhase.ROLLED_BACK, run="1b")
PROMOTED = State(phase=RolloutPhase.PROMOTED, reason="Promoted", step=2, weight=100, run="1c")
ADOPTED = replace(PROMOTED, reason="Adopted", weight=0)


def decided(states: dict[str, State], previous: Router | None = None, *, invalid: tuple[str, ...] = ()) -> Decision:
    """What follows from `given`."""
    return decide(given(states, invalid), previous, now=NOW)


def given(states: dict[str, State], invalid: tuple[str, ...] = ()) -> Snapshot:
    """Rollouts of these names on one group, the later in the alphabet the older; `last` is of its own group."""
    objects = [group("assistant", *MODELS), group("other", *MODELS)]
    for age, name in enumerate(("a", "b", "last")):
        one = rollout(name, modelGroup="other" if name == "last" else "assistant", model="gpt", steps=[{"weight": 100}])
        one["metadata"]["creationTimestamp"] = f"2026-01-{20 - age}T00:00:00Z"
        objects += [one] if name not in invalid else []
    return replace(
        snapshot(*objects),
        rollout_states=states,
        invalid=tuple(Invalid("CanaryRollout", name, "unreadable") for name in invalid),
    )


def refused(decision: Decision) -> set[str]:
    """Rollouts that another keeps from their group."""
    return {v.name for v in decision.verdicts if v.problem and v.problem.reason == "GroupHasRollout"}


@pytest.mark.parametrize(
    ("states", "others"),
    [
        ({}, {"a"}),
        ({"a": RUNNING}, {"b"}),
        ({"b": RUNNING}, {"a"}),
        ({"a": PROMOTED}, {"b"}),
        ({"a": BACK}, set()),
        ({"b": BACK}, set()),
        ({"b": ADOPTED}, set()),
    ],
    ids=["the-older", "under-way", "older-under-way", "promoted", "rolled-back", "older-rolled-back", "adopted"],
)
def test_one_rollout_at_a_time_has_a_group(states: dict[str, State], others: set[str]) -> None:
    """The one under way, else the oldest; those that are over are in nobody's way. Groups are none of each other's."""
    assert refused(decided(states)) == others


PAID, FREE = {"input": "1", "output": "2"}, {"input": "0", "output": "0"}


@pytest.mark.parametrize(
    ("baseline", "canary", "named"),
    [(PAID, PAID, None), (PAID, FREE, None), (FREE, PAID, "old"), (None, PAID, "old"), (PAID, None, "gpt")],
)
@pytest.mark.parametrize("compared", [True, False])
def test_costs_are_compared_only_where_there_are_prices(
    baseline: object, canary: object, named: str | None, compared: bool
) -> None:
    """A gate that can never say anything would let every canary pass."""
    models = [model("old", "http://old/v1", price=baseline), model("gpt", "http://gpt/v1", price=canary)]
    gates = {"cost": {"maxRatio": "1.2"}} if compared else {}
    one = rollout("a", modelGroup="assistant", model="gpt", steps=[{"weight": 100}], gates=gates)
    found = [v.problem for v in decide(snapshot(group("assistant", *models), one), None, now=NOW).verdicts if v.problem]
    assert [(p.reason, p.path) for p in found] == [("PriceMissing", "spec.gates.cost")] * bool(named and compared)
    assert all(f"model '{named}' has no price" in p.message for p in found)


def test_a_group_is_told_of_the_rollout_that_has_a_weight() -> None:
    """And of nothing once that is 0, or its model has left."""
    router = decided({"a": RUNNING, "b": BACK, "last": PROMOTED}).router
    told = {g.name: (g.canary.model, g.canary.baseline, g.canary.weight) for g in router.groups if g.canary}
    assert told == {"assistant": ("gpt", "old", 500), "other": ("gpt", "old", 10_000)}
    assert all(g.canary is None for g in decided({"a": BACK, "last": ADOPTED}, router).router.groups)


def test_rollouts_go_on_with_what_every_router_runs() -> None:
    """From nothing to the first weight; hold time begins when routers run it, and no other run's."""
    states: dict[str, State] = {}
    seen = []
    for _ in range(4):
        decision = decided(states)
        running = decision.router if len(seen) != 2 else None
        states = advanced(given(states), decision.verdicts, running, None, now=NOW)
        seen.append((states["last"].weight, states["last"].applied, states["last"].since is not None))
    assert seen == [(0, 0, False), (100, 0, False), (100, None, False), (100, 100, True)]
    assert (states["b"].weight, states["a"].weight, states["a"].reason) == (100, 0, "GroupHasRollout")
    other = replace(states["last"], run="another")
    assert advanced(given({"last": other}), decided({}).verdicts, decision.router, None, now=NOW)["last"].applied == 0


def test_a_weight_that_routers_still_draw_for_the_period_before_is_not_applied() -> None:
    """A step that began anew has the same; another weight of the run is told as it is."""
    states = {"last": replace(RUNNING, ledger=Ledger(2))}
    running = decided(states).router

    def applied(weight: int, period: int) -> int | None:
        now = {"last": replace(RUNNING, weight=weight, ledger=Ledger(period))}
        return advanced(given(now), decided(now).verdicts, running, None, now=NOW)["last"].applied

    assert (applied(5, 2), applied(5, 3), applied(25, 3), applied(0, 2)) == (5, None, 5, 5)


def test_a_rollout_that_cannot_be_read_any_more_keeps_its_weight() -> None:
    """Its status cannot say otherwise; one that is deleted has no state, and no weight."""
    states = {"a": RUNNING}
    before = decided(states).router
    after = decided(states, before, invalid=("a",)).router
    assert [g.canary for g in after.groups] == [g.canary for g in before.groups]
    assert all(g.canary is None for g in decided({}, before, invalid=("a",)).router.groups)


def broken(name: str) -> dict[str, object]:
    """Another entry of that model, whose Secret does not exist."""
    return model(name, f"http://{name}-next/v1", secret="missing")


def test_a_group_that_does_not_compile_adopts_nothing() -> None:
    """Routers go on with the chain that they have, so the canary keeps its weight in that."""
    one = rollout("r", modelGroup="assistant", model="gpt", steps=[{"weight": 100}])
    before = snapshot(group("assistant", *MODELS), one)
    states = {"r": replace(PROMOTED, hashes=hashes_of(before.rollouts[0], before.groups[0]))}
    router = decide(replace(before, rollout_states=states), None, now=NOW).router
    edited = replace(snapshot(group("assistant", MODELS[1], MODELS[0], broken("new")), one), rollout_states=states)
    decision = decide(edited, router, now=NOW)
    assert {v.name: v.problem.reason for v in decision.verdicts if v.problem} == {
        "assistant": "SecretNotFound",
        "r": "CanaryIsPrimary",
    }
    after = advanced(edited, decision.verdicts, router, None, now=NOW)
    assert (after["r"].phase, after["r"].weight) == (RolloutPhase.PROMOTED, 100)
    assert decide(replace(edited, rollout_states=after), router, now=NOW).router == router


def test_an_entry_is_measured_from_when_routers_are_told_of_it() -> None:
    """One whose Secret does not exist is not: the entry before it is measured on, and none of that counts later."""
    one = rollout("r", modelGroup="assistant", model="gpt", steps=[{"weight": 5, "hold": "1h"}, {"weight": 100}])
    at_first = snapshot(group("assistant", *MODELS), one)
    hashes = hashes_of(at_first.rollouts[0], at_first.groups[0])
    states = {"r": replace(RUNNING, runs=1, since=NOW, counted_at=NOW, hashes=hashes)}
    router = decide(replace(at_first, rollout_states=states), None, now=NOW).router
    edited = snapshot(group("assistant", MODELS[0], broken("gpt"), MODELS[2]), one)
    seen = []
    for turn, secrets in enumerate([{}, {}, {"missing": {"api-key": b"there"}}]):
        given = replace(edited, secrets=secrets, rollout_states=states)
        decision = decide(given, router, now=NOW)
        counted = {("assistant", states["r"].tag, Arm.CANARY): answers(300 * turn)}
        look = Look(NOW, frozenset({"a"}), {"a": counted})
        states = advanced(given, decision.verdicts, router, look, now=NOW)
        seen.append((states["r"].reason, states["r"].ledger.canary.requests))
    assert seen == [("ModelGroupInvalid", 0), ("ModelGroupInvalid", 300), ("GroupChanged", 0)]
    assert decision.router.group("assistant") != router.group("assistant")
