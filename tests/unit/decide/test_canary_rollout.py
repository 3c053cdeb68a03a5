"""Rollouts, decision by decision: what takes them on, what keeps them, what takes them back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from harness.manifests import model
from harness.rollouts import ALL_GATES, NOW, STEPS, Playground, answers, kept
from turnout.api.canaryrollout_status import MOST_DECISIONS, GateVerdict
from turnout.decide.canary.rollout import advance, canary_of
from turnout.decide.canary.state import Seen
from turnout.decide.evidence import ArmCounts, Latencies

GOOD = (answers(300), answers(300))
NO_USAGE: dict[str, Any] = dict.fromkeys(
    ("priced", "nano_usd", "tokens", "tokens_squared", "micro_usd_squared", "tokens_micro_usd"), 0
)
"""Of a provider that does not say how many tokens there were."""


def over(play: Playground, seconds: float = 70) -> None:
    """Good requests, and the hold time passes."""
    play.serve(*GOOD)
    play.look(seconds)


def test_a_good_canary_goes_from_step_to_step_until_the_group_names_it_first() -> None:
    """Each weight is looked at from the moment that every router runs it."""
    play, weights = Playground(bake="2m", sticky="Key"), []
    for _ in range(60):
        play.serve(answers(50), answers(50))
        weights.append(play.look().weight)
    assert [w for w, before in zip(weights, [0, *weights], strict=False) if w != before] == [5, 25, 100]
    assert play.told == ("Promoted", "Promoted", 100)
    assert play.decided == [
        ("Start", "Started"),
        ("Advance", "StepOver"),
        ("Advance", "StepOver"),
        ("Promote", "Promoted"),
    ]
    assert [d.step for d in play.state.decisions] == [3, 3, 2, 1]
    assert {g.gate.value for g in play.state.decisions[0].analysis} == {
        "ErrorRate",
        "MeanLatency",
        "P95Latency",
        "Cost",
    }
    canary = canary_of(play.rollout, play.state, baseline="old")
    assert canary is not None
    assert (canary.weight, canary.model, canary.baseline, canary.sticky) == (10_000, "gpt", "old", True)
    play.models = [play.models[1], play.models[0]]
    play.look()
    assert play.told == ("Promoted", "Adopted", 0)
    assert canary_of(play.rollout, play.state, baseline="gpt") is None


def test_a_group_that_is_put_back_after_it_adopted_is_a_rollback_by_a_person() -> None:
    """It is not tried again, and says so; named first again, it is adopted again."""
    play = Playground()
    play.begin(3)
    over(play)
    for _ in range(2):
        play.models[:2] = play.models[1::-1]
        play.look()
        assert play.told == ("Promoted", "Adopted", 0)
        play.models[:2] = play.models[1::-1]
        play.look()
        play.look()
        assert play.told == ("RolledBack", "Reverted", 0)
        assert "not tried again" in play.state.message


def test_a_group_that_goes_on_to_another_model_leaves_an_adopted_rollout_behind() -> None:
    """It has done its work, and does not say any more that the group names its canary first."""
    play = Playground()
    play.begin(3)
    over(play)
    old, gpt, spare = play.models
    for models in ([spare, gpt, old], [spare, old]):
        play.models = [gpt, old, spare]
        play.look()
        assert "names the canary first" in play.state.message
        play.models = models
        play.look()
        assert play.told == ("Promoted", "Adopted", 0)
        assert "the group went on since" in play.state.message


def test_while_it_is_not_known_what_routers_run_a_step_stays_as_it_is() -> None:
    """Any publish makes it so for a moment. The time counts for what it turns out to be."""
    play = Playground()
    play.begin()
    play.look(60)
    assert play.told == ("Holding", "TooFewRequests", 5)
    for applied, counts in ((5, 20), (0, 0)):
        play.applied = 5
        play.look(5)
        held = play.state.held
        unknown = Seen(play.chain)
        play.now += timedelta(seconds=10)
        play.state = advance(play.rollout, play.state, unknown, now=play.now)
        assert play.told == ("Holding", "TooFewRequests", 5)
        play.applied = applied
        play.look(10)
        assert play.state.held - held == timedelta(seconds=counts)


def unlike(**changes: Any) -> Callable[[Playground], None]:
    """Changes attributes."""

    def act(play: Playground) -> None:
        for name, value in changes.items():
            setattr(play, name, value)

    return act


@pytest.mark.parametrize(
    ("canary", "baseline", "differently", "told"),
    [
        (99, 300, unlike(), ("Holding", "TooFewRequests", 5)),
        (300, 99, unlike(), ("Holding", "TooFewRequests", 5)),
        (0, 0, unlike(), ("Holding", "TooFewRequests", 5)),
        (300, 300, unlike(silent={"b"}), ("Holding", "EvidenceMissing", 5)),
        (300, 300, unlike(broken={"b"}), ("Holding", "MeasurementBroken", 5)),
        (300, 300, unlike(applied=0), ("Progressing", "Applying", 5)),
        (100, 100, unlike(), ("Progressing", "Applying", 25)),
    ],
    ids=["few-canary", "few-baseline", "no-traffic", "silent", "broken", "not-applied", "enough"],
)
def test_a_step_ends_with_time_requests_and_a_fresh_look_at_every_router(
    canary: int, baseline: int, differently: Callable[[Playground], None], told: tuple[str, str, int]
) -> None:
    """With less it holds, says so, and goes on when it has it."""
    play = Playground()
    play.begin()
    play.serve(answers(canary), answers(baseline))
    play.look(30)
    assert play.told == ("Progressing", "Measuring", 5)
    differently(play)
    play.look(31)
    assert play.told == told
    unlike(silent=set(), broken=set(), applied=None)(play)
    play.serve(*GOOD)
    play.look(10)
    play.look(31)
    assert play.state.weight == 25
    assert [d for d in play.decided if d[0] == "Hold"] == ([("Hold", told[1])] if told[0] == "Holding" else [])


def test_a_look_of_long_ago_ends_no_step() -> None:
    """Nothing was seen for 31 seconds: what it decides by must be fresh."""
    play = Playground()
    play.begin()
    play.serve(*GOOD)
    play.look(50)
    play.look(31, routers=False)
    assert play.told == ("Holding", "EvidenceMissing", 5)


def test_reasons_that_take_turns_fill_no_list() -> None:
    """Each is one decision, until another kind of decision is made."""
    play = Playground()
    play.begin()
    for turn in range(30):
        play.silent = set() if turn % 2 else {"b"}
        play.look(40)
    assert play.decided == [("Start", "Started"), ("Hold", "TooFewRequests"), ("Hold", "EvidenceMissing")]


def test_hold_time_counts_only_while_every_router_runs_the_weight_and_nobody_pauses() -> None:
    """Nor does it run backwards with the clock, or twice."""
    play = Playground(steps=[{"weight": 5, "hold": "10m"}, {"weight": 100}])
    play.begin()
    held = play.state.held
    play.look(60)
    assert play.state.held - held == timedelta(seconds=60)
    play.applied = 0
    play.look(60)
    play.look(60)
    assert play.state.held - held == timedelta(seconds=60)
    play.applied = None
    play.look(60)
    assert play.state.held - held == timedelta(seconds=60), "since when they run it is not known"
    play.look(60)
    play.spec["paused"] = True
    play.look(60)
    play.look(600)
    assert play.state.held - held == timedelta(seconds=180)
    play.spec["paused"] = False
    play.look(60)
    play.look(-3_600)
    play.look(60)
    assert play.state.held - held == timedelta(seconds=240)
    assert play.state.step == 1


SLOW_TAIL = answers(270) + answers(30, ms=9_000)


@pytest.mark.parametrize(
    ("bad", "gates"),
    [
        (answers(270, 30), {"ErrorRate"}),
        (answers(10, 20), {"ErrorRate"}),
        (answers(300, ms=1_500), {"MeanLatency", "P95Latency"}),
        (answers(300, usd=1.6), {"Cost"}),
        (SLOW_TAIL + SLOW_TAIL, {"MeanLatency", "P95Latency"}),
        (answers(300, ms=1_000, usd=1.4), set()),
        (ArmCounts({"client_error": 300, "hung_up": 300, "ok": 1}), set()),
        (ArmCounts({"open": 300}), {"ErrorRate"}),
        (ArmCounts({"limited": 40}), {"ErrorRate"}),
    ],
    ids=["failing", "few-but-grossly", "slow", "dear", "slow-tail", "within-limits", "clients", "circuit", "limits"],
)
def test_a_breach_takes_the_weight_to_nothing_at_once(bad: ArmCounts, gates: set[str]) -> None:
    """Long before the hold is over, and with the numbers that it was decided by."""
    play = Playground()
    play.begin()
    play.serve(bad, answers(2_000, 10))
    play.look()
    if not gates:
        assert play.told == ("Progressing", "Measuring", 5)
        return
    assert play.told == ("RolledBack", "Breach", 0)
    decision = play.state.decisions[0]
    assert decision.step == 1, "the step that was left"
    assert play.state.ledger.canary == bad, "people want to see what it was"
    assert {g.gate.value for g in decision.analysis if g.verdict is GateVerdict.BREACH} == gates
    assert all(
        g.low is not None and g.limit is not None and g.low > g.limit
        for g in decision.analysis
        if g.gate.value in gates
    )
    assert "allowed" in (decision.message or "")


@pytest.mark.parametrize(("weight", "most"), [(5, 20), (50, 40)])
def test_a_canary_that_fails_half_of_all_is_caught_within_tens_of_requests(weight: int, most: int) -> None:
    """With a baseline that never fails, and one look for each pair of requests."""
    play = Playground(steps=[{"weight": weight, "hold": "1h"}, {"weight": 100}])
    play.begin()
    for _ in range(most // 2):
        play.serve(answers(1, 1), answers(2 * (100 - weight) // weight))
        play.look(1)
    assert play.told == ("RolledBack", "Breach", 0)


def test_what_was_rolled_back_is_not_tried_again_until_it_changes() -> None:
    """Controls and freezes are no change; gates are, and a promote afterwards, which is judged while it bakes."""
    play = Playground(bake="1h")
    play.begin()
    play.serve(answers(100, 100), answers(2_000))
    play.look()
    pausing = ({"paused": True}, {"promote": True}, {"promote": False}, {"paused": False})
    for control in (*pausing, {"abort": True}, {"abort": False}, {"freeze": []}):
        play.spec |= control
        play.look()
        assert play.told == ("RolledBack", "Breach", 0), control
    play.spec["promote"] = True
    play.look()
    assert play.told == ("Progressing", "Applying", 100)
    play.begin(3)
    play.serve(answers(100, 100))
    play.look()
    assert play.told == ("RolledBack", "Breach", 0), "promoted by hand, but it fails"
    play.look()
    assert play.state.weight == 0, "a promote that stands is not tried again"
    run = play.state.run
    play.spec |= {"promote": False, "gates": {**ALL_GATES, "errorRate": {"maxIncrease": "0.9"}}}
    play.look()
    play.look()
    assert (play.state.step, play.state.weight, play.state.run != run) == (1, 5, True)


def test_what_keeps_a_promote_waiting_is_told_only_while_it_is_set() -> None:
    """Then the breach is what it was rolled back for."""
    play = Playground()
    play.begin()
    play.serve(answers(100, 100), answers(2_000))
    play.look()
    why = play.state.message
    play.spec |= {"promote": True, "freeze": [{"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}]}
    play.look()
    assert play.told == ("RolledBack", "Frozen", 0)
    play.spec |= {"promote": False, "abort": True}
    play.look()
    assert (play.told, play.state.message) == (("RolledBack", "Breach", 0), why)


def test_with_on_breach_hold_a_person_decides() -> None:
    """It stays at its weight, whatever is measured later; pausing does not free it, new gates do."""
    play = Playground(onBreach="Hold")
    play.begin()
    play.serve(answers(100, 100), answers(2_000))
    play.look()
    assert play.told == ("Holding", "Breach", 5)
    for change in ({}, {"paused": True}, {"paused": False}):
        play.spec |= change
        over(play, 600)
        assert play.told == ("Holding", "Breach", 5)
    play.spec["gates"] = {**ALL_GATES, "errorRate": {"maxIncrease": "0.9"}}
    play.look()
    play.look()
    assert play.state.weight == 25
    assert [d for d in play.decided if d[1] != "StepOver"] == [
        ("Start", "Started"),
        ("Hold", "Breach"),
        ("Continue", "SpecChanged"),
    ]


def test_a_price_that_is_taken_away_holds_the_step_until_it_is_back() -> None:
    """The canary is not let pass without its cost being known, and keeps its weight; its entry changes twice."""
    play = Playground()
    play.begin(2)
    play.models[1]["price"] = None
    play.look()
    over(play)
    assert play.told == ("Holding", "PriceMissing", 25)
    del play.models[1]["price"]
    play.look()
    assert play.told == ("Progressing", "GroupChanged", 25)
    over(play)
    over(play)
    assert play.told[2] == 100


@pytest.mark.parametrize(
    ("canary", "baseline", "gates", "words"),
    [
        (
            replace(answers(300), **NO_USAGE),
            answers(300),
            {},
            "the canary has 0 answers with known cost; 50 are needed",
        ),
        (answers(300), replace(answers(300), **NO_USAGE), {}, "the baseline has 0 answers with known cost"),
        (answers(30), answers(300), {"minRequests": 30}, "the canary has 30 answers; 50 are needed"),
        (
            replace(answers(300), took=Latencies(sum_ms=270_000)),
            answers(300),
            {},
            "the canary has 0 answers; 1 are needed",
        ),
    ],
    ids=["no-usage", "no-usage-of-baseline", "mean-of-few", "no-histogram"],
)
def test_a_gate_that_has_no_data_keeps_the_step_from_ending(
    canary: ArmCounts, baseline: ArmCounts, gates: dict[str, Any], words: str
) -> None:
    """It was set to be kept to, so it says what it lacks; it goes on when it has it, or the gate is left out."""
    play = Playground(gates={**ALL_GATES, **gates})
    play.begin()
    play.serve(canary, baseline)
    play.look(70)
    assert play.told == ("Holding", "GateWithoutData", 5)
    assert words in play.state.message
    assert "leave the gate out" in play.state.message
    left_out = {name: gate for name, gate in play.spec["gates"].items() if name in {"errorRate", "minRequests"}}
    other, play.spec["gates"] = kept(play.rollout, play.state), left_out
    play.look()
    play.look()
    assert play.state.weight == 25
    play.state, play.spec["gates"] = other, {**ALL_GATES, **gates}
    play.serve(answers(100), answers(100))
    play.look()
    assert play.state.weight == 25


def test_no_step_ends_while_what_is_pending_hides_a_breach() -> None:
    """Answers take long: a good part of ten minutes' requests has not ended, and 4 % of the canary's that have failed.
    With more requests it is sure, and goes back; it must not rise before that.
    """
    play = Playground(gates={"errorRate": {"maxIncrease": "0.01"}, "minRequests": 100})
    play.begin()
    play.serve(replace(answers(8_640, 360), pending=300), replace(answers(165_300), pending=5_700))
    play.look(70)
    assert play.told == ("Holding", "StillPending", 5)
    assert "By what has ended that is too much" in play.state.message
    play.serve(answers(8_640, 360), answers(171_000))
    play.look()
    assert play.told == ("RolledBack", "Breach", 0)


def test_a_promote_passes_a_gate_that_has_no_data() -> None:
    """A person wants it, whatever was measured."""
    play = Playground()
    play.begin()
    for _ in range(4):
        play.serve(replace(answers(300), **NO_USAGE), answers(300))
        play.look(30)
    assert play.told == ("Holding", "GateWithoutData", 5)
    play.spec["promote"] = True
    for _ in range(4):
        play.serve(replace(answers(300), **NO_USAGE))
        play.look(30)
    assert (play.told, play.decided[-1]) == (("Promoted", "Promoted", 100), ("Promote", "Promote"))


@pytest.mark.parametrize("priced", [True, False])
def test_a_canary_that_is_free_needs_no_costs(*, priced: bool) -> None:
    """It cannot be dearer, whether its provider says how many tokens there were or not."""
    play = Playground()
    play.models[1]["price"] = {"input": "0", "output": "0"}
    play.begin()
    play.serve(answers(300, usd=0) if priced else replace(answers(300), **NO_USAGE), answers(300))
    play.look(70)
    assert play.told == ("Progressing", "Applying", 25)


def test_a_promote_that_is_set_after_a_breach_in_the_last_step_promotes() -> None:
    """A person decides; one that was set before the breach decides nothing of it."""
    play = Playground(onBreach="Hold", bake="1h")
    play.begin(3)
    play.serve(answers(100, 100))
    play.look()
    assert play.told == ("Holding", "Breach", 100)
    assert "set promote or abort" in play.state.message
    play.spec["promote"] = True
    play.look()
    assert (play.told, play.decided[-1]) == (("Promoted", "Promoted", 100), ("Promote", "Promote"))
    by_hand = Playground(onBreach="Hold", bake="1h")
    by_hand.begin(2)
    by_hand.spec["promote"] = True
    by_hand.begin(3)
    by_hand.serve(answers(100, 100))
    for _ in range(3):
        by_hand.look()
        assert by_hand.told == ("Holding", "Breach", 100)
    assert "take promote back" in by_hand.state.message
    by_hand.spec["promote"] = False
    by_hand.look()
    assert by_hand.told == ("Progressing", "Resumed", 25)


def test_gates_that_change_together_with_the_group_free_what_is_held() -> None:
    """One commit may do both."""
    play = Playground(onBreach="Hold")
    play.begin()
    play.serve(answers(100, 100), answers(2_000))
    play.look()
    play.spec["gates"] = {**ALL_GATES, "errorRate": {"maxIncrease": "0.9"}}
    play.timeouts = {"request": "200s"}
    play.look()
    assert play.told == ("Progressing", "SpecChanged", 5)


def test_pausing_aborting_and_promoting_are_undone_by_editing_them_back() -> None:
    """A pause goes on; what abort and promote left begins anew."""
    play = Playground(steps=[*STEPS[:2], {"weight": 100}], bake="1h")
    play.begin(2)
    play.spec["paused"] = True
    over(play, 600)
    over(play, 600)
    assert play.told == ("Paused", "Paused", 25)
    play.spec |= {"paused": False, "abort": True}
    play.look()
    assert play.told == ("Aborted", "Abort", 0)
    play.spec["abort"] = False
    play.look()
    assert (play.told, play.state.step, play.state.held) == (("Progressing", "Applying", 25), 2, timedelta())
    play.spec["promote"] = True
    play.look()
    assert (play.told, play.state.step) == (("Progressing", "Applying", 100), 3)
    play.look()
    play.spec["promote"] = False
    play.look()
    assert (play.told, play.state.step) == (("Progressing", "Resumed", 25), 2)
    for _ in range(3):  # applied, opened, over
        over(play)
    assert play.state.step == 3
    play.spec["abort"] = True
    play.look()
    assert play.told == ("Aborted", "Abort", 0)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_nothing_rises_while_it_is_paused(step: int) -> None:
    """Not by starting, not by promote, not by taking an abort back."""
    play = Playground(paused=step == 0)
    if step:
        play.begin(step)
    before = play.state.weight
    for change in ({"paused": True}, {"promote": True}, {"promote": False, "abort": True}, {"abort": False}):
        play.spec |= change
        play.look()
        over(play)
        assert play.state.weight == (0 if play.spec.get("abort") is not None else before), change
    play.spec["paused"] = False
    play.look()
    play.look()
    assert play.state.step == max(step, 1)


def test_a_baseline_that_changed_while_it_was_aborted_is_compared_with_no_more() -> None:
    """What the old one did tells nothing of the new one."""
    play = Playground(bake="1h")
    play.begin(2)
    assert play.state.ledger.earlier.requests
    play.spec["abort"] = True
    play.look()
    play.models[0] = model("old", "http://elsewhere/v1")
    play.look()
    play.spec["abort"] = False
    play.look()
    assert (play.state.step, play.state.ledger.earlier.requests) == (2, 0)


def test_aborting_works_after_promotion_too() -> None:
    """Until the group names the canary first."""
    play = Playground()
    play.begin(3)
    over(play)
    assert play.told == ("Promoted", "Promoted", 100)
    play.spec["abort"] = True
    play.look()
    assert play.told == ("Aborted", "Abort", 0)


def test_a_freeze_keeps_weights_from_rising_and_not_from_falling() -> None:
    """Not at the start, not at a step's end, not by promote; a breach goes back all the same."""
    freeze = [{"from": "2026-11-23T09:01:00Z", "to": "2026-11-23T10:00:00Z"}]
    late = Playground(freeze=freeze)
    late.look(70)
    late.look(10)
    assert (late.told, late.decided) == (("Pending", "Frozen", 0), [("Hold", "Frozen")])
    play = Playground(freeze=freeze)
    play.begin()
    over(play)
    over(play)
    assert play.told == ("Holding", "Frozen", 5)
    play.spec["promote"] = True
    over(play)
    assert play.told == ("Holding", "Frozen", 5)
    play.spec["promote"] = False
    play.serve(*GOOD)
    play.look((NOW + timedelta(hours=1) - play.now).total_seconds())
    assert play.state.weight == 25
    play.spec["freeze"] = [{"from": "Mon 00:00", "to": "Tue 00:00"}]
    play.begin(2)
    play.serve(answers(100, 100), answers(2_000))
    play.look()
    assert play.told == ("RolledBack", "Breach", 0)


