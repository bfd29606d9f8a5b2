"""Tests: an effect with its interval and its p, of means and of ranks.

    welch          means, of numbers that are about normal
    rank_sums      medians of what is skewed, or censored: a target that was never reached is an infinity
    signed_ranks   the centre of one number a process, such as the logarithm of a ratio that was measured in turn

Processes and trainings are their unit: the answer is for the next process or training.

Sources: Hodges & Lehmann, Estimates of location based on rank tests, Ann. Math. Stat. 34, 1963; Hollander, Wolfe &
Chicken, Nonparametric Statistical Methods, chapters 3 and 4; Welch, The generalization of "Student's" problem,
Biometrika 34, 1947; Mickey & Brown, Bounds on the distribution functions of the Behrens-Fisher statistic, Ann. Math.
Stat. 37, 1966.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from bench.stats.effects import Effect
from bench.stats.samples import NONE, Floats, Values, doubled_ranks

ALPHA = 0.05
_MANY = 120  # numbers in all, from which the normal approximation is as good as the exact distribution
_FEW = 4  # numbers of the smaller group, from which Welch's freedom is right enough also where groups are unequal
_ROUNDING = 1e-12  # what is left of equal numbers by computing with them


def welch(of: Values, against: Values, unit: str = "trainings", *, safe: bool = False) -> Effect:
    """Return the difference of two means by Welch's t.

    It supposes independent, about normal numbers; spreads may differ. Its degrees of freedom mislead where groups are
    unequal and the smaller has two or three (simulated size up to 0.12): there the smaller group's alone are taken,
    which errs on the safe side. Then the size is at most 0.06 for 2 to 8 numbers and spreads of 1/4 to 4 times.
    `safe` takes the smaller group's freedom wherever groups are unequal, for a p far below 0.05, as of many tests.
    `unit` is what the numbers are of, for the reason.
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (of, against))
    n, sizes = min(len(a), len(b)), f"{len(a)} and {len(b)} {unit}"
    if not n:
        return Effect.none(f"no {unit} on a side")
    means = [float(v.sum()) / len(v) for v in (a, b)]
    gap = means[0] - means[1]
    if n < 2:
        return Effect.none(f"{sizes} cannot decide: at least 2 on each side", gap, n)
    off = (v - mean for v, mean in zip((a, b), means, strict=True))
    shares = [float((v * v).sum()) / (len(v) - 1) / len(v) for v in off]  # as `var`, at half the time
    error = math.sqrt(sum(shares))
    if error <= _ROUNDING * max(float(np.abs(v).max()) for v in (a, b)):
        return Effect.none(f"no spread among {sizes} to judge by", gap, n)
    freedom = sum(shares) ** 2 / sum(s**2 / (len(v) - 1) for s, v in zip(shares, (a, b), strict=True))
    if (safe or n < _FEW) and len(a) != len(b):
        freedom = n - 1.0
    half = float(stdtrit(freedom, 1 - ALPHA / 2)) * error

    def p_at(at: float) -> float:
        return 2 * float(stdtr(freedom, -abs(gap - at) / error))

    floor = _floor_of_two(len(a), len(b))
    how = f"Welch's t, {sizes}"
    return tested(gap, (gap - half, gap + half), p_at, n=n, reason=how, p_floor=floor, error=error)


