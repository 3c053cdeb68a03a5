"""CanaryRollout: a model of a group takes over step by step, only while it measures well. Pure."""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from turnout.api.common import Conditions, Flag, Generation, ModelName, ObjectName, Resource
from turnout.api.quantities import Amount, Measure, Time, Whole, Within
from turnout.api.schema import ATOMIC, NotYet, Part, Rule, StatusPart

Ratio = Annotated[Decimal, Amount("0.01", "100", 6)]
Percent = Annotated[int, Whole(0, 100)]


class OnBreach(StrEnum):
    """What happens when a gate is breached."""

    ROLLBACK = "Rollback"
    HOLD = "Hold"


class Sticky(StrEnum):
    """Who always sees the same arm."""

    KEY = "Key"
    NONE = "None"


class RolloutPhase(StrEnum):
    """Where a rollout is in its life."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    HOLDING = "Holding"
    PAUSED = "Paused"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"


class Gate(StrEnum):
    """What canary and baseline are compared by."""

    ERROR_RATE = "ErrorRate"
    MEAN_LATENCY = "MeanLatency"
    P95_LATENCY = "P95Latency"
    COST = "Cost"


class GateVerdict(StrEnum):
    """What the evidence says about one gate."""

    PASS = "Pass"
    BREACH = "Breach"
    UNDECIDED = "Undecided"


class Action(StrEnum):
    """What the operator decided."""

    START = "Start"
    ADVANCE = "Advance"
    HOLD = "Hold"
    PAUSE = "Pause"
    RESUME = "Resume"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"
    ABORT = "Abort"


class Step(Part):
    """One step of a rollout."""

    weight: Annotated[int, Whole(1, 100)]
    """Percent of the group's first attempts that go to the canary, 1 to 100. Rises from step to step to 100."""
    hold: Annotated[timedelta, Within("1s", "90d")] | None = None
    """How long the step lasts at least, 1s to 90d. Required but in the last step, which has none."""


class ErrorRateGate(Part):
    """The canary may fail this much more often."""

    max_increase: Annotated[Decimal, Amount("0", "1", 6)] = Decimal("0.01")
    """How much higher the canary's share of failed first attempts may be, 0 to 1 as a decimal in quotes; "0.01" is one
    percentage point."""


class LatencyGate(Part):
    """The canary may be this much slower."""

    max_mean_ratio: Ratio | None = None
    """Canary's mean latency divided by the baseline's, at most, "0.01" to "100". Default: not looked at."""
    max_p95_ratio: Ratio | None = Field(default=None, alias="maxP95Ratio")
    """Canary's 95th percentile divided by the baseline's, at most, "0.01" to "100". Default: not looked at."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="set maxMeanRatio or maxP95Ratio, or leave latency out",
            cel="has(self.maxMeanRatio) || has(self.maxP95Ratio)",
            holds=lambda gate: bool(gate.max_mean_ratio or gate.max_p95_ratio),
        ),
    )


class CostGate(Part):
    """The canary may cost this much more."""

    max_ratio: Ratio
    """Canary's cost per 1,000 tokens divided by the baseline's, at most, "0.01" to "100"."""


class Gates(Part):
    """What the canary must hold to, against the baseline over the same period, first attempts only."""

    error_rate: ErrorRateGate = ErrorRateGate()
    """The canary may fail this much more often. Always looked at."""
    latency: LatencyGate | None = None
    """The canary may be this much slower. Default: not looked at."""
    cost: CostGate | None = None
    """The canary may cost this much more; needs prices on both models. Default: not looked at."""
    min_requests: Annotated[int, Whole(1, 100_000_000)] = 200
    """Requests that each arm must have seen in a step, 1 to 100000000. With fewer the step holds, never promotes."""
    confidence: Annotated[Decimal, Amount("0.5", "0.9999", 4)] = Decimal("0.95")
    """How sure a verdict must be, "0.5" to "0.9999"."""


def _weights(spec: "CanaryRolloutSpec") -> list[int]:
    return [step.weight for step in spec.steps]


class CanaryRolloutSpec(Part):
    """Which model takes over, in which steps, and what it must hold to."""

    model_group: ObjectName
    """The ModelGroup in this namespace. Its primary is the baseline."""
    model: ModelName
    """The canary: a model of that group."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=20, json_schema_extra=ATOMIC)]
    """The steps, 1 to 20, with rising weights that end at 100."""
    gates: Gates = Gates()
    """What the canary must hold to."""
    on_breach: OnBreach = OnBreach.ROLLBACK
    """When a gate is breached: Rollback to weight 0, or Hold at the step."""
    sticky: Sticky = Sticky.KEY
    """Key: a key always sees the same arm. None: each request is drawn afresh."""
    paused: Flag = False
    """true: stay at the current weight."""
    promote: Flag = False
    """true: go to the last step now, whatever was measured."""
    abort: Flag = False
    """true: go back to weight 0 now."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            field=".steps",
            message="weights must rise from step to step and end at 100",
            cel="self.steps.map(s, s.weight).isSorted() && "
            "self.steps.all(s, self.steps.exists_one(t, t.weight == s.weight)) && "
            "self.steps[size(self.steps) - 1].weight == 100",
            holds=lambda spec: all(a < b for a, b in pairwise(_weights(spec))) and _weights(spec)[-1] == 100,
        ),
        Rule(
            field=".steps",
            message="every step but the last needs hold, such as hold: 6h; the last step has none, it ends the rollout",
            cel="self.steps.all(s, has(s.hold) == (s.weight < 100))",
            holds=lambda spec: all((step.hold is not None) == (step.weight < 100) for step in spec.steps),
        ),
        Rule(
            message="set promote or abort, not both",
            cel="!(has(self.promote) && self.promote && has(self.abort) && self.abort)",
            holds=lambda spec: not (spec.promote and spec.abort),
        ),
    )


class WeightStatus(StatusPart):
    """The canary's weight, as wanted, as run, as measured."""

    desired: Percent
    """Percent of first attempts that the current step asks for."""
    applied: Percent | None = None
    """Percent that every router runs. Absent: not known."""
    observed: Measure | None = None
    """Percent that was measured in this step. Absent: no traffic."""


