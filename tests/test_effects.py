"""Effects: against SciPy, brute force and closed forms, and how often they are right in a simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import stdtr

from bench.stats._tests import (
    _can_decide,
    _hodges_lehmann,
    _rank_sum_p,
    _shift,
    _shift_interval,
    _signed_rank_interval,
    _signed_rank_p,
    rank_sums,
    welch,
)
from bench.stats.comparisons import _exact, correlation, mcnemar, two_groups
from bench.stats.effects import Effect
from bench.stats.verdicts import (
    Expectation,
    _decide_ratio,
    _holm,
    corrected,
    decide_difference,
    decide_expectation,
    differ,
    direction,
    of_counts,
    of_means,
    of_ratios,
    show_p,
)

NAN, INF = math.nan, math.inf
numbers = st.lists(st.integers(-4, 4), min_size=1, max_size=8).map(lambda v: np.array(v, dtype=float))


def paired(a: Sequence[float], b: Sequence[float]) -> Effect:
    return of_ratios(np.divide(b, a).tolist())


def unpaired(a: Sequence[float], b: Sequence[float]) -> Effect:
    return _decide_ratio(rank_sums(np.log(b), np.log(a), "processes").ratio())


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("n", [1, 5, 6, 8, 13, 30])
def test_p_without_ties_is_scipys(n: int) -> None:
    a, b = draw(n, n), draw(n + 100, n + 3) + 0.4
    assert _signed_rank_p(a) == pytest.approx(stats.wilcoxon(a, method="exact").pvalue, rel=1e-9)
    assert _rank_sum_p(a, b) == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue, rel=1e-9)


@pytest.mark.parametrize("seed", range(50))
def test_mcnemars_p_is_that_of_a_coin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, rng.integers(1, 300))) < rng.random((2, 1))
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    known = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar(a, b) == (pytest.approx(known, rel=1e-9), only_a, only_b)


@pytest.mark.parametrize("seed", range(30))
def test_a_trend_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 12, (2, 6 + seed)).astype(float)
    found, known = correlation(x, y), stats.spearmanr(x, y)
    assert found.estimate == pytest.approx(known.statistic, rel=1e-9, abs=1e-12)
    if len(x) > 8:  # of fewer it is exact, of all orders
        assert found.p == pytest.approx(known.pvalue, rel=1e-9)


@settings(deadline=None)
@given(numbers)
def test_signed_rank_p_with_ties_counts_every_choice_of_signs(values: np.ndarray) -> None:
    values = values[values != 0]
    ranks = stats.rankdata(np.abs(values))
    sums = np.array([np.dot(ranks, signs) for signs in itertools.product([0, 1], repeat=len(values))])
    seen = ranks[values > 0].sum()
    expected = min(1, 2 * min((sums <= seen).mean(), (sums >= seen).mean()))
    assert _signed_rank_p(values) == pytest.approx(expected)


@settings(deadline=None)
@given(numbers, numbers)
def test_rank_sum_p_with_ties_counts_every_choice_of_places(a: np.ndarray, b: np.ndarray) -> None:
    a, b = a[:5], b[:5]
    ranks = stats.rankdata([*a, *b])
    sums = np.array([sum(chosen) for chosen in itertools.combinations(ranks, len(a))])
    seen = ranks[: len(a)].sum()
    expected = min(1, 2 * min((sums <= seen + 1e-9).mean(), (sums >= seen - 1e-9).mean()))
    assert _rank_sum_p(a, b) == pytest.approx(expected)
    assert _rank_sum_p(b, a) == pytest.approx(expected)


def test_many_numbers_are_approximated_closely() -> None:
    for n in (120, 121):  # on either side of the border
        d = draw(3, n) + 0.15
        assert _signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, rel=0.02)
        low, high = _signed_rank_interval(d)
        assert (low <= 0 <= high) == (_signed_rank_p(d) > 0.05)
    a, b = draw(1, 70), draw(2, 80) + 0.3
    assert _rank_sum_p(a, b) == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue, rel=0.05)


def test_estimates_by_hand() -> None:
    # Walsh averages of 1, 2, 6: 1, 1.5, 2, 3.5, 4, 6
    assert _hodges_lehmann(np.array([1.0, 6.0, 2.0])) == (2 + 3.5) / 2
    assert _shift(np.array([1.0, 2.0]), np.array([4.0, 8.0])) == (3 + 6) / 2  # of 3, 2, 7, 6
    assert math.isnan(_hodges_lehmann(np.array([])))
    assert math.isnan(_shift(np.array([]), np.array([1.0])))


def test_signed_rank_interval_of_the_published_table() -> None:
    # Hollander & Wolfe, table A.4: n = 8, P(W >= 33) = 0.020, n = 6, P(W >= 21) = 0.016: the 4th, the 1st from each end
    for n, end in ((6, 1), (8, 4), (10, 9)):
        d = draw(n, n)
        walsh = sorted((d[i] + d[j]) / 2 for i in range(n) for j in range(i, n))
        assert _signed_rank_interval(d) == pytest.approx((walsh[end - 1], walsh[-end]))
    assert all(map(math.isnan, _signed_rank_interval(draw(5, 5))))


def ends_at(low: float, high: float, p: Callable[[float], float]) -> bool:
    """Whether just inside an interval nothing is refused at 5 %, and just outside all is."""
    just = 1e-6
    inside, outside = (low + just, high - just), (low - just, high + just)
    return min(map(p, inside)) > 0.05 >= max(map(p, outside))


@pytest.mark.parametrize("n", [6, 8, 11, 16])
@pytest.mark.parametrize("seed", range(20))
def test_intervals_hold_what_the_tests_do_not_refuse(n: int, seed: int) -> None:
    d, b = draw(seed, n), draw(seed + 1000, n + 2)
    assert ends_at(*_signed_rank_interval(d), lambda at: _signed_rank_p(d - at))
    assert ends_at(*_shift_interval(d, b), lambda at: _rank_sum_p(d + at, b))


def test_asv_would_not_see_two_samples_completely_apart() -> None:
    slow = unpaired([1.0, 1.01, 1.02, 1.03, 1.04, 1.05], [2.0, 2.01, 2.02, 2.03, 2.04, 2.05])
    assert slow.verdict == "slower"
    assert slow.p == pytest.approx(2 / math.comb(12, 6))
    assert slow.low > 1.9


def test_pyperf_would_call_unequal_sizes_significant() -> None:
    few = unpaired([1.0, 1.01, 1.02], [1.0, 1.01])
    assert (few.verdict, few.n) == ("undecided", 2)
    assert few.reason == "2 and 3 processes cannot decide by ranks: at least 4 on each side"
    alike = unpaired([1.0, 1.01, 1.02, 1.03, 1.04, 1.05], [1.0, 1.01, 1.02, 1.03, 1.04])
    assert alike.p > 0.5
    assert alike.verdict == "undecided"


def test_unequal_sizes_apart_are_different() -> None:
    fast = unpaired([2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6], [1.0, 1.1, 1.2])
    assert fast.p == pytest.approx(2 / math.comb(10, 3))
    assert (fast.verdict, fast.n) == ("faster", 3)


@pytest.mark.parametrize("n", range(1, 6))
def test_too_few_pairs_never_decide(n: int) -> None:
    found = paired([1.0] * n, [9.0] * n)
    assert found.verdict == "undecided"
    assert found.reason == f"n = {n} processes cannot decide: at least 6"
    assert found.estimate == pytest.approx(9)
    assert all(map(math.isnan, (found.low, found.high, found.p)))


def test_six_pairs_can_decide() -> None:
    found = paired([1.0, 1.1, 1.2, 1.3, 1.4, 1.5], [2.0, 2.2, 2.4, 2.6, 2.8, 3.1])
    assert found.p == 2 / 2**6
    assert found.verdict == "slower"


def test_which_sizes_can_decide() -> None:
    sizes = {(n, m) for n in range(1, 12) for m in range(n, 12) if _can_decide(n, m)}
    assert min(n + m for n, m in sizes) == 8
    assert (4, 4) in sizes
    assert (3, 5) in sizes
    assert not {(3, 4), (3, 3), (1, 11), (2, 7)} & sizes
    assert not _can_decide(0, 100)


def test_pairs_take_away_what_processes_have_in_common() -> None:
    common = np.exp(draw(1, 8))
    a, b = common * 1.0, common * 1.04
    assert paired(a, b).verdict == "slower"
    assert paired(a, b).estimate == pytest.approx(1.04)
    assert unpaired(a, b).verdict == "undecided"


def test_identical_samples_are_the_same() -> None:
    values = [1.0, 1.2, 0.9, 1.1, 1.05, 1.3]
    for found in (paired(values, values), unpaired([2.0] * 6, [2.0] * 6)):
        assert (found.verdict, found.estimate, found.p) == ("same", 1.0, 1.0)
        assert (found.low, found.high) == (1.0, 1.0)
    assert unpaired(values, values).verdict == "undecided"  # processes differ too much to call them the same


def test_the_other_way_round_is_the_inverse() -> None:
    a, b = np.exp(0.1 * draw(1, 7)), np.exp(0.1 * draw(2, 9))
    there, back = unpaired(a, b), unpaired(b, a)
    assert (back.estimate, back.low, back.high) == pytest.approx(
        (1 / there.estimate, 1 / there.high, 1 / there.low)
    )
    assert back.p == pytest.approx(there.p)


def test_nan_and_infinities_are_left_out() -> None:
    found = of_ratios([2.0, NAN, 2.0, 2.0, INF, 2.0, 2.0, 2.0])
    assert (found.n, found.verdict) == (6, "slower")
    assert of_means([0.9, NAN, 0.91], [0.8, 0.81, INF, 0.82]).n == 2
    assert of_ratios([NAN]).reason == of_means([], [1.0]).reason == differ([], [1.0]).reason == "no value"


@pytest.mark.parametrize("odd", [0.0, -1.0])
def test_what_has_no_logarithm_has_no_ratio(odd: float) -> None:
    good = [1.0] * 6
    for found in (of_ratios([odd, *good]), differ(good, [odd, *good]), of_means(good, [odd, odd])):
        assert found.verdict == "undecided"
        assert math.isnan(found.estimate)
        assert "above zero" in found.reason


def test_extreme_numbers_do_not_overflow() -> None:
    assert of_ratios([1e300] * 6).verdict == "slower"
    assert differ([1e300] * 6, [5e-324] * 6).verdict == "faster"


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (1.03, 1.05, 0.01, "slower"),
        (0.90, 0.97, 0.01, "faster"),
        (0.99, 1.01, 0.60, "same"),
        (1.005, 1.015, 0.001, "same"),  # surely different, and surely too little to matter
        (1.005, 1.03, 0.01, "slower"),  # surely, and perhaps by more than the band
        (0.97, 1.05, 0.60, "undecided"),
        (1.03, 1.05, 0.06, "undecided"),
        (1.03, 1.05, NAN, "undecided"),
        (NAN, 1.05, 0.01, "undecided"),
        (1 / 1.02, 1.02, 0.5, "same"),
        (1.0, 1.05, 0.01, "undecided"),
    ],
)
def test_verdicts(low: float, high: float, p: float, expected: str) -> None:
    assert _decide_ratio(Effect(math.nan, low, high, p), 0.02).verdict == expected


@pytest.mark.parametrize(
    ("better", "unit", "up", "down"),
    [
        ("lower", "s", "slower", "faster"),
        ("higher", "1/s", "faster", "slower"),
        ("lower", "B", "higher", "lower"),
        ("higher", "1", "higher", "lower"),
        ("neither", "s", "higher", "lower"),
    ],
)
def test_words_by_quantity(better: str, unit: str, up: str, down: str) -> None:
    assert (direction(2.0, better, unit), direction(0.5, better, unit)) == (up, down)
    assert _decide_ratio(Effect(1.7, 1.5, 2.0, 0.01), 0.02, better=better, unit=unit).verdict == up


def test_means_as_a_ratio_are_scipys() -> None:
    a, b = [0.90, 0.91, 0.93, 0.92], [0.95, 0.96, 0.955, 0.97, 0.94]
    found, known = of_means(b, a), stats.ttest_ind(b, a, equal_var=False)
    low, high = known.confidence_interval(0.95)
    base = np.mean(a)
    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx((1 + low / base, 1 + high / base))
    assert found.estimate == pytest.approx(np.mean(b) / base)
    assert (found.verdict, found.n) == ("higher", 4)
    assert found.p_at(found.low) == pytest.approx(0.05)


def test_counts_are_equal_or_not() -> None:
    assert (of_counts([12.0], [12.0]).verdict, of_counts([12.0], [12.0]).estimate) == ("equal", 1.0)
    assert (of_counts([12.0], [8.0]).verdict, of_counts([12.0], [8.0]).estimate) == ("different", 12 / 8)
    assert of_counts([NAN, NAN], [NAN]).verdict == "equal"  # neither is a number
    assert math.isnan(of_counts([3.0], [0.0]).estimate)


def test_two_groups_are_tested_as_suits_their_numbers() -> None:
    a, b = [5.0, 6.0, 7.0, 9.0], [1.0, 2.0, 3.0, 4.0]
    assert two_groups(a, b).reason.startswith("Welch")
    assert two_groups(a, b, by="ranks").reason.startswith("Mann-Whitney")
    assert two_groups([*a[:3], INF], b).reason.startswith("Mann-Whitney")  # one was never reached
    assert two_groups([4.0, 4.0], [2.0], by="counts").estimate == 2.0
    assert two_groups([4.0, 4.0], [2.0], by="counts", as_ratio=True).estimate == pytest.approx(4 / 2)
    assert "above zero" in two_groups([4.0, 0.0], [2.0], as_ratio=True).reason


@pytest.mark.parametrize(
    ("expect", "gap", "word"),
    [
        ("higher", 1.0, "supported"),
        ("higher", 0.25, "refuted"),
        ("lower", 1.0, "refuted"),
        ("lower", -1.0, "supported"),
        ("same", 0.25, "supported"),
        ("same", 1.0, "refuted"),
    ],
)
def test_an_expectation_of_a_count_is_decided_by_its_margin(
    expect: Expectation, gap: float, word: str
) -> None:
    decided = decide_expectation(_exact([2.0 + gap], [2.0]), expect, -0.5, 0.5)
    assert decided.verdict == word
    assert math.isnan(decided.p)


@pytest.mark.parametrize(
    ("of", "against"), [([INF, INF], [2.0]), ([2.0], [-INF]), ([INF], [INF]), ([NAN], [2.0])]
)
def test_a_count_that_is_none_decides_nothing(of: list[float], against: list[float]) -> None:
    effect = two_groups(of, against, by="counts")
    assert not effect.counted
    assert {decide_expectation(effect, expect, -0.5, 0.5).verdict for expect in ("higher", "same")} == {
        "undecided"
    }


def test_an_expectation_of_means_needs_all_of_the_interval() -> None:
    effect = welch([5.0, 5.2, 4.8, 5.1, 4.9], [4.0, 4.2, 3.8, 4.1, 3.9])  # 1 higher, give or take
    assert effect.low < 1 < effect.high
    assert decide_expectation(effect, "higher", -0.5, 0.5).verdict == "supported"
    assert decide_expectation(effect, "higher", -1.0, 1.0).verdict == "undecided"
    assert decide_expectation(effect, "higher", -2.0, 2.0).verdict == "refuted"
    assert decide_expectation(effect, "same", -2.0, 2.0).verdict == "supported"
    assert decide_expectation(effect, "higher", -0.5, 0.5).p == effect.p_at(0.5)


def test_a_difference_is_decided_by_whether_its_interval_holds_zero() -> None:
    a, b = [5.0, 5.2, 4.8], [4.0, 4.2, 3.8]
    assert decide_difference(welch(a, b)).verdict == "higher"
    assert decide_difference(welch(b, a)).verdict == "lower"
    assert decide_difference(welch(a, a)).verdict == "undecided"
    assert decide_difference(welch(a[:1], b)).verdict == "undecided"  # there is no test


def test_means_without_spread() -> None:
    assert of_means([0.9, 0.9, 0.9], [0.9, 0.9]).verdict == "same"
    assert "no spread" in of_means([0.9806] * 3, [0.9778] * 3).reason
    assert "at least 2" in of_means([0.9], [0.5]).reason


@pytest.mark.parametrize("seed", range(100))
def test_welch_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(4, 12, 2)
    a, b = rng.normal(1.0, rng.uniform(0.1, 2), n), rng.normal(1.5, rng.uniform(0.1, 2), m)
    found, known = welch(a, b), stats.ttest_ind(a, b, equal_var=False)
    ends = known.confidence_interval(0.95)
    assert found.p == pytest.approx(known.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(2, 5), (3, 4), (2, 3)])
def test_tiny_unequal_groups_have_the_freedom_of_the_smaller(n: int, m: int) -> None:
    a, b = draw(n, n), draw(m, m) + 1
    t = (a.mean() - b.mean()) / math.sqrt(a.var(ddof=1) / n + b.var(ddof=1) / m)
    assert welch(a, b).p == pytest.approx(2 * stats.t.sf(abs(t), n - 1), rel=1e-9)


def sizes_of_welch(n: int, m: int, trials: int = 20_000) -> Iterator[float]:
    """Yield how often equal means have p <= 0.05, by the formula written a second time, for many groups at once."""
    rng = np.random.default_rng(n * 100 + m)
    a, b = rng.normal(size=(trials, n)), rng.normal(size=(trials, m))
    (ma, va), (mb, vb) = ((v.mean(axis=1), v.var(axis=1, ddof=1) / v.shape[1]) for v in (a, b))
    for spread in (0.25, 0.5, 1, 2, 4):  # of the first group
        wide = spread**2 * va
        freedom = (wide + vb) ** 2 / (wide**2 / (n - 1) + vb**2 / (m - 1))
        if n != m and min(n, m) < 4:
            freedom = np.full(trials, min(n, m) - 1.0)
        ps = 2 * stdtr(freedom, -np.abs(spread * ma - mb) / np.sqrt(wide + vb))
        assert welch(spread * a[0], b[0]).p == pytest.approx(ps[0], rel=1e-9)
        yield float(np.mean(ps <= 0.05))


def test_the_size_of_welch_is_held_for_small_groups_with_unequal_spread() -> None:
    sizes = [size for n in range(2, 9) for m in range(n, 9) for size in sizes_of_welch(n, m)]
    assert max(sizes) <= 0.062  # 0.06, and three standard errors of such a simulation are 0.005


@pytest.mark.parametrize("seed", range(200))
def test_holm_is_a_naive_loop(seed: int) -> None:
    ps = np.random.default_rng(seed).beta(0.3, 1.0, size=seed % 30)
    expected = [
        max((min(1.0, (len(ps) - rank) * q) for rank, q in enumerate(sorted(ps)) if q <= p), default=1.0)
        for p in ps
    ]
    assert _holm(ps) == pytest.approx(np.array(expected), rel=1e-9)


def effect(p: float, word: str = "slower", floor: float = 0.0) -> Effect:
    return Effect(1.1, 1.05, 1.15, p, 4, "tested", floor, word)


def test_what_is_not_certain_among_all_is_lost() -> None:
    found = corrected([effect(0.01), effect(0.03), effect(NAN), effect(0.001, "refuted")], "suspected")
    assert [e.p for e in found] == pytest.approx([0.02, 0.03, NAN, 0.003], nan_ok=True)
    assert [e.verdict for e in found] == ["slower", "slower", "slower", "refuted"]
    lost = corrected([effect(0.02), effect(0.03), effect(0.04, "same")], "suspected")
    assert [e.verdict for e in lost] == ["suspected", "suspected", "same"]
    assert lost[0].reason == "tested; not certain once corrected for 3 tests"
    assert repr(corrected([effect(0.03)])) == repr(
        [effect(0.03)]
    )  # of which NaN, equal to no other, is a part


def test_a_p_below_what_an_exact_test_can_give_is_a_bound() -> None:
    found = welch([1.0, 1.1, 1.2, 1.3], [9.0, 9.1, 9.2, 9.3])
    assert found.p < 1e-6
    assert found.p_floor == 2 / math.comb(8, 4)
    assert show_p(found.p, found.p_floor) == "≤ 0.029"
    exactly = rank_sums([1.0, 1.1, 1.2, 1.3], [9.0, 9.1, 9.2, 9.3])
    assert show_p(exactly.p, exactly.p_floor, named=True) == "p = 0.029"
    assert show_p(found.p, found.p_floor, named=True) == "p ≤ 0.029"
    assert (show_p(0.0314), show_p(NAN, 0.1)) == ("0.031", "–")
    of_two = [
        show_p(p, 1 / 3) for p in (0.004, 0.05, 0.2, 0.4)
    ]  # 2 of 6 orders of two and two are as far apart
    assert of_two == ["≤ 0.05", "≤ 0.05", "≤ 0.33", "0.4"]


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.04 times 3, 2, 1, never falling
    np.testing.assert_allclose(_holm([0.04, 0.01, NAN, 0.02]), [0.04, 0.03, NAN, 0.04])
    np.testing.assert_allclose(_holm([0.5, 0.9]), [1.0, 1.0])
    assert _holm([]).size == 0


# How often it is right. Times of A and B, taken in turn in each of n processes: noise that is skewed, that goes on from
# one call to the next (AR(1)), a drift while the process lives, and what each process has of its own.

TRIALS, PROCESSES, SAMPLES = 2000, 8, 30


def simulated(seed: int, ratio: float, own: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Return the medians [trials, processes] of A and B; `own` is how far a process moves B against A."""
    rng = np.random.default_rng(seed)
    shape = (TRIALS, PROCESSES, SAMPLES, 2)
    noise = np.empty(shape)
    noise[:, :, 0] = rng.normal(size=(TRIALS, PROCESSES, 2))
    for t in range(1, SAMPLES):
        fresh = rng.normal(size=(TRIALS, PROCESSES, 2))
        noise[:, :, t] = 0.8 * noise[:, :, t - 1] + math.sqrt(1 - 0.8**2) * fresh
    process = rng.normal(0, 0.05, (TRIALS, PROCESSES, 1, 1))
    drift = rng.normal(0, 0.05, (TRIALS, PROCESSES, 1, 1)) * np.linspace(0, 1, 2 * SAMPLES).reshape(
        SAMPLES, 2
    )
    mine = rng.normal(0, own / math.sqrt(2), (TRIALS, PROCESSES, 1, 2))
    logs = 0.02 * noise + 0.05 * np.maximum(noise - 2, 0) + process + drift + mine
    medians = np.exp(np.median(logs, axis=2))
    return medians[..., 0], ratio * medians[..., 1]


