"""The filter's metrics and circuits → the rows that people see. Pure: moments come in.

Counts are since Envoy's start; times are those of the last minute, or of the last traffic before it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.samples import Sample

from turnout.api.modelgroup import CircuitState
from turnout.decide.ir import Group, Member, Router
from turnout.infra.observation import LaneState, Refusal
from turnout.observe.sample import BOUNDS, Field, Tallies, quantile, tally

WINDOW_S = 60.0
"""Seconds that latencies look back on."""


@dataclass(frozen=True)
class ModelRow:
    """One model of a group. Latencies in milliseconds; None: nothing measured."""

    name: str
    circuit: CircuitState
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

    def rows(self, router: Router, lanes: Iterable[LaneState]) -> list[GroupRow]:
        """What the last look says of every group of the router."""
        states = {state.lane: state for state in lanes}
        return [self._group(group, states) for group in router.groups]

    def _group(self, group: Group, states: dict[str, LaneState]) -> GroupRow:
        counts = self._now(group.name, "")
        return GroupRow(
            name=group.name,
            requests=int(counts[Field.REQUESTS]),
            errors=self._errors.get(group.name, 0),
            fell_back=int(counts[Field.FALLBACK_REQUESTS]),
            models=tuple(self._model(group.name, member, states.get(member.lane.id)) for member in group.members),
        )

    def _model(self, group: str, member: Member, state: LaneState | None) -> ModelRow:
        counts = self._now(group, member.name)
        buckets = self._recent_buckets(group, member.name)
        return ModelRow(
            name=member.name,
            circuit=state.circuit if state else CircuitState.CLOSED,
            refusal=state.refusal if state else None,
            attempts=int(counts[Field.ATTEMPTS]),
            failed=int(counts[Field.FAILED]),
            p50_ms=_milliseconds(buckets, 0.5),
            p95_ms=_milliseconds(buckets, 0.95),
            tokens=int(counts[Field.TOKENS]),
            usd=counts[Field.NANO_USD] / 1e9,
        )

    def _now(self, group: str, model: str) -> list[float]:
        return _counts(self._looks[-1][1], group, model) if self._looks else _NOTHING

    def _recent_buckets(self, group: str, model: str) -> list[float]:
        """Growth of the latency buckets within the window; all of them if there was none."""
        after = self._now(group, model)[len(Field) :]
        before = _counts(self._looks[0][1], group, model)[len(Field) :] if self._looks else after
        growth = [a - b for a, b in zip(after, before, strict=True)]
        return growth if any(growth) else after


_NOTHING = [0.0] * (len(Field) + len(BOUNDS))


def _counts(tallies: Tallies, group: str, model: str) -> list[float]:
    return tallies.get((group, model), _NOTHING)


def _milliseconds(buckets: list[float], share: float) -> float | None:
    found = quantile(buckets, share)
    return None if found is None else float(found)
