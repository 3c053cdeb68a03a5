"""Bounds that hold at every look at once: confidence sequences from sums alone. Pure.

With a bound for which alpha is 0.01, the chance that it is *ever* wrong, however often and whenever one looks, is 1 %.
(A bound for one look at a time known beforehand fails sooner or later when one looks every few seconds.) All are
one-sided: low and high each have that alpha. They need sums only, so nothing but counters has to be kept, and whoever
has the sums can reckon them again.

Sources:
[R]  Robbins: Statistical methods related to the law of the iterated logarithm. Ann. Math. Stat. 41 (1970).
[H]  Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence sequences. Ann. Stat. 49
     (2021).
[HR] Howard, Ramdas: Sequential estimation of quantiles with applications to A/B testing. Bernoulli 28 (2022).
[U]  Wasserman, Ramdas, Balakrishnan: Universal inference. PNAS 117 (2020), section 8: sequential.
[A]  Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: Time-uniform central limit theory and asymptotic confidence
     sequences. Ann. Stat. 52 (2024).
[MN] Miettinen, Nurminen: Comparative analysis of two rates. Stat. Med. 4 (1985).
[F]  Fieller: Some problems in interval estimation. J. R. Stat. Soc. B 16 (1954).

No library: confseq on PyPI, by authors of these papers, calls itself early-stage and not stable, needs a C++ compiler
and Boost to install, and has no two-sample bounds from sums.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PRIOR = (0.5, 10.0)
"""Beta prior over which shares are mixed: it decides where a bound is tightest, not whether it holds. A guess: most
shares that are looked at, of failures and of the slowest twentieth, are a few per cent; half of it lies below 2.3 %."""
TIGHTEST_AT = 1_000
"""Requests of the smaller arm at which bounds of means are tightest. A guess; at a tenth or ten times as many they are
wider by about a tenth."""
LEAST = 50
"""Answers of each arm below which a mean has no bounds: those of [A] hold for large numbers only. A guess, held to by
tests/unit/decide/canary: no more false alarms than alpha with answers' lengths far more skewed than measured ones."""
TINY = 1e-9
"""Stands for a chance of 0 where logarithms are taken."""
LEAST_SPREAD = 0.05
"""Standard deviation of what a mean is made of, at least, as a share of the mean. A guess: fifty equal answers in a row
say nothing of how the next ones differ."""


@dataclass(frozen=True)
class Bounds:
    """Where the true value lies; each bound has its own alpha. high may be infinite."""

    low: float
    high: float


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """The share; 0 of nothing."""
        return self.hits / self.of if self.of else 0.0


@dataclass(frozen=True)
class Mean:
    """An average of so many, and the variance of that average."""

    value: float
    variance: float
    of: int


def share_bounds(share: Share, alpha: float) -> Bounds:
    """Bounds of the chance behind a share; [0, 1] of nothing. Holds for any number of draws.

    The beta-binomial mixture [R; H, section 3.5]: with hits s of n, prior Beta(a, b) and B the beta function,
    M(p) = B(a + s, b + n − s) / (B(a, b) · p^s · (1 − p)^(n − s)) is a martingale that begins at 1 if the chance is p.
    By Ville's inequality it ever reaches 1/alpha with a chance of alpha at most; bounds are where it does.
    """
    return Bounds(_share_edge(share, 0.0, alpha), _share_edge(share, 1.0, alpha))


def difference_bounds(canary: Share, baseline: Share, alpha: float) -> Bounds:
    """Bounds of the canary's chance minus the baseline's. Holds for any number of draws of either.

    Both mixtures of share_bounds, divided by the greatest likelihood that a difference of d allows [U]: no greater than
    the same divided by the likelihood of the true chances, which is a martingale. [MN] has that greatest likelihood.
    """
    if not canary.of + baseline.of:
        return Bounds(-1.0, 1.0)
    mixed, limit = _log_mixture(canary) + _log_mixture(baseline), math.log(1 / alpha)

    def excluded(d: float) -> bool:
        return mixed - _log_constrained(canary, baseline, d) >= limit

    middle = canary.value - baseline.value
    return Bounds(_edge(excluded, -1.0, middle), _edge(excluded, 1.0, middle))


def quantile_bounds(up_to: Sequence[int], bounds: Sequence[float], share: float, alpha: float) -> Bounds:
    """Bounds of a quantile, from the counts of a histogram's buckets; in the unit of its bounds, the last infinite.

    [HR]: the quantile is above t if surely more than 1 − share lies above t. Between two bounds of buckets the chances
    that are just not excluded there are joined by a straight line in logarithms of both; each bound rests on two
    neighbouring buckets, hence half of alpha for each. Where in the first or the last bucket it lies nobody knows.
    """
    low = _crossing(lambda k: _share_edge(_above(up_to, k), 0.0, alpha / 2), bounds, 1 - share)
    high = _crossing(lambda k: _share_edge(_above(up_to, k), 1.0, alpha / 2), bounds, 1 - share)
    return Bounds(min(low, bounds[-2]), max(high, bounds[0]))


