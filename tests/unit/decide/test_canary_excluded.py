"""Requests that are no evidence: they count for no gate, and yet a canary that makes them is not promoted."""

from random import Random
from typing import Any

import pytest

from harness.rollouts import Playground, answers
from turnout.api.canaryrollout import Gates
from turnout.decide.canary.excluded import excess
from turnout.decide.evidence import ArmCounts
from turnout.infra.rollout_status import rollout_conditions, rollout_fields

GOOD = answers(900)
STEPS = [{"weight": 50, "hold": "1m"}, {"weight": 100}]


def conditions(play: Playground) -> dict[str, str]:
    """Those that are about excluded requests: type → reason."""
    return {c.type.value: c.reason for c in rollout_conditions(play.rollout, play.state) if c.type == "ExcludedUneven"}


def measured(canary: dict[str, int], baseline: dict[str, int], **spec: Any) -> Playground:
    """A step whose hold is over."""
    play = Playground(steps=STEPS, **spec)
    play.begin()
    play.serve(GOOD + ArmCounts(canary), GOOD + ArmCounts(baseline))
    play.look(70)
    return play


@pytest.mark.parametrize(
    ("canary", "baseline", "words"),
    [
        ({"client_error": 400}, {"client_error": 3}, "400 of 1,300 requests of the canary were refused"),
        ({"client_error": 40}, {}, "40 of 940 requests of the canary were refused"),
        ({"hung_up": 100}, {"hung_up": 10}, "100 of 1,000 requests of the canary ended because the client left"),
        ({"too_long": 60}, {"client_error": 3}, "60 of 960 requests of the canary were refused"),
    ],
    ids=["refusing", "refusing-some", "hanging", "short-window"],
)
def test_a_canary_that_has_surely_more_of_them_does_not_rise(
    canary: dict[str, int], baseline: dict[str, int], words: str
) -> None:
    """It holds and says why; a person may promote it all the same."""
    play = measured(canary, baseline)
    assert (play.told, conditions(play)) == (("Holding", "ExcludedUneven", 50), {"ExcludedUneven": "Model"})
    assert words in play.state.message
    assert play.decided[-1] == ("Hold", "ExcludedUneven")
    play.spec["promote"] = True
    play.look()
    assert play.told == ("Progressing", "Applying", 100)


def test_what_has_passed_is_measured_anew_after_an_abort() -> None:
    """The message says so; the step begins again, without what was counted."""
    play = measured({"client_error": 400}, {})
    assert "set abort and take it back" in play.state.message
    for abort in (True, False):
        play.spec["abort"] = abort
        play.look()
    play.begin()
    assert (play.told, play.state.ledger.canary.drawn, conditions(play)) == (("Progressing", "Measuring", 50), 0, {})
    play.serve(GOOD, GOOD)
    play.look(70)
    assert play.told == ("Progressing", "Applying", 100)


@pytest.mark.parametrize(
    ("canary", "baseline"),
    [
        ({"client_error": 60, "hung_up": 60}, {"client_error": 50, "hung_up": 50}),
        ({"client_error": 3}, {"client_error": 400}),
        ({"too_long": 40}, {"client_error": 40}),
        ({}, {}),
    ],
    ids=["alike", "the-baseline's", "alike-by-another-name", "none"],
)
def test_what_chance_may_do_keeps_nothing(canary: dict[str, int], baseline: dict[str, int]) -> None:
    """A prompt that is too long for all is too_long where a wider model is left to try, and client_error where not."""
    play = measured(canary, baseline)
    assert (play.told, conditions(play)) == (("Progressing", "Applying", 100), {})


@pytest.mark.parametrize("result", ["hung_up", "client_error", "too_long"])
def test_a_little_more_of_them_is_allowed_as_of_errors(result: str) -> None:
    """One point, by default, however sure the difference is: two good models are never quite alike. Who wants less sets
    errorRate.maxIncrease.
    """
    many = {"ok": 1_000_000, result: 20_000}
    cases = [(25_000, "0.01"), (35_000, "0.01"), (25_000, "0.001")]
    judged = [
        excess(
            Gates.model_validate({"errorRate": {"maxIncrease": allowed}}),
            canary=ArmCounts({**many, result: number}),
            baseline=ArmCounts(many),
            periods=4,
        )
        for number, allowed in cases
    ]
    assert [bool(one) for one in judged] == [False, True, True]


@pytest.mark.parametrize("spec", [{"sticky": "Key"}, {"bake": "10m"}], ids=["sticky", "last-step"])
def test_where_no_lots_are_drawn_it_is_only_told(spec: dict[str, Any]) -> None:
    """Then it may be other clients, or other hours."""
    play = Playground(steps=STEPS, **spec)
    play.begin(2 if "bake" in spec else 1)
    play.serve(GOOD + ArmCounts({"client_error": 400}), GOOD)
    play.look(30)
    assert conditions(play) == {"ExcludedUneven": "NotByLot"}
    for _ in range(3):
        play.serve(GOOD, GOOD)
        play.look(300)
    assert play.told == ("Promoted", "Promoted", 100)


def test_they_stand_in_the_evidence() -> None:
    """Beside the figures that leave them out, the most frequent first."""
    play = Playground()
    play.begin()
    play.serve(answers(10) + ArmCounts({"client_error": 2, "hung_up": 3, "timeout": 1}))
    play.look()
    arm, _ = rollout_fields(play.rollout, play.state)["evidence"]
    assert arm["excluded"] == [{"result": "hung_up", "count": 3}, {"result": "client_error", "count": 2}]
    assert (arm["requests"], arm["errors"]) == (11, [{"result": "timeout", "count": 1}])


def test_equal_clients_keep_no_equal_canary() -> None:
    """Looked at three hundred times each, in a hundred rollouts, at 5 % confidence left: a tenth of that may be."""
    random, held = Random(1), 0
    for _ in range(100):
        arms = {name: {"ok": 0, "client_error": 0} for name in ("canary", "baseline")}
        for _ in range(300):
            for _ in range(20):
                arm = arms["canary" if random.random() < 0.25 else "baseline"]
                arm["client_error" if random.random() < 0.1 else "ok"] += 1
            counts = {name: ArmCounts(arm) for name, arm in arms.items()}
            if excess(Gates(), periods=1, **counts):
                held += 1
                break
    assert held <= 2
