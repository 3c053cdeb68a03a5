"""The filter's metrics and circuits → the rows that people see. Pure: moments come in.

Counts are since Envoy's start; times are those of the last minute, or of the last traffic before it; health is that of
the status.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client.samples import Sample

from turnout.api.modelgroup_status import CircuitState
from turnout.decide.ir import Group, Member, Router
from turnout.infra.health import health
from turnout.infra.observation import GroupFigures, ModelFigures, Observation, Refusal
from turnout.observe.sample import quantile
from turnout.observe.tally import Field, Tallies, Tally, attempt_buckets, failures, growth, nothing, tally

WINDOW_S = 60.0
"""Seconds that latencies look back on."""


@dataclass(frozen=True)
class ModelRow:
    """One model of a group. Health in percent, latencies in milliseconds; None: nothing measured."""

    name: str
    circuit: CircuitState
    health: int | None
    refusal: Refusal | None
    attempts: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    tokens: int
    usd: float


@dataclass(frozen=True)
class GroupRow:
    """One group. errors: answers with 429 or 5xx."""

    name: str
    requests: int
    errors: int
    fell_back: int
    models: tuple[ModelRow, ...]


class Figures:
    """Looks at one router, and what they say."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Tallies]] = deque()
        self._errors: dict[str, int] = {}

    def add(self, samples: Iterable[Sample], at: float) -> None:
        """A look; at: seconds of a steady clock."""
        found = list(samples)
        self._looks.append((at, tally(found)))
        while len(self._looks) > 2 and self._looks[1][0] <= at - WINDOW_S:
            self._looks.popleft()
        self._errors = {}
        for sample in found:
            if sample.name == "turnout_requests_total" and sample.labels.get("code") in ("429", "5xx"):
                group = sample.labels.get("group", "")
                self._errors[group] = self._errors.get(group, 0) + int(sample.value)

    def rows(self, router: Router, seen: Observation) -> list[GroupRow]:
        """What the last look says of every group of the router. seen: of one router."""
        return [self._group(group, seen) for group in router.groups]

    def _group(self, group: Group, seen: Observation) -> GroupRow:
        counts = self._now(group.name, "")
        measured = seen.group(group.name) or GroupFigures()
        return GroupRow(
            name=group.name,
            requests=int(counts[Field.REQUESTS]),
            errors=self._errors.get(group.name, 0),
            fell_back=int(counts[Field.FALLBACK_REQUESTS]),
            models=tuple(self._model(group.name, member, seen, measured.of(member.name)) for member in group.members),
        )

    def _model(self, group: str, member: Member, seen: Observation, measured: ModelFigures) -> ModelRow:
        counts = self._now(group, member.name)
        buckets = attempt_buckets(self._recent(group, member.name))
        states = seen.by_lane.get(member.lane.id, ())
        state = next(iter(states), None)
        return ModelRow(
            name=member.name,
            circuit=state.circuit if state else CircuitState.CLOSED,
            health=health(measured, states, measured.usual_ms),
            refusal=state.refusal if state else None,
            attempts=int(counts[Field.ATTEMPTS]),
            failed=int(sum(failures(counts))),
            p50_ms=_milliseconds(buckets, 0.5),
            p95_ms=_milliseconds(buckets, 0.95),
            tokens=int(counts[Field.TOKENS]),
            usd=counts[Field.NANO_USD] / 1e9,
        )

    def _now(self, group: str, model: str) -> Tally:
        return self._looks[-1][1].get((group, model), nothing()) if self._looks else nothing()

    def _recent(self, group: str, model: str) -> Tally:
        """Growth of the counts within the window; all of them if there was none."""
        where, after = (group, model), self._now(group, model)
        before = self._looks[0][1].get(where, nothing()) if self._looks else after
        recent = growth({where: before}, {where: after})[where]
        return recent if any(attempt_buckets(recent)) else after


def _milliseconds(buckets: Sequence[float], share: float) -> float | None:
    found = quantile(buckets, share)
    return None if found is None else float(found)
