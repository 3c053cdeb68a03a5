"""What routers counted for the two arms of a rollout: sums that add up, and looks at all routers at once. Pure data.

Filled by observe from the routers' metrics, used by decide.canary. One observation is one client request that was drawn
for an arm: it is pending, until the end of its first attempt gives it a result, or the door at once if the arm's model
was not to be had. Only sums and buckets are kept, so evidence has the same size after a million requests, and can be
added and told apart by time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from operator import add, sub

BUCKETS_MS = (
    *(1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500, 600, 800, 1000, 1250, 1500, 2000, 2500, 3000),
    *(4000, 5000, 6000, 8000, 10000, 15000, 20000, 30000, 45000, 60000, 90000, 120000, 180000, 300000, 600000, 3600000),
)
"""Upper bounds of the latency histograms, milliseconds, from a cache hit to the longest answer allowed."""
BOUNDS_MS = (*map(float, BUCKETS_MS), float("inf"))
"""The same with what lies beyond."""

OK = "ok"
"""The result of an attempt that became an answer."""
REFUSED = frozenset({"client_error", "too_long"})
"""The client's own mistakes. A prompt that is too long is the one or the other, by the models that are left to try."""
HUNG_UP = "hung_up"
"""The client left before there was an answer."""
UNASKED = "unasked"
"""No model was asked: the key's limits refused it, or the client left before."""
NO_EVIDENCE = REFUSED | {HUNG_UP, UNASKED}
"""Results that say nothing of the model."""


class Arm(StrEnum):
    """Which of the two models a client's request was drawn for."""

    BASELINE = "baseline"
    CANARY = "canary"


@dataclass(frozen=True)
class Latencies:
    """A histogram.

    Attributes:
        up_to: how many took at most so long, in the order of BOUNDS_MS; so the last is their number.
        sum_ms: of all of them; of `ArmCounts.took`, of those that `results` has as ok.
    """

    up_to: tuple[int, ...] = (0,) * len(BOUNDS_MS)
    sum_ms: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return self.up_to[-1]

    def __add__(self, other: "Latencies") -> "Latencies":
        return Latencies(tuple(map(add, self.up_to, other.up_to)), self.sum_ms + other.sum_ms)

    def __sub__(self, other: "Latencies") -> "Latencies":
        return Latencies(tuple(map(sub, self.up_to, other.up_to)), self.sum_ms - other.sum_ms)

    @property
    def sound(self) -> bool:
        """Whether such a histogram can be: buckets that hold each other, nothing negative."""
        return min(self.up_to[0], self.sum_ms) >= 0 and all(a <= b for a, b in pairwise(self.up_to))


@dataclass(frozen=True)
class ArmCounts:
    """What was counted for one arm.

    Attributes:
        results: result of the first attempt, as the filter spells it → requests. The door's refusals are among them.
        took: attempts with result ok, whole. Histograms of Envoy are seconds behind counters, so its buckets have fewer
            than results; its sum_ms is a counter, as all others here.
        took_squared: sum of their milliseconds squared.
        first_token: streams with result ok: until their first content.
        priced: attempts with result ok whose tokens and cost are known; the rest is of these.
        nano_usd: billionths of a US dollar.
        tokens: of prompt and answer.
        micro_usd_squared, tokens_micro_usd: cost in millionths of a US dollar, squared, and times tokens.
        pending: requests that were drawn and have no result yet. The only number that falls again.
    """

    results: Mapping[str, int] = field(default_factory=dict)
    took: Latencies = Latencies()
    took_squared: int = 0
    first_token: Latencies = Latencies()
    priced: int = 0
    nano_usd: int = 0
    tokens: int = 0
    tokens_squared: int = 0
    micro_usd_squared: int = 0
    tokens_micro_usd: int = 0
    pending: int = 0

    @property
    def requests(self) -> int:
        """Requests that say something of the model."""
        return sum(count for result, count in self.results.items() if result not in NO_EVIDENCE)

    @property
    def ok(self) -> int:
        """Requests that were answered."""
        return self.results.get(OK, 0)

    @property
    def errors(self) -> int:
        """Requests that the model failed, or was not there for."""
        return self.requests - self.ok

    @property
    def drawn(self) -> int:
        """All requests that were drawn for the arm, evidence or not."""
        return sum(self.results.values()) + self.pending

    def __add__(self, other: "ArmCounts") -> "ArmCounts":
        results = {r: self.results.get(r, 0) + other.results.get(r, 0) for r in {**self.results, **other.results}}
        return ArmCounts(results, **{name: getattr(self, name) + getattr(other, name) for name in _SUMS})

    def since(self, before: "ArmCounts") -> "ArmCounts":
        """What was added to `before`; all of it if anything fell, because then the counters began anew, and of what was
        pending nothing more will come.
        """
        results = {r: self.results.get(r, 0) - before.results.get(r, 0) for r in {**before.results, **self.results}}
        grown = ArmCounts(results, **{name: getattr(self, name) - getattr(before, name) for name in _SUMS})
        if not grown._grew:
            return replace(self, pending=grown.pending)
        return replace(grown, results={r: n for r, n in results.items() if n})

    @property
    def nonsense(self) -> str:
        """Why these cannot be the counts of any requests, for a person; empty: they can."""
        if not self._grew:
            return "a count is negative"
        if not (self.took.sound and self.first_token.sound):
            return "a histogram's larger bucket holds less than its smaller one"
        return ""

    @property
    def _grew(self) -> bool:
        numbers: list[int] = [getattr(self, name) for name in _SUMS if name not in _NO_COUNTERS]
        numbers += [*self.took.up_to, *self.first_token.up_to, self.took.sum_ms, self.first_token.sum_ms]
        return min((*numbers, *self.results.values())) >= 0


_NO_COUNTERS = {"took", "first_token", "pending"}
_SUMS = tuple(f.name for f in fields(ArmCounts) if f.name != "results")

Where = tuple[str, str, Arm]
"""Group, tag of a rollout's run and period, arm."""


@dataclass(frozen=True)
class Look:
    """What all routers of a namespace said at one moment.

    Attributes:
        at: when, aware UTC.
        exist: lives of routers that are there and may take traffic; a life is one process, whose counters began at 0.
        said: life → what it has counted since it began, of those that answered. One that answered and counts nothing
            has an empty entry; one that did not answer has none.
        broken: life → why its answer cannot be read, for a person.
        unheard: lives of pods that are there too, take no traffic, and never answered this operator: they begin, or
            were cut off before it began.
    """

    at: datetime
    exist: frozenset[str] = frozenset()
    said: Mapping[str, Mapping[Where, ArmCounts]] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    unheard: frozenset[str] = frozenset()

    @property
    def silent(self) -> frozenset[str]:
        """Lives that are there and did not answer, or not so that it can be read."""
        return self.exist - self.said.keys()
