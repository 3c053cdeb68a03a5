"""A router's metrics → what it has counted for the arms of rollouts, and all routers' as one look. No I/O."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client.samples import Sample

from turnout.decide.evidence import BOUNDS_MS, Arm, ArmCounts, Latencies, Look, Where
from turnout.infra.pods import RouterPod

PREFIX = "turnout_arm_"
OF = {
    "ms_squared": "took_squared",
    "priced": "priced",
    "nanousd": "nano_usd",
    "tokens": "tokens",
    "tokens_squared": "tokens_squared",
    "microusd_squared": "micro_usd_squared",
    "tokens_microusd": "tokens_micro_usd",
}
"""What is added up, as the filter calls it → the field of ArmCounts. Beside these there is `ms`, of Latencies."""


@dataclass
class _Reading:
    """One arm of one router, sample by sample."""

    results: dict[str, int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)
    took: dict[float, int] = field(default_factory=dict)
    first_token: dict[float, int] = field(default_factory=dict)
    first_token_ms: int = 0
    drawn: int = 0

    def read(self, sample: Sample, value: int) -> None:
        match sample.name:
            case "turnout_arm_drawn_total":
                self.drawn = value
            case "turnout_arm_requests_total":
                self.results[sample.labels["result"]] = value
            case "turnout_arm_sums_total":
                self.sums[sample.labels["of"]] = value
            case "turnout_arm_milliseconds_bucket":
                self.took[float(sample.labels["le"])] = value
            case "turnout_arm_first_token_milliseconds_bucket":
                self.first_token[float(sample.labels["le"])] = value
            case "turnout_arm_first_token_milliseconds_sum":
                self.first_token_ms = value

    @property
    def counts(self) -> ArmCounts:
        # A filter from before draws were counted tells none, or fewer than ended.
        pending = max(0, self.drawn - sum(self.results.values()))
        return ArmCounts(
            results=self.results,
            took=_latencies(self.took, self.sums.get("ms", 0)),
            first_token=_latencies(self.first_token, self.first_token_ms),
            pending=pending,
            **{name: self.sums.get(of, 0) for of, name in OF.items()},
        )


class ArmBook:
    """Remembers what routers said since the last look, and which ones ever said anything."""

    def __init__(self) -> None:
        self._said: dict[str, Mapping[Where, ArmCounts]] = {}
        self._broken: dict[str, str] = {}
        self._heard: set[str] = set()

    def add(self, life: str, samples: Iterable[Sample]) -> None:
        """What a router says."""
        try:
            self._said[life] = arm_counts(samples)
        except (ValueError, KeyError, OverflowError) as error:
            self._broken[life] = f"its metrics of arms cannot be read: {type(error).__name__}"
        self._heard.add(life)

    def breaks(self, life: str, why: str) -> None:
        """A router answered with what is no metrics at all."""
        self._broken[life] = why

    def look(self, pods: Iterable[RouterPod], at: datetime) -> Look:
        """What was said since the last look. pods: all that have an address.

        One that takes no traffic, and was never heard of, is not waited for: it begins, or was cut off before this
        operator began.
        """
        live = frozenset(pod.life for pod in pods)
        self._heard &= live
        exist = frozenset(pod.life for pod in pods if pod.ready or pod.leaving or pod.life in self._heard)
        said, self._said = self._said, {}
        broken, self._broken = self._broken, {}
        return Look(at, exist, said, broken, live - exist)


def arm_counts(samples: Iterable[Sample]) -> dict[Where, ArmCounts]:
    """What a router has counted since it began, by group, tag of a rollout's run and period, and arm.

    Raises ValueError, KeyError or OverflowError for what the filter never says.
    """
    found: defaultdict[Where, _Reading] = defaultdict(_Reading)
    for sample in samples:
        if sample.name.startswith(PREFIX):
            labels = sample.labels
            where = (labels["group"], labels["rollout"], Arm(labels["arm"]))
            found[where].read(sample, int(sample.value))
    return {where: reading.counts for where, reading in found.items()}


def _latencies(up_to: Mapping[float, int], sum_ms: int) -> Latencies:
    """A histogram that was not flushed yet has no buckets."""
    return Latencies(tuple(up_to.get(bound, 0) for bound in BOUNDS_MS), sum_ms)