def test_while_it_bakes_the_canary_is_held_to_what_the_baseline_did_before() -> None:
    """At 100 % the baseline gets nothing; the steps before it are compared with, and a breach goes back."""
    play = Playground(bake="1h")
    play.begin(3)
    assert play.state.ledger.earlier.requests >= 400
    over(play)
    assert play.told == ("Progressing", "Baking", 100)
    play.serve(answers(100, 100))
    play.look()
    assert play.told == ("RolledBack", "Breach", 0)


def test_a_changed_canary_or_baseline_restarts_the_step_and_no_other_change_does() -> None:
    """It says so either way."""
    play = Playground()
    play.begin(2)
    play.serve(*GOOD)
    play.look(50)
    play.timeouts = {"firstToken": "7s"}
    play.look(5)
    assert (play.decided[-1], play.state.step) == (("Continue", "GroupChanged"), 2)
    assert play.state.ledger.canary.requests >= 300
    play.models[1] = model("gpt", "http://elsewhere/v1")
    play.look(60)
    assert (play.decided[-1], play.told) == (("Restart", "GroupChanged"), ("Progressing", "GroupChanged", 25))
    assert (play.state.held, play.state.ledger.canary.requests, play.state.ledger.earlier.requests) == (
        timedelta(),
        0,
        0,
    )
    play.models[2] = model("spare", "http://another/v1")
    play.look()
    assert play.decided[-1] == ("Continue", "GroupChanged")