def rank_sums(of: Values, against: Values, unit: str = "trainings") -> Effect:
    """Return the Hodges-Lehmann shift with the Mann-Whitney test; infinities are beyond all other numbers.

    Where there are infinities, the estimate is the difference of the medians; of two infinite ones there is none.
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (of, against))
    n, sizes = min(len(a), len(b)), f"{len(a)} and {len(b)} {unit}"
    if not n:
        return Effect.none(f"no {unit} on a side")
    middles = float(np.median(a)), float(np.median(b))
    known = math.isfinite(middles[0]) or middles[0] != middles[1]
    numbers = bool(np.isfinite(a).all() and np.isfinite(b).all())
    gap = _shift(b, a) if numbers else middles[0] - middles[1] if known else math.nan
    if not _can_decide(len(a), len(b)):
        return Effect.none(f"{sizes} cannot decide by ranks: at least 4 on each side", gap, n)
    how = f"Mann-Whitney test, {sizes}"
    floor = _floor_of_two(len(a), len(b))
    return tested(
        gap, _shift_interval(b, a), lambda at: _rank_sum_p(b + at, a), n=n, reason=how, p_floor=floor
    )


def signed_ranks(values: Values, unit: str = "processes") -> Effect:
    """Return the centre of differences by Wilcoxon's signed ranks, with Hodges and Lehmann's estimate."""
    a = np.asarray(values, dtype=np.float64)
    n = len(a)
    if n < 6:
        return Effect.none(f"n = {n} {unit} cannot decide: at least 6", _hodges_lehmann(a), n)
    ends, how = _signed_rank_interval(a), f"Wilcoxon's signed ranks, {n} {unit}"
    floor = _floor_of_pairs(n)
    return tested(_hodges_lehmann(a), ends, lambda at: _signed_rank_p(a - at), n=n, reason=how, p_floor=floor)


def tested(estimate: float, ends: tuple[float, float], p_at: Callable[[float], float], **more: Any) -> Effect:
    return Effect(estimate, *ends, p=p_at(0.0), p_at=p_at, **more)


# --- rank tests, exact and with ties ---
#
# Each has its estimate, and an interval from the same distribution: of one sample's centre (Wilcoxon's signed ranks),
# which supposes numbers symmetric about it, and of the shift between two (Mann and Whitney's rank sums), which supposes
# samples that are alike but for it.


def _hodges_lehmann(values: Floats) -> float:
    """Return the median of the Walsh averages, (x_i + x_j) / 2 for i <= j; NaN of none."""
    return float(np.median(_walsh(values))) if len(values) else math.nan


def _signed_rank_interval(values: Floats, confidence: float = 1 - ALPHA) -> tuple[float, float]:
    """Return the interval of the centre from ordered Walsh averages; NaN where n is too small (below 6 at 95 %)."""
    return _interval(_walsh(values), _signed_rank_end(len(values), confidence))


def _signed_rank_p(values: Floats) -> float:
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


def _shift(a: Floats, b: Floats) -> float:
    """Return the Hodges-Lehmann shift, the median of all differences b_j - a_i; NaN of none."""
    return float(np.median(_differences(a, b))) if len(a) and len(b) else math.nan


def _shift_interval(a: Floats, b: Floats, confidence: float = 1 - ALPHA) -> tuple[float, float]:
    """Return the interval of the shift from ordered differences; NaN where the samples are too small.

    An infinity is a number beyond all that was seen, such as of a training that never reached its target; what two of
    them differ by is not known, and the interval reaches as far as it may.
    """
    gaps, end = _differences(a, b), _rank_sum_end(len(a), len(b), confidence)
    if not np.isnan(gaps).any():
        return _interval(gaps, end)
    least, most = (np.sort(np.where(np.isnan(gaps), unknown, gaps)) for unknown in (-math.inf, math.inf))
    return _interval(least, end)[0], _interval(most, end)[1]


def _rank_sum_p(a: Floats, b: Floats) -> float:
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


def _floor_of_two(n: int, m: int) -> float:
    """Return the least two-sided p of an exact test of two samples: of all ways to deal them out, the two extremes."""
    return min(1.0, 2 / math.comb(n + m, n))


def _floor_of_pairs(n: int) -> float:
    """Return the least two-sided p of an exact test of n signs."""
    return min(1.0, math.ldexp(2.0, -n))


def _can_decide(n: int, m: int) -> bool:
    """Return whether two samples so large, completely apart, have a p of at most 0.05."""
    return _floor_of_two(n, m) <= ALPHA


def _walsh(values: Floats) -> Floats:
    first, second = np.triu_indices(len(values))
    return np.sort((values[first] + values[second]) / 2)


def _differences(a: Floats, b: Floats) -> Floats:
    with np.errstate(invalid="ignore"):  # two infinities
        return np.sort(np.subtract.outer(b, a).ravel())


def _interval(ordered: Floats, end: int) -> tuple[float, float]:
    """Return the `end`-th smallest and largest; NaN where even the whole range holds the truth too seldom."""
    return (float(ordered[end - 1]), float(ordered[-end])) if end else NONE


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
