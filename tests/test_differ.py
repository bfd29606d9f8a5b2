"""Two runs: what is called changed for nothing, what is found, and what is only suspected."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from series import Tail, scattered

from bench.stats.samples import process_spread
from bench.stats.verdicts import CHANGED, centres, corrected, differ

ROWS = 20


def least_ps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return p of each row by SciPy, with the freedom of the smaller run where counts differ: [runs, rows]."""
    n, m = a.shape[-1], b.shape[-1]
    if n == m:
        return stats.ttest_ind(b, a, axis=-1, equal_var=False).pvalue
    error = np.sqrt(a.var(axis=-1, ddof=1) / n + b.var(axis=-1, ddof=1) / m)
    return 2 * stats.t.sf(np.abs(a.mean(axis=-1) - b.mean(axis=-1)) / error, min(n, m) - 1)


@pytest.mark.parametrize("tail", ["normal", "t3"])
@pytest.mark.parametrize(("n", "m"), [(4, 4), (5, 5), (8, 8), (4, 8), (6, 10)])
def test_false_alarms_of_twenty_rows(n: int, m: int, tail: Tail) -> None:
    # A t of logarithms does not depend on how much they scatter: this holds for 1, 3 and 6 % alike.
    rng = np.random.default_rng(n)
    a, b = (scattered(rng, (8000, ROWS, k), 0.03, tail) for k in (n, m))
    ps = least_ps(a, b)
    for row in range(5):
        assert differ(np.exp(a[0, row]).tolist(), np.exp(b[0, row]).tolist()).p == pytest.approx(
            ps[0, row], rel=1e-9
        )
    assert np.mean(ps.min(axis=1) <= 0.05 / ROWS) <= 0.053  # Holm's first step; 0.0024 is the standard error


@pytest.mark.parametrize("scatter", [0.01, 0.03, 0.06])
@pytest.mark.parametrize("tail", ["normal", "t3"])
def test_false_alarms_of_the_verdict_itself(scatter: float, tail: Tail) -> None:
    rng = np.random.default_rng(11)
    alarms = 0
    for _ in range(150):
        a, b = (np.exp(scattered(rng, (ROWS, 6), scatter, tail)).tolist() for _ in "ab")
        rows = corrected([differ(x, y) for x, y in zip(a, b, strict=True)], "suspected")
        alarms += any(row.verdict in CHANGED for row in rows)
    assert alarms / 150 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 150)


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_unequal_scatter_keeps_false_alarms_near(spread: float) -> None:
    rng = np.random.default_rng(12)
    for n, m in ((4, 4), (8, 8), (4, 8)):
        a, b = rng.normal(0, spread, (8000, ROWS, n)), rng.normal(0, 1, (8000, ROWS, m))
        assert np.mean(least_ps(a, b).min(axis=1) <= 0.05 / ROWS) <= 0.06


@pytest.mark.parametrize(("tail", "least"), [("normal", 0.95), ("t3", 0.90)])
def test_a_row_slowed_by_ten_percent_is_found_among_twenty(tail: Tail, least: float) -> None:
    rng = np.random.default_rng(13)
    a, b = (scattered(rng, (400, ROWS, 8), 0.03, tail) for _ in "ab")
    b[:, 0] += math.log(1.1)
    found = 0
    for before, after in zip(np.exp(a), np.exp(b), strict=True):
        rows = corrected(
            [differ(x.tolist(), y.tolist()) for x, y in zip(before, after, strict=True)], "suspected"
        )
        found += rows[0].verdict == "slower"
    assert found / 400 >= least


def _slow_at_times(rng: np.random.Generator, n: int, share: float, times: float) -> np.ndarray:
    """Return logarithms of a run, [ROWS, n], scattered by 3 %, of which a share of the processes is slow as a whole."""
    return rng.normal(0, 0.03, (ROWS, n)) + math.log(times) * (rng.random((ROWS, n)) < share)


