"""Bounds that hold at every look at once: against numbers reckoned otherwise, and against chance."""

import math
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.decide.canary.sequences import (
    LEAST,
    Mean,
    Share,
    difference_bounds,
    mean_of,
    quantile,
    quantile_bounds,
    ratio_bounds,
    share_bounds,
)

shares = st.builds(lambda of, part: Share(round(of * part), of), st.integers(0, 100_000), st.floats(0, 1))
ALPHA = 0.01


def mixture(share: Share) -> float:
    """The likelihood of a share, mixed over Beta(1/2, 10) by adding up; the midpoints of 20,000 strips."""
    strips = 20_000
    total = 0.0
    for k in range(strips):
        u = (k + 0.5) / strips
        p = u * u  # takes the singularity at 0 away: dp = 2u du
        total += 2 * u * p ** (share.hits - 0.5) * (1 - p) ** (share.of - share.hits + 9)
    return total / strips / math.exp(math.lgamma(0.5) + math.lgamma(10) - math.lgamma(10.5))


@pytest.mark.parametrize("share", [Share(0, 30), Share(3, 30), Share(30, 30), Share(40, 900)])
def test_a_share_is_bounded_where_the_mixture_outweighs_its_likelihood_a_hundredfold(share: Share) -> None:
    """As its formula says, with the mixture added up number by number."""
    bounds = share_bounds(share, ALPHA)
    for edge in (bounds.low, bounds.high):
        if 0 < edge < 1:
            likelihood = edge**share.hits * (1 - edge) ** (share.of - share.hits)
            assert mixture(share) / likelihood == pytest.approx(1 / ALPHA, rel=0.01)
    assert (bounds.low == 0) == (share.hits == 0)


@given(shares, shares)
def test_a_difference_is_bounded_by_the_greatest_likelihood_that_it_allows(one: Share, two: Share) -> None:
    """Found by search in place of the cubic; what is measured lies between the bounds."""
    bounds = difference_bounds(one, two, ALPHA)
    assert -1 <= bounds.low <= one.value - two.value <= bounds.high <= 1
    for d in (bounds.low, bounds.high):
        if abs(d) < 1 - 1e-9:
            mixed = sum(_log_mixture(s) for s in (one, two))
            assert mixed - searched(one, two, d) == pytest.approx(math.log(1 / ALPHA), abs=0.01)


def searched(canary: Share, baseline: Share, d: float) -> float:
    """The greatest log likelihood over chances p and p + d, by golden section."""
    low, high = max(0.0, -d), min(1.0, 1.0 - d)
    for _ in range(200):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if _joint(canary, baseline, a, d) > _joint(canary, baseline, b, d) else (a, high)
    ends = (max(0.0, -d), (low + high) / 2, min(1.0, 1.0 - d))
    return max(_joint(canary, baseline, p, d) for p in ends)


def _joint(canary: Share, baseline: Share, p: float, d: float) -> float:
    return _log(canary, p + d) + _log(baseline, p)


def _log(share: Share, p: float) -> float:
    missed = share.of - share.hits
    if (share.hits and p <= 0) or (missed and p >= 1):
        return -1e300
    return (share.hits * math.log(p) if share.hits else 0) + (missed * math.log1p(-p) if missed else 0)


def _log_mixture(s: Share) -> float:
    lg = math.lgamma
    return lg(0.5 + s.hits) + lg(10 + s.of - s.hits) - lg(10.5 + s.of) - lg(0.5) - lg(10) + lg(10.5)


def test_a_quantile_lies_between_its_bounds_and_both_come_near_with_more() -> None:
    """Log-normal times in buckets a quarter apart: the true 95th percentile is 2,683."""
    rng, edges = Random(1), [*(100 * 1.25**k for k in range(25)), math.inf]
    width = math.inf
    for n in (200, 2_000, 20_000):
        times = [rng.lognormvariate(math.log(1_000), 0.6) for _ in range(n)]
        up_to = [sum(t <= edge for t in times) for edge in edges]
        bounds = quantile_bounds(up_to, edges, 0.95, ALPHA)
        assert bounds.low < 2_683 < bounds.high
        assert bounds.low < quantile(up_to, edges, 0.95) < bounds.high
        assert bounds.high - bounds.low < width
        width = bounds.high - bounds.low
    assert quantile(up_to, edges, 0.95) == pytest.approx(2_683, rel=0.03)
    assert width < 300


