"""Comparisons: of numbers, the effect that there is between them.

    two_groups     by what suits the numbers: exact where they are counts, else by means or by ranks
    over_images    paired over test images: a bootstrap of the mean of one number an image
    matched        of right answers to the same images, with McNemar's exact p
    correlation    Spearman's rank correlation over networks

Processes and trainings are the unit of the first: its answer is for the next process or training. Images are the unit
of the second and third: their answer is for these trained networks, on new images. Neither stands for the other.

Sources: Efron & Tibshirani, An Introduction to the Bootstrap, chapters 13 and 16; Bonett & Wright, Sample size
requirements for estimating Pearson, Kendall and Spearman correlations, Psychometrika 65, 2000; McNemar, Psychometrika
12, 1947; Agresti & Min, Simple improved confidence intervals for comparing matched proportions, Stat. Med. 24, 2005.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import permutations
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, stdtr

from bench.stats._tests import ALPHA, rank_sums, tested, welch
from bench.stats.effects import Effect
from bench.stats.samples import Floats, Values, centred_ranks

Kind = Literal["counts", "ranks", "means"]

_RESAMPLES = 10_000
_NORMAL = NormalDist().inv_cdf(1 - ALPHA / 2)
_ALL_ORDERS = 8  # networks up to which all of their orders are tried


def _exact(of: Values, against: Values) -> Effect:
    """Return the difference of two counts; each side's numbers must be one and the same, and finite."""
    sides = [np.unique(np.asarray(v, dtype=np.float64)) for v in (of, against)]
    if any(len(side) != 1 for side in sides):
        return Effect.none("no count" if not all(map(len, sides)) else "counts of one side differ")
    if not np.isfinite(sides).all():  # of a training that diverged
        return Effect.none("a side has no count")
    gap = float(sides[0][0] - sides[1][0])
    return Effect(gap, gap, gap, n=1, reason="counted", counted=True, p_at=lambda at: float(at == gap))


def two_groups(
    of: Values, against: Values, unit: str = "trainings", *, by: Kind = "means", as_ratio: bool = False
) -> Effect:
    """Return the effect of one group on another by what suits its numbers: exact, by ranks or by means.

    Args:
        of: one number a training or process; an infinity was never reached, or is of a training that diverged.
        against: likewise.
        unit: what the numbers are of, for the reason.
        by: `counts`, `ranks` or `means`; of means ranks decide where there is an infinity.
        as_ratio: of geometric means, or of medians, instead of the difference.
    """
    sides = [np.asarray(v, dtype=np.float64) for v in (of, against)]
    if as_ratio and any(len(side) and side.min() <= 0 for side in sides):
        return Effect.none("a ratio needs numbers above zero")
    a, b = (np.log(side) for side in sides) if as_ratio else sides
    if by == "counts":
        effect = _exact(a, b)
    elif by == "ranks" or bool(np.isinf(a).any() or np.isinf(b).any()):
        effect = rank_sums(a, b, unit)
    else:
        effect = welch(a, b, unit)
    return effect.ratio() if as_ratio else effect


def over_images(differences: Floats) -> Effect:
    """Return the mean of one number an image, such as the difference of two networks, by a paired bootstrap.

    `differences` [N] have few different values, as few as trainings make, which is what makes this fast; N
    images are drawn anew each time, with a fixed seed.
    """
    count = len(differences)
    if count < 2:
        return Effect.none("one test image cannot decide" if count else "no test images", n=count)
    values, times = np.unique(np.round(differences, 12), return_counts=True)
    means = _bootstrapped(tuple(values.tolist()), tuple(times.tolist()))

    def p_at(at: float) -> float:
        below = int(np.searchsorted(means, at, side="right"))
        above = _RESAMPLES - int(np.searchsorted(means, at, side="left"))
        return min(1.0, 2 * (min(below, above) + 1) / (_RESAMPLES + 1))

    ends = float(np.quantile(means, ALPHA / 2)), float(np.quantile(means, 1 - ALPHA / 2))
    how, floor = f"paired bootstrap over {count} test images", 2 / (_RESAMPLES + 1)
    error = float(np.std(differences, ddof=1)) / math.sqrt(count)
    return tested(float(np.mean(differences)), ends, p_at, n=count, reason=how, p_floor=floor, error=error)


# As many pairs are kept as one evaluation is explained by, each of which is read at every stage.
@lru_cache(maxsize=64)
def _bootstrapped(values: tuple[float, ...], times: tuple[int, ...]) -> Floats:
    """Return the means of samples drawn anew from values that were there so many times each, in order."""
    count = sum(times)
    drawn = np.random.default_rng(0).multinomial(count, np.array(times) / count, size=_RESAMPLES)
    return np.sort(drawn @ np.array(values) / count)


def mcnemar(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> tuple[float, int, int]:
    """Return the two-sided exact p that two networks err as often, and how many images only A, only B tells right."""
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return min(1.0, 2 * float(bdtr(float(min(only_a, only_b)), only_a + only_b, 0.5))), only_a, only_b


def matched(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> Effect:
    """Return the share of images that A tells right less that of B, of the same N images, with McNemar's exact p.

    The 95 % interval is Agresti and Min's, which adds half an image to each of the four kinds: it has a width also
    where the two answer alike on every image, so that few images bound nothing.
    """
    count = len(a)
    if not count:
        return Effect.none("no test images")
    p, only_a, only_b = mcnemar(a, b)
    of, against, total = only_a + 0.5, only_b + 0.5, count + 2
    centre = (of - against) / total
    half = _NORMAL * math.sqrt((of + against) / total - centre**2) / math.sqrt(total)
    how = f"McNemar's exact test: {only_a} and {only_b} of {count} images only one tells right"
    return Effect((only_a - only_b) / count, centre - half, centre + half, p, count, how)


def correlation(x: Values, y: Values, of: str = "networks") -> Effect:
    """Return Spearman's rho of two quantities of independent networks; its p of none is exact for up to 8 of them.

    `of` is what counts as one, in the plural. The interval is Fisher's with the variance of Bonett and Wright. A
    perfect correlation, which would have none, is given that of the next lower one.
    """
    a, b = (centred_ranks(v) for v in (x, y))
    n = len(a)
    if n < 6 or not a.any() or not b.any():
        why = "cannot decide a trend: at least 6" if n < 6 else "do not differ in it"
        return Effect.none(f"{n} {of} {why}", n=n)
    scale = math.sqrt(float(a @ a) * float(b @ b))
    rho = float(a @ b) / scale
    highest = 1 - 12 / (n * (n * n - 1))
    z = math.atanh(max(-highest, min(highest, rho)))
    error = math.sqrt((1 + rho**2 / 2) / (n - 3))
    half = _NORMAL * error

    def p_at(at: float) -> float:
        if at:
            return 2 * NormalDist().cdf(-abs(z - math.atanh(max(-highest, min(highest, at)))) / error)
        if n <= _ALL_ORDERS:
            every = np.array(list(permutations(b))) @ a / scale
            return float(np.mean(np.abs(every) >= abs(rho) - 1e-9))
        steep = abs(rho) * math.sqrt((n - 2) / max(1 - rho**2, 1e-300))
        return 2 * float(stdtr(n - 2, -steep))

    ends, how = (math.tanh(z - half), math.tanh(z + half)), f"Spearman's rho over {n} {of}"
    return tested(rho, ends, p_at, n=n, reason=how, p_floor=2 / math.factorial(n))
