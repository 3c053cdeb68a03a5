"""A rollout's status: what it says in each phase, what is odd, what must be written at once, and what a crash keeps."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.rollouts import NOW, Playground, answers, kept
from turnout.api.canaryrollout_status import RolloutPhase
from turnout.decide.canary.state import State
from turnout.decide.evidence import ArmCounts
from turnout.infra.conditions import stamped
from turnout.infra.rollout_status import restored, rollout_conditions, rollout_fields, without_explanations
from turnout.infra.status import presses

FIRST = {
    "": "conditions phase reason message step weight stepStartedAt held missing broken decisions ledger memory",
    "weight": "desired applied observed observedLow observedHigh",
    "missing": "silent silentCount gone",
    "broken": "looks now message",
    "decisions": "at action step weight reason message",
    "ledger": "period alone lookedAt baseline canary earlierBaseline routers",
    "memory": "run runs stepsHash specHash entriesHash groupHash failedHash failedPromoted leftStep countedAt",
}
"""What the definition of the first release knows of a status, without what the reduced one leaves out."""
CORE = {"Programmed", "Ready", "Reconciling", "Stalled"}
"""Conditions of a rollout that say how it stands."""


def conditions(play: Playground) -> dict[str, tuple[str, str]]:
    """Type → status and reason."""
    return {c.type.value: (c.status.value, c.reason) for c in rollout_conditions(play.rollout, play.state)}


def failing(play: Playground) -> None:
    """The canary fails."""
    play.serve(answers(100, 100), answers(4_000))


def spec(**changes: Any) -> Callable[[Playground], None]:
    """The spec changes."""
    return lambda play: play.spec.update(changes)


def over(play: Playground) -> None:
    """Good requests for a minute."""
    play.serve(answers(200), answers(200))
    play.look(60)


@pytest.mark.parametrize(
    ("events", "ready", "other"),
    [
        ([], ("False", "Measuring"), ("Reconciling", "Measuring")),
        ([spec(paused=True)], ("False", "Paused"), ("Reconciling", "Paused")),
        ([lambda play: play.look(60)], ("False", "TooFewRequests"), ("Reconciling", "TooFewRequests")),
        ([failing], ("False", "Breach"), ("Stalled", "Breach")),
        ([spec(onBreach="Hold"), failing], ("False", "Breach"), ("Stalled", "Breach")),
        ([spec(abort=True)], ("False", "Abort"), ("Stalled", "Abort")),
        ([spec(promote=True), over, over], ("True", "Promoted"), None),
        ([spec(promote=True), over, over, lambda play: play.models.pop(0)], ("True", "Adopted"), None),
    ],
    ids=["measuring", "paused", "too-few", "rolled-back", "held", "aborted", "promoted", "adopted"],
)
def test_ready_is_a_rollout_that_is_done_and_stalled_one_that_needs_a_person(
    events: list[Callable[[Playground], None]], ready: tuple[str, str], other: tuple[str, str] | None
) -> None:
    """So kubectl wait, Flux and Argo CD know whether to wait."""
    play = Playground()
    play.begin()
    for event in events:
        event(play)
        play.look(1)
    play.look(1)
    found = conditions(play)
    assert found.pop("Ready") == ready
    assert found.pop("Programmed") == ("True", "Programmed")
    assert found == ({other[0]: ("True", other[1])} if other else {})


@pytest.mark.parametrize(
    ("sticky", "canary", "baseline", "expected"),
    [
        ("None", 60, 940, {}),
        ("None", 300, 700, {"WeightOff": ("True", "Observed")}),
        ("Key", 0, 1_000, {"WeightOff": ("True", "KeysUnequal")}),
        ("Key", 1, 9, {}),
    ],
)
def test_an_observed_share_that_cannot_be_by_chance_is_a_condition(
    sticky: str, canary: int, baseline: int, expected: dict[str, tuple[str, str]]
) -> None:
    """5 % are wanted."""
    play = Playground(sticky=sticky)
    play.begin()
    play.serve(answers(canary), answers(baseline))
    play.look()
    found = conditions(play)
    assert {kind: value for kind, value in found.items() if kind == "WeightOff"} == expected
    weight = rollout_fields(play.rollout, play.state)["weight"]
    assert float(weight["observedLow"]) <= float(weight["observed"]) <= float(weight["observedHigh"])


@pytest.mark.parametrize(("canary", "baseline"), [((0, 50), (950, 0)), ((50, 0), (0, 950))])
def test_the_observed_share_is_of_what_was_drawn_however_long_it_takes(
    canary: tuple[int, int], baseline: tuple[int, int]
) -> None:
    """One arm's requests have ended, the other's have not: the weight is right all the same."""
    play = Playground()
    play.begin()
    play.serve(*(replace(answers(ended), pending=pending) for ended, pending in (canary, baseline)))
    play.look()
    assert "WeightOff" not in conditions(play)
    fields = rollout_fields(play.rollout, play.state)
    assert fields["weight"]["observed"] == "5"
    assert [arm.get("pending", 0) for arm in fields["evidence"]] == [canary[1], baseline[1]]


def test_silent_and_broken_routers_and_weights_under_way_are_told() -> None:
    """Each in a condition of its own."""
    play = Playground()
    play.begin()
    play.silent, play.broken, play.applied = {"a"}, {"b"}, 0
    play.look()
    found = conditions(play)
    assert found["EvidenceMissing"] == ("True", "RoutersSilent")
    assert found["MeasurementBroken"] == ("True", "NoSense")
    assert found["Programmed"] == ("False", "Pending")


@pytest.mark.parametrize(("applied", "programmed"), [(None, "False"), (5, "False"), (0, "True")])
def test_a_canary_without_weight_is_told_so_when_every_router_was_seen(applied: int | None, programmed: str) -> None:
    """What is not known is not claimed, least of all after a breach."""
    play = Playground()
    play.begin()
    failing(play)
    play.look()
    assert play.state.phase is RolloutPhase.ROLLED_BACK
    play.state = replace(play.state, applied=applied)
    assert conditions(play)["Programmed"][0] == programmed


def test_figures_alone_are_not_written_at_once() -> None:
    """Decisions, weights, phases and conditions are."""
    play = Playground()
    play.begin()

    def status() -> dict[str, Any]:
        found = rollout_conditions(play.rollout, play.state)
        return {**rollout_fields(play.rollout, play.state), "conditions": stamped(found, (), generation=1, now=NOW)}

    play.look()
    before = status()
    play.serve(answers(30), answers(600))
    play.look()
    assert presses(before, status()), "the first evidence of a step"
    before = status()
    play.serve(answers(30), answers(600))
    play.look()
    assert status() != before
    assert not presses(before, status())
    play.spec["paused"] = True
    play.look()
    assert presses(before, status())


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"phase": "Pending"},
        {"phase": "Novel", "ledger": {}, "memory": {}, "weight": {"desired": 5}},
        {"phase": "Progressing", "ledger": {"canary": "ok=many"}, "memory": {}, "weight": {"desired": 5}},
    ],
)
def test_a_status_that_cannot_be_read_is_a_rollout_that_never_ran(status: dict[str, Any]) -> None:
    """It begins with weight 0."""
    assert restored(status) == State()


def test_conditions_of_a_newer_operator_lose_nothing() -> None:
    """They are written anew; everything else is kept."""
    play = Playground()
    play.begin(2)
    fields = rollout_fields(play.rollout, play.state)
    assert restored({**fields, "conditions": [{"type": "Novel"}]}) == kept(play.rollout, play.state) == play.state


@pytest.mark.parametrize("phase", ["measuring", "rolled-back"])
def test_the_reduced_status_has_only_what_the_first_definitions_know(phase: str) -> None:
    """An API server that has those refuses all others. A restarted operator goes on by it; the model's hash is not
    known then.
    """
    play = Playground(steps=[{"weight": 50, "hold": "1h"}, {"weight": 100}])
    play.begin()
    play.silent, play.broken = {"a"}, {"b"}
    play.routers["c"] = {}
    play.serve(answers(900) + ArmCounts({"client_error": 400}, pending=3), answers(100), router="c")
    play.look()
    if phase == "rolled-back":
        play.serve(answers(100, 900), answers(2_000), router="c")
        play.look()
    found = rollout_conditions(play.rollout, play.state)
    odd = {"WeightOff", "ExcludedUneven", "EvidenceMissing", "MeasurementBroken"} if phase == "measuring" else set()
    assert {one.type.value for one in found} - CORE == odd
    full = rollout_fields(play.rollout, play.state) | {"conditions": stamped(found, (), generation=1, now=NOW)}
    least = without_explanations(full)
    assert {one["type"] for one in least["conditions"]} <= CORE
    for where, names in FIRST.items():
        parts = least[where] if where else least
        for part in parts if isinstance(parts, list) else [parts]:
            assert part.keys() <= set(names.split()), where
    assert full["memory"]["modelHash"]
    hashes = replace(play.state.hashes, model="")
    assert replace(restored(least), decisions=()) == replace(play.state, hashes=hashes, decisions=())


def test_the_reduced_status_of_other_kinds_is_the_whole() -> None:
    """They have nothing that only explains."""
    status = {"conditions": [{"type": "Ready"}, {"type": "BudgetWarning"}], "usage": {"today": {}}}
    assert without_explanations(status) == status