@pytest.mark.parametrize(
    ("up_to", "low", "high"),
    [([0, 0, 0], 0, math.inf), ([500, 500, 500], 0, 10), ([0, 0, 500], 20, math.inf)],
    ids=["nothing", "all-in-the-first", "all-beyond"],
)
def test_a_quantile_at_the_end_of_the_buckets(up_to: list[int], low: float, high: float) -> None:
    """What lies in the first bucket may be anything down to 0, in the last anything up from its lower bound."""
    bounds = quantile_bounds(up_to, [10, 20, math.inf], 0.95, ALPHA)
    assert (bounds.low, bounds.high) == (low, high)


def test_a_ratio_is_bounded_where_fieller_says() -> None:
    """At both bounds the canary minus the bound times the baseline is equally many standard errors from 0."""
    canary, baseline = Mean(1_300.0, 400.0, 2_000), Mean(1_000.0, 100.0, 8_000)
    bounds = ratio_bounds(canary, baseline, ALPHA)
    assert bounds is not None
    low, high = (abs(1_300 - r * 1_000) / math.sqrt(400 + r * r * 100) for r in (bounds.low, bounds.high))
    assert low == pytest.approx(high)
    assert 3 < low < 4, "for one look known beforehand it would be 2.33"
    assert ratio_bounds(Mean(1.0, 0.1, LEAST - 1), baseline, ALPHA) is None
    assert ratio_bounds(Mean(1.0, 1.0, LEAST), Mean(1.0, 1.0, LEAST), ALPHA) is not None


@pytest.mark.parametrize("chance", [0.0005, 0.01, 0.3])
def test_bounds_of_shares_are_hardly_ever_wrong_however_often_one_looks(chance: float) -> None:
    """200 runs of 2,000 draws, looked at after each fiftieth: with alpha 5 % no more than 5 % ever exclude the truth,
    be it of an arm or of the difference of two equal ones.
    """
    rng, wrong, apart = Random(2), 0, 0
    for _ in range(200):
        hits = [list(accumulate(rng.random() < chance for _ in range(2_000))) for _ in range(2)]
        looks = [[Share(h[n - 1], n) for h in hits] for n in range(50, 2_001, 50)]
        wrong += any(share_bounds(one, 0.05).low > chance for one, _ in looks)
        apart += any(difference_bounds(one, two, 0.05).low > 0 for one, two in looks)
    assert max(wrong, apart) <= 10


def test_bounds_of_means_are_hardly_ever_wrong_with_skewed_answers() -> None:
    """200 runs of two equal log-normal arms, sigma 1.2: the longest of a hundred is sixteen times the median."""
    rng, wrong, naive = Random(3), 0, 0
    for _ in range(200):
        sums = [[0.0, 0.0], [0.0, 0.0]]
        runs = False, False
        for n in range(1, 2_001):
            for arm in sums:
                x = rng.lognormvariate(0, 1.2)
                arm[0] += x
                arm[1] += x * x
            if n % 10 == 0 and n >= LEAST:
                c, b = (mean_of(s / n, q / n - (s / n) ** 2, n) for s, q in sums)
                bounds = ratio_bounds(c, b, 0.05)
                over = c.value - b.value > 1.645 * math.sqrt(c.variance + b.variance)
                runs = runs[0] or (bounds is not None and bounds.low > 1), runs[1] or over
        wrong, naive = wrong + runs[0], naive + runs[1]
    assert wrong <= 10
    assert naive > 40, "the usual test, looked at as often"
