"""Samples: centre, spread and ranks, computed when reading and never stored instead of them. NaN is no sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Values = Sequence[float] | Floats
NONE = (math.nan, math.nan)  # the interval of what has none


def finite(samples: Sequence[float]) -> list[float]:
    """Return the samples that are numbers, in their order."""
    if math.isfinite(sum(samples)):  # the usual case, at a tenth of the time
        return list(samples)
    return [s for s in samples if math.isfinite(s)]


def median(samples: Sequence[float]) -> float:
    """Return the median, or NaN where there is no sample."""
    values = finite(samples)
    # Of few, a twentieth of the time of np.median, with which it agrees to the bit.
    return float(median_with_misses(values)) if values else math.nan


def mean(samples: Sequence[float]) -> float:
    """Return the arithmetic mean, or NaN where there is no sample."""
    values = finite(samples)
    return math.fsum(values) / len(values) if values else math.nan


def sd(samples: Sequence[float]) -> float:
    """Return the standard deviation of the population behind the samples (n - 1), NaN for fewer than two."""
    values = finite(samples)
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def robust_sd(samples: Sequence[float]) -> float:
    """Return the standard deviation behind the median absolute deviation, which a spike hardly moves; NaN of none."""
    values = finite(samples)
    middle = median(values)
    return 1.4826 * median([abs(v - middle) for v in values])


_QUARTILE = 0.75


def process_spread(samples: Iterable[Sequence[float]]) -> float:
    """Return the standard deviation of one process, by a quartile of the differences of two of the same thing.

    A process that is slow as a whole hardly moves it. All pairs of n processes weigh as much as n - 1 do; 0 where
    nothing was measured in two. Like the estimator Q_n of Rousseeuw and Croux, Alternatives to the median absolute
    deviation, JASA 88, 1993, of many groups.

    Args:
        samples: of each thing a number a process, logarithms of times.
    """
    several = [own for own in samples if len(own) > 1]
    if not several:
        return 0.0
    differences = np.array([abs(a - b) for own in several for a, b in combinations(own, 2)])
    counts = np.array([len(own) for own in several])
    weights = np.repeat(2 / counts, counts * (counts - 1) // 2)
    order = np.argsort(differences, kind="stable")
    below = np.cumsum(weights[order])
    quartile = differences[order[np.searchsorted(below, _QUARTILE * below[-1])]]
    return float(quartile / (math.sqrt(2) * NormalDist().inv_cdf((1 + _QUARTILE) / 2)))


_FAR = math.log(1.2)  # of logarithms: a process further off than this is slow, or quick, as a whole
_FEW = 3  # times, of fewer of which one alone would stand for all


def levels(times: Floats) -> Floats:
    """Return by how many times each process is slower than the others as a whole; 1 of one that is not.

    That is by the median over what it times, of 1.2 times on. Where more than a quarter of the processes are off, or
    there are fewer than four, it cannot be told who is slow, and all are 1.

    Args:
        times: [what is timed, processes], in s, all above zero.
    """
    if len(times) < _FEW:
        return np.ones(times.shape[1])
    off = np.median(np.log(times / np.median(times, axis=1, keepdims=True)), axis=0)
    far = np.abs(off) > _FAR
    return np.exp(off * far) if far.sum() <= times.shape[1] // 4 else np.ones(times.shape[1])


def median_with_misses(times: Sequence[float]) -> float:
    """Return the median, of which infinities are a part; between a number and an infinity it is infinite."""
    ordered, half = sorted(times), len(times) // 2
    return ordered[half] if len(times) % 2 else (ordered[half - 1] + ordered[half]) / 2


def mean_with_misses(values: Sequence[float]) -> float:
    """Return the mean, or an infinity where there is one, which stands beyond all other numbers."""
    return next((v for v in values if math.isinf(v)), mean(values))


def median_ratio(of: Sequence[float], against: Sequence[float]) -> float:
    """Return the median ratio of two things that one process measured in turn; what has no partner is left out."""
    return median([a / b for a, b in zip(of, against, strict=False) if b > 0])


def doubled_ranks(values: Floats) -> npt.NDArray[np.int64]:
    """Return twice the ranks (from 1), whole numbers also where ties share the middle one."""
    order = np.argsort(values)
    ordered, ranks = values[order], np.empty(len(values), dtype=np.int64)
    ranks[order] = ordered.searchsorted(ordered) + ordered.searchsorted(ordered, side="right") + 1
    return ranks


def centred_ranks(values: Values) -> Floats:
    """Return twice the ranks less their mean."""
    ranks = doubled_ranks(np.asarray(values, dtype=np.float64))
    return np.asarray(ranks - (len(values) + 1.0), dtype=np.float64)
