"""Intervals: between which numbers a quantity lies, by which method, and what the method supposes.

    mean_interval            Student's t; independent and about normal
    Interval.over_processes  of a time, over processes: of the median of their medians
    Interval.for_next        of the median of the next process
    Interval.within_one      of the median within one process, whose samples are correlated; nothing of the next one
    percentile               over processes: of the median of their percentiles; refused where samples cannot carry it
    median_ranks             of independent samples, whatever their distribution; `summarise` does many at once
    binomial_interval        of so many of so many: exact, also of trials that hang together, as a `Proportion` says
    wilson_interval          of a share of many independent trials; nearer to its level on average than the exact one

Sources: David & Nagaraja, Order Statistics, 7.1; Hahn & Meeker, Statistical Intervals, 4.7; Kalibera & Jones,
Rigorous benchmarking in reasonable time, ISMM 2013; Clopper & Pearson, The use of confidence or fiducial limits
illustrated in the case of the binomial, Biometrika 26, 1934; of trials that hang together Korn & Graubard, Confidence
intervals for proportions with small expected number of positive counts estimated from survey data, Survey Methodology
24, 1998; Wilson, Probable inference, the law of succession, and statistical inference, J. Am. Stat. Assoc. 22, 1927;
Brown, Cai & DasGupta, Interval estimation for a binomial proportion, Statistical Science 16, 2001.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betaincinv, stdtrit

from bench.io import ToJson
from bench.stats._correlation import effective_size
from bench.stats.samples import NONE, Floats, finite, mean, median, sd

_Method = Literal["t of logarithms", "order statistics", "none"]

_ONE_PROCESS = "one process: its interval says nothing of the next one"
_ORDERED = 5  # processes, from which their range holds the median in 94 % of cases
_CONFIDENCE = 0.95  # of all intervals, where nothing else is said
_FEW = 6  # independent samples' worth, below which `Interval.within_one` covers less than 90 %


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and between which numbers it lies."""

    estimate: float  # in the unit of the numbers; NaN where there is none
    low: float  # lower end; NaN where there is none
    high: float  # upper end; NaN likewise
    n: int  # count of what it is over, processes or samples
    method: _Method  # how it was made
    note: str = ""  # what it does not say, or why there is none; empty where nothing is to be said

    @classmethod
    def over_processes(cls, medians: Sequence[float]) -> Interval:
        """Return the interval of a time from one number of each of several processes.

        The time is the median over processes: others' work on the machine only slows a process down, and a mean would
        tell how much of that there was. From five processes on the interval is of order statistics, exact for
        independent processes of any distribution (93.8 % of five, 94 to 95 % of more); of fewer it is Student's t of
        the logarithms, which a single slow process makes wide. Where one process in ten to four takes an exponential
        30 % longer, t holds the mean in 51 to 83 % of cases, and order statistics the median in 94 to 95 %, from seven
        processes on with less width. How the samples within a process hang together does not matter. What all
        processes of a run have in common, such as a machine that was slower that day, it cannot see. Medians are above
        zero; NaN and infinities are left out.

        Raises:
            ValueError: for a number that is not above zero.
        """
        logs = _logarithms(medians)
        if len(logs) < 2:
            note = _ONE_PROCESS if logs else "no process"
            return cls(median(medians), *NONE, len(logs), "none", note)
        few = len(logs) < _ORDERED
        low, high = mean_interval(logs) if few else _interpolated_interval(logs)
        method: _Method = "t of logarithms" if few else "order statistics"
        return cls(math.exp(median(logs)), math.exp(low), math.exp(high), len(logs), method)

    @classmethod
    def for_next(cls, medians: Sequence[float]) -> Interval:
        """Return between which numbers the median of one more process lies: Student's t of the logarithms.

        It supposes that they are normal; how heavy the tails are matters more to it than to `over_processes`.
        """
        logs = _logarithms(medians)
        if len(logs) < 2:
            return Interval.over_processes(medians)
        low, high = mean_interval(logs)
        centre, half = (low + high) / 2, (high - low) / 2 * math.sqrt(len(logs) + 1)
        ends = math.exp(centre - half), math.exp(centre + half)
        return cls(math.exp(centre), *ends, len(logs), "t of logarithms")

    @classmethod
    def within_one(cls, samples: Sequence[float]) -> Interval:
        """Return the interval of the median within one process, for samples that are correlated.

        Order statistics as far from the middle as Student's t of the effective size says. Simulated with AR(1) series
        of normal, log-normal and t3 samples it covers 92 to 98 % from 50 samples up to a correlation of 0.8, from 100
        at 0.9, from 200 at 0.95. Shorter series cover less, since they do not show how far they reach: 88 % of 20
        samples at 0.8, 82 % of 50 at 0.95; where the effective size tells of it, the note does. Samples are in the
        order taken; NaN and infinities are left out.
        """
        values = finite(samples)
        ordered = sorted(values)
        n, middle = len(values), median(ordered)
        if median_ranks(n) is None:
            return cls(middle, *NONE, n, "none", f"{_ONE_PROCESS}; {n} samples are too few for one")
        worth = max(effective_size(values), 2.0)
        half = float(stdtrit(worth - 1, (1 + _CONFIDENCE) / 2)) / (2 * math.sqrt(worth))
        low, high = max(0, math.floor((0.5 - half) * n)), min(n, math.ceil((0.5 + half) * n)) - 1
        few = f"; {n} correlated samples are worth {worth:.0f}" if worth < _FEW else ""
        return cls(middle, ordered[low], ordered[high], n, "order statistics", _ONE_PROCESS + few)


