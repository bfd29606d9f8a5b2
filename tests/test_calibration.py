"""What splits of the same processes say of intervals and tests: known scatter in, known shares out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from series import times

from bench.stats._correlation import neighbour_correlation
from bench.stats.calibration import Calibration, Levels, _held_expected, _splits
from bench.stats.effects import Effect
from bench.stats.intervals import Interval, Proportion, below_chance, binomial_interval


@pytest.mark.parametrize(("count", "n"), [(0, 4), (4, 4), (11, 12), (12, 12), (1, 40), (20, 40)])
def test_the_interval_of_a_share_is_the_exact_one(count: int, n: int) -> None:
    known = stats.binomtest(count, n).proportion_ci(0.95, "exact")
    assert binomial_interval(count, n) == pytest.approx((known.low, known.high), rel=1e-9)


def test_shares_by_hand() -> None:
    every = Proportion.over([True] * 12)
    assert every == Proportion(12, 12, 12)
    assert every.interval == (pytest.approx(0.025 ** (1 / 12)), 1.0)
    half = Proportion(126, 252, worth=1)  # one trial is between all and nothing, and says hardly anything
    assert half.share == 0.5
    assert half.interval == binomial_interval(0.5, 1)
    assert half.interval[0] < 0.01
    assert half.interval[1] > 0.99
    nothing = Proportion.over([])
    assert math.isnan(nothing.share)
    assert nothing.to_json() == {"count": 0, "of": 0, "worth": 0, "low": None, "high": None}


def test_the_next_process_lies_within_its_interval_as_often_as_it_says() -> None:
    medians = np.exp(np.random.default_rng(1).normal(0, 0.05, (4000, 6))).tolist()
    held = sum(
        interval.low <= row[-1] <= interval.high
        for row in medians
        if (interval := Interval.for_next(row[:-1]))
    )
    assert held / 4000 == pytest.approx(0.95, abs=3 * math.sqrt(0.05 * 0.95 / 4000))


def test_the_interval_of_the_next_process_by_hand() -> None:
    medians = [1.0, 1.1, 1.2, 1.15]
    logs = np.log(medians)
    half = stats.t.ppf(0.975, 3) * logs.std(ddof=1) * math.sqrt(1 + 1 / 4)
    found = Interval.for_next(medians)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx(
        (logs.mean() - half, logs.mean() + half)
    )
    assert found.estimate == pytest.approx(stats.gmean(medians))
    assert math.isnan(Interval.for_next([1.0]).low)


@pytest.mark.parametrize(
    ("n", "size", "most", "count"),
    [
        (9, 5, 200, 0),
        (4, 2, 200, 3),  # 4 over 2, each pair of halves twice
        (10, 5, 200, 126),  # 252 / 2
        (5, 2, 200, 15),  # 10 * 3 / 2
        (20, 5, 200, 200),
        (10, 5, 7, 7),
    ],
)
def test_splits_are_all_or_so_many(n: int, size: int, most: int, count: int) -> None:
    pairs = _splits(n, size, most)
    assert len(pairs) == count
    assert pairs == _splits(n, size, most)
    for one, other in pairs:
        assert len({*one, *other}) == 2 * size
        assert {*one, *other} <= {*range(n)}
    if count < most:
        assert len({frozenset((frozenset(a), frozenset(b))) for a, b in pairs}) == count


def test_how_often_the_time_of_others_is_expected_in_an_interval() -> None:
    # The range of five misses the median of five others where the first three of all ten, or the last, are the others'.
    assert _held_expected(5, 5) == pytest.approx(1 - 2 * math.comb(7, 2) / math.comb(10, 5), abs=0.015)
    assert _held_expected(5, 301) == pytest.approx(1 - 2 / 2**5, abs=0.015)
    # Student's t of three: t s / root 3, against a median of 301 that hardly scatters.
    assert _held_expected(3, 301) == pytest.approx(0.95, abs=0.015)


def scattered(seed: int, rows: int = 4, n: int = 10, sd: float = 0.03) -> list[list[float]]:
    """Return medians of n processes of each row that scatter by so much."""
    return np.exp(np.random.default_rng(seed).normal(0, sd, (rows, n))).tolist()


def test_shares_are_as_expected_of_processes_that_are_alike() -> None:
    found = Calibration.of(scattered(1, rows=300, n=10), 5, most=10)
    assert found.held.of == 10 * 2 * 300
    assert (found.held.worth, found.predicted.of) == (300, 5 * found.held.of)
    assert found.held.share == pytest.approx(_held_expected(5, 5), abs=0.04)
    assert found.predicted.share == pytest.approx(0.95, abs=0.02)
    assert found.held.interval[0] < _held_expected(5, 5) < found.held.interval[1]


def test_false_alarms_are_at_most_what_is_promised() -> None:
    called = [Calibration.of(scattered(seed), 5, most=5) for seed in range(80)]
    alarms = [c.alarms.share for c in called]
    assert np.mean(alarms) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 80)
    in_order = sum(c.alarms_in_order.count for c in called)
    assert in_order <= stats.binom.ppf(0.99, 80, 0.05)


@pytest.mark.parametrize(("sd", "called"), [(0.002, [True, True, True]), (0.2, [False, False, False])])
def test_power_is_all_or_nothing_where_scatter_is_little_or_much(sd: float, called: list[bool]) -> None:
    slowdowns = (0.02, 0.05, 0.1)
    found = Calibration.of(scattered(2, sd=sd), 5, slowdowns, most=20)
    assert [s.slowdown for s in found.slowed] == list(slowdowns)
    assert [s.called.of for s in found.slowed] == [20 * 4] * 3
    assert [s.called.share > 0.9 for s in found.slowed] == called
    assert [s.called.share < 0.1 for s in found.slowed] == [not c for c in called]


def test_what_changed_between_two_runs_is_seen_in_their_order() -> None:
    rows = [[*row[:5], *(1.2 * t for t in row[5:])] for row in scattered(3, sd=0.01)]
    found = Calibration.of(rows, 5)
    assert (found.alarms_in_order.count, found.alarms_in_order.of) == (1, 1)
    assert found.alarms.share < 0.1  # most splits mix what was before with what was after


def test_too_few_processes_for_two_runs_give_no_trial() -> None:
    def trials(found: Calibration) -> set[int]:
        return {p.of for p in (found.held, found.predicted, found.alarms, found.alarms_in_order)}

    assert trials(Calibration.of(scattered(4, n=9), 5)) == {0}
    assert trials(Calibration.of([], 5)) == {0}
    uneven = [*scattered(4, n=10), *scattered(5, rows=1, n=9)]
    assert trials(Calibration.of(uneven, 5)) == {0}


def test_more_runs_are_worth_more() -> None:
    found = Calibration.of(scattered(6, n=24), 5, most=10)
    assert (found.held.worth, found.alarms.worth, found.alarms_in_order.of) == (2 * 4, 2, 2)


def test_scatter_within_a_process_comes_back() -> None:
    (series,) = times(np.random.default_rng(7), (1, 12, 2000), between=0.02, within=0.05, rho=0.5)
    levels = Levels.of(series.tolist())
    assert levels.spread == pytest.approx(0.05, rel=0.05)
    assert levels.correlation == pytest.approx(6 / math.pi * math.asin(0.5 / 2), abs=0.03)  # of ranks
    assert neighbour_correlation([1.0, 2.0] * 10) == pytest.approx(-19 / 20)
    assert math.isnan(neighbour_correlation([1.0] * 20))
    assert math.isnan(neighbour_correlation([1.0, 2.0, 3.0]))


def test_guessing_is_exceeded_by_three_of_its_standard_deviations() -> None:
    slack = 3 * math.sqrt(0.1 * 0.9 / 100)
    assert below_chance(0.1 - slack - 0.001, 100, 0.1)
    assert not below_chance(0.1 - slack + 0.001, 100, 0.1)
    assert below_chance(0.09, None, 0.1)


def test_the_noise_floor_is_what_95_percent_stay_below_or_what_is_resolved() -> None:
    same = [Effect(1 + i / 1000) for i in range(1, 21)]  # 19 of 20 are at most 1.019
    assert Calibration.noise_floor(same, 0.001) == pytest.approx(0.019)
    assert Calibration.noise_floor([Effect(1 / e.estimate) for e in same], 0.001) == pytest.approx(0.019)
    assert Calibration.noise_floor(same, 0.03) == 0.03
    assert math.isnan(Calibration.noise_floor([], 0.03))
