"""CanaryRollout: a model of a group takes over step by step, only while it measures well. Pure."""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from turnout.api.canaryrollout_status import CanaryRolloutStatus
from turnout.api.common import Flag, ModelName, ObjectName, Resource
from turnout.api.quantities import TIME_PATTERN, Amount, Whole, Within, parse_time
from turnout.api.schema import ATOMIC, Part, Rule, Text

Ratio = Annotated[Decimal, Amount("0.01", "100", 6)]
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
Moment = Annotated[
    str,
    Text(
        pattern=f"^({TIME_PATTERN[1:-1]}|({'|'.join(DAYS)}) ([01][0-9]|2[0-3]):[0-5][0-9])$",
        words="must be a date and time with time zone, such as 2026-12-20T00:00:00Z, or a day and time of every week,"
        " such as Fri 16:00",
        max_length=40,
    ),
]
TimeZone = Annotated[
    str,
    Text(
        pattern="^[A-Za-z][A-Za-z0-9_+/-]*$",
        words="must be the name of a time zone, such as Europe/Berlin or UTC",
        max_length=64,
    ),
]


class OnBreach(StrEnum):
    """What happens when a gate is breached."""

    ROLLBACK = "Rollback"
    HOLD = "Hold"


class Sticky(StrEnum):
    """Who always sees the same arm."""

    KEY = "Key"
    NONE = "None"


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
    percentage point. As much higher may be its share of requests refused as the client's own mistake, and that of
    clients that left: see condition ExcludedUneven."""


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
    """Requests that each arm must have seen in a step, 1 to 100000000. With fewer the step holds; only promote
    passes that over, in the last step."""
    confidence: Annotated[Decimal, Amount("0.5", "0.9999", 4)] = Decimal("0.95")
    """How sure a verdict must be, "0.5" to "0.9999"."""


def _is_weekly(moment: str) -> bool:
    return moment.startswith(DAYS)


class Freeze(Part):
    """A span of time in which the canary's weight may fall but not rise."""

    start: Moment = Field(alias="from")
    """When it begins: 2026-12-20T00:00:00Z, or every week: Fri 16:00."""
    end: Moment = Field(alias="to")
    """When it ends, in the same form as from. A weekly one may span the weekend: from Fri 16:00 to Mon 08:00."""
    time_zone: TimeZone = "UTC"
    """Where the days and times of a weekly span are of, such as Europe/Berlin. Default: UTC."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            field=".to",
            message="write from and to in the same form: both as dates, or both as days of the week",
            cel="self.from.startsWith('2') == self.to.startsWith('2')",
            holds=lambda freeze: _is_weekly(freeze.start) == _is_weekly(freeze.end),
        ),
        Rule(
            field=".to",
            message="must be after from",
            cel="self.from.startsWith('2') && self.to.startsWith('2') ?"
            " timestamp(self.from) < timestamp(self.to) : self.from != self.to",
            holds=lambda freeze: (
                freeze.start != freeze.end
                if _is_weekly(freeze.start) or _is_weekly(freeze.end)
                else parse_time(freeze.start) < parse_time(freeze.end)
            ),
        ),
    )


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
    """What the canary must hold to. A gate that has no data, be it after minRequests, keeps the step from ending with
    reason GateWithoutData; promote passes it over."""
    on_breach: OnBreach = OnBreach.ROLLBACK
    """When a gate is breached: Rollback to weight 0, or Hold at the step until a person decides."""
    bake: Annotated[timedelta, Within("0s", "90d")] = timedelta()
    """How long the last step is watched before the rollout counts as promoted, 0s to 90d: a breach still goes back.
    There the canary is compared with what the baseline did in the steps before; if they have not measured it, because
    there are none or promote left them out, it holds with reason NothingToCompare. With promote: true and without bake
    it is promoted unmeasured. Default: 0s."""
    freeze: Annotated[tuple[Freeze, ...], Field(max_length=20), Field(json_schema_extra=ATOMIC)] = ()
    """Spans of time in which the weight may fall but not rise, at most 20. Default: none."""
    sticky: Sticky = Sticky.NONE
    """Key: a key always sees the same arm, so few keys with unlike requests can make equal models look unlike. None:
    each request is drawn afresh; what the gates say is surest then."""
    paused: Flag = False
    """true: the weight does not rise and hold times stand still; a breach still takes it back. false again: goes on."""
    promote: Flag = False
    """true: go to the last step now, whatever was measured. false again, before the rollout is promoted: back to the
    step that was left, which begins anew."""
    abort: Flag = False
    """true: go back to weight 0 now. false again: the step that was left begins anew."""

    def hold_of(self, step: int) -> timedelta:
        """How long a step lasts at least, the first being 1; of the last one it is bake."""
        return self.bake if step == len(self.steps) else self.steps[step - 1].hold or timedelta()

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


class CanaryRollout(Resource):
    """A model of a group takes over its traffic step by step, only while it measures well against the primary."""

    api_version: Literal["turnout.dev/v1alpha1"]
    kind: Literal["CanaryRollout"]
    spec: CanaryRolloutSpec
    """Which model takes over, in which steps, and what it must hold to."""
    status: CanaryRolloutStatus | None = None
    """How it goes. Written by the operator."""