def mean_interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return Student's t interval of the mean; NaN for fewer than two samples."""
    values = finite(samples)
    n = len(values)
    if n < 2:
        return NONE
    half = float(stdtrit(n - 1, (1 + _CONFIDENCE) / 2)) * sd(values) / math.sqrt(n)
    return (mean(values) - half, mean(values) + half)


def _logarithms(times: Sequence[float]) -> list[float]:
    values = finite(times)
    if values and min(values) <= 0:
        raise ValueError(f"a time is above zero, and {min(values):g} is not")
    return [math.log(v) for v in values]


def _interpolated_interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return the interval of the median of independent samples, between those of two neighbouring pairs of ranks.

    Pairs of order statistics hold it with a few probabilities alone, of 8 samples with 93.0 and 99.2 %; the ends are
    interpolated so that about 95 % comes out for any distribution. Where even the range holds it less often,
    it is the range. At least two samples; NaN and infinities are left out.

    Source: Hettmansperger and Sheather, Confidence intervals based on interpolated order statistics, Statistics and
    Probability Letters 4, 1986.
    """
    values = sorted(finite(samples))
    n = len(values)
    ranks = median_ranks(n)
    if ranks is None:
        return (values[0], values[-1])
    k = ranks[0] + 1  # the k-th from either end hold it with at least 95 %, the next ones with less
    wide, narrow = (1 - 2 * float(bdtr(float(at - 1), n, 0.5)) for at in (k, k + 1))
    part = (wide - _CONFIDENCE) / (wide - narrow)
    inwards = (n - k) * part / (k + (n - 2 * k) * part)
    low = values[k - 1] + inwards * (values[k] - values[k - 1])
    return (low, values[n - k] - inwards * (values[n - k] - values[n - k - 1]))


@dataclass(frozen=True, slots=True)
class _Percentile:
    """A percentile with its interval, or None where it is refused, and how many samples a process it needs at least."""

    interval: Interval | None
    needed: int


def _percentile_within(samples: Sequence[float], share: float) -> _Percentile:
    """Return the quantile below which a share of the samples lies, 0.99 of p99, with its order-statistic interval.

    Exact for independent samples. Correlated ones count for their effective size, which is of their middle: far out
    in the tail it is too strict where spikes come alone, and too mild where they come in bursts. Samples are in the
    order taken; NaN and infinities are left out.
    """
    values = finite(samples)
    n = len(values)
    worth = max(1, math.floor(effective_size(values))) if n else 1
    needed = math.ceil(_least_samples(share) * max(n, 1) / worth)
    ranks = _quantile_ranks(min(worth, n), share)
    if ranks is None:
        return _Percentile(None, max(needed, n + 1))
    ordered = sorted(values)
    low, high = math.floor(ranks[0] / worth * n), math.ceil((ranks[1] + 1) / worth * n) - 1
    estimate = float(np.quantile(ordered, share))
    return _Percentile(Interval(estimate, ordered[low], ordered[high], n, "order statistics"), needed)


def percentile(processes: Sequence[Sequence[float]], share: float) -> _Percentile:
    """Return the median over processes of the quantile of each, 0.99 of p99, with its interval over processes.

    The process is the unit, as of the median: the tail of all samples as one series is that of the slow processes, and
    would be told mostly where none was drawn. Each process's quantile is estimated without a bias of the median, for
    any distribution, since all would have that bias. It takes one sample beyond it: 10 of each process for p90, 100 for
    p99, 2 for p50. Of one process alone it is of order statistics, and says nothing of the next one.

    Simulated with AR(1) samples at 0.5 of normal, log-normal and t3 distributions, the interval holds the median over
    all processes in 91 to 98 % of cases from these counts on, also where one process in twenty is slow as a whole; at
    0.8 in 83 to 96 % at these counts, of p90 with 100 samples of each in 92 to 97 %.

    Args:
        processes: samples of each in the order taken; NaN and infinities are left out, and processes without samples.
        share: of the samples that lies below, between 0 and 1.

    Returns:
        The interval without ends where a clock too coarse tells a process no time above zero.

    Source: Hyndman and Fan, Sample quantiles in statistical packages, The American Statistician 50, 1996 (the eighth).
    """
    series = [values for samples in processes if (values := finite(samples))]
    if len(series) < 2:
        return _percentile_within(series[0] if series else (), share)
    needed = math.ceil(round(1 / min(share, 1 - share), 6))
    if min(map(len, series)) < needed:
        return _Percentile(None, needed)
    own = [_unbiased(values, share) for values in series]
    if min(own) <= 0:
        return _Percentile(Interval(median(own), *NONE, len(own), "none", "a time is not above zero"), needed)
    return _Percentile(Interval.over_processes(own), needed)


def _unbiased(samples: Sequence[float], share: float) -> float:
    """Return `np.quantile` of the method ``median_unbiased``, to the bit, at a tenth of its time.

    There are so many samples that the quantile lies between two of them.
    """
    ordered = sorted(samples)
    at = len(ordered) * share + (1 / 3 + share * (1 - 1 / 3 - 1 / 3)) - 1
    below = math.floor(at)
    (low, high), part = ordered[below : below + 2], at - below
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)


# --- order statistics that hold a quantile of independent samples, whatever their distribution ---


@lru_cache(maxsize=4096)
def median_ranks(n: int, confidence: float = _CONFIDENCE) -> tuple[int, int] | None:
    """Return the ranks (from 0) that bound the median, alike from both ends; None of n < 6 at 95 %."""
    return _quantile_ranks(n, 0.5, confidence)


@lru_cache(maxsize=4096)
def _quantile_ranks(n: int, share: float, confidence: float = _CONFIDENCE) -> tuple[int, int] | None:
    """Return the ranks (from 0) of the order statistics that bound a quantile with at least `confidence`.

    The count of samples below it is binomial(n, share): the k-th smallest lies beyond it with probability P(X < k).
    Of each end the narrowest k is taken that misses at most half of what may be missed.

    Args:
        n: count of samples.
        share: of the distribution that lies below the quantile, between 0 and 1.
        confidence: with which the interval holds it.

    Returns:
        Two ranks; None where even the whole range holds it less often, see `_least_samples`.
    """
    tail = (1 - confidence) / 2
    low, high = _from_below(n, share, tail), _from_below(n, 1 - share, tail)
    return (low - 1, n - high) if low and high else None


def _least_samples(share: float) -> int:
    """Return how many samples an interval of a quantile needs at least: 6 of the median, 368 of the 99th percentile."""
    return math.ceil(math.log((1 - _CONFIDENCE) / 2) / math.log(max(share, 1 - share)))


def _from_below(n: int, share: float, tail: float) -> int:
    """Return the largest k with P(X < k) <= tail, of X binomial(n, share); 0 where there is none."""
    return int(np.searchsorted(bdtr(np.arange(n, dtype=np.float64), n, share), tail, side="right"))


# --- many samples at once ---


@dataclass(frozen=True, slots=True)
class _Summary:
    """Statistics of many samples at once, one entry each."""

    n: npt.NDArray[np.int64]  # count of finite samples
    median: Floats  # NaN where n is 0
    # lower end of the 95 % interval of the median; the least sample where 2 <= n < 6; NaN where n < 2
    low: Floats
    high: Floats  # upper end, likewise
    mean: Floats  # NaN where n is 0
    sd: Floats  # with n - 1; NaN where n < 2


def summarise(samples: Sequence[Sequence[float]]) -> _Summary:
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
    return _Summary(counts, *columns)


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


# --- shares ---


@dataclass(frozen=True, slots=True)
class Proportion(ToJson):
    """A count of trials."""

    count: int  # of those that came out so
    of: int  # all of them
    # how many independent ones they are worth; fewer than `of` where trials share what was measured
    worth: int

    @property
    def share(self) -> float:
        """Return count / of; NaN of no trial."""
        return self.count / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the share; NaN of no trial."""
        return binomial_interval(self.share * self.worth, self.worth) if self.of else NONE

    def to_json(self) -> dict[str, object]:
        """Return plain values; what is not a number is None."""
        low, high = self.interval if self.worth else (None, None)
        return {"count": self.count, "of": self.of, "worth": self.worth, "low": low, "high": high}

    @classmethod
    def over(cls, trials: Sequence[bool], worth: int | None = None) -> Proportion:
        """Return how many trials came out so; they are independent where nothing else is said."""
        return cls(sum(trials), len(trials), len(trials) if worth is None else worth)


