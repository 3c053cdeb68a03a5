"""Rollouts under way while something is wrong elsewhere: what still takes them back, and what waits."""

from typing import Any

import pytest

from harness.manifests import model
from harness.rollouts import Playground, answers

NOWHERE = [{"from": "Sat 00:00", "to": "Sun 00:00", "timeZone": "Nowhere/Land"}]


def err(play: Playground, mistake: str) -> None:
    """The group cannot be read any more, or a time zone is unknown."""
    if mistake == "ModelGroupInvalid":
        play.group_is_broken = True
    else:
        play.spec["freeze"] = NOWHERE
    play.look()


def mended(play: Playground) -> None:
    """All is well again."""
    play.group_is_broken = False
    play.spec["freeze"] = []


@pytest.mark.parametrize("mistake", ["ModelGroupInvalid", "TimeZoneUnknown"])
class TestMistakeElsewhere:
    """Of the group, or of a freeze."""

    def test_a_breach_goes_back_all_the_same(self, mistake: str) -> None:
        """Routers run the canary, so it is judged."""
        play = Playground()
        play.begin()
        err(play, mistake)
        assert play.told == ("Holding", mistake, 5)
        play.serve(answers(0, 50), answers(1_000))
        play.look()
        assert play.told == ("RolledBack", "Breach", 0)
        mended(play)
        play.look()
        assert play.told == ("RolledBack", "Breach", 0)

    def test_a_breach_holds_with_on_breach_hold(self, mistake: str) -> None:
        """A person decides, as without the mistake."""
        play = Playground(onBreach="Hold")
        play.begin()
        err(play, mistake)
        play.serve(answers(0, 50), answers(1_000))
        play.look()
        assert play.told == ("Holding", "Breach", 5)

    def test_a_person_aborts_all_the_same_and_cannot_take_it_back_yet(self, mistake: str) -> None:
        """In a step, and when it is promoted."""
        for steps in (1, 3):
            play = Playground()
            play.begin(steps)
            if steps == 3:
                play.serve(answers(200))
                play.look()
                assert play.told == ("Promoted", "Promoted", 100)
            err(play, mistake)
            play.spec["abort"] = True
            play.look()
            assert play.told == ("Aborted", "Abort", 0)
            play.spec["abort"] = False
            play.look()
            assert play.told == ("Aborted", mistake, 0)
            mended(play)
            play.look()
            assert play.state.step == steps

    @pytest.mark.parametrize("change", [{"promote": True}, {"paused": True}, {}])
    def test_nothing_rises(self, mistake: str, change: dict[str, Any]) -> None:
        """Not when the hold is over, not by a person."""
        play = Playground()
        play.begin()
        err(play, mistake)
        play.spec |= change
        play.serve(answers(500), answers(500))
        play.look(70)
        assert play.told == ("Holding", mistake, 5)

    def test_what_waits_to_begin_goes_on_waiting(self, mistake: str) -> None:
        """And starts when all is well."""
        play = Playground()
        err(play, mistake)
        assert play.told == ("Pending", mistake, 0)
        mended(play)
        play.look()
        play.look()
        assert play.told == ("Progressing", "Applying", 5)


def test_a_changed_entry_is_measured_anew_with_a_mistake_in_a_freeze() -> None:
    """Routers are told of the group as it is, so the evidence of the entry before counts no more."""
    play = Playground()
    play.begin()
    play.spec["freeze"] = NOWHERE
    play.models[1] = model("gpt", "http://elsewhere/v1")
    play.look()
    assert play.decided[-1] == ("Restart", "GroupChanged")


def test_a_rollout_that_names_the_primary_by_now_is_not_adopted() -> None:
    """It is another rollout, and makes no sense."""
    play = Playground()
    play.begin(2)
    play.canary = "old"
    play.look()
    play.look()
    assert play.told == ("Pending", "CanaryIsPrimary", 0)


def test_it_is_adopted_when_every_router_runs_the_group_that_names_it_first() -> None:
    """Until then the canary keeps its weight: routers may refuse the change, and go on with the old primary first."""
    play = Playground()
    play.begin(2)
    play.models = [play.models[1], play.models[0]]
    play.primary = "old"
    play.look()
    assert play.told == ("Holding", "CanaryIsPrimary", 25)
    assert "when every ready router runs that" in play.state.message
    play.primary = None
    play.look()
    assert play.told == ("Promoted", "Adopted", 0)
    decisions = len(play.state.decisions)
    play.look()
    assert len(play.state.decisions) == decisions
