"""The status of a CanaryRollout: how it goes, the numbers behind it, and all that it needs after a crash. Pure."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from turnout.api.common import Conditions, Generation
from turnout.api.quantities import Bound, Duration, Measure, Time, Whole
from turnout.api.schema import ATOMIC, StatusPart

MOST_DECISIONS = 20
MOST_ROUTERS = 1_000
Percent = Annotated[int, Whole(0, 100)]
Count = Annotated[int, Whole(0, 2**53)]
Word = Annotated[str, Field(strict=True, max_length=256)]
Sentence = Annotated[str, Field(strict=True, max_length=1024)]
Counts = Annotated[str, Field(strict=True, max_length=4096)]
"""Sums of one arm as `name=number` separated by blanks: decide.canary.compact."""


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
    RESTART = "Restart"
    CONTINUE = "Continue"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"
    ABORT = "Abort"


class WeightStatus(StatusPart):
    """The canary's weight, as wanted, as run, as measured."""

    desired: Percent
    """Percent of first attempts that the current step asks for."""
    applied: Percent | None = None
    """Percent that every ready router runs. Absent: not known, or they differ."""
    observed: Measure | None = None
    """Percent of the requests of this step that were drawn for the canary. Absent: no traffic."""
    observed_low: Measure | None = None
    """The true percentage is hardly below this, at any look of this step."""
    observed_high: Measure | None = None
    """The true percentage is hardly above this, at any look of this step."""


class GateStatus(StatusPart):
    """What was measured for one gate in the current step."""

    gate: Gate
    """Which gate."""
    verdict: GateVerdict
    """Breach: surely above the limit. Pass: surely not above it. Undecided: the evidence suffices for neither."""
    baseline: Measure | None = None
    """The baseline's value: share of failed requests, milliseconds, or US dollars per 1,000 tokens. Absent: no data."""
    canary: Measure | None = None
    """The canary's value, in the same unit. Absent: no data."""
    low: Bound | None = None
    """The true difference of error rates, or the true ratio, is surely no less, with the confidence of spec.gates over
    all looks of the rollout. Absent: nothing is sure yet."""
    high: Bound | None = None
    """It is surely no more. Absent: nothing is sure yet."""
    limit: Measure | None = None
    """What the gate allows."""
    message: Sentence | None = None
    """The verdict in words."""


class ArmErrors(StatusPart):
    """How often first attempts ended in one way that is no answer."""

    result: Word
    """What became of them, such as timeout, server_error, rate_limited; open, recovering, limited and full: the
    model's circuit or capacity let none through; client_error and too_long: refused as the client's own mistake;
    hung_up: the client left."""
    count: Count
    """How many."""


class ArmLatency(StatusPart):
    """How long something took."""

    mean_ms: Measure
    """Mean, milliseconds."""
    p95_ms: Measure = Field(alias="p95Ms")
    """95th percentile, milliseconds."""


class ArmStatus(StatusPart):
    """What was counted for one arm in the current step: first attempts of requests that were drawn for it."""

    arm: Word
    """baseline or canary."""
    from_steps_before: bool = False
    """true: of the steps before, because at weight 100 the baseline gets no first attempts any more."""
    requests: Count
    """Requests that say something of the model: without the client's own mistakes and clients that left."""
    error_rate: Measure | None = None
    """Share of them that failed, 0 to 1. Absent: no requests."""
    errors: Annotated[tuple[ArmErrors, ...], Field(max_length=40), Field(json_schema_extra=ATOMIC)] = ()
    """The failures by kind, the most frequent first."""
    excluded: Annotated[tuple[ArmErrors, ...], Field(max_length=40), Field(json_schema_extra=ATOMIC)] = ()
    """What is left out of all figures, by kind, the most frequent first: the client's own mistakes, clients that left,
    and requests that no model was asked for. If the canary surely has more of the first two, condition ExcludedUneven
    says so, and the step holds."""
    pending: Count = 0
    """Requests that were drawn and have not ended yet."""
    latency: ArmLatency | None = None
    """How long answers took, whole. Absent: no answers."""
    first_token: ArmLatency | None = None
    """How long streams took until their first content. Absent: no streams."""
    tokens: Count = 0
    """Tokens of prompts and answers, where providers said them."""
    cost_per_1k_tokens: Measure | None = Field(default=None, alias="costPer1kTokens")
    """US dollars per 1,000 tokens. Absent: not known."""


class MissingStatus(StatusPart):
    """Evidence of this step that is known to be missing. It is never made up for by an average."""

    silent: Annotated[tuple[Word, ...], Field(max_length=10), Field(json_schema_extra=ATOMIC)] = ()
    """Routers that did not answer the last look, at most ten of them; what they counted may still come."""
    silent_count: Count = 0
    """How many they are."""
    gone: Count = 0
    """Routers that went; what they counted after their last answer is lost."""


