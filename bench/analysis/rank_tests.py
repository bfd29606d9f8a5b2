"""Rank tests, their estimates and intervals: pure functions of arrays, exact and with ties.

Each test has the estimate that belongs to it and an interval from the same distribution: of one sample's centre
(Wilcoxon's signed ranks) and of the shift between two (Mann and Whitney's rank sums).

Sources: Hodges & Lehmann, Estimates of location based on rank tests, Ann. Math. Stat. 34, 1963; Hollander, Wolfe &
Chicken, Nonparametric Statistical Methods, chapters 3 and 4; Holm, A simple sequentially rejective multiple test
procedure, Scand. J. Stat. 6, 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from bench.analysis.statistics import NONE, Floats, Interval

Values = Sequence[float] | Floats

ALPHA = 0.05
MANY = 120  # numbers in all, from which the normal approximation is as good as the exact distribution


def holm(ps: Values) -> Floats:
    """Return p-values corrected for their number, in their order; NaN (not tested) stays NaN and does not count."""
    values = np.asarray(ps, dtype=np.float64)
    corrected = np.full(values.shape, math.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(order) else steps
    return corrected


def hodges_lehmann(values: Floats) -> float:
    """Return the median of the Walsh averages, (x_i + x_j) / 2 for i <= j; NaN of none."""
    return float(np.median(_walsh(values))) if len(values) else math.nan


def signed_rank_interval(values: Floats, confidence: float = 1 - ALPHA) -> Interval:
    """Return the interval of the centre from ordered Walsh averages; NaN where n is too small (below 6 at 95 %)."""
    return _interval(_walsh(values), _signed_rank_end(len(values), confidence))


def signed_rank_p(values: Floats) -> float:
    """Return the two-sided p of the Wilcoxon signed-rank test that the centre is zero, exact with ties as well.

    Zeros are left out, as Wilcoxon does; where nothing else is there, p is 1.
    """
    values = values[values != 0]
    if len(values) == 0:
        return 1.0
    if len(values) > MANY:
        from scipy.stats import wilcoxon

        return float(wilcoxon(values, method="asymptotic").pvalue)
    ranks = _doubled_ranks(np.abs(values))
    return _two_sided(_signed_rank_chances(tuple(ranks.tolist())), int(ranks[values > 0].sum()))


def shift(a: Floats, b: Floats) -> float:
    """Return the Hodges-Lehmann shift, the median of all differences b_j - a_i; NaN of none."""
    return float(np.median(_differences(a, b))) if len(a) and len(b) else math.nan


def shift_interval(a: Floats, b: Floats, confidence: float = 1 - ALPHA) -> Interval:
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
    if len(both) > MANY:
        from scipy.stats import mannwhitneyu

        return float(mannwhitneyu(a, b, method="asymptotic").pvalue)
    ranks = _doubled_ranks(both)
    return _two_sided(_rank_sum_chances(tuple(ranks.tolist()), len(a)), int(ranks[: len(a)].sum()))


def can_decide(n: int, m: int) -> bool:
    """Return whether two samples so large, completely apart, have a p of at most 0.05."""
    return n > 0 and m > 0 and 2 / math.comb(n + m, n) <= ALPHA


def _walsh(values: Floats) -> Floats:
    first, second = np.triu_indices(len(values))
    return np.sort((values[first] + values[second]) / 2)


def _differences(a: Floats, b: Floats) -> Floats:
    with np.errstate(invalid="ignore"):  # two infinities
        return np.sort(np.subtract.outer(b, a).ravel())


def _interval(ordered: Floats, end: int) -> Interval:
    """Return the `end`-th smallest and largest; NaN where even the whole range holds the truth too seldom."""
    return (float(ordered[end - 1]), float(ordered[-end])) if end else NONE


def _doubled_ranks(values: Floats) -> npt.NDArray[np.int64]:
    """Return twice the ranks (from 1), whole numbers also where ties share the middle one."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((2 * np.cumsum(counts) - counts + 1)[places], dtype=np.int64)


def _two_sided(chances: Floats, at: int) -> float:
    return min(1.0, 2 * min(float(chances[: at + 1].sum()), float(chances[at:].sum())))


@lru_cache(maxsize=512)
def _signed_rank_chances(ranks: tuple[int, ...]) -> Floats:
    """Return the chance of each sum of the ranks with a positive sign, where each sign is a fair coin."""
    chances = np.ones(1)
    for rank in ranks:
        grown = np.zeros(len(chances) + rank)
        grown[: len(chances)] += chances / 2
        grown[rank:] += chances / 2
        chances = grown
    return chances


@lru_cache(maxsize=512)
def _rank_sum_chances(ranks: tuple[int, ...], n: int) -> Floats:
    """Return the chance of each sum of n of the ranks, where every choice is as likely."""
    ways = np.zeros((n + 1, sum(ranks) + 1))  # [how many are chosen, their sum]
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    return np.asarray(ways[n] / math.comb(len(ranks), n))


@lru_cache(maxsize=512)
def _signed_rank_end(n: int, confidence: float) -> int:
    """Return the largest k with 2 P(W < k) <= 1 - confidence, for n values without ties."""
    if n > MANY:
        return _normal_end(n * (n + 1) / 4, n * (n + 1) * (2 * n + 1) / 24, confidence)
    return _end(_signed_rank_chances(tuple(range(1, n + 1))), confidence)


@lru_cache(maxsize=512)
def _rank_sum_end(n: int, m: int, confidence: float) -> int:
    """Return the largest k with 2 P(U < k) <= 1 - confidence, for samples of n and m without ties."""
    if n + m > MANY:
        return _normal_end(n * m / 2, n * m * (n + m + 1) / 12, confidence)
    least = n * (n + 1) // 2
    return _end(_rank_sum_chances(tuple(range(1, n + m + 1)), n)[least:], confidence)


def _end(chances: Floats, confidence: float) -> int:
    return int(np.searchsorted(2 * np.cumsum(chances), 1 - confidence, side="right"))


def _normal_end(mean: float, variance: float, confidence: float) -> int:
    return max(0, math.floor(mean - NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance)))
