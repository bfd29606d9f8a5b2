"""Racing: which networks have to be measured, so that the front of accuracy and cost is known, and what a budget buys.

Accuracies are known, costs are not. Between which numbers the cost of each network lies is expected from counts and
published speeds, see `bench.analysis.expected_cost`; what was measured corrects it. A network is measured where it may
be cheaper than all that are as accurate, or may hold the budget and be more accurate than what does. All others are
left alone, and the chance that one of them would have mattered is known: it is the sum of their chances at most.

Costs are logarithms, and the lower is the better: of a throughput that of the time of an image.

Source: Smyth, Linear models and empirical Bayes methods, Statistical Applications in Genetics and Molecular Biology 3,
2004 (variances of few, drawn towards that of all).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from bench.analysis.choosing import SLOW, front_of
from bench.analysis.expected_cost import JITTER, CostModel, Entrants, Posterior
from bench.stats.samples import median, process_spread

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.intp]
_Mask = npt.NDArray[np.bool_]

_SPREAD = 8  # networks that are measured first, drawn, so that they stand for all
_START = 16  # from so many on are chances told; those beyond the first are chosen by them already
LEAST, MOST = 3, 8  # processes, before a time decides, and after which it is left undecided
# Of the front, expected to be missed at most, where it is called decided; of a budget, the chance of a better choice.
MISSED = 0.01
CONFIDENCE = 0.99  # of the intervals that decide


# --- what was measured ---


@dataclass(frozen=True, slots=True)
class _Estimates:
    """Costs that were measured, logarithms, NaN where none was: the median over processes, with its interval.

    Attributes:
        value: the median.
        sd: its standard deviation.
        low: of the interval of `CONFIDENCE`.
        high: the same.
        least: by which it is dismissed; of fewer than `LEAST` processes lower than `low`, as each may be a slow one.
        processes: how many there were.
        spread: the standard deviation of one process, of all networks together.
    """

    value: _Floats
    sd: _Floats
    low: _Floats
    high: _Floats
    least: _Floats
    processes: _Ints
    spread: float


_PRIOR_SPREAD, _PRIOR_DF, _OWN_DF = 0.05, 4.0, 4.0
_CLIP = 8.0  # standard deviations: what is further off says no more of how a network varies
_SLOW = math.log(SLOW)  # by which one of few processes may be slow and dismiss nothing; what is slower is odd


def _estimates(samples: Sequence[Sequence[float]], *, exact: bool = False) -> _Estimates:
    """Return what the costs of some processes each come to.

    Now and then a process is slow as a whole, by a third or by ten times, and no median of three others moves for it.
    So how processes spread is told by a quartile of the differences of two of them, over all networks, and not by
    squares, of which one such process would be all. Few processes of a network say little of how it varies: its
    variance is drawn towards that, as if that were of five of its processes; and that towards (5 %)², as if that were
    of five.

    Args:
        samples: logarithms, by network; none where it was not measured.
        exact: whether the cost is the same in each process, such as a count.
    """
    n = np.array([len(own) for own in samples])
    df = int((n[n > 0] - 1).sum())
    pooled = (_PRIOR_DF * _PRIOR_SPREAD**2 + df * process_spread(samples) ** 2) / (_PRIOR_DF + df)
    furthest = _CLIP * math.sqrt(pooled)
    value, sd, half = (np.full(len(samples), math.nan) for _ in range(3))
    for i, own in enumerate(samples):
        if len(own):
            value[i] = median(own)
            off = np.minimum(np.abs(np.asarray(own) - value[i]), furthest)
            variance = (_OWN_DF * pooled + float((off**2).sum())) / (_OWN_DF + len(own) - 1)
            wider = math.pi / 2 if len(own) > 2 else 1.0  # of it the variance is larger than of the mean
            sd[i] = 0.0 if exact else math.sqrt(wider * variance / len(own))
            half[i] = sd[i] * float(stdtrit(_OWN_DF + len(own) - 1, (1 + CONFIDENCE) / 2))
    low, high = value - half, value + half
    least = low - (0.0 if exact else _SLOW) * (n < LEAST)
    return _Estimates(value, sd, low, high, least, n, 0.0 if exact else math.sqrt(pooled))


# --- the race ---


@dataclass(slots=True)
class RacedCost:
    """One cost of all entrants: what was measured of it, and what it may be at most.

    Attributes:
        model: what is expected of it.
        samples: by entrant the logarithm of the cost in each process, or in the first one where it is exact; s, or the
            unit of a count.
        limit: a logarithm; None where there is no budget of it.
        exact: whether it is the same in each process.
        disturbed: by entrant the same of processes that other work slowed down.
    """

    model: CostModel
    samples: list[list[float]]
    limit: float | None = None
    exact: bool = False
    disturbed: dict[int, list[float]] = field(default_factory=dict)

    def tries(self, entrant: int) -> int:
        """Return in how many processes an entrant was measured."""
        return len(self.samples[entrant]) + len(self.disturbed.get(entrant, ()))

    def estimates(self) -> _Estimates:
        """Return what was measured; disturbed processes count where there are fewer than `LEAST` others."""
        own = [
            some if len(some) >= LEAST else [*some, *self.disturbed.get(i, ())]
            for i, some in enumerate(self.samples)
        ]
        return _estimates(own, exact=self.exact)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a race of E entrants has come; arrays are [E], chances from 0 to 1.

    Attributes:
        costs: by raced cost its estimates.
        posteriors: by raced cost what is expected of all.
        measured: all costs of these are known at least once.
        waiting: neither measured nor failed.
        holds: by entrant ``yes``, ``open`` or ``no``, where it was measured; what was not is ``open``.
        best: the most accurate that holds all budgets for certain; None where none does.
        front: none of those measured is cheaper and as accurate, by the estimates.
        certain: on the front beyond doubt, among what was measured.
        possible: measured, and not beyond doubt off the front.
        front_chances: of those that wait, to belong to the front, each at most, as far as can be told.
        budget_chances: of those that wait, to hold all budgets and be more accurate than the best, likewise.
        enough: whether so many were measured that chances can be told; else each counts as one.
    """

    costs: tuple[_Estimates, ...]
    posteriors: tuple[Posterior, ...]
    measured: _Mask
    waiting: _Mask
    holds: npt.NDArray[np.str_]
    best: int | None
    front: _Mask
    certain: _Mask
    possible: _Mask
    front_chances: _Floats
    budget_chances: _Floats
    enough: bool

    @property
    def expected(self) -> float:
        """How many members of the front were not measured, expected at most."""
        return float(self.front_chances.sum() if self.enough else self.waiting.sum())

    @property
    def budget_chance(self) -> float:
        """The chance that one of those never measured would be the better choice, at most."""
        told = min(1.0, float(self.budget_chances.sum()))
        return told if self.enough or not told else 1.0

    @property
    def front_found(self) -> bool:
        """Whether at most `MISSED` of the front is expected to be among those never measured."""
        return self.expected <= MISSED * max(1, int(self.front.sum()))


