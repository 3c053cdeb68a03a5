"""The last step, in which the baseline gets nothing: nobody is promoted for lack of something to compare with."""

from dataclasses import replace
from typing import Any

import pytest

from harness.manifests import model
from harness.rollouts import Playground, answers

FAILING = answers(0, 100)
UNPRICED = replace(answers(100), priced=0, nano_usd=0, tokens=0)
ELSEWHERE = "http://elsewhere/v1"


def serve(play: Playground, seconds: int = 200, canary: Any = FAILING) -> None:
    """The canary gets everything."""
    for _ in range(seconds // 10):
        play.serve(canary)
        play.look()


@pytest.mark.parametrize(
    ("spec", "way"),
    [
        ({"steps": [{"weight": 100}], "bake": "0s"}, {"promote": True}),
        ({"steps": [{"weight": 100}], "bake": "1m"}, {"promote": True}),
        ({"promote": True, "bake": "1m"}, {"bake": "0s"}),
    ],
    ids=["the-only-step", "the-only-step-bakes", "promoted-from-the-start"],
)
def test_without_a_baseline_only_a_person_promotes(spec: dict[str, Any], way: dict[str, Any]) -> None:
    """It says how. Whoever promotes and asks for bake still wants to see it compared."""
    play = Playground(**spec)
    serve(play)
    assert play.told == ("Holding", "NothingToCompare", 100)
    [(name, _)] = way.items()
    assert f"to have it promoted unmeasured, set {name}" in play.state.message
    play.spec |= way
    play.look()
    play.look()
    assert (play.told, play.decided[-1]) == (("Promoted", "Promoted", 100), ("Promote", "Promote"))


def test_a_promote_of_the_only_step_leaves_none_out() -> None:
    """So its bake passes, and it is promoted; without promote it holds until one is set, or there is a step more."""
    play = Playground(steps=[{"weight": 100}], bake="1m", promote=True)
    serve(play, 50)
    assert play.told == ("Progressing", "Baking", 100)
    play.spec["promote"] = False
    serve(play)
    assert play.told == ("Holding", "NothingToCompare", 100)
    assert "add a step below 100 %; to have it promoted unmeasured, set promote" in play.state.message
    play.spec["promote"] = True
    play.look()
    assert (play.told, play.decided[-1]) == (("Promoted", "Promoted", 100), ("Promote", "Promote"))


@pytest.mark.parametrize("canary", [FAILING, None], ids=["failing", "quiet"])
def test_a_promote_without_bake_asks_for_no_comparison(canary: Any) -> None:
    """It is promoted as soon as all routers run it and were looked at, be there requests or not."""
    play = Playground(promote=True)
    serve(play, canary=canary)
    assert (play.told, play.decided[-1]) == (("Promoted", "Promoted", 100), ("Promote", "Promote"))


def test_a_promote_in_the_last_step_ends_it_when_bake_is_over() -> None:
    """However few requests came."""
    play = Playground(bake="1m")
    play.begin(3)
    serve(play, 100, canary=None)
    assert play.told == ("Holding", "TooFewRequests", 100)
    play.spec["promote"] = True
    play.look()
    assert (play.told, play.decided[-1]) == (("Promoted", "Promoted", 100), ("Promote", "Promote"))


def test_a_promote_that_bakes_asks_for_requests() -> None:
    """Who wants to see it compared waits for them, and for routers in any case."""
    play = Playground(bake="1m")
    play.begin(2)
    play.serve(answers(200), answers(200))
    play.look()
    play.spec["promote"] = True
    serve(play, canary=None)
    assert play.told == ("Holding", "TooFewRequests", 100)
    play.spec["bake"], play.silent = "0s", {"b"}
    serve(play, 40, canary=None)
    assert play.told == ("Holding", "EvidenceMissing", 100)
    play.silent = set()
    play.look()
    assert play.told == ("Promoted", "Promoted", 100)


def test_a_promote_that_bakes_is_judged_by_gates_that_have_data() -> None:
    """It was asked for, so one that has none keeps it; its message names what a person can do."""
    play = Playground(bake="1m")
    play.begin(2)
    for _ in range(3):
        play.serve(answers(200), answers(200))
        play.look(10)
    play.spec["promote"] = True
    serve(play, canary=UNPRICED)
    assert play.told == ("Holding", "GateWithoutData", 100)
    assert "take promote back, or set bake to 0s" in play.state.message


def test_a_promote_that_is_taken_back_is_measured() -> None:
    """In the step that was left."""
    play = Playground(bake="1m", promote=True)
    serve(play)
    play.spec["promote"] = False
    play.look()
    assert play.told == ("Progressing", "Resumed", 5)


@pytest.mark.parametrize("entry", [0, 1], ids=["baseline", "canary"])
@pytest.mark.parametrize("bake", ["0s", "10m"])
def test_models_that_changed_in_the_last_step_go_back_to_be_measured(entry: int, bake: str) -> None:
    """In the step before it, at its weight."""
    play = Playground(bake=bake)
    play.begin(3)
    play.models[entry] = model(("old", "gpt")[entry], ELSEWHERE)
    play.look()
    assert (play.told, play.state.step) == (("Progressing", "GroupChanged", 25), 2)
    assert play.decided[-1] == ("Restart", "GroupChanged")
    assert "measured in step 2" in play.state.message
    assert play.state.ledger.earlier.requests == 0
    play.begin(3)
    assert play.state.ledger.earlier.requests >= 100


def test_models_that_changed_after_a_promote_stay_until_it_is_taken_back() -> None:
    """A person wants it there. Back is the step that was left."""
    play = Playground(bake="1m")
    play.begin(2)
    play.spec["promote"] = True
    play.look()
    play.models[1] = model("gpt", ELSEWHERE)
    play.look()
    assert (play.told, play.state.step) == (("Progressing", "GroupChanged", 100), 3)
    serve(play)
    assert play.told == ("Holding", "NothingToCompare", 100)
    play.spec["promote"] = False
    play.look()
    assert (play.told, play.state.step) == (("Progressing", "Resumed", 25), 2)


def test_models_that_changed_while_the_last_step_was_aborted_begin_in_the_step_before() -> None:
    """Nothing is known of them."""
    play = Playground(bake="1m")
    play.begin(3)
    play.spec["abort"] = True
    play.look()
    play.models[1] = model("gpt", ELSEWHERE)
    play.look()
    play.spec["abort"] = False
    play.look()
    assert (play.state.step, play.state.weight, play.state.ledger.earlier.requests) == (2, 25, 0)


@pytest.mark.parametrize("entry", [0, 1], ids=["baseline", "canary"])
def test_models_that_change_after_the_promotion_stay_and_are_said_to_be_unmeasured(entry: int) -> None:
    """Nobody sends what is promoted back to a primary that may be on its way out. It is one decision; abort, taken
    back, measures the new entry. Edited back, it is what was promoted.
    """
    play = Playground()
    play.begin(3)
    serve(play, 30, canary=answers(100))
    promoted, before = (play.told, play.state.message), play.models[entry]
    assert promoted[0] == ("Promoted", "Promoted", 100)
    for name in (ELSEWHERE, "http://another/v1"):
        play.models[entry] = model(("old", "gpt")[entry], name)
        play.look()
        play.look()
        assert (play.told, play.decided[-1]) == (("Promoted", "GroupChanged", 100), ("Continue", "GroupChanged"))
        assert "was not measured like this" in play.state.message
    assert play.decided.count(("Continue", "GroupChanged")) == 1
    play.group_is_broken = True
    play.look()
    assert play.told == ("Promoted", "GroupChanged", 100)
    play.group_is_broken = False
    changed, play.models[entry] = play.models[entry], before
    play.look()
    assert (play.told, play.state.message) == promoted
    play.models[entry] = changed
    for abort in (True, False):
        play.spec["abort"] = abort
        play.look()
    assert (play.state.step, play.state.weight, play.state.ledger.earlier.requests) == (2, 25, 0)


def test_what_was_rolled_back_keeps_its_evidence_when_its_entry_is_edited() -> None:
    """People look at it to see what it was. What rises after that is another model."""
    play = Playground(bake="1m")
    play.begin(2)
    play.serve(answers(100, 100), answers(2_000))
    play.look()
    assert play.told == ("RolledBack", "Breach", 0)
    counted = play.state.ledger.canary
    play.models[1] = model("gpt", ELSEWHERE)
    play.look()
    play.look()
    assert play.state.ledger.canary == counted
    play.spec["promote"] = True
    play.look()
    assert (play.state.weight, play.state.ledger.earlier.requests) == (100, 0)
