"""Samples: centre and spread, computed when reading and never stored instead of them. NaN is no sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from bench.stats.order import median_ranks

Floats = npt.NDArray[np.float64]
Values = Sequence[float] | Floats


def finite(samples: Sequence[float]) -> list[float]:
    """Return the samples that are numbers, in their order."""
    if math.isfinite(sum(samples)):  # the usual case, at a tenth of the time
        return list(samples)
    return [s for s in samples if math.isfinite(s)]


def array(samples: Sequence[float]) -> Floats:
    """Return the samples that are numbers, in their order, as an array."""
    return np.array(finite(samples), dtype=np.float64)


def median(samples: Sequence[float]) -> float:
    """Return the median, or NaN where there is no sample."""
    values = finite(samples)
    return float(np.median(values)) if values else math.nan


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


@dataclass(frozen=True, slots=True)
class Summary:
    """Statistics of many samples at once, one entry each."""

    n: npt.NDArray[np.int64]  # count of finite samples
    median: Floats  # NaN where n is 0
    # lower end of the 95 % interval of the median; the least sample where 2 <= n < 6; NaN where n < 2
    low: Floats
    high: Floats  # upper end, likewise
    mean: Floats  # NaN where n is 0
    sd: Floats  # with n - 1; NaN where n < 2


def summarise(samples: Sequence[Sequence[float]]) -> Summary:
    """Return the statistics of each of many sequences; those of equal length are computed together."""
    counts = np.fromiter(map(len, samples), dtype=np.int64, count=len(samples))
    every = np.fromiter(chain.from_iterable(samples), dtype=np.float64, count=int(counts.sum()))
    starts = np.cumsum(counts) - counts
    columns = np.full((5, len(samples)), math.nan)
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    for alike in np.split(order, np.flatnonzero(np.diff(counts[order])) + 1) if len(order) else ():
        values = every[starts[alike][:, None] + np.arange(counts[alike[0]])]
        sound = np.isfinite(values).all(axis=1)
        columns[:, alike[sound]] = _of_equal_length(values[sound])
        for i, row in zip(alike[~sound], values[~sound], strict=True):
            left = row[np.isfinite(row)]
            counts[i] = len(left)
            columns[:, i] = _of_equal_length(left[None])[:, 0]
    return Summary(counts, *columns)


def _of_equal_length(values: Floats) -> Floats:
    """Return median, low, high, mean and sd [5, rows] of samples [rows, n]."""
    values.sort(axis=1)
    rows, n = values.shape
    if not n or not rows:
        return np.full((5, rows), math.nan)
    first, last = median_ranks(n) or (0, n - 1)
    nothing = np.full(rows, math.nan)
    low, high = (values[:, first], values[:, last]) if n > 1 else (nothing, nothing)
    spread = values.std(axis=1, ddof=1) if n > 1 else nothing
    return np.stack([np.median(values, axis=1), low, high, values.mean(axis=1), spread])