@dataclass(slots=True)
class Race:
    """Networks, of whose costs some were measured.

    Attributes:
        entrants: the networks.
        costs: what is raced; the front is of the first.
        counted: whether a budget is of counts, which all entrants hold, as far as they are counted.
        failed: entrants that cannot be measured.
    """

    entrants: Entrants
    costs: list[RacedCost]
    counted: bool = False
    failed: set[int] = field(default_factory=set)
    _seconds: _Floats = field(init=False, repr=False)  # of a process, each

    @property
    def begun(self) -> bool:
        """Whether anything was measured."""
        return any(cost.tries(i) for cost in self.costs[:1] for i in range(len(self.entrants)))

    def first(self) -> list[int]:
        """Return the entrants to begin with, always the same: drawn from the half with fewer MACs, the fewest first.

        Where all that a budget is of is counted, the most accurate one is the choice, and comes before them.
        """
        macs = np.nan_to_num(self.entrants.counts[:, 0], nan=math.inf)
        small = np.argsort(macs, kind="stable")[: max(_START, len(macs) // 2)]
        drawn = np.random.default_rng(0).permutation(small)[:_SPREAD]
        spread = [int(i) for i in sorted(drawn, key=lambda i: macs[i])]
        if not self.counted or any(cost.limit is not None for cost in self.costs):
            return spread
        return list(dict.fromkeys([int(np.argmax(self.entrants.accuracy)), *spread]))

    def standing(self) -> Standing:
        """Return how far it has come; at least one entrant was measured."""
        costs = tuple(cost.estimates() for cost in self.costs)
        n = len(self.entrants)
        failed = np.isin(np.arange(n), list(self.failed))
        measured = np.all([cost.processes > 0 for cost in costs], axis=0) & ~failed
        at = np.flatnonzero(measured)
        posteriors = tuple(
            raced.model.posterior(at, cost.value[at], cost.processes[at] < (1 if raced.exact else LEAST))
            for raced, cost in zip(self.costs, costs, strict=True)
        )
        waiting = ~measured & ~failed
        verdicts = [_holds(raced, cost) for raced, cost in zip(self.costs, costs, strict=True)]
        holds = np.array(["yes", "open", "no"])[np.max(verdicts, axis=0)]
        others = np.max([np.zeros(n, dtype=int), *verdicts[1:]], axis=0)
        accuracy = self.entrants.accuracy
        sure = np.flatnonzero(measured & (holds == "yes"))
        best = int(sure[np.lexsort((costs[0].value[sure], -accuracy[sure]))[0]]) if len(sure) else None
        among = measured & (others < 2)
        front = front_of(np.where(among, costs[0].value, math.nan), accuracy)
        possible, certain = _front(accuracy, costs[0], among, measured & (others == 0))
        holding = _all_held(self.costs[1:], posteriors[1:], n)
        limits = _undercut(accuracy, costs[0], measured & (others == 0))
        enough = len(at) >= min(_START, n - len(self.failed))
        front_chances = np.where(waiting, np.minimum(posteriors[0].below(limits), holding), 0.0)
        budget = np.zeros(n)
        if self.counted or any(cost.limit is not None for cost in self.costs):
            better = waiting & (accuracy > (-math.inf if best is None else accuracy[best]))
            budget = np.where(better, _all_held(self.costs, posteriors, n), 0.0)
        return Standing(
            costs=costs,
            posteriors=posteriors,
            measured=measured,
            waiting=waiting,
            holds=holds,
            best=best,
            front=front,
            certain=certain,
            possible=possible,
            front_chances=front_chances,
            budget_chances=budget,
            enough=enough,
        )

    def further(self, standing: Standing, count: int, calls: float = 0.0) -> list[int]:
        """Return which entrants to measure next, in one more process each; none where all is decided.

        First what was dismissed for a cost that is far above what is expected, as its process may have been slow. Then
        what the budget needs: more processes of what seems to hold it and is more accurate than what does, as then the
        less accurate need not be measured; what was not measured and may hold it; and what was and is not certain.
        After it the same of the front, whose members are measured twice before others are held against them.

        Args:
            standing: how far it has come.
            count: of entrants, at most.
            calls: images whose time a process takes, beside a second of its own: the quick ones come first. 0 where all
                take the same.
        """
        self._seconds = 1.0 + calls * np.exp(standing.posteriors[0].mean)
        undecided, budget = self._undecided_budget(standing), standing.budget_chances
        if odd := self._odd(standing):
            return odd[:count]
        if likely := [i for i in undecided if self._seems_to_hold(standing, i)]:
            return [max(likely, key=lambda i: self.entrants.accuracy[i])]
        if budget.sum() > (MISSED if standing.enough else 0.0):
            return self._most_promising(budget, count)
        if undecided:
            return undecided[:count]
        if standing.front_found:
            return self._undecided_front(standing)[:count]
        return self._front_once(standing)[:count] or self._most_telling(standing, count)

    def budget_decided(self, standing: Standing) -> bool:
        """Return whether the budget needs no further process."""
        return standing.budget_chance <= MISSED and not self._undecided_budget(standing)

    def _odd(self, standing: Standing) -> list[int]:
        """Return whose process may have been slow: dismissed at a cost far above what is expected, and not at that."""
        accuracy, limit = self.entrants.accuracy, self.costs[0].limit
        least = -math.inf if standing.best is None else accuracy[standing.best]
        undercut = _undercut(accuracy, standing.costs[0], standing.measured)
        of_front = np.where(standing.possible, -math.inf, undercut)
        over = (standing.holds == "no") & (accuracy > least)
        of_budget = np.where(over, -math.inf if limit is None else limit, -math.inf)
        limits = np.maximum(of_front, of_budget)
        odd = standing.posteriors[0].odd.items()
        return [i for i, expected in odd if expected < limits[i] and self.costs[0].tries(i) < LEAST]

    def _seems_to_hold(self, standing: Standing, entrant: int) -> bool:
        """Return whether an entrant holds all budgets by its estimates, in so few processes that it is not certain."""
        both = zip(self.costs, standing.costs, strict=True)
        held = all(raced.limit is None or cost.value[entrant] <= raced.limit for raced, cost in both)
        return bool(held and standing.costs[0].processes[entrant] < LEAST)

    def _most_promising(self, chances: _Floats, count: int) -> list[int]:
        """Return those that would make the most others needless if they held the budget: all less accurate ones."""
        order = np.argsort(self.entrants.accuracy, kind="stable")
        needless = np.empty(len(order))
        needless[order] = np.cumsum(chances[order])
        gain = chances * needless / self._seconds
        some = np.argsort(-gain, kind="stable")[:count]
        return [int(i) for i in some if chances[i] > 0]

    def _undecided_budget(self, standing: Standing) -> list[int]:
        """Return what was measured, may hold all budgets, and is more accurate than what does; the best of it first."""
        if all(cost.limit is None for cost in self.costs):
            return []
        accuracy = self.entrants.accuracy
        least = -math.inf if standing.best is None else accuracy[standing.best]
        some = standing.measured & (standing.holds == "open") & (accuracy > least)
        return self._again(some, -accuracy)

    def _front_once(self, standing: Standing) -> list[int]:
        """Return members of the front that were measured once, the quick first; none where too little is known."""
        once = [int(i) for i in np.flatnonzero(standing.front) if self.costs[0].tries(int(i)) < _TWICE]
        return sorted(once, key=lambda i: self._seconds[i]) if standing.enough else []

    def _undecided_front(self, standing: Standing) -> list[int]:
        """Return members of the front that are not certain, and what is not told apart from them, the quick first."""
        some, cost = standing.possible & ~standing.certain, standing.costs[0]
        accuracy = self.entrants.accuracy
        for i in np.flatnonzero(some):
            rivals = standing.possible & (accuracy >= accuracy[i]) & (cost.least <= cost.high[i])
            some = some | (rivals & (cost.high >= cost.least[i]))
        return self._again(some, self._seconds)

    def _again(self, some: _Mask, order: _Floats) -> list[int]:
        """Return those of some that another process may decide: of the fewest processes first, then by `order`."""
        timed = [cost for cost in self.costs if not cost.exact]
        tries = {i: min(cost.tries(i) for cost in timed) for i in np.flatnonzero(some).tolist()}
        left = [i for i, count in tries.items() if count < MOST]
        return sorted(left, key=lambda i: (tries[i], order[i], i))

    def _most_telling(self, standing: Standing, count: int) -> list[int]:
        """Return those whose measurement takes the most of the chances away: their own, and those of what is like them.

        One after the other, each as if those before it had been measured.
        """
        chances = standing.front_chances
        some = np.argsort(-chances, kind="stable")[:_LOOKED_AT]
        some = some[chances[some] > 0]
        left = chances[some].copy()
        covariance, noise = self.costs[0].model.covariance(np.flatnonzero(standing.measured), some)
        total = np.maximum(np.diag(covariance), JITTER) + noise
        chosen: list[int] = []
        for _ in range(min(count, len(some))):
            own = np.maximum(np.diag(covariance), JITTER) + noise
            gain = left + _OTHERS * (left[:, None] * covariance**2 / (own[None, :] * total[:, None])).sum(0)
            gain /= self._seconds[some]
            gain[chosen] = -1.0
            one = int(np.argmax(gain))
            chosen.append(one)
            left[one] = 0.0
            covariance = covariance - np.outer(covariance[:, one], covariance[one]) / own[one]
        return [int(some[i]) for i in chosen]


_LOOKED_AT, _TWICE = 400, 2
_OTHERS = 2.0  # what the chances of others count beside one's own


def _holds(raced: RacedCost, cost: _Estimates) -> _Ints:
    """Return 0 for what holds a budget beyond doubt, 2 for what does not, and 1 for what is open."""
    if raced.limit is None:
        return np.zeros(len(cost.value), dtype=np.intp)
    within = (cost.processes >= (1 if raced.exact else LEAST)) & (cost.high <= raced.limit)
    return np.select([within, cost.least > raced.limit], [0, 2], 1).astype(np.intp)


def _all_held(costs: Sequence[RacedCost], posteriors: Sequence[Posterior], n: int) -> _Floats:
    """Return the chance of each entrant to hold all budgets: that of the least likely one, at most."""
    chance = np.ones(n)
    for raced, posterior in zip(costs, posteriors, strict=True):
        if raced.limit is not None:
            chance = np.minimum(chance, posterior.below(np.full(n, raced.limit)))
    return chance


def _undercut(accuracy: _Floats, cost: _Estimates, of: _Mask) -> _Floats:
    """Return below which cost each entrant would be on the front: the least of those that are as accurate, at least.

    With a standard deviation added, as the least of several estimates is rather too low.
    """
    at = np.flatnonzero(of)
    at = at[np.argsort(-accuracy[at], kind="stable")]
    least = np.minimum.accumulate(cost.value[at] + cost.sd[at]) if len(at) else np.array([])
    count = np.searchsorted(-accuracy[at], -accuracy, side="right")
    return np.where(count > 0, np.append(least, math.inf)[count - 1], math.inf)


def _front(accuracy: _Floats, cost: _Estimates, among: _Mask, beside: _Mask) -> tuple[_Mask, _Mask]:
    """Return masks of what may be on the front, and of what is beyond doubt.

    Args:
        accuracy: shares.
        cost: what was measured.
        among: may be on it.
        beside: may push others off it: it holds all other budgets.
    """
    possible, certain = among.copy(), among & (cost.processes >= LEAST)
    for i in np.flatnonzero(among):
        rivals = among & (accuracy >= accuracy[i])
        rivals[i] = False
        possible[i] = not (rivals & beside & (cost.high < cost.least[i])).any()
        certain[i] &= not (rivals & (cost.least <= cost.high[i])).any()
    return possible, certain & possible