class BrokenStatus(StatusPart):
    """Measurements of this step that made no sense and were left out."""

    looks: Count
    """Answers of routers that were left out."""
    now: bool = False
    """Whether there was one at the last look."""
    message: Sentence
    """The last of them: which router, and what was wrong."""


class RouterCounts(StatusPart):
    """What one router had counted when it was last looked at, so that nothing counts twice."""

    life: Word
    """One process of a router."""
    baseline: Counts = ""
    """What it had counted of requests that were drawn in this period."""
    canary: Counts = ""
    """What it had counted of requests that were drawn in this period."""


class LedgerStatus(StatusPart):
    """The exact sums behind the figures, for the operator after a restart, and for whoever wants to reckon again."""

    period: Count = 0
    """How often evidence began anew. Routers count by it: see memory.run."""
    alone: bool = False
    """Whether the canary gets all first attempts, and is compared with what the baseline did before."""
    looked_at: Time | None = None
    """When routers were looked at last in this step. Absent: not yet."""
    baseline: Counts = ""
    """Sums of this step."""
    canary: Counts = ""
    """Sums of this step."""
    earlier_baseline: Counts = ""
    """Sums of the steps before."""
    routers: Annotated[tuple[RouterCounts, ...], Field(max_length=MOST_ROUTERS), Field(json_schema_extra=ATOMIC)] = ()
    """What each router had counted at the last look."""


class MemoryStatus(StatusPart):
    """What the operator remembers of the rollout, for after a restart."""

    run: Word = ""
    """Id of this run. Routers' metrics carry it and ledger.period as the label rollout, such as 5f2c1a77-3."""
    runs: Count = 0
    """How often the rollout began."""
    model_hash: Word = ""
    """Of the names of the group and the model."""
    steps_hash: Word = ""
    """Of what makes it another rollout: the group, the model, the steps, sticky."""
    spec_hash: Word = ""
    """Of these and the gates, onBreach and bake."""
    entries_hash: Word = ""
    """Of the group's entries of canary and baseline."""
    group_hash: Word = ""
    """Of the rest of the group."""
    failed_hash: Word = ""
    """The spec that was rolled back, which is not tried again."""
    failed_promoted: bool = False
    """Whether it was rolled back with promote: true."""
    left_step: Count = 0
    """The step that promote or abort left. 0: none did."""
    counted_at: Time | None = None
    """Until when hold time was counted. Absent: it stands still."""


class DecisionStatus(StatusPart):
    """One decision of the operator."""

    at: Time
    """When."""
    action: Action
    """What was decided."""
    step: Annotated[int, Whole(0, 1000)] | None = None
    """The step from then on, the first being 1; of a rollback or an abort, the step that was left."""
    weight: Percent | None = None
    """The weight from then on, in percent."""
    reason: Word
    """Why, as one CamelCase word."""
    message: Sentence | None = None
    """Why, in words."""
    analysis: Annotated[tuple[GateStatus, ...], Field(max_length=8), Field(json_schema_extra=ATOMIC)] = ()
    """The numbers that it was decided by."""


class CanaryRolloutStatus(StatusPart):
    """How the rollout goes."""

    observed_generation: Generation | None = None
    """The metadata.generation that this status is about."""
    conditions: Conditions = ()
    """Accepted, ResolvedRefs, Programmed, Ready, and while they hold Reconciling, Stalled, WeightOff, ExcludedUneven,
    EvidenceMissing and MeasurementBroken."""
    phase: RolloutPhase | None = None
    """Where the rollout is in its life."""
    reason: Word | None = None
    """Why it is there, as one CamelCase word."""
    message: Sentence | None = None
    """Why it is there, and what it waits for."""
    step: Annotated[int, Whole(0, 1000)] | None = None
    """The current step, the first being 1; 0 before it started or after it went back."""
    weight: WeightStatus | None = None
    """The canary's weight."""
    step_started_at: Time | None = None
    """When every router ran the weight of this step. Absent: not yet."""
    held: Duration | None = None
    """How much of the step's hold, or of bake, is over. Only time counts in which every router ran the weight."""
    analysis: Annotated[tuple[GateStatus, ...], Field(max_length=8), Field(json_schema_extra=ATOMIC)] = ()
    """What the evidence of this step, or of the last one, says, gate by gate."""
    evidence: Annotated[tuple[ArmStatus, ...], Field(max_length=2), Field(json_schema_extra=ATOMIC)] = ()
    """What was counted in this step, or in the last one, arm by arm."""
    missing: MissingStatus | None = None
    """Evidence that is known to be missing. Absent: none is."""
    broken: BrokenStatus | None = None
    """Measurements that made no sense. Absent: all did."""
    decisions: Annotated[
        tuple[DecisionStatus, ...], Field(max_length=MOST_DECISIONS), Field(json_schema_extra=ATOMIC)
    ] = ()
    """The last decisions, newest first, at most 20."""
    ledger: LedgerStatus | None = None
    """The exact sums behind the figures."""
    memory: MemoryStatus | None = None
    """What the operator remembers."""
