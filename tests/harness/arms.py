"""Traffic of a rollout's two arms as routers would count it: sums drawn at once, not request by request. Seeded."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from random import Random
from statistics import NormalDist

from turnout.decide.evidence import BOUNDS_MS, ArmCounts, Latencies

EXACT_BELOW = 20
"""Expected hits below which a binomial is drawn exactly; above it a rounded normal is indistinguishable here."""
TYPES = 60
"""Kinds of answers that stand for a log-normal: quantiles, the outer ones closer together, 1 in 20,000 the rarest."""


def log_normal(median: float, sigma: float) -> tuple[tuple[float, float], ...]:
    """(value, chance) of TYPES kinds of answers: the middle of each slice of a log-normal."""
    edges = [NormalDist().cdf(-3.9 + 7.8 * k / TYPES) for k in range(TYPES + 1)]
    total = edges[-1] - edges[0]
    return tuple(
        (median * math.exp(sigma * NormalDist().inv_cdf((a + b) / 2)), (b - a) / total) for a, b in pairwise(edges)
    )


@dataclass(frozen=True)
class Model:
    """How a model answers: share of failures, log-normal milliseconds and tokens, US dollars for a million tokens; and
    how many seconds later routers count answers and failures.
    """

    errors: float = 0.01
    median_ms: float = 1_500.0
    sigma: float = 0.6
    usd_per_million: float = 2.0
    answers_s: float = 0.0
    failures_s: float = 0.0

    def but(
        self,
        *,
        errors: float | None = None,
        slower: float = 1.0,
        dearer: float = 1.0,
        answers_s: float | None = None,
        failures_s: float | None = None,
    ) -> "Model":
        """The same with a difference."""
        return replace(
            self,
            answers_s=self.answers_s if answers_s is None else answers_s,
            failures_s=self.failures_s if failures_s is None else failures_s,
            errors=self.errors if errors is None else errors,
            median_ms=self.median_ms * slower,
            usd_per_million=self.usd_per_million * dearer,
        )

    def with_p95(self, factor: float) -> "Model":
        """The same median, and a tail that takes the 95th percentile up by a factor."""
        z = NormalDist().inv_cdf(0.95)
        return replace(self, sigma=self.sigma + math.log(factor) / z)

    def serve(self, requests: int, rng: Random, *, slow: float = 1.0, failing: float = 0.0) -> ArmCounts:
        """What so many requests count. slow: how much slower it is just now; failing: share that fails anyway."""
        failed = binomial(rng, requests, self.errors + (1 - self.errors) * failing)
        times = _scaled(log_normal_cached(self.median_ms, self.sigma), slow)
        drawn = multinomial(rng, requests - failed, [chance for _, chance in times])
        inside = [0] * len(BOUNDS_MS)
        for (ms, _), count in zip(times, drawn, strict=True):
            inside[bisect_left(BOUNDS_MS, ms)] += count
        took = Latencies(tuple(accumulate(inside)), round(sum(ms * n for (ms, _), n in zip(times, drawn, strict=True))))
        squares = round(sum(ms * ms * n for (ms, _), n in zip(times, drawn, strict=True)))
        counts = ArmCounts({"ok": requests - failed, "timeout": failed}, took, squares)
        return self._priced(counts, requests - failed, rng)

    def _priced(self, counts: ArmCounts, answers: int, rng: Random) -> ArmCounts:
        """Each kind of answer has tokens of its own, and a price between a half and one and a half times the usual."""
        kinds = [
            (round(tokens), tokens * self.usd_per_million * (0.5 + k * 7 % TYPES / TYPES))
            for k, (tokens, _) in enumerate(log_normal_cached(400.0, 0.9))
        ]
        drawn = multinomial(rng, answers, [chance for _, chance in log_normal_cached(400.0, 0.9)])
        paid = [(n, t, math.ceil(micro)) for n, (t, micro) in zip(drawn, kinds, strict=True)]
        return replace(
            counts,
            priced=answers,
            nano_usd=round(sum(n * micro * 1_000 for n, (_, micro) in zip(drawn, kinds, strict=True))),
            tokens=sum(n * t for n, t, _ in paid),
            tokens_squared=sum(n * t * t for n, t, _ in paid),
            micro_usd_squared=sum(n * c * c for n, _, c in paid),
            tokens_micro_usd=sum(n * t * c for n, t, c in paid),
        )


@dataclass
class Traffic:
    """One arm at a router: what it has counted of the requests that were drawn for a model."""

    model: Model
    ended: ArmCounts = field(default_factory=ArmCounts)
    under_way: list[tuple[float, ArmCounts]] = field(default_factory=list)

    def serve(self, requests: int, rng: Random, at_s: float, *, slow: float = 1.0, failing: float = 0.0) -> None:
        """So many requests come."""
        served = self.model.serve(requests, rng, slow=slow, failing=failing)
        failed = ArmCounts({"timeout": served.errors})
        self.under_way += [
            (at_s + self.model.failures_s, failed),
            (at_s + self.model.answers_s, replace(served, results={"ok": served.ok})),
        ]
        self.ended = sum((counts for due, counts in self.under_way if due <= at_s), self.ended)
        self.under_way = [(due, counts) for due, counts in self.under_way if due > at_s]

    @property
    def counts(self) -> ArmCounts:
        """As the router tells them."""
        return replace(self.ended, pending=sum(counts.requests for _, counts in self.under_way))


_CACHE: dict[tuple[float, float], tuple[tuple[float, float], ...]] = {}


def log_normal_cached(median: float, sigma: float) -> tuple[tuple[float, float], ...]:
    """log_normal, reckoned once."""
    return _CACHE.setdefault((median, sigma), _CACHE.get((median, sigma)) or log_normal(median, sigma))


def _scaled(kinds: Sequence[tuple[float, float]], factor: float) -> Sequence[tuple[float, float]]:
    return kinds if factor == 1 else [(value * factor, chance) for value, chance in kinds]


def binomial(rng: Random, n: int, chance: float) -> int:
    """So many hits of n."""
    if chance > 0.5:
        return n - binomial(rng, n, 1 - chance)
    if n <= 0 or chance <= 0:
        return 0
    if n * chance > EXACT_BELOW:
        return min(n, max(0, round(rng.gauss(n * chance, math.sqrt(n * chance * (1 - chance))))))
    hits, at, log_miss = 0, 0, math.log1p(-chance)
    while True:  # from hit to hit: geometric distances
        at += 1 + int(math.log(1 - rng.random()) / log_miss)
        if at > n:
            return hits
        hits += 1


def multinomial(rng: Random, n: int, chances: Sequence[float]) -> list[int]:
    """How n fall to kinds with these chances, which add up to 1."""
    if n < len(chances):
        edges = list(accumulate(chances))
        counts = [0] * len(chances)
        for _ in range(n):
            counts[min(bisect_left(edges, rng.random()), len(counts) - 1)] += 1
        return counts
    counts, left, rest = [], n, 1.0
    for chance in chances[:-1]:
        hits = binomial(rng, left, min(1.0, chance / rest)) if left else 0
        counts.append(hits)
        left, rest = left - hits, rest - chance
    return [*counts, left]


@dataclass
class Weather:
    """What hits both arms alike: bursts of traffic, slow times, outages. Autocorrelated over minutes."""

    rng: Random
    slow: float = 0.0
    burst: float = 0.0
    outage_s: float = 0.0

    def pass_time(self, seconds: float) -> None:
        """On to the next look."""
        for name, sigma, lasts_s in (("slow", 0.25, 900.0), ("burst", 0.7, 120.0)):
            keep = math.exp(-seconds / lasts_s)
            value = keep * getattr(self, name) + math.sqrt(1 - keep**2) * self.rng.gauss(0, sigma)
            setattr(self, name, value)
        self.outage_s = max(0.0, self.outage_s - seconds)
        if self.rng.random() < 1 - math.exp(-seconds / (6 * 3600)):
            self.outage_s = self.rng.expovariate(1 / 300)

    def requests(self, rate: float, seconds: float, at_s: float) -> int:
        """How many come: a day's tide, bursts, and chance."""
        tide = 1 + 0.8 * math.sin(2 * math.pi * at_s / 86_400)
        expected = rate * seconds * tide * math.exp(self.burst - 0.7**2 / 2)
        return max(0, round(self.rng.gauss(expected, math.sqrt(expected))))

    @property
    def failing(self) -> float:
        """Share of everything that fails."""
        return 0.2 if self.outage_s > 0 else 0.0
