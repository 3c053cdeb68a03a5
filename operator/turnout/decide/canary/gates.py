"""What was counted for two arms → a verdict for each gate, with the bounds behind it. Pure."""

import math
from dataclasses import dataclass, replace

from turnout.api.canaryrollout import Gates
from turnout.api.canaryrollout_status import Gate, GateVerdict
from turnout.decide.canary.sequences import (
    LEAST,
    Bounds,
    Mean,
    Share,
    difference_bounds,
    mean_of,
    quantile,
    quantile_bounds,
    ratio_bounds,
)
from turnout.decide.evidence import BOUNDS_MS, ArmCounts, Latencies

P95 = 0.95
UNSEEN = 20
"""One in so many of the baseline's draws may be a failure that is not seen yet. A guess: few models that one stays with
fail more often; and if all that is pending could fail, a canary that fails outright would stay until the baseline has
answered for some time. Simulated in tests/bench/bench_canary.py."""
NANO_PER_MICRO = 1_000
USD_PER_1K = 1e-3
"""US dollars per 1,000 tokens for one millionth of a dollar per token: 1e-6 times 1,000."""


@dataclass(frozen=True)
class Judgement:
    """What the evidence says about one gate.

    Attributes:
        canary, baseline: as measured: a share of requests, milliseconds, or US dollars per 1,000 tokens. None: no data.
        bounds: of what is limited, the difference or the ratio of the true values; each holds at every look of the
            whole rollout at once, with the rollout's confidence shared out. None: too little data for any.
        limit: what the gate allows.
        lacks: why there are no bounds, for a person.
        early: by what has ended it would be a breach, but too much has not ended yet to be sure.
    """

    gate: Gate
    limit: float
    canary: float | None = None
    baseline: float | None = None
    bounds: Bounds | None = None
    lacks: str = ""
    early: bool = False

    @property
    def verdict(self) -> GateVerdict:
        """Breach if the true value is surely above the limit, Pass if it surely is not."""
        if self.bounds and self.bounds.low > self.limit:
            return GateVerdict.BREACH
        return GateVerdict.PASS if self.bounds and self.bounds.high <= self.limit else GateVerdict.UNDECIDED


def judge(gates: Gates, *, canary: ArmCounts, baseline: ArmCounts, periods: int) -> tuple[Judgement, ...]:
    """One judgement for each gate that is set.

    periods: how often evidence begins anew in a rollout. What confidence leaves is divided by gates and periods (the
    union bound), so it is the chance that an equal canary is *ever* said to breach *any* gate.
    """
    latency, cost = gates.latency, gates.cost
    limits: dict[Gate, float] = {Gate.ERROR_RATE: float(gates.error_rate.max_increase)}
    if latency and latency.max_mean_ratio is not None:
        limits[Gate.MEAN_LATENCY] = float(latency.max_mean_ratio)
    if latency and latency.max_p95_ratio is not None:
        limits[Gate.P95_LATENCY] = float(latency.max_p95_ratio)
    if cost:
        limits[Gate.COST] = float(cost.max_ratio)
    alpha = (1 - float(gates.confidence)) / (len(limits) * periods)
    return tuple(_JUDGES[gate](limit, canary, baseline, alpha) for gate, limit in limits.items())


def mean_ms(sum_ms: int, count: int) -> float | None:
    """The mean of so many."""
    return sum_ms / count if count else None


def p95_ms(took: Latencies) -> float | None:
    """The 95th percentile of a histogram, joined between bounds of buckets as quantile_bounds does it."""
    return quantile(took.up_to, BOUNDS_MS, P95) if took.count else None


def usd_per_1k_tokens(counts: ArmCounts) -> float | None:
    """What 1,000 tokens cost, of the answers whose tokens are known."""
    return counts.nano_usd / NANO_PER_MICRO / counts.tokens * USD_PER_1K if counts.tokens else None


def error_share(counts: ArmCounts) -> Share:
    """How many of the requests that say something of the model failed."""
    return Share(counts.errors, counts.requests)