class GateStatus(StatusPart):
    """What was measured for one gate in the current step."""

    gate: Gate
    """Which gate."""
    verdict: GateVerdict
    """Pass, Breach, or Undecided while the evidence does not suffice."""
    baseline: Measure | None = None
    """The baseline's value, in the gate's unit. Absent: no data."""
    canary: Measure | None = None
    """The canary's value, in the gate's unit. Absent: no data."""
    limit: Measure | None = None
    """What the gate allows."""
    message: Annotated[str, Field(strict=True, max_length=1024)] | None = None
    """The verdict in words."""


class DecisionStatus(StatusPart):
    """One decision of the operator."""

    at: Time
    """When."""
    action: Action
    """What was decided."""
    step: Annotated[int, Whole(0, 1000)] | None = None
    """The step it was decided in, the first being 1."""
    weight: Percent | None = None
    """The weight from then on, in percent."""
    reason: Annotated[str, Field(strict=True, max_length=256)]
    """Why, as one CamelCase word."""
    message: Annotated[str, Field(strict=True, max_length=1024)] | None = None
    """Why, in words."""


class CanaryRolloutStatus(StatusPart):
    """How the rollout goes."""

    observed_generation: Generation | None = None
    """The metadata.generation that this status is about."""
    conditions: Conditions = ()
    """Accepted, ResolvedRefs, Programmed, Ready, and NotYetSupported, Reconciling or Stalled while they hold."""
    phase: RolloutPhase | None = None
    """Where the rollout is in its life."""
    step: Annotated[int, Whole(0, 1000)] | None = None
    """The current step, the first being 1; 0 before it started or after it went back."""
    weight: WeightStatus | None = None
    """The canary's weight."""
    step_started_at: Time | None = None
    """When every router ran the weight of this step."""
    analysis: Annotated[tuple[GateStatus, ...], Field(max_length=8), Field(json_schema_extra=ATOMIC)] = ()
    """What was measured in this step, gate by gate."""
    decisions: Annotated[tuple[DecisionStatus, ...], Field(max_length=20), Field(json_schema_extra=ATOMIC)] = ()
    """The last decisions, newest first, at most 20."""


class CanaryRollout(Resource):
    """A model of a group takes over its traffic step by step, only while it measures well against the primary."""

    api_version: Literal["turnout.dev/v1alpha1"]
    kind: Literal["CanaryRollout"]
    spec: Annotated[CanaryRolloutSpec, NotYet()]
    """Which model takes over, in which steps, and what it must hold to."""
    status: CanaryRolloutStatus | None = None
    """How it goes. Written by the operator."""