@pytest.fixture(scope="module")
def no_change() -> list:
    return [paired(a, b) for a, b in zip(*simulated(1, 1.0), strict=True)]


def test_an_interval_of_95_percent_holds_the_truth_as_often_as_it_says(no_change: list) -> None:
    slower = [paired(a, b) for a, b in zip(*simulated(2, 1.03), strict=True)]
    for truth, effects in ((1.0, no_change), (1.03, slower)):
        held = np.mean([e.low <= truth <= e.high for e in effects])
        assert 0.93 <= held <= 0.985
        assert np.median([e.estimate for e in effects]) == pytest.approx(truth, abs=0.002)


def test_no_change_is_called_one_at_most_once_in_twenty(no_change: list) -> None:
    assert np.mean([e.p <= 0.05 for e in no_change]) <= 0.05
    assert np.mean([e.verdict in ("faster", "slower") for e in no_change]) <= 0.05


def test_a_slowdown_of_five_percent_is_found() -> None:
    effects = [paired(a, b) for a, b in zip(*simulated(3, 1.05), strict=True)]
    assert np.mean([e.verdict == "slower" for e in effects]) >= 0.9
    assert not any(e.verdict == "faster" for e in effects)


def test_two_runs_of_the_same_are_called_different_at_most_once_in_twenty() -> None:
    a, b = simulated(4, 1.0)
    sizes = zip(itertools.cycle([8, 6, 4]), itertools.cycle([8, 5]), strict=False)
    for compare in (unpaired, lambda x, y: differ(x.tolist(), y.tolist())):
        found = [compare(x[:n], y[:m]) for x, y, (n, m) in zip(a, b, sizes, strict=False)]
        assert np.mean([e.p <= 0.05 for e in found if not math.isnan(e.p)]) <= 0.055