def _errors(limit: float, canary: ArmCounts, baseline: ArmCounts, alpha: float) -> Judgement:
    """Failures may come sooner than answers, or later. Where much is pending, as in the beginning of a period, their
    share of what has ended is wrong. For a breach the canary has none that is not seen yet, and the baseline as many as
    are likely: so the canary's are no more, and the baseline's no fewer, than when all that was drawn will have ended,
    for which difference_bounds holds. To pass, the difference must be small by what has ended as well.
    """
    ended = error_share(canary), error_share(baseline)
    drawn = replace(ended[0], of=ended[0].of + canary.pending), replace(ended[1], of=ended[1].of + baseline.pending)
    if lacks := _nobody(drawn[0].of, drawn[1].of, 1, "requests"):
        return Judgement(Gate.ERROR_RATE, limit, lacks=lacks)
    unseen = min(baseline.pending, math.ceil(drawn[1].of / UNSEEN))
    sure = difference_bounds(drawn[0], replace(drawn[1], hits=drawn[1].hits + unseen), alpha)
    seen = difference_bounds(*ended, alpha)
    ours, theirs = (share.value if share.of else None for share in ended)
    bounds, early = Bounds(sure.low, max(sure.high, seen.high)), sure.low <= limit < seen.low
    return Judgement(Gate.ERROR_RATE, limit, ours, theirs, bounds, early=early)


def _mean(limit: float, canary: ArmCounts, baseline: ArmCounts, alpha: float) -> Judgement:
    values = mean_ms(canary.took.sum_ms, canary.ok), mean_ms(baseline.took.sum_ms, baseline.ok)
    lacks = _nobody(canary.ok, baseline.ok, LEAST, "answers")
    if lacks or not (canary.took.sum_ms and baseline.took.sum_ms):
        lacks = lacks or "answers that take less than a millisecond cannot be compared"
        return Judgement(Gate.MEAN_LATENCY, limit, *values, lacks=lacks)
    return Judgement(
        Gate.MEAN_LATENCY, limit, *values, ratio_bounds(_mean_latency(canary), _mean_latency(baseline), alpha)
    )


def _p95(limit: float, canary: ArmCounts, baseline: ArmCounts, alpha: float) -> Judgement:
    values = p95_ms(canary.took), p95_ms(baseline.took)
    if lacks := _nobody(canary.took.count, baseline.took.count, 1, "answers"):
        return Judgement(Gate.P95_LATENCY, limit, *values, lacks=lacks)
    # Half of alpha for each arm: both bounds must hold for their quotient to.
    ours, theirs = (quantile_bounds(a.took.up_to, BOUNDS_MS, P95, alpha / 2) for a in (canary, baseline))
    low = ours.low / theirs.high
    high = ours.high / theirs.low if theirs.low else math.inf
    return Judgement(Gate.P95_LATENCY, limit, *values, Bounds(low, high))


def _cost(limit: float, canary: ArmCounts, baseline: ArmCounts, alpha: float) -> Judgement:
    values = usd_per_1k_tokens(canary), usd_per_1k_tokens(baseline)
    lacks = _nobody(canary.priced, baseline.priced, LEAST, "answers with known cost")
    lacks = lacks or ("" if canary.nano_usd and baseline.nano_usd else "a model without price cannot be compared")
    if lacks or not (canary.tokens and baseline.tokens):
        return Judgement(Gate.COST, limit, *values, lacks=lacks or "no tokens were counted")
    return Judgement(Gate.COST, limit, *values, ratio_bounds(_mean_cost(canary), _mean_cost(baseline), alpha))


def _mean_latency(counts: ArmCounts) -> Mean:
    value = counts.took.sum_ms / counts.ok
    return mean_of(value, counts.took_squared / counts.ok - value**2, counts.ok)


def _mean_cost(counts: ArmCounts) -> Mean:
    """Millionths of a dollar per token, a ratio of sums: its variance is that of what is left of each request's cost
    after the ratio times its tokens (linearisation; Cochran: Sampling Techniques, 1977, section 6.4).
    """
    n, value = counts.priced, counts.nano_usd / NANO_PER_MICRO / counts.tokens
    left = counts.micro_usd_squared - 2 * value * counts.tokens_micro_usd + value**2 * counts.tokens_squared
    per_token = n / counts.tokens
    return mean_of(value, left / n * per_token**2, n)


def _nobody(canary: int, baseline: int, least: int, what: str) -> str:
    """Which arm has too few, in words; empty: none."""
    few = [f"the {name} has {n} {what}" for name, n in (("canary", canary), ("baseline", baseline)) if n < least]
    return f"{' and '.join(few)}; {least} are needed" if few else ""


_JUDGES = {
    Gate.ERROR_RATE: _errors,
    Gate.MEAN_LATENCY: _mean,
    Gate.P95_LATENCY: _p95,
    Gate.COST: _cost,
}
