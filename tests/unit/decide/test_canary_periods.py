"""Each request is evidence of the step in which it was drawn, and of no other, however long its answer takes."""

import math
from collections.abc import Iterable
from random import Random

import pytest

from harness.rollouts import Playground, answers
from turnout.api.canaryrollout_status import RolloutPhase
from turnout.decide.canary.state import State
from turnout.decide.evidence import BOUNDS_MS, Arm, ArmCounts, Latencies
from turnout.infra.rollout_status import rollout_conditions

LOOK_S = 5


def timed(times: Iterable[float]) -> ArmCounts:
    """Answers that took so many seconds each."""
    ms = [round(1_000 * one) for one in times]
    took = Latencies(tuple(sum(one <= bound for one in ms) for bound in BOUNDS_MS), sum(ms))
    return ArmCounts({"ok": len(ms)} if ms else {}, took, sum(one * one for one in ms))


class Traffic:
    """Ten requests a second to two models that are alike: 20 s in the median, every twentieth answer 54 s or more."""

    def __init__(self, play: Playground, seed: int) -> None:
        self.play, self._random, self._now = play, Random(seed), 0.0
        self._under_way: list[tuple[float, float, Arm, State]] = []

    def run(self, looks: int) -> None:
        """So much time passes."""
        for _ in range(looks):
            for _ in range(10 * LOOK_S):
                took = self._random.lognormvariate(math.log(20), 0.6)
                arm = Arm.CANARY if self._random.random() < self.play.state.weight / 100 else Arm.BASELINE
                end = self._now + self._random.random() * LOOK_S + took
                self._under_way.append((end, took, arm, self.play.state))
            self._now += LOOK_S
            self._serve([one for one in self._under_way if one[0] <= self._now])
            self._under_way = [one for one in self._under_way if one[0] > self._now]
            self.play.look(LOOK_S)

    def _serve(self, done: list[tuple[float, float, Arm, State]]) -> None:
        for drawn in {state.tag: state for *_, state in done}.values():
            arms = {arm: timed(took for _, took, a, s in done if (a, s.tag) == (arm, drawn.tag)) for arm in Arm}
            self.play.serve(arms[Arm.CANARY], arms[Arm.BASELINE], drawn=drawn)


@pytest.mark.parametrize("seed", range(3))
def test_a_promote_that_is_taken_back_sends_no_equal_model_back(seed: int) -> None:
    """When the weight falls from 100 % to 5 %, answers that are still under way are the canary's, and long ones."""
    steps = [{"weight": 5, "hold": "6h"}, {"weight": 100}]
    play = Playground(bake="6h", steps=steps, gates={"latency": {"maxMeanRatio": "1.2"}, "minRequests": 100})
    traffic = Traffic(play, seed)
    play.look(1)
    play.look(1)
    traffic.run(120)
    play.spec["promote"] = True
    traffic.run(30)
    assert play.state.weight == 100
    play.spec["promote"] = False
    traffic.run(60)
    assert (play.state.phase, play.state.weight) == (RolloutPhase.PROGRESSING, 5), play.state.message
    assert play.state.ledger.canary.drawn < play.state.ledger.baseline.drawn / 10


@pytest.mark.parametrize(("step", "canary", "baseline"), [(2, 15, 285), (3, 5, 2)])
def test_answers_that_are_late_make_no_weight_look_wrong(step: int, canary: int, baseline: int) -> None:
    """Drawn at the weight of the step before; at 100 % a single one of the baseline would."""
    play = Playground(bake="10m")
    play.begin(step)
    play.serve(answers(canary), answers(baseline), drawn=play.left)
    for _ in range(5):
        play.serve(answers(play.state.weight), answers(100 - play.state.weight))
        play.look()
    assert "WeightOff" not in {condition.type.value for condition in rollout_conditions(play.rollout, play.state)}
    assert play.state.ledger.canary.drawn == 5 * play.state.weight


def test_what_a_router_draws_for_a_step_counts_before_the_others_run_it() -> None:
    """Its arms are comparable from the first request on; the hold time begins when all run it."""
    play = Playground()
    play.begin(1)
    play.serve(answers(200), answers(200))
    play.look(60)
    assert play.told == ("Progressing", "Applying", 25)
    play.applied = 5
    play.serve(answers(20), answers(60))
    play.look()
    assert (play.state.since, play.state.ledger.canary, play.state.ledger.baseline) == (None, answers(20), answers(60))
    play.serve(answers(0, 100))
    play.look()
    assert play.told == ("RolledBack", "Breach", 0)


def test_a_period_is_never_one_again() -> None:
    """Not after going back, not after a restart of the step, not in another run."""
    play, tags = Playground(bake="1h"), set()
    for change in ({}, {"abort": True}, {"abort": False}, {"promote": True}, {"promote": False}, {"sticky": "Key"}):
        play.spec |= change
        play.look()
        play.look()
        if play.state.weight:
            assert play.state.tag not in tags, change
            tags.add(play.state.tag)
    assert len(tags) == 5


def test_a_rollout_whose_status_is_lost_is_another_run() -> None:
    """Routers still have what they counted for the lost one; nothing of it is evidence."""
    play = Playground()
    play.begin()
    play.serve(answers(0, 100), answers(2_000))
    play.state = State()
    play.begin()
    assert play.told == ("Progressing", "Measuring", 5)
    assert play.state.ledger.canary == ArmCounts()
