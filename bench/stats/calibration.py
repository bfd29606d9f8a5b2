"""Calibration: how processes scatter that all measured the same, how often their intervals hold and tests are right.

They are dealt into two sets of as many as a run has, in every way or in some that are drawn, as if each were a run. Of
two such sets nothing differs, but for what is multiplied here. Splits share processes: the share over all of them
varies at most as much as that over those which have none in common, and is told with the interval of so many.

Sources: Hoeffding, A class of statistics with asymptotically normal distribution, Ann. Math. Stat. 19, 1948, section 5;
of two levels of variance Kalibera & Jones, Rigorous benchmarking in reasonable time, ISMM 2013, sections 6 and 7.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bench.io import ToJson
from bench.stats._correlation import effective_size, neighbour_correlation
from bench.stats.effects import Effect
from bench.stats.intervals import Interval, Proportion
from bench.stats.samples import finite, median, process_spread, robust_sd
from bench.stats.verdicts import CHANGED, corrected, differ

_MOST = 200  # splits: more of them say hardly more

_Split = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True, slots=True)
class _Slowed(ToJson):
    """How often one of several times was called slower, once it was multiplied by 1 + `slowdown` in one set."""

    slowdown: float
    called: Proportion


@dataclass(frozen=True, slots=True)
class Calibration(ToJson):
    """What splits of the same processes come to."""

    size: int  # processes of a set
    held: Proportion  # intervals of a time that hold the time of the other set
    # the share of those, were all processes alike and their logarithms normal; less than 95 %, since the
    # other set's time varies as well
    held_expected: float
    # processes of the other set that lie in the interval for a next one, of which 95 % are expected
    predicted: Proportion
    # pairs of sets of which any time is called changed, corrected for their number; at most 5 % are expected
    alarms: Proportion
    # the same of sets as they were measured one after another, which have no process in common; what changed
    # on the machine in the meantime is in them
    alarms_in_order: Proportion
    # times that are called slower, likewise corrected, while all others are as measured
    slowed: tuple[_Slowed, ...]

    @classmethod
    def of(
        cls, times: Sequence[Sequence[float]], size: int, slowdowns: Sequence[float] = (), most: int = _MOST
    ) -> Calibration:
        """Return what two sets of the same processes say of each other.

        Args:
            times: one row a quantity, of each the medians of its processes above zero, in the order measured; one
                place is one round. Rounds that not all of them have are left out at the end.
            size: processes of a set; fewer than two sets give no trial.
            slowdowns: shares by which a time is multiplied.
            most: splits that are looked at; where there are more, they are drawn.
        """
        rounds = min(map(len, times), default=0)
        apart = rounds // (2 * size)  # pairs of sets that have no process in common
        dealt = [_dealt(times, split) for split in _splits(rounds, size, most)]
        both_ways = [way for rows in dealt for one, other in rows for way in ((one, other), (other, one))]
        in_order = [_dealt(times, (range(at, at + size), range(at + size, at + 2 * size)))
                    for at in range(0, 2 * size * apart, 2 * size)]  # fmt: skip
        spread = process_spread([[math.log(time) for time in row if time > 0] for row in times])
        alone = [[differ(*row, spread=spread) for row in rows] for rows in dealt]
        return cls(
            size=size,
            held=Proportion.over([_held(*way) for way in both_ways], apart * len(times)),
            held_expected=_held_expected(size, size),
            predicted=Proportion.over([p for way in both_ways for p in _predicted(*way)], apart * len(times)),
            alarms=Proportion.over([_alarm(effects) for effects in alone], apart),
            alarms_in_order=Proportion.over(
                [_alarm([differ(*row, spread=spread) for row in rows]) for rows in in_order]
            ),
            slowed=tuple(
                _Slowed(share, Proportion.over([*_slower(dealt, alone, share, spread)], apart * len(times)))
                for share in slowdowns
            ),
        )

    @staticmethod
    def noise_floor(same: Sequence[Effect], reach: float) -> float:
        """Return by how much a ratio must be off one to be more than noise; NaN where nothing tells.

        Args:
            same: ratios of things that are the same, of which 95 % stay below it.
            reach: the smallest effect that comparisons resolve; it is no less.
        """
        off = sorted(abs(math.log(e.estimate)) for e in same if math.isfinite(e.estimate))
        if not off or math.isnan(reach):
            return math.nan
        return max(math.expm1(off[math.ceil(0.95 * len(off)) - 1]), reach)


def _splits(n: int, size: int, most: int = _MOST) -> list[tuple[Sequence[int], Sequence[int]]]:
    """Return pairs of disjoint sets of places below n: each once where there are at most so many, else some of them.

    Those that are drawn are the same ones every time.
    """
    if n < 2 * size:
        return []
    if math.comb(n, size) * math.comb(n - size, size) // 2 <= most:
        ones = itertools.combinations(range(n), size)
        pairs = ((a, b) for a in ones for b in itertools.combinations(sorted({*range(n)} - {*a}), size))
        return [(a, b) for a, b in pairs if a < b]
    rng = random.Random(0)
    drawn = (rng.sample(range(n), 2 * size) for _ in range(most))
    return [(places[:size], places[size:]) for places in drawn]


@lru_cache
def _held_expected(size: int, others: int, trials: int = 4000) -> float:
    """Return how often the interval of `size` processes holds the time of so many others, of alike normal ones.

    It is simulated, always alike: two standard errors are 0.014 at most.
    """
    drawn = np.exp(np.random.default_rng(0).normal(size=(trials, size + others)))
    return float(np.mean([_held(row[:size], row[size:]) for row in drawn.tolist()]))


def _dealt(times: Sequence[Sequence[float]], split: tuple[Sequence[int], Sequence[int]]) -> list[_Split]:
    """Return of each row its numbers in both sets."""
    one, other = split
    return [([row[i] for i in one], [row[i] for i in other]) for row in times]


def _held(one: Sequence[float], other: Sequence[float]) -> bool:
    interval = Interval.over_processes(one)
    return interval.low <= math.exp(median([math.log(time) for time in other])) <= interval.high


def _predicted(one: Sequence[float], other: Sequence[float]) -> Iterator[bool]:
    interval = Interval.for_next(one)
    yield from (interval.low <= time <= interval.high for time in other)


def _alarm(effects: Sequence[Effect]) -> bool:
    return any(effect.verdict in CHANGED for effect in corrected(effects, "suspected"))


def _slower(
    dealt: Sequence[Sequence[_Split]], alone: Sequence[Sequence[Effect]], slowdown: float, spread: float
) -> Iterator[bool]:
    """Yield of each split and row whether it is called slower when it alone takes so much longer in the second set."""
    for rows, effects in zip(dealt, alone, strict=True):
        for at, (one, other) in enumerate(rows):
            longer = differ(one, [time * (1 + slowdown) for time in other], spread=spread)
            changed = corrected([*effects[:at], longer, *effects[at + 1 :]], "suspected")
            yield changed[at].verdict == "slower"


# --- two levels of variance: processes differ from each other, and samples within a process ---


@dataclass(frozen=True, slots=True)
class Levels:
    """Variances of the logarithm of a time."""

    # of processes' medians, had each endless samples; at least 0; NaN of fewer than two processes
    between: float
    within: float  # what a process's median of one sample would add; of n samples it adds `within / n`
    processes: int  # how many they were estimated from
    # standard deviation of one process's samples, by their median absolute deviation; mean of the processes
    spread: float = math.nan
    # of neighbouring samples, median of the processes; NaN where all have fewer than ten
    correlation: float = math.nan

    @classmethod
    def of(cls, processes: Sequence[Sequence[float]]) -> Levels:
        """Return the variances between and within processes, the latter with what its samples' correlation adds.

        A median's variance is pi / 2 times that of a normal mean, over the effective size; the spread within is by the
        median absolute deviation, so that a spike does not count for all. Estimates from few processes are rough: of 8,
        the variance between them is known to a factor of two or so.

        Args:
            processes: of each its samples, in order, all above zero; processes of fewer than two samples are left out.
        """
        logs = [np.log(values) for samples in processes if len(values := finite(samples)) > 1]
        if not logs:
            return cls(math.nan, math.nan, 0)
        spreads = [robust_sd(v.tolist()) for v in logs]
        adds = [math.pi / 2 * s**2 / effective_size(v.tolist()) for s, v in zip(spreads, logs, strict=True)]
        within = float(np.mean([a * len(v) for a, v in zip(adds, logs, strict=True)]))
        correlation = median([neighbour_correlation(v.tolist()) for v in logs])
        told = (within, len(logs), float(np.mean(spreads)), correlation)
        if len(logs) < 2:
            return cls(math.nan, *told)
        apart = float(np.var([median(v.tolist()) for v in logs], ddof=1))
        return cls(max(0.0, apart - float(np.mean(adds))), *told)
