"""Intervals of a time: closed forms, and how often they hold the truth under what timings do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from series import Tail, correlated, disturbed, disturbed_median, median_interval, scattered, times

from bench.stats._correlation import effective_size
from bench.stats.calibration import Levels
from bench.stats.intervals import (
    _ONE_PROCESS,
    Interval,
    _interpolated_interval,
    _unbiased,
    mean_interval,
    median_ranks,
    percentile,
)
from bench.stats.samples import median

NAN = math.nan


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_a_median_is_that_of_numpy_to_the_bit(samples: list[float]) -> None:
    assert median(samples) == np.median(samples)
    assert median([*samples, NAN, math.inf]) == np.median(samples)


@given(st.lists(st.floats(-1e150, 1e150), min_size=10, max_size=40), st.sampled_from([0.1, 0.37, 0.5, 0.9]))
def test_a_quantile_is_that_of_numpy_to_the_bit(samples: list[float], share: float) -> None:
    assert _unbiased(samples, share) == np.quantile(samples, share, method="median_unbiased")


def test_the_interval_of_a_time_over_few_processes_is_students_of_the_logarithms() -> None:
    medians = [0.010, 0.011, 0.0105, 0.0102]
    interval = Interval.over_processes([*medians, NAN])
    known = stats.ttest_1samp(np.log(medians), 0.0).confidence_interval(0.95)
    assert interval.estimate == pytest.approx(math.sqrt(0.0105 * 0.0102), rel=1e-9)
    assert (interval.low, interval.high) == pytest.approx(
        (math.exp(known.low), math.exp(known.high)), rel=1e-9
    )
    assert (interval.n, interval.method, interval.note) == (4, "t of logarithms", "")


def test_the_interval_of_a_time_over_more_processes_is_of_their_order() -> None:
    five = Interval.over_processes([0.010, 0.016, 0.0105, 0.0102, 0.011])
    assert (five.low, five.estimate, five.high) == pytest.approx((0.010, 0.0105, 0.016))
    assert (five.n, five.method) == (5, "order statistics")
    # Of eight the first and last hold it with 1 - 2 / 2**8, the second and last but one with 1 - 2 (1 + 8) / 2**8.
    logs = np.arange(8.0)
    part = ((1 - 2 / 2**8) - 0.95) / ((1 - 2 / 2**8) - (1 - 18 / 2**8))
    inwards = 7 * part / (1 + 6 * part)
    eight = Interval.over_processes(np.exp(logs).tolist())
    assert (math.log(eight.low), math.log(eight.high)) == pytest.approx((inwards, 7 - inwards))


@pytest.mark.parametrize("n", [3, 5, 6, 20, 101])
def test_an_interpolated_interval_lies_between_those_of_whole_ranks(n: int) -> None:
    samples = np.random.default_rng(n).normal(size=n).tolist()
    low, high = _interpolated_interval(samples)
    ordered, ranks = sorted(samples), median_ranks(n)
    if ranks is None:
        assert (low, high) == (ordered[0], ordered[-1])
    else:
        assert ordered[ranks[0]] <= low <= ordered[ranks[0] + 1]
        assert ordered[ranks[1] - 1] <= high <= ordered[ranks[1]]


@pytest.mark.parametrize("k", [5, 6, 8, 15])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.4])
def test_the_median_over_processes_is_held_where_others_slow_some_of_them_down(k: int, share: float) -> None:
    logs = disturbed(np.random.default_rng(k), (2000, k), 0.02, share)
    truth = math.exp(disturbed_median(0.02, share))
    intervals = [Interval.over_processes(row) for row in np.exp(logs).tolist()]
    assert (
        0.925 <= np.mean([i.low <= truth <= i.high for i in intervals]) <= 0.97
    )  # two standard errors are 0.010
    # Student's interval would not hold the mean, which is what it is of.
    centre = math.exp(0.3 * share)
    students = [mean_interval(row) for row in logs[:600].tolist()]
    assert np.mean([math.exp(low) <= centre <= math.exp(high) for low, high in students]) < 0.9


def test_one_process_has_no_interval_of_the_next() -> None:
    found = Interval.over_processes([0.01])
    assert (found.estimate, found.n, found.method, found.note) == (0.01, 1, "none", _ONE_PROCESS)
    assert math.isnan(found.low)
    assert Interval.over_processes([]).note == "no process"
    with pytest.raises(ValueError, match="above zero"):
        Interval.over_processes([1.0, 0.0])


def test_an_interval_within_a_process_says_that_it_is_of_no_other() -> None:
    (series,) = correlated(np.random.default_rng(1), (1, 40), 0.5, "log-normal").tolist()
    assert Interval.within_one(series).note.startswith(_ONE_PROCESS)


@pytest.mark.parametrize("k", [2, 3, 4, 5, 7, 10])
@pytest.mark.parametrize("tail", ["normal", "t3"])
def test_the_next_processes_lie_where_the_interval_says(k: int, tail: Tail) -> None:
    # Processes that differ by 6 %, samples that hang together and drift: what makes an interval of samples too narrow.
    series = times(
        np.random.default_rng(k), (1500, k, 15), between=0.06, within=0.08, rho=0.6, tail=tail, drift=0.05
    )
    found = [Interval.over_processes(medians) for medians in np.median(series, axis=2).tolist()]
    held = np.mean([i.low <= 1.0 <= i.high for i in found])
    assert 0.93 <= held <= (0.97 if tail == "normal" else 0.985)  # two standard errors are 0.011


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_correlation_within_processes_takes_nothing_from_an_interval_over_them(rho: float) -> None:
    series = times(np.random.default_rng(7), (1500, 6, 20), between=0.03, within=0.05, rho=rho)
    found = [Interval.over_processes(medians) for medians in np.median(series, axis=2).tolist()]
    assert 0.93 <= np.mean([i.low <= 1.0 <= i.high for i in found]) <= 0.97


def held_within(n: int, rho: float, tail: Tail, trials: int = 500) -> float:
    centre = 1.0 if tail == "log-normal" else 0.0
    series = correlated(np.random.default_rng(n), (trials, n), rho, tail).tolist()
    return float(np.mean([i.low <= centre <= i.high for i in map(Interval.within_one, series)]))


@pytest.mark.parametrize("tail", ["normal", "log-normal", "t3"])
@pytest.mark.parametrize(
    ("n", "rho"), [(50, 0.0), (50, 0.3), (50, 0.6), (50, 0.8), (200, 0.8), (1000, 0.0), (1000, 0.8)]
)
def test_the_interval_within_a_process_holds_its_median(n: int, rho: float, tail: Tail) -> None:
    assert 0.90 <= held_within(n, rho, tail) <= 0.985  # two standard errors are 0.02 at 0.95


def test_the_interval_of_independent_samples_does_not_hold_it() -> None:
    series = correlated(np.random.default_rng(5), (500, 200), 0.6).tolist()
    assert np.mean([low <= 0 <= high for low, high in map(median_interval, series)]) < 0.8


def test_a_drift_makes_the_interval_within_wider() -> None:
    noise = np.random.default_rng(8).normal(size=(300, 200))
    moved = noise + np.linspace(-1, 1, 200)
    still, drifted = ([Interval.within_one(s) for s in series.tolist()] for series in (noise, moved))
    assert np.mean([i.low <= 0 <= i.high for i in drifted]) >= 0.95
    assert np.median([i.high - i.low for i in drifted]) > 2 * np.median([i.high - i.low for i in still])


def test_where_even_the_effective_size_is_too_large() -> None:
    assert 0.7 < held_within(50, 0.95, "normal") < 0.9
    assert 0.8 < held_within(20, 0.8, "normal") < 0.92
    short = Interval.within_one(np.cumsum(np.random.default_rng(0).normal(size=40)).tolist())
    assert "40 correlated samples are worth" in short.note
    assert Interval.within_one([1.0, 2.0]).note.endswith("2 samples are too few for one")


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_the_effective_size_of_a_long_series_is_that_of_its_process(rho: float) -> None:
    series = correlated(np.random.default_rng(3), (40, 5000), rho)
    # Ranks of a normal AR(1) correlate as 6 / pi asin(rho**k / 2); their sum is what n is divided by.
    tau = 1 + 2 * sum(6 / math.pi * math.asin(rho**k / 2) for k in range(1, 200))
    assert np.median([effective_size(s.tolist()) for s in series]) == pytest.approx(5000 / tau, rel=0.12)


def test_the_effective_size_at_its_ends() -> None:
    assert effective_size([1.0]) == 1
    assert effective_size([2.0] * 9) == 9
    assert effective_size([1.0, 2.0] * 10) == 20  # what alternates is worth no more than its count
    assert 1 <= effective_size(list(range(100))) < 10


def test_a_percentile_that_n_cannot_carry_is_refused() -> None:
    samples = np.random.default_rng(2).permutation(100).astype(float).tolist()
    found = {share: percentile([samples], share) for share in (0.5, 0.9, 0.99)}
    assert found[0.5].interval is not None
    assert found[0.9].interval is not None
    assert found[0.99].interval is None
    assert found[0.99].needed >= 368
    assert percentile([[]], 0.5).interval is None
    assert percentile([[1.0] * 5], 0.5).needed == 6


@pytest.mark.parametrize(("share", "n"), [(0.5, 50), (0.9, 60), (0.9, 400), (0.99, 800)])
def test_a_percentile_lies_in_its_interval(share: float, n: int) -> None:
    series = np.random.default_rng(n).lognormal(0, 1, (600, n))
    truth = math.exp(stats.norm.ppf(share))
    some = [i for s in series.tolist() if (i := percentile([s], share).interval)]
    assert len(some) > 500
    assert np.mean([i.low <= truth <= i.high for i in some]) >= 0.94


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_a_percentile_of_correlated_samples_lies_there_too(rho: float) -> None:
    series = correlated(np.random.default_rng(9), (400, 600), rho, "log-normal").tolist()
    some = [i for s in series if (i := percentile([s], 0.9).interval)]
    assert np.mean([i.low <= math.exp(stats.norm.ppf(0.9)) <= i.high for i in some]) >= 0.93


def test_a_percentile_over_processes_is_the_median_of_theirs() -> None:
    series = np.random.default_rng(3).lognormal(0, 0.1, (5, 150)).tolist()
    for share in (0.5, 0.9, 0.99):
        own = [float(stats.mstats.mquantiles(samples, share, 1 / 3, 1 / 3)[0]) for samples in series]
        expected, found = Interval.over_processes(own), percentile(series, share).interval
        assert found is not None
        assert (found.estimate, found.low, found.high) == pytest.approx(
            (expected.estimate, expected.low, expected.high)
        )


@pytest.mark.parametrize(("share", "least"), [(0.5, 2), (0.9, 10), (0.99, 100)])
def test_a_percentile_over_processes_needs_samples_of_each(share: float, least: int) -> None:
    enough, few = [1.0 + i for i in range(least)], [1.0 + i for i in range(least - 1)]
    assert percentile([enough, enough], share).interval is not None
    found = percentile([enough * 9, few, enough * 9], share)
    assert (found.interval, found.needed) == (None, least)
    assert percentile([enough, [math.nan], enough], share).interval is not None  # a process without samples
    alone = percentile([[math.nan], enough], share)  # whose interval is of its samples
    assert (alone.interval, alone.needed > least) == (None, True)
    assert percentile([], share).interval is None


def test_a_percentile_that_a_clock_cannot_tell_has_no_interval() -> None:
    found = percentile([[0.0] * 9 + [1.0], [0.0] * 9 + [1.0]], 0.5).interval
    assert found is not None
    assert (found.estimate, math.isnan(found.low), math.isnan(found.high)) == (0.0, True, True)


@pytest.mark.parametrize(("between", "within"), [(0.01, 0.03), (0.03, 0.03)])
@pytest.mark.parametrize("longer", [1.0, 4 / 3, 7.0])
def test_the_percentile_of_processes_is_held_where_some_are_slow_as_a_whole(
    between: float, within: float, longer: float
) -> None:
    """One in twenty is; samples hang together by 0.5. The median of all is found where so many are below it."""
    rng, slow, several = np.random.default_rng(12), 0.05 * (longer > 1), math.log(longer)

    def surplus(at: float) -> float:
        below, beyond = stats.norm.cdf(at / between), stats.norm.cdf((at - several) / between)
        return float((1 - slow) * below + slow * beyond - 0.5)

    middle = brentq(surplus, -between, between)
    for share, samples in ((0.5, 20), (0.9, 10), (0.9, 50), (0.99, 100)):
        truth, held = math.exp(middle + within * stats.norm.ppf(share)), []
        for processes in (3, 5, 8):
            own = scattered(rng, (150, processes, 1), between)
            own += several * (rng.random(own.shape) < slow)
            runs = np.exp(own + within * correlated(rng, (150, processes, samples), 0.5)).tolist()
            found = [percentile(run, share).interval for run in runs]
            held += [one is not None and one.low <= truth <= one.high for one in found]
        assert np.mean(held) >= 0.91


@pytest.mark.parametrize(
    ("between", "within", "rho"), [(0.06, 0.08, 0.5), (0.01, 0.1, 0.0), (0.05, 0.05, 0.8)]
)
def test_both_variances_come_back(between: float, within: float, rho: float) -> None:
    series = times(np.random.default_rng(4), (40, 20, 400), between=between, within=within, rho=rho)
    found = [Levels.of(run.tolist()) for run in series]
    tau = 1 + 2 * sum(6 / math.pi * math.asin(rho**k / 2) for k in range(1, 200))
    assert np.mean([f.between for f in found]) == pytest.approx(between**2, rel=0.15)
    assert np.median([f.within for f in found]) == pytest.approx(math.pi / 2 * within**2 * tau, rel=0.2)
    # What it is for: the variance of a median of 400 samples.
    assert np.mean([f.within for f in found]) / 400 == pytest.approx(
        np.var(np.log(np.median(series, axis=2)), axis=1, ddof=1).mean() - between**2, abs=0.15 * between**2
    )


def test_levels_of_too_little() -> None:
    assert math.isnan(Levels.of([]).within)
    alone = Levels.of([[1.0, 1.1, 0.9, 1.0]])
    assert (math.isnan(alone.between), alone.processes) == (True, 1)
