"""Two levels of variance: processes differ from each other, and samples within a process.

Source: Kalibera & Jones, Rigorous benchmarking in reasonable time, ISMM 2013, sections 6 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.stats.intervals import effective_size, neighbour_correlation
from bench.stats.samples import finite, median, robust_sd


@dataclass(frozen=True, slots=True)
class Levels:
    """Variances of the logarithm of a time.

    Attributes:
        between: of processes' medians, had each endless samples; at least 0; NaN of fewer than two processes.
        within: what a process's median of one sample would add; of n samples it adds `within / n`.
        processes: how many they were estimated from.
        spread: standard deviation of one process's samples, by their median absolute deviation; mean of the processes.
        correlation: of neighbouring samples, median of the processes; NaN where all have fewer than ten.
    """

    between: float
    within: float
    processes: int
    spread: float = math.nan
    correlation: float = math.nan


def two_levels(processes: Sequence[Sequence[float]]) -> Levels:
    """Return the variances between and within processes, the latter with what its samples' correlation adds.

    A median's variance is pi / 2 times that of a normal mean, over the effective size; the spread within is by the
    median absolute deviation, so that a spike does not count for all. Estimates from few processes are rough: of 8, the
    variance between them is known to a factor of two or so.

    Args:
        processes: of each its samples, in order, all above zero; processes of fewer than two samples are left out.
    """
    logs = [np.log(values) for samples in processes if len(values := finite(samples)) > 1]
    if not logs:
        return Levels(math.nan, math.nan, 0)
    spreads = [robust_sd(v.tolist()) for v in logs]
    adds = [math.pi / 2 * s**2 / effective_size(v.tolist()) for s, v in zip(spreads, logs, strict=True)]
    within = float(np.mean([a * len(v) for a, v in zip(adds, logs, strict=True)]))
    told = (
        within,
        len(logs),
        float(np.mean(spreads)),
        median([neighbour_correlation(v.tolist()) for v in logs]),
    )
    if len(logs) < 2:
        return Levels(math.nan, *told)
    apart = float(np.var([median(v.tolist()) for v in logs], ddof=1))
    return Levels(max(0.0, apart - float(np.mean(adds))), *told)


def best_samples(
    between: float, within: float, cost_process: float, cost_sample: float, most: int = 1000
) -> int:
    """Return the number of samples a process that makes the variance least for a given time.

    The variance over K processes of n samples is (between + within / n) / K, and their time K (cost_process + n
    cost_sample): n is the root of cost_process / cost_sample times within / between, rounded up.

    Args:
        between: variance, see `Levels`; 0 for processes that are all alike, where one would do.
        within: variance, likewise.
        cost_process: seconds that a process takes before its first sample.
        cost_sample: seconds of a sample, above zero.
        most: where more would be best.

    Raises:
        ValueError: for a negative number, or a sample that costs nothing.
    """
    if min(between, within, cost_process) < 0 or cost_sample <= 0:
        raise ValueError("variances and costs are not negative, and a sample's cost is above zero")
    if between == 0:
        return most if within else 1
    return min(most, max(1, math.ceil(math.sqrt(cost_process / cost_sample * within / between))))