def test_a_canary_that_leaves_the_group_gets_nothing_and_begins_anew_when_it_is_back() -> None:
    """Its weight is 0 meanwhile."""
    play = Playground()
    play.begin(2)
    gone = play.models.pop(1)
    play.look()
    assert (play.told, play.state.step) == (("Pending", "ModelNotFound", 0), 0)
    play.models.append(gone)
    play.look()
    play.look()
    assert (play.state.step, play.state.weight) == (1, 5)


@pytest.mark.parametrize(
    ("mistake", "phase"),
    [({"group_is_broken": True}, "ModelGroupInvalid"), ({"freeze": "Nowhere/Land"}, "TimeZoneUnknown")],
    ids=["group", "time-zone"],
)
def test_a_mistake_elsewhere_changes_no_weight(mistake: dict[str, Any], phase: str) -> None:
    """Under way it holds; what is held, promoted or adopted stays as it is."""

    def err(play: Playground) -> None:
        play.group_is_broken = mistake.get("group_is_broken", False)
        zone = mistake.get("freeze", "UTC")
        play.spec["freeze"] = [{"from": "Sat 00:00", "to": "Sun 00:00", "timeZone": zone}]
        play.look()

    under_way = Playground()
    under_way.begin(2)
    err(under_way)
    assert under_way.told == ("Holding", phase, 25)
    held = Playground(onBreach="Hold")
    held.begin()
    held.serve(answers(100, 100), answers(2_000))
    held.look()
    err(held)
    assert held.told == ("Holding", "Breach", 5)
    promoted = Playground()
    promoted.begin(3)
    over(promoted)
    err(promoted)
    assert promoted.told == ("Promoted", "Promoted", 100)
    adopted = Playground()
    adopted.begin(3)
    adopted.models = adopted.models[1:]
    adopted.look()
    assert adopted.told == ("Promoted", "Adopted", 0)
    err(adopted)
    assert adopted.told == ("Promoted", "Adopted", 0)


