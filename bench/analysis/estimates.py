"""Estimates: an effect, its 95 % interval, and the p of any value that it is held against.

    exact         counts: no doubt
    welch         means over trainings; difference of the first to the second
    ranks         medians of what is skewed (times) or censored (a target that was never reached is an infinity)
    over_images   paired over test images: a bootstrap of the mean of one number an image
    correlation   Spearman's rank correlation over networks

Trainings are the unit of `welch` and `ranks`: their answer is for the network trained anew, on these test images.
Images are the unit of `over_images`: its answer is for these trained networks, on new images. Neither stands for
the other.

Sources: Welch, Biometrika 34, 1947; Efron & Tibshirani, An Introduction to the Bootstrap, chapters 13 and 16; Bonett &
Wright, Sample size requirements for estimating Pearson, Kendall and Spearman correlations, Psychometrika 65, 2000.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from statistics import NormalDist

import numpy as np
from scipy.special import stdtr, stdtrit

from bench.analysis.rank_tests import ALPHA, Values, can_decide, rank_sum_p, shift, shift_interval
from bench.analysis.statistics import NONE, Floats

RESAMPLES = 10_000
_ROUNDING = 1e-12  # what is left of equal numbers by computing with them
_ALL_ORDERS = 8  # networks up to which all of their orders are tried


@dataclass(frozen=True, slots=True)
class Estimate:
    """An effect and how sure it is.

    Attributes:
        effect: NaN where there is none.
        low: lower end of the 95 % interval; NaN where there is none.
        high: upper end, alike.
        p_at: the two-sided p that the effect is a given number; NaN where it cannot be told.
        how: what was done, or why there is no interval.
        exact: whether the effect is beyond doubt; `p_at` is then of no use.
    """

    effect: float
    low: float
    high: float
    p_at: Callable[[float], float]
    how: str
    exact: bool = False


def none(how: str, effect: float = math.nan) -> Estimate:
    """Return an estimate that decides nothing."""
    return Estimate(effect, *NONE, lambda _at: math.nan, how)


def exact(of: Values, against: Values) -> Estimate:
    """Return the difference of two counts; each side's numbers must be one and the same."""
    sides = [np.unique(np.asarray(v, dtype=np.float64)) for v in (of, against)]
    if any(len(side) != 1 for side in sides):
        return none("no count" if not all(map(len, sides)) else "counts of one side differ")
    effect = float(sides[0][0] - sides[1][0])
    return Estimate(effect, effect, effect, lambda at: float(at == effect), "counted", exact=True)


def welch(of: Values, against: Values, unit: str = "trainings") -> Estimate:
    """Return the difference of two means by Welch's t."""
    a, b = (np.asarray(v, dtype=np.float64) for v in (of, against))
    if not len(a) or not len(b):
        return none(f"no {unit} on a side")
    gap = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 2:
        return none(f"{_sizes(a, b)} {unit} cannot decide: at least 2 on each side", gap)
    shares = [float(v.var(ddof=1)) / len(v) for v in (a, b)]
    error = math.sqrt(sum(shares))
    if error <= _ROUNDING * float(np.abs([*a, *b]).max()):
        return none(f"no spread among {_sizes(a, b)} {unit} to judge by", gap)
    freedom = sum(shares) ** 2 / sum(s**2 / (len(v) - 1) for s, v in zip(shares, (a, b), strict=True))
    half = float(stdtrit(freedom, 1 - ALPHA / 2)) * error
    how = f"Welch's t, {_sizes(a, b)} {unit}"
    return Estimate(
        gap, gap - half, gap + half, lambda at: 2 * float(stdtr(freedom, -abs(gap - at) / error)), how
    )


