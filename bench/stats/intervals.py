"""Intervals: between which numbers a quantity lies, by which method, and what the method supposes.

    median_interval      of one distribution's median, from order statistics; independent samples of any distribution
    mean_interval        Student's t; independent and about normal
    process_interval     of a time, over processes: of the median of their medians
    interpolated_interval  of one distribution's median, with less excess of confidence than whole ranks have
    prediction_interval  of the median of the next process
    within_interval      of the median within one process, whose samples are correlated; says nothing of the next one
    percentile           order statistics; refused where the samples cannot carry it

Sources: David & Nagaraja, Order Statistics, 7.1; Hahn & Meeker, Statistical Intervals, 4.7; Kalibera & Jones, Rigorous
benchmarking in reasonable time, ISMM 2013; Geyer, Practical Markov chain Monte Carlo, Statistical Science 7, 1992.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import bdtr, stdtrit

from bench.stats.order import least_samples, median_ranks, quantile_ranks
from bench.stats.ranks import NONE, doubled_ranks
from bench.stats.samples import finite, mean, median, sd

Method = Literal["t of logarithms", "order statistics", "none"]

ONE_PROCESS = "one process: its interval says nothing of the next one"
_ORDERED = 5  # processes, from which their range holds the median in 94 % of cases
_FEW = 6  # independent samples' worth, below which `within_interval` covers less than 90 %


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and between which numbers it lies.

    Attributes:
        estimate: in the unit of the numbers; NaN where there is none.
        low: lower end; NaN where there is none.
        high: upper end; NaN likewise.
        n: count of what it is over, processes or samples.
        method: how it was made.
        note: what it does not say, or why there is none; empty where nothing is to be said.
    """

    estimate: float
    low: float
    high: float
    n: int
    method: Method
    note: str = ""


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the distribution-free interval of the median of independent samples; NaN where n is too small."""
    values = sorted(finite(samples))
    ranks = median_ranks(len(values), confidence)
    return NONE if ranks is None else (values[ranks[0]], values[ranks[1]])


def mean_interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's t interval of the mean; NaN for fewer than two samples."""
    values = finite(samples)
    n = len(values)
    if n < 2:
        return NONE
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * sd(values) / math.sqrt(n)
    return (mean(values) - half, mean(values) + half)