def test_other_steps_are_another_rollout() -> None:
    """It begins at its first step, with another id, so that routers count anew."""
    play = Playground()
    play.begin(2)
    run = play.state.run
    play.spec["steps"] = [{"weight": 10, "hold": "1m"}, {"weight": 100}]
    play.look()
    assert (play.told, play.decided[-1]) == (("Pending", "Starting", 0), ("Restart", "SpecChanged"))
    play.look()
    assert (play.state.weight, play.state.run != run) == (10, True)


def test_only_the_last_decisions_are_kept() -> None:
    """Twenty of them."""
    play = Playground()
    play.begin()
    for turn in range(40):
        play.spec["paused"] = turn % 2 == 0
        play.look(1)
    assert len(play.state.decisions) == MOST_DECISIONS


def test_a_histogram_that_is_seconds_behind_breaks_nothing() -> None:
    """Envoy's counters come at once, its histograms with the next flush."""
    play = Playground()
    play.begin()
    late = answers(300)
    play.serve(ArmCounts({"ok": 300}, Latencies(), late.took_squared), answers(300))
    play.look()
    assert play.told == ("Progressing", "Measuring", 5)


def test_looks_that_were_lost_in_a_crash_are_made_up_for_by_the_next() -> None:
    """Statuses are not written for every look; routers still have what they counted, be it for an hour."""
    play = Playground(steps=[{"weight": 5, "hold": "5h"}, {"weight": 100}])
    play.begin()
    play.serve(answers(50), answers(50))
    play.look()
    written = play.state
    for _ in range(3):
        play.serve(answers(50), answers(50), router="b")
        play.look(1_200)
    play.state = kept(play.rollout, written)
    play.look()
    assert play.state.ledger.canary == answers(200)
    assert play.state.held > timedelta(hours=1), "the weight was applied all the time"
