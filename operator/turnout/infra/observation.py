"""What is known of running routers, as plain data. Pure; filled by observe and apply, read by infra.status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from turnout.api.modelgroup_status import CircuitState
from turnout.decide.evidence import Look
from turnout.decide.facts import Uses
from turnout.decide.usage import Ledger

SUBSCRIPTIONS = 4
"""Files of a router that have a version of their own: xds.render.Files."""


@dataclass(frozen=True)
class Refusal:
    """A provider's refusal of our credential, account or model name.

    Attributes:
        message: the provider's own, without the credential.
        at_ms: Unix time in milliseconds.
    """

    status: int
    message: str
    at_ms: int


@dataclass(frozen=True)
class LaneState:
    """One lane as one router sees it.

    Attributes:
        warmed_ms: Unix time in milliseconds at which it was last asked to keep it awake; 0: never.
        warm_fault: what the provider said, or what became of it, if nothing has come of the lane since; None: all well.
    """

    lane: str
    circuit: CircuitState
    refusal: Refusal | None = None
    warmed_ms: int = 0
    warm_fault: str | None = None


@dataclass(frozen=True)
class ConfigState:
    """What one router says of its configuration.

    Attributes:
        versions: subscription → version that runs; empty text: none yet.
        rejected: subscription → how many updates Envoy has refused since its start.
    """

    versions: Mapping[str, str]
    rejected: Mapping[str, int]

    def runs(self, version: str) -> bool:
        """Whether everything that this router runs is of that version."""
        return len(self.versions) == SUBSCRIPTIONS and set(self.versions.values()) == {version}

    @property
    def settled(self) -> Mapping[str, int]:
        """The refusals of subscriptions that run something: those may be of long ago."""
        return {name: count for name, count in self.rejected.items() if self.versions.get(name)}

    def rejects(self, version: str, before: Mapping[str, int]) -> bool:
        """Whether it has refused a part of that version; before: its counts when the version was not there yet."""
        return any(
            self.versions.get(name) != version and count > before.get(name, 0) for name, count in self.rejected.items()
        )


@dataclass(frozen=True)
class Programmed:
    """How far a version has come.

    Attributes:
        version: the wanted one.
        routers: routers that take traffic.
        running: those of them that run the version.
        rejection: why a router refuses it, in Envoy's words; None if none does.
        suspicion: what a router that is behind refused last, perhaps long ago, in Envoy's words.
        failure: why it did not even get as far as the routers; None if it did.
    """

    version: str
    routers: int
    running: int
    rejection: str | None = None
    suspicion: str | None = None
    failure: str | None = None

    @property
    def done(self) -> bool:
        """Whether there are routers, and every one runs the version."""
        return self.failure is None and self.rejection is None and 0 < self.routers == self.running


@dataclass(frozen=True)
class ModelFigures:
    """How a model did over the last minutes; None: no traffic that could tell.

    Attributes:
        share, first_attempt_share: of all answers of the group, and of all first attempts.
        errors: class of failure → share of attempts, the most frequent first; they add up to error_rate.
        per_answer_ms: milliseconds of all attempts for each that did not fail.
        usual_ms: the same over the last hours.
    """

    requests_per_minute: Decimal
    tokens_per_minute: Decimal | None = None
    share: Decimal | None = None
    first_attempt_share: Decimal | None = None
    error_rate: Decimal | None = None
    errors: tuple[tuple[str, Decimal], ...] = ()
    mean_ms: Decimal | None = None
    p95_ms: Decimal | None = None
    first_token_p95_ms: Decimal | None = None
    per_answer_ms: Decimal | None = None
    usual_ms: Decimal | None = None
    cost_per_1k_tokens: Decimal | None = None


NO_TRAFFIC = ModelFigures(Decimal(0))


@dataclass(frozen=True)
class GroupFigures:
    """How a group did over the last minutes. models: by name, those with traffic; the others had none."""

    fallback_share: Decimal | None = None
    models: Mapping[str, ModelFigures] = field(default_factory=dict)

    def of(self, model: str) -> ModelFigures:
        """The figures of a model, with or without traffic."""
        return self.models.get(model, NO_TRAFFIC)


@dataclass(frozen=True)
class Observation:
    """All that was seen of a namespace's routers.

    Attributes:
        lanes: of every router, so a lane may be there several times. None: not looked yet.
        figures: by group; a group that is missing had no traffic. None: not watched for long enough to tell.
        uses: which tokens were used.
        ledger: what keys have used; None: not looked yet.
        look: what routers counted for rollouts; two observations may differ in it and be equal.
    """

    lanes: tuple[LaneState, ...] | None = None
    figures: Mapping[str, GroupFigures] | None = None
    uses: Uses = field(default_factory=Uses)
    ledger: Ledger | None = None
    look: Look | None = field(default=None, compare=False)

    @cached_property
    def by_lane(self) -> Mapping[str, Sequence[LaneState]]:
        """Each lane as every router sees it."""
        found: dict[str, list[LaneState]] = {}
        for state in self.lanes or ():
            found.setdefault(state.lane, []).append(state)
        return found

    @property
    def news(self) -> object:
        """What a status shows at once; two observations that are equal in it differ only in what may wait."""
        return self.lanes and [(s.lane, s.circuit, s.refusal is None, s.warm_fault is None) for s in self.lanes]

    def group(self, name: str) -> GroupFigures | None:
        """The figures of a group, with or without traffic; None: not watched for long enough to tell."""
        return None if self.figures is None else self.figures.get(name, GroupFigures())
