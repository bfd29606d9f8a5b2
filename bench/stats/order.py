"""Order statistics that hold a quantile: which of n sorted samples bound it, whatever their distribution.

They suppose independent samples; of correlated ones they cover less (see `bench.stats.intervals.within_interval`).

Source: David & Nagaraja, Order Statistics, 7.1.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist


@lru_cache(maxsize=4096)
def median_ranks(n: int, confidence: float = 0.95) -> tuple[int, int] | None:
    """Return the ranks (from 0) that bound the median, alike from both ends; None of n < 6 at 95 %."""
    return quantile_ranks(n, 0.5, confidence)


@lru_cache(maxsize=4096)
def quantile_ranks(n: int, share: float, confidence: float = 0.95) -> tuple[int, int] | None:
    """Return the ranks (from 0) of the order statistics that bound a quantile with at least `confidence`.

    The count of samples below it is binomial(n, share): the k-th smallest lies beyond it with probability P(X < k).
    Of each end the narrowest k is taken that misses at most half of what may be missed.

    Args:
        n: count of samples.
        share: of the distribution that lies below the quantile, between 0 and 1.
        confidence: with which the interval holds it.

    Returns:
        Two ranks; None where even the whole range holds it less often, see `least_samples`.
    """
    tail = (1 - confidence) / 2
    low, high = _from_below(n, share, tail), _from_below(n, 1 - share, tail)
    return (low - 1, n - high) if low and high else None


def least_samples(share: float, confidence: float = 0.95) -> int:
    """Return how many samples an interval of a quantile needs at least: 6 of the median, 368 of the 99th percentile."""
    return math.ceil(math.log((1 - confidence) / 2) / math.log(max(share, 1 - share)))


def _from_below(n: int, share: float, tail: float) -> int:
    """Return the largest k with P(X < k) <= tail, of X binomial(n, share); 0 where there is none."""
    from scipy.special import bdtr  # the command line must start without it

    def misses(k: int) -> float:
        return float(bdtr(float(k - 1), n, share)) if k > 0 else 0.0

    if n < 1:
        return 0
    wide = NormalDist().inv_cdf(1 - tail) * math.sqrt(n * share * (1 - share))
    k = max(0, int(n * share - wide))  # near enough that few steps remain
    while misses(k) > tail:
        k -= 1
    while k < n and misses(k + 1) <= tail:
        k += 1
    return k