def below_chance(share: float, n: int | float | None, chance: float) -> bool:
    """Return whether guessing n times would come to more, by three of its standard deviations; 0 of no known n."""
    slack = 3 * math.sqrt(chance * (1 - chance) / n) if n else 0.0
    return share < chance - slack


def binomial_interval(count: float, n: int, confidence: float = _CONFIDENCE) -> tuple[float, float]:
    """Return the exact interval of a binomial share; it covers at least what it says, and NaN of no trial.

    `count` need not be whole where n is what dependent trials are worth.
    """
    if not n:
        return NONE
    tail = (1 - confidence) / 2
    low = float(betaincinv(count, n - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - tail)) if count < n else 1.0
    return low, high


def wilson_interval(count: float, n: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share; NaN of no trial.

    It is inside of 0 to 1 by itself, and holds the share with about 95 % on average, in single cases with some
    points less or more; of a share within a few counts of 0 or 1 with less. Where each is to hold with at least what is
    said, see `binomial_interval`, which is wider.
    """
    if not n:
        return NONE
    z, share = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2), count / n
    weight = 1 / (1 + z * z / n)
    centre = weight * (share + z * z / (2 * n))
    half = weight * z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (max(0.0, centre - half) if count > 0 else 0.0, min(1.0, centre + half) if count < n else 1.0)
