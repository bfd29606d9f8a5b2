"""Order statistics that hold a median: which of n sorted samples bound it, whatever their distribution."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=4096)
def median_ranks(n: int, confidence: float = 0.95) -> tuple[int, int] | None:
    """Return the ranks (from 0) of the order statistics that bound the median with at least `confidence`.

    The count of samples below the median is binomial(n, 1/2), whatever the distribution: the interval from the k-th
    smallest to the k-th largest misses it with probability 2 P(X < k). The largest such k is taken.
    Source: David & Nagaraja, Order Statistics, 7.1.

    Returns:
        (k - 1, n - k); None where even the whole range holds it less often (n < 6 at 95 %).
    """
    from statistics import NormalDist

    from scipy.special import bdtr

    def misses(k: int) -> float:
        return 2 * float(bdtr(float(k - 1), n, 0.5)) if k > 0 else 0.0

    if n < 1:
        return None
    wide = NormalDist().inv_cdf((1 + confidence) / 2)
    k = max(0, int(n / 2 - wide * n**0.5 / 2))  # near enough that few steps remain
    while misses(k) > 1 - confidence:
        k -= 1
    while 2 * (k + 1) <= n + 1 and misses(k + 1) <= 1 - confidence:
        k += 1
    return (k - 1, n - k) if k else None