@pytest.mark.parametrize(("n", "least"), [(5, 0.75), (8, 0.9)])
@pytest.mark.parametrize("times", [4 / 3, 7.0])
def test_a_slow_process_hides_no_change_and_raises_no_alarm(n: int, least: float, times: float) -> None:
    """One in twenty processes is slow as a whole; without drawing it in 60 % are found, and of eight 44 %."""
    rng = np.random.default_rng(14)
    found = alarms = off = 0
    for _ in range(200):
        a, b = (_slow_at_times(rng, n, 0.05, times) for _ in "ab")
        b[0] += math.log(1.2)
        spread = process_spread([*a.tolist(), *b.tolist()])
        sides = zip(np.exp(a).tolist(), np.exp(b).tolist(), strict=True)
        rows = corrected([differ(x, y, spread=spread) for x, y in sides], "suspected")
        found += rows[0].verdict == "slower"
        off += abs(math.log(rows[0].estimate / 1.2)) > 0.1
        alarms += any(row.verdict in CHANGED for row in rows[1:])
    assert found / 200 >= least
    assert off / 200 <= 0.1
    assert alarms / 200 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)


def test_what_is_drawn_in_is_told_and_where_many_are_off_nothing_is() -> None:
    calm, rough = [1.0, 1.01, 0.99, 1.02, 0.98], [1.0, 1.01, 0.99, 1.02, 7.0]
    one = differ(calm, rough, spread=0.02)
    assert one.reason.startswith("Welch's t")
    assert "1 of them drawn in" in one.reason
    assert one.estimate < 1.05
    before, after = centres(calm, rough, spread=0.02)
    assert after / before == pytest.approx(one.estimate)
    many = differ(calm, [1.0, 1.01, 0.99, 7.0, 7.0], spread=0.02)
    assert many == differ(calm, [1.0, 1.01, 0.99, 7.0, 7.0])
    assert differ(calm[:4], rough[1:], spread=0.02) == differ(calm[:4], rough[1:])  # of four nothing


def test_the_spread_of_processes_is_told_by_a_quartile() -> None:
    """The differences of three are 0.1, 0.2 and 0.3, of equal weight; of four pairs three quarters are 0.1."""
    assert process_spread([[0.0], []]) == 0.0
    z = stats.norm.ppf(0.875) * math.sqrt(2)
    assert process_spread([[0.0, 0.1, 0.3]]) == pytest.approx(
        0.3 / z
    )  # weights 2/3 each of 2: beyond 1.5 is the third
    assert process_spread([[0.0, 0.1], [0.0, 0.1], [0.0, 0.1], [0.0, 9.0]]) == pytest.approx(0.1 / z)
    rng = np.random.default_rng(3)
    assert process_spread(rng.normal(0, 0.03, (500, 5))) == pytest.approx(0.03, rel=0.05)


def test_rank_tests_could_never_call_it() -> None:
    assert ROWS * 2 / math.comb(8, 4) > 0.05


@pytest.mark.parametrize("n", [1, 2, 3])
def test_fewer_than_four_processes_claim_nothing(n: int) -> None:
    slow = differ([1.0] * n, [2.0] * n)
    assert slow.verdict == "suspected"
    assert slow.reason == (
        f"n = {n} processes cannot decide: at least 4 in each run; all beyond the noise floor of ±5 %"
    )
    assert math.isnan(slow.p)
    assert math.isnan(slow.low) == (n == 1)
    assert differ([1.0] * n, [1.04] * n).verdict == "undecided"
    assert differ([1.0] * n, [1.04] * n, floor=0.03).verdict == "suspected"


def test_without_spread_ranks_decide() -> None:
    apart = differ([8.6e6] * 4, [9.0e6] * 4, better="lower", unit="B")
    assert (apart.verdict, apart.p) == ("higher", pytest.approx(2 / math.comb(8, 4)))
    assert differ([8.6e6] * 4, [8.6e6] * 4, unit="B").verdict == "same"


def test_the_ratio_is_of_geometric_means() -> None:
    a, b = [1.0, 1.1, 0.9, 1.0], [1.3, 1.2, 1.25, 1.4]
    found, back = differ(a, b), differ(b, a)
    assert found.estimate == pytest.approx(stats.gmean(b) / stats.gmean(a))
    assert (back.low, back.high) == pytest.approx((1 / found.high, 1 / found.low))
    assert (found.verdict, back.verdict) == ("slower", "faster")
