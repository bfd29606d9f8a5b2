"""Rank tests, their estimates and intervals: pure functions of arrays, exact and with ties.

Each test has the estimate that belongs to it and an interval from the same distribution: of one sample's centre
(Wilcoxon's signed ranks) and of the shift between two (Mann and Whitney's rank sums).

They suppose independent numbers: of one sample symmetric about their centre, of two alike but for a shift.

Sources: Hodges & Lehmann, Estimates of location based on rank tests, Ann. Math. Stat. 34, 1963; Hollander, Wolfe &
Chicken, Nonparametric Statistical Methods, chapters 3 and 4.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from bench.stats.samples import Floats

ALPHA = 0.05
NONE = (math.nan, math.nan)
_MANY = 120  # numbers in all, from which the normal approximation is as good as the exact distribution


def hodges_lehmann(values: Floats) -> float:
    """Return the median of the Walsh averages, (x_i + x_j) / 2 for i <= j; NaN of none."""
    return float(np.median(_walsh(values))) if len(values) else math.nan


def signed_rank_interval(values: Floats, confidence: float = 1 - ALPHA) -> tuple[float, float]:
    """Return the interval of the centre from ordered Walsh averages; NaN where n is too small (below 6 at 95 %)."""
    return _interval(_walsh(values), _signed_rank_end(len(values), confidence))


def signed_rank_p(values: Floats) -> float:
    """Return the two-sided p of the Wilcoxon signed-rank test that the centre is zero, exact with ties as well.

    Zeros are left out, as Wilcoxon does; where nothing else is there, p is 1.
    """
    values = values[values != 0]
    if len(values) == 0:
        return 1.0
    if len(values) > _MANY:
        from scipy.stats import wilcoxon

        return float(wilcoxon(values, method="asymptotic").pvalue)
    ranks = doubled_ranks(np.abs(values))
    return _two_sided(_sums_of_signs(tuple(ranks.tolist())), int(ranks[values > 0].sum()))


def shift(a: Floats, b: Floats) -> float:
    """Return the Hodges-Lehmann shift, the median of all differences b_j - a_i; NaN of none."""
    return float(np.median(_differences(a, b))) if len(a) and len(b) else math.nan


def shift_interval(a: Floats, b: Floats, confidence: float = 1 - ALPHA) -> tuple[float, float]:
    """Return the interval of the shift from ordered differences; NaN where the samples are too small.

    An infinity is a number beyond all that was seen, such as of a training that never reached its target; what two of
    them differ by is not known, and the interval reaches as far as it may.
    """
    gaps, end = _differences(a, b), _rank_sum_end(len(a), len(b), confidence)
    if not np.isnan(gaps).any():
        return _interval(gaps, end)
    least, most = (np.sort(np.where(np.isnan(gaps), unknown, gaps)) for unknown in (-math.inf, math.inf))
    return _interval(least, end)[0], _interval(most, end)[1]


def rank_sum_p(a: Floats, b: Floats) -> float:
    """Return the two-sided p of the Mann-Whitney test that A and B are alike, exact with ties as well."""
    if not len(a) or not len(b):
        return 1.0
    both = np.concatenate([a, b])
    if (both == both[0]).all():
        return 1.0
    if len(both) > _MANY:
        from scipy.stats import mannwhitneyu

        return float(mannwhitneyu(a, b, method="asymptotic").pvalue)
    ranks = doubled_ranks(both)
    return _two_sided(_sums_of_choices(tuple(ranks.tolist()), len(a)), int(ranks[: len(a)].sum()))


def floor_of_two(n: int, m: int) -> float:
    """Return the least two-sided p of an exact test of two samples: of all ways to deal them out, the two extremes."""
    return min(1.0, 2 / math.comb(n + m, n))


def floor_of_pairs(n: int) -> float:
    """Return the least two-sided p of an exact test of n signs."""
    return min(1.0, math.ldexp(2.0, -n))


def can_decide(n: int, m: int) -> bool:
    """Return whether two samples so large, completely apart, have a p of at most 0.05."""
    return floor_of_two(n, m) <= ALPHA


def _walsh(values: Floats) -> Floats:
    first, second = np.triu_indices(len(values))
    return np.sort((values[first] + values[second]) / 2)


def _differences(a: Floats, b: Floats) -> Floats:
    with np.errstate(invalid="ignore"):  # two infinities
        return np.sort(np.subtract.outer(b, a).ravel())


def _interval(ordered: Floats, end: int) -> tuple[float, float]:
    """Return the `end`-th smallest and largest; NaN where even the whole range holds the truth too seldom."""
    return (float(ordered[end - 1]), float(ordered[-end])) if end else NONE


def doubled_ranks(values: Floats) -> npt.NDArray[np.int64]:
    """Return twice the ranks (from 1), whole numbers also where ties share the middle one."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((2 * np.cumsum(counts) - counts + 1)[places], dtype=np.int64)


def _two_sided(shares: Floats, at: int) -> float:
    return min(1.0, 2 * min(float(shares[: at + 1].sum()), float(shares[at:].sum())))


@lru_cache(maxsize=512)
def _sums_of_signs(ranks: tuple[int, ...]) -> Floats:
    """Return how often each sum of the ranks with a positive sign, where each sign is a fair coin."""
    shares = np.ones(1)
    for rank in ranks:
        grown = np.zeros(len(shares) + rank)
        grown[: len(shares)] += shares / 2
        grown[rank:] += shares / 2
        shares = grown
    return shares


@lru_cache(maxsize=512)
def _sums_of_choices(ranks: tuple[int, ...], n: int) -> Floats:
    """Return how often each sum of n of the ranks, where every choice is as likely."""
    ways = np.zeros((n + 1, sum(ranks) + 1))  # [how many are chosen, their sum]
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    return np.asarray(ways[n] / math.comb(len(ranks), n))


@lru_cache(maxsize=512)
def _signed_rank_end(n: int, confidence: float) -> int:
    """Return the largest k with 2 P(W < k) <= 1 - confidence, for n values without ties."""
    if n > _MANY:
        return _normal_end(n * (n + 1) / 4, n * (n + 1) * (2 * n + 1) / 24, confidence)
    return _end(_sums_of_signs(tuple(range(1, n + 1))), confidence)


@lru_cache(maxsize=512)
def _rank_sum_end(n: int, m: int, confidence: float) -> int:
    """Return the largest k with 2 P(U < k) <= 1 - confidence, for samples of n and m without ties."""
    if n + m > _MANY:
        return _normal_end(n * m / 2, n * m * (n + m + 1) / 12, confidence)
    least = n * (n + 1) // 2
    return _end(_sums_of_choices(tuple(range(1, n + m + 1)), n)[least:], confidence)


def _end(shares: Floats, confidence: float) -> int:
    return int(np.searchsorted(2 * np.cumsum(shares), 1 - confidence, side="right"))


def _normal_end(mean: float, variance: float, confidence: float) -> int:
    return max(0, math.floor(mean - NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance)))