def ranks(of: Values, against: Values, unit: str = "trainings") -> Estimate:
    """Return the Hodges-Lehmann shift with the Mann-Whitney test; infinities are beyond all other numbers.

    Where there are infinities, the effect is the difference of the medians; of two infinite ones there is none.
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (of, against))
    if not len(a) or not len(b):
        return none(f"no {unit} on a side")
    finite = bool(np.isfinite(a).all() and np.isfinite(b).all())
    middles = float(np.median(a)), float(np.median(b))
    known = math.isfinite(middles[0]) or middles[0] != middles[1]
    gap = shift(b, a) if finite else middles[0] - middles[1] if known else math.nan
    if not can_decide(len(a), len(b)):
        least = next(k for k in range(1, 10) if can_decide(k, k))
        return none(f"{_sizes(a, b)} {unit} cannot decide by ranks: at least {least} on each side", gap)
    how = f"Mann-Whitney test, {_sizes(a, b)} {unit}"
    return Estimate(gap, *shift_interval(b, a), lambda at: rank_sum_p(b + at, a), how)


def over_images(differences: Floats, resamples: int = RESAMPLES) -> Estimate:
    """Return the mean of one number an image, such as the difference of two networks, by a paired bootstrap.

    Args:
        differences: [N] of the test images; as few different ones as trainings make, which is what makes this fast.
        resamples: test sets of N images that are drawn, with a fixed seed.
    """
    count = len(differences)
    if count < 2:
        return none("no test images")
    values, seen = np.unique(np.round(differences, 12), return_counts=True)
    drawn = np.random.default_rng(0).multinomial(count, seen / count, size=resamples)
    means = np.sort(drawn @ values / count)

    def p_at(at: float) -> float:
        below = int(np.searchsorted(means, at, side="right"))
        above = resamples - int(np.searchsorted(means, at, side="left"))
        return min(1.0, 2 * (min(below, above) + 1) / (resamples + 1))

    low, high = (float(np.quantile(means, q)) for q in (ALPHA / 2, 1 - ALPHA / 2))
    return Estimate(
        float(np.mean(differences)), low, high, p_at, f"paired bootstrap over {count} test images"
    )


def correlation(x: Values, y: Values) -> Estimate:
    """Return Spearman's rho of two quantities of networks; its p of no correlation is exact for up to 8 networks.

    The interval is Fisher's with the variance of Bonett and Wright. A perfect correlation, which would have none, is
    given that of the next lower one.
    """
    from scipy.stats import spearmanr  # takes a second, and few reports need it

    a, b = (np.asarray(v, dtype=np.float64) for v in (x, y))
    n = len(a)
    if n < 6 or len(set(a.tolist())) < 2 or len(set(b.tolist())) < 2:
        why = "cannot decide a trend: at least 6" if n < 6 else "do not differ in it"
        return none(f"{n} networks {why}")
    rho = float(spearmanr(a, b).statistic)
    highest = 1 - 12 / (n * (n * n - 1))
    z = math.atanh(max(-highest, min(highest, rho)))
    error = math.sqrt((1 + rho**2 / 2) / (n - 3))
    half = NormalDist().inv_cdf(1 - ALPHA / 2) * error

    def p_at(at: float) -> float:
        if at == 0:
            return _no_correlation(a, b, rho)
        return 2 * NormalDist().cdf(-abs(z - math.atanh(max(-highest, min(highest, at)))) / error)

    return Estimate(rho, math.tanh(z - half), math.tanh(z + half), p_at, f"Spearman's rho over {n} networks")


def _no_correlation(a: Floats, b: Floats, rho: float) -> float:
    """Return the share of all orders of the networks whose correlation is at least as far from zero."""
    from scipy.stats import rankdata, spearmanr

    if len(a) > _ALL_ORDERS:
        return float(spearmanr(a, b).pvalue)
    one, other = (r - r.mean() for r in (rankdata(a), rankdata(b)))
    scale = math.sqrt(float(one @ one) * float(other @ other))
    every = np.array(list(permutations(other))) @ one / scale
    return float(np.mean(np.abs(every) >= abs(rho) - 1e-9))


def _sizes(a: Floats, b: Floats) -> str:
    return f"{len(a)} and {len(b)}"
