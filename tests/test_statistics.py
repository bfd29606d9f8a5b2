"""Statistics against closed forms, SciPy's distributions and a simulation."""

from __future__ import annotations

import math
import random
import statistics as standard

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, t
from series import median_interval

from bench.stats import intervals as i
from bench.stats import samples as s

NAN = math.nan
samples = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


def test_centre_and_spread_by_hand() -> None:
    assert s.median([3, 1, 2]) == 2
    assert s.median([4, 1, 2, 3]) == (2 + 3) / 2
    assert s.mean([1, 2, 6]) == 9 / 3
    assert s.sd([1, 2, 6]) == pytest.approx(math.sqrt(((1 - 3) ** 2 + (2 - 3) ** 2 + (6 - 3) ** 2) / 2))


def test_the_robust_spread_does_not_see_a_spike() -> None:
    assert s.robust_sd([1, 2, 3, 4, 1000]) == pytest.approx(
        1.4826 * 1
    )  # the deviations are 0, 1, 1, 2 and 997
    assert s.robust_sd([NAN, 2, 2, 2]) == 0


def test_what_was_missed_is_beyond_all_numbers() -> None:
    assert s.median_with_misses([3.0, math.inf, 1.0]) == 3.0
    assert s.median_with_misses([1.0, math.inf]) == math.inf
    assert s.median_with_misses([4.0, 1.0]) == (1 + 4) / 2
    assert s.mean_with_misses([1.0, 3.0]) == 2.0
    assert s.mean_with_misses([1.0, -math.inf]) == -math.inf


def test_nan_is_no_sample() -> None:
    assert s.median([NAN, 1, 2, math.inf, 3]) == 2
    assert s.mean([NAN, 4]) == 4
    assert math.isnan(s.sd([NAN, 4]))


def test_median_ratio_is_over_what_was_measured_in_turn() -> None:
    assert s.median_ratio([2.0, 3.0, 8.0, 9.0], [1.0, 1.0, 2.0]) == 3.0
    assert s.median_ratio([2.0, 3.0], [0.0, 1.0]) == 3.0
    assert math.isnan(s.median_ratio([], [1.0]))


@pytest.mark.parametrize("empty", [[], [NAN]])
def test_no_sample_gives_nan(empty: list[float]) -> None:
    assert all(math.isnan(v) for v in (s.median(empty), s.mean(empty), s.sd(empty)))
    assert all(map(math.isnan, i.mean_interval(empty)))


def test_ranks_hold_the_median_of_a_skewed_distribution() -> None:
    rng = random.Random(1)
    trials = 2000
    hits = 0
    for _ in range(trials):
        low, high = median_interval([rng.expovariate(1.0) for _ in range(15)])
        hits += low <= math.log(2) <= high
    exact = 1 - 2 * binom.cdf(3, 15, 0.5)  # ranks (4, 12): 0.9648
    assert hits / trials == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / trials))


def test_interval_of_a_mean_is_students() -> None:
    values = [0.912, 0.918, 0.921]
    half = t.ppf(0.975, 2) * standard.stdev(values) / math.sqrt(3)
    middle = standard.mean(values)
    assert i.mean_interval(values) == pytest.approx((middle - half, middle + half))
    assert all(map(math.isnan, i.mean_interval([0.9])))


@settings(deadline=None)
@given(st.lists(samples, max_size=6))
def test_summary_equals_one_by_one(many: list[list[float]]) -> None:
    many = [*many, [], [NAN, *many[0]] if many else [NAN]]
    summary = i.summarise(many)
    for k, one in enumerate(many):
        assert summary.n[k] == len(s.finite(one))
        assert summary.median[k] == pytest.approx(s.median(one), nan_ok=True)
        assert summary.mean[k] == pytest.approx(s.mean(one), nan_ok=True, abs=1e-6)
        assert summary.sd[k] == pytest.approx(s.sd(one), nan_ok=True, abs=1e-6)


def test_summary_shows_the_range_where_an_interval_needs_more_samples() -> None:
    summary = i.summarise([[5.0], [3.0, 1.0, 2.0], list(range(9)), []])
    np.testing.assert_array_equal(summary.low, [NAN, 1.0, 1.0, NAN])
    np.testing.assert_array_equal(summary.high, [NAN, 3.0, 7.0, NAN])
    np.testing.assert_array_equal(summary.n, [1, 3, 9, 0])
