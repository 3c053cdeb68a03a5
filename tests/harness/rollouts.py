"""A rollout with routers that count, looked at as the operator does: to see what it decides."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.manifests import group, model, rollout
from turnout.api import CanaryRollout, ModelGroup
from turnout.decide.canary.rollout import advance
from turnout.decide.canary.state import Seen, State
from turnout.decide.evidence import BOUNDS_MS, Arm, ArmCounts, Latencies, Look
from turnout.decide.rollouts import rollout_problem
from turnout.infra.rollout_status import restored, rollout_fields

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
"""A Monday."""
STEPS = ({"weight": 5, "hold": "1m"}, {"weight": 25, "hold": "1m"}, {"weight": 100})
PRICE = {"input": "0.5", "output": "1.5"}
ALL_GATES = {
    "errorRate": {"maxIncrease": "0.01"},
    "latency": {"maxMeanRatio": "1.2", "maxP95Ratio": "1.2"},
    "cost": {"maxRatio": "1.5"},
    "minRequests": 100,
}


def answers(ok: int, failed: int = 0, *, ms: int = 900, usd: float = 1.0) -> ArmCounts:
    """So many answers of that length, give or take a fifth, and failures. usd: for a million tokens, 500 an answer."""
    half, micro = ok // 2, round(500 * usd)
    times = {round(ms * 0.8): half, round(ms * 1.2): ok - half}
    return ArmCounts(
        {result: count for result, count in (("ok", ok), ("timeout", failed)) if count},
        Latencies(
            tuple(sum(n for took, n in times.items() if took <= bound) for bound in BOUNDS_MS),
            sum(took * n for took, n in times.items()),
        ),
        sum(took * took * n for took, n in times.items()),
        priced=ok,
        nano_usd=1_000 * micro * ok,
        tokens=500 * ok,
        tokens_squared=500 * 500 * ok,
        micro_usd_squared=micro * micro * ok,
        tokens_micro_usd=500 * micro * ok,
    )


class Playground:
    """A namespace with the group `assistant` of the models old and gpt, and a rollout of gpt in it.

    Attributes:
        routers: life → what it has counted, whether it is looked at or not.
        applied: percent that every router runs; None: as wanted.
        primary: the group's first model as every router runs it; None: as it is written.
        canary: the model that the rollout names.
        silent, broken: lives that do not answer, or not so that it can be read.
        left: how it stood in the period before.
    """

    def __init__(self, **spec: Any) -> None:
        self.spec: dict[str, Any] = {"steps": STEPS, "gates": ALL_GATES, **spec}
        self.models = [model("old", "http://old/v1"), model("gpt", "http://gpt/v1"), model("spare", "http://spare/v1")]
        self.timeouts: dict[str, str] = {}
        self.state, self.left, self.now = State(), State(), NOW
        self.routers: dict[str, dict[tuple[str, str, Arm], ArmCounts]] = {"a": {}, "b": {}}
        self.applied: int | None = None
        self.primary: str | None = None
        self.canary = "gpt"
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.group_is_broken = False

    @property
    def rollout(self) -> CanaryRollout:
        """As it is written now."""
        return CanaryRollout.parse(rollout("to-gpt", modelGroup="assistant", model=self.canary, **self.spec))

    @property
    def chain(self) -> ModelGroup:
        """The group as it is written now. A model has a price, unless it says that it has another, or None."""
        models = [{"price": PRICE, **one} for one in self.models]
        return ModelGroup.parse(group("assistant", *models, timeouts=self.timeouts))

    def serve(
        self,
        canary: ArmCounts | None = None,
        baseline: ArmCounts | None = None,
        *,
        router: str = "a",
        drawn: State | None = None,
    ) -> None:
        """Requests whose first attempts end now, at a router. drawn: how it stood when they came; None: as now."""
        for arm, more in ((Arm.CANARY, canary), (Arm.BASELINE, baseline)):
            where = ("assistant", (drawn or self.state).tag, arm)
            counted = self.routers[router]
            counted[where] = counted.get(where, ArmCounts()) + (more or ArmCounts())

    def look(self, seconds: float = 10, *, routers: bool = True) -> State:
        """Time passes, routers are looked at, and it is decided. What is decided survives a crash."""
        self.now += timedelta(seconds=seconds)
        applied = self.state.weight if self.applied is None else self.applied
        problem = rollout_problem(
            self.rollout,
            [] if self.group_is_broken else [self.chain],
            {"assistant"} if self.group_is_broken else set(),
            [self.rollout],
            {"to-gpt": self.state},
        )
        group, look = None if self.group_is_broken else self.chain, self._seen() if routers else None
        seen = Seen(group, problem, applied, look, self.primary or self.chain.spec.models[0].name)
        before = self.state
        self.state = advance(self.rollout, before, seen, now=self.now)
        self.left = self.left if before.tag == self.state.tag else before
        assert kept(self.rollout, self.state) == self.state
        return self.state

    def begin(self, step: int = 1) -> State:
        """In a step, looked at once there: what is counted from now on is evidence of it."""
        while self.state.step < step or self.state.since is None or not self.state.ledger.open:
            if self.state.step < step:
                self.serve(answers(200), answers(200))
            self.look(60 if 0 < self.state.step < step else 1)
        return self.state

    def _seen(self) -> Look:
        heard = {life: dict(counts) for life, counts in self.routers.items() if life not in self.silent | self.broken}
        return Look(self.now, frozenset(self.routers), heard, dict.fromkeys(self.broken, "it is no text"))

    @property
    def told(self) -> tuple[str, str, int]:
        """Phase, reason and weight."""
        return self.state.phase.value, self.state.reason, self.state.weight

    @property
    def decided(self) -> list[tuple[str, str]]:
        """Action and reason of all decisions, oldest first."""
        return [(d.action.value, d.reason) for d in reversed(self.state.decisions)]


def kept(spec: CanaryRollout, state: State) -> State:
    """What an operator finds that starts after a crash."""
    status: Mapping[str, Any] = json.loads(json.dumps(rollout_fields(spec, state)))
    return restored(status)
