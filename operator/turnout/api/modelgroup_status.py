"""ModelGroup's status: what its routers do, model by model. Pure."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from turnout.api.common import Conditions, Generation, ModelName
from turnout.api.quantities import Duration, Measure, Time, Whole
from turnout.api.schema import ATOMIC, StatusPart, Unique


class CircuitState(StrEnum):
    """The state of a circuit breaker."""

    CLOSED = "Closed"
    OPEN = "Open"
    HALF_OPEN = "HalfOpen"


class LatencyStatus(StatusPart):
    """How long answers took lately."""

    mean: Duration
    """Mean time to the settled answer, over the last minutes."""
    p95: Duration
    """95th percentile of the same."""
    first_token_p95: Duration | None = Field(default=None, alias="firstTokenP95")
    """95th percentile of the time to a stream's first content, over the last minutes. Absent: no streams."""
    usual: Duration | None = None
    """Time of all attempts for each that did not fail: the median of the last six hours, which `health` compares with.
    Absent: too little traffic so far."""


class ErrorShare(StatusPart):
    """How often attempts failed in one way."""

    kind: Annotated[str, Field(alias="class", strict=True, max_length=64)]
    """How they failed, as the metrics spell it: timeout, rate_limited, server_error, connection and so on."""
    share: Measure
    """Share of all attempts at this model, above 0, at most 1."""


class ModelStatus(StatusPart):
    """How one model of the chain does, as its routers saw it over the last minutes."""

    name: ModelName
    """The model's name in the chain."""
    circuit: CircuitState | None = None
    """Closed: in use. Open: left alone. HalfOpen: being tried again. The worst of all routers. Absent: not observed."""
    health: Annotated[int, Whole(0, 100)] | None = None
    """Health in percent: 100 is as always, 0 is of no use. It is 100 × share of attempts that did not fail
    × min(1, 1.5 × usual time per answer ÷ time per answer), over the last 5 minutes; at most 50 while the circuit is
    HalfOpen, 0 while it is Open. Without traffic it is the share of routers whose last warm-up went well. Absent:
    nothing was asked of the model."""
    share: Measure | None = None
    """Share of the group's answers that came from this model, 0 to 1. Absent: not observed."""
    first_attempt_share: Measure | None = None
    """Share of the group's first attempts that went to this model, 0 to 1; the rest of its attempts were fallbacks.
    Absent: not observed."""
    requests_per_minute: Measure | None = None
    """Attempts per minute. Absent: not observed."""
    tokens_per_minute: Measure | None = None
    """Tokens per minute, in and out together. Absent: no traffic."""
    error_rate: Measure | None = None
    """Share of attempts that failed, 0 to 1. Absent: not observed."""
    errors: Annotated[tuple[ErrorShare, ...], Field(max_length=16, json_schema_extra=ATOMIC)] = ()
    """How attempts failed, the most frequent first; the shares add up to errorRate. Absent: none failed."""
    latency: LatencyStatus | None = None
    """How long answers took. Absent: not observed."""
    cost_per1k_tokens: Measure | None = Field(default=None, alias="costPer1kTokens")
    """USD per 1,000 tokens, in and out together. Absent: no price or no traffic."""
    last_warmed: Time | None = None
    """When the model was last asked to keep it awake. Absent: never."""


class ModelGroupStatus(StatusPart):
    """What became of the group."""

    observed_generation: Generation | None = None
    """The metadata.generation that this status is about."""
    conditions: Conditions = ()
    """Accepted, ResolvedRefs, Programmed, Ready; others only while they hold."""
    url: Annotated[str, Field(strict=True, max_length=512)] | None = None
    """Base URL for clients inside the cluster (OPENAI_BASE_URL)."""
    version: Annotated[str, Field(strict=True, max_length=64)] | None = None
    """Hash of the configuration that every router of this namespace runs, 64 hex digits."""
    primary: ModelName | None = None
    """The model that is asked first."""
    model_count: Annotated[int, Whole(0, 1000)] | None = None
    """Number of models in the chain."""
    fallback_share: Measure | None = None
    """Share of requests that were answered after a fallback, 0 to 1, over the last minutes. Absent: no traffic."""
    models: Annotated[tuple[ModelStatus, ...], Field(max_length=16), Unique(("name",))] = ()
    """How each model of the chain does."""