def quantile(up_to: Sequence[int], bounds: Sequence[float], share: float) -> float:
    """The quantile itself, joined between bounds of buckets as quantile_bounds does it."""
    return _crossing(lambda k: _above(up_to, k).value, bounds, 1 - share)


def ratio_bounds(canary: Mean, baseline: Mean, alpha: float) -> Bounds | None:
    """Bounds of the canary's mean divided by the baseline's, both positive; None: too few to tell.

    canary − r · baseline is normal for large numbers, with variance v_c + r² · v_b. The ratio is above r if that
    difference is surely above 0; [F] solves it for r: (c − r·b)² = k² · (v_c + r²·v_b). k, in standard errors, is the
    one-sided normal mixture of [A]: with t the size of the sample,
    k² = 2 · (t·ρ² + 1) / (t·ρ²) · ln(1 + sqrt(t·ρ² + 1) / (2·alpha)).
    Two arms drawn with fixed chances count as t = n_c·n_b / (n_c + n_b): their variance falls as 1/t.
    """
    if min(canary.of, baseline.of) < LEAST or min(canary.value, baseline.value) <= 0:
        return None
    k2 = _normal_mixture(canary.of * baseline.of / (canary.of + baseline.of), alpha)
    c, b = canary.value, baseline.value
    lower, upper = c * c - k2 * canary.variance, b * b - k2 * baseline.variance
    root = math.sqrt(max(0.0, c * c * b * b - lower * upper))
    return Bounds(max(0.0, lower / (c * b + root)), (c * b + root) / upper if upper > 0 else math.inf)


def mean_of(value: float, variance: float, of: int) -> Mean:
    """From an average, and the variance of what it is an average of; that may be rounded, even below 0."""
    return Mean(value, max(variance, (LEAST_SPREAD * value) ** 2) / of, of)


def _normal_mixture(t: float, alpha: float) -> float:
    """Square of the boundary in standard errors. rho: tightest at TIGHTEST_AT, [A] appendix B.2."""
    rho2 = (-2 * math.log(2 * alpha) + math.log(1 - 2 * math.log(2 * alpha))) / (TIGHTEST_AT / 2)
    x = t * rho2
    return 2 * (x + 1) / x * math.log1p(math.sqrt(x + 1) / (2 * alpha))


def _log_mixture(share: Share) -> float:
    a, b = PRIOR
    return _log_beta(a + share.hits, b + share.of - share.hits) - _log_beta(a, b)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_likelihood(share: Share, p: float) -> float:
    """-inf where it cannot be."""
    missed = share.of - share.hits
    if (p <= 0 and share.hits) or (p >= 1 and missed):
        return -math.inf
    return (share.hits * math.log(p) if share.hits else 0.0) + (missed * math.log1p(-p) if missed else 0.0)


def _log_constrained(canary: Share, baseline: Share, d: float) -> float:
    """The greatest log likelihood of chances that differ by d: [MN], the middle root of a cubic."""
    n, hits = canary.of + baseline.of, canary.hits + baseline.hits
    least, most = max(0.0, -d), min(1.0, 1.0 - d)
    third = 3 * n
    c2 = ((canary.of + 2 * baseline.of) * d - n - hits) / third
    c1 = ((baseline.of * d - n - 2 * baseline.hits) * d + hits) / third
    c0 = baseline.hits * d * (1 - d) / (2 * n)
    q, p = c2**3 - 1.5 * c1 * c2 + c0, math.sqrt(max(0.0, c2**2 - c1))
    p = math.copysign(p, q)
    angle = (math.pi + math.acos(max(-1.0, min(1.0, q / p**3)))) / 3 if p else math.pi / 2
    base = min(most, max(least, 2 * p * math.cos(angle) - c2))
    return _log_likelihood(baseline, base) + _log_likelihood(canary, base + d)


def _share_edge(share: Share, far: float, alpha: float) -> float:
    """The bound of a share towards `far`, 0 or 1."""
    if not share.of:
        return far
    least = _log_mixture(share) - math.log(1 / alpha)
    return _edge(lambda p: _log_likelihood(share, p) <= least, far, share.value)


def _above(up_to: Sequence[int], k: int) -> Share:
    return Share(up_to[-1] - up_to[k], up_to[-1])


def _edge(excluded: Callable[[float], bool], far: float, near: float) -> float:
    """Where exclusion ends between far and near, at the far side of it; far itself if that is not excluded."""
    if not excluded(far):
        return far
    for _ in range(40):
        middle = (far + near) / 2
        far, near = (middle, near) if excluded(middle) else (far, middle)
    return far


def _crossing(curve: Callable[[int], float], bounds: Sequence[float], level: float) -> float:
    """Where a curve that falls from bound to bound comes down to a level; 0 if it begins there, infinite if it never
    does.
    """
    finite = len(bounds) - 1
    at = bisect_left(range(finite), True, key=lambda k: curve(k) <= level)
    if at in {0, finite}:
        return math.inf if at else 0.0
    here, there = curve(at - 1), max(curve(at), TINY)
    part = math.log(here / level) / math.log(here / there)
    return bounds[at - 1] * math.exp(part * math.log(bounds[at] / bounds[at - 1]))