def process_interval(medians: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the interval of a time from one number of each of several processes.

    The time is the median over processes: others' work on the machine only slows a process down, and a mean would tell
    how much of that there was. From five processes on the interval is of order statistics, exact for independent
    processes of any distribution (93.8 % of five, 94 to 95 % of more); of fewer it is Student's t of the logarithms,
    which a single slow process makes wide. Where one process in ten to four takes an exponential 30 % longer, t holds
    the mean in 51 to 83 % of cases, and order statistics the median in 94 to 95 %, from seven processes on with less
    width. How the samples within a process hang together does not matter. What all processes of a run have in common,
    such as a machine that was slower that day, it cannot see.

    Args:
        medians: of each process, above zero; NaN and infinities are left out.
        confidence: with which the interval holds the median over all processes.

    Raises:
        ValueError: for a number that is not above zero.
    """
    logs = _logarithms(medians)
    if len(logs) < 2:
        note = ONE_PROCESS if logs else "no process"
        return Interval(median(medians), *NONE, len(logs), "none", note)
    few = len(logs) < _ORDERED
    low, high = mean_interval(logs, confidence) if few else interpolated_interval(logs, confidence)
    method: Method = "t of logarithms" if few else "order statistics"
    return Interval(math.exp(median(logs)), math.exp(low), math.exp(high), len(logs), method)


def prediction_interval(medians: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return between which numbers the median of one more process lies: Student's t of the logarithms.

    It supposes that they are normal; how heavy the tails are matters more to it than to `process_interval`.
    """
    logs = _logarithms(medians)
    if len(logs) < 2:
        return process_interval(medians, confidence)
    low, high = mean_interval(logs, confidence)
    centre, half = (low + high) / 2, (high - low) / 2 * math.sqrt(len(logs) + 1)
    ends = math.exp(centre - half), math.exp(centre + half)
    return Interval(math.exp(centre), *ends, len(logs), "t of logarithms")


def _logarithms(times: Sequence[float]) -> list[float]:
    values = finite(times)
    if values and min(values) <= 0:
        raise ValueError(f"a time is above zero, and {min(values):g} is not")
    return [math.log(v) for v in values]


def interpolated_interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of the median of independent samples, between those of two neighbouring pairs of ranks.

    Pairs of order statistics hold it with a few probabilities alone, of 8 samples with 93.0 and 99.2 %; the ends are
    interpolated so that about `confidence` comes out for any distribution. Where even the range holds it less often,
    it is the range.

    Args:
        samples: NaN and infinities are left out; at least two.
        confidence: with which the interval holds the median.

    Source: Hettmansperger and Sheather, Confidence intervals based on interpolated order statistics, Statistics and
    Probability Letters 4, 1986.
    """
    values = sorted(finite(samples))
    n = len(values)
    ranks = median_ranks(n, confidence)
    if ranks is None:
        return (values[0], values[-1])
    k = ranks[0] + 1  # the k-th from either end hold it with at least `confidence`, the next ones with less
    wide, narrow = (1 - 2 * float(bdtr(float(at - 1), n, 0.5)) for at in (k, k + 1))
    part = (wide - confidence) / (wide - narrow)
    inwards = (n - k) * part / (k + (n - 2 * k) * part)
    low = values[k - 1] + inwards * (values[k] - values[k - 1])
    return (low, values[n - k] - inwards * (values[n - k] - values[n - k - 1]))


def effective_size(samples: Sequence[float]) -> float:
    """Return how many independent samples the median of correlated ones is worth, from 1 to n.

    Their count over the sum of the autocorrelations of their ranks, as far as sums of two neighbours are positive
    (Geyer's initial positive sequence). Supposes a stationary series; a drift counts as correlation.
    """
    n = len(samples)
    ranks = doubled_ranks(np.asarray(samples, dtype=np.float64)) - (n + 1.0)
    if n < 2 or not ranks.any():
        return float(n)
    power = np.abs(np.fft.rfft(ranks, 2 * n)) ** 2
    correlations = np.fft.irfft(power)[: n - n % 2]
    pairs = (correlations[::2] + correlations[1::2]) / correlations[0]
    initial = pairs[np.minimum.accumulate(pairs > 0)]
    return n / max(1.0, 2 * float(initial.sum()) - 1)


def neighbour_correlation(samples: Sequence[float]) -> float:
    """Return the correlation of a sample's rank with the next one's; NaN of fewer than ten, or where all are equal.

    Of n independent ones it is about -1 / n, so that few of them seem less correlated than they are.
    """
    n = len(samples)
    ranks = doubled_ranks(np.asarray(samples, dtype=np.float64)) - (n + 1.0)
    return float(ranks[1:] @ ranks[:-1] / (ranks @ ranks)) if n >= 10 and ranks.any() else math.nan


def within_interval(samples: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the interval of the median within one process, for samples that are correlated.

    Order statistics as far from the middle as Student's t of the effective size says. Simulated with AR(1) series of
    normal, log-normal and t3 samples it covers 92 to 98 % from 50 samples up to a correlation of 0.8, from 100 at 0.9,
    from 200 at 0.95. Shorter series cover less, since they do not show how far they reach: 88 % of 20 samples at 0.8,
    82 % of 50 at 0.95; where the effective size tells of it, the note does.

    Args:
        samples: in the order taken; NaN and infinities are left out.
        confidence: with which the interval holds this process's median.
    """
    values = finite(samples)
    n, middle = len(values), median(values)
    if median_ranks(n, confidence) is None:
        return Interval(middle, *NONE, n, "none", f"{ONE_PROCESS}; {n} samples are too few for one")
    worth = max(effective_size(values), 2.0)
    half = float(stdtrit(worth - 1, (1 + confidence) / 2)) / (2 * math.sqrt(worth))
    ordered = sorted(values)
    low, high = max(0, math.floor((0.5 - half) * n)), min(n, math.ceil((0.5 + half) * n)) - 1
    few = f"; {n} correlated samples are worth {worth:.0f}" if worth < _FEW else ""
    return Interval(middle, ordered[low], ordered[high], n, "order statistics", ONE_PROCESS + few)


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile with its interval, or None where it is refused, and how many such samples it needs at least."""

    interval: Interval | None
    needed: int


def percentile(samples: Sequence[float], share: float, confidence: float = 0.95) -> Percentile:
    """Return the quantile below which a share of the samples lies, 0.99 of p99, with its order-statistic interval.

    Exact for independent samples. Correlated ones count for their effective size, which is of their middle: far out in
    the tail it is too strict where spikes come alone, and too mild where they come in bursts.

    Args:
        samples: in the order taken; NaN and infinities are left out.
        share: between 0 and 1.
        confidence: with which the interval holds it.
    """
    values = finite(samples)
    n = len(values)
    worth = max(1, math.floor(effective_size(values))) if n else 1
    needed = math.ceil(least_samples(share, confidence) * max(n, 1) / worth)
    ranks = quantile_ranks(min(worth, n), share, confidence)
    if ranks is None:
        return Percentile(None, max(needed, n + 1))
    ordered = sorted(values)
    low, high = math.floor(ranks[0] / worth * n), math.ceil((ranks[1] + 1) / worth * n) - 1
    estimate = float(np.quantile(ordered, share))
    return Percentile(Interval(estimate, ordered[low], ordered[high], n, "order statistics"), needed)


def percentiles(
    samples: Sequence[float], shares: Sequence[float] = (0.5, 0.9, 0.99)
) -> dict[float, Percentile]:
    """Return several percentiles of one process's samples by their share; see `percentile`."""
    return {share: percentile(samples, share) for share in shares}
