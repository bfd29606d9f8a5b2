"""Statistics of answers: closed forms, exact coverage, simulation where there is no other way."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm

from bench.stats.answers import CorruptionError, LabelOrder, Share, paired
from bench.stats.intervals import wilson_interval
from bench.stats.reliability import _BINS, Reliability
from bench.stats.verdicts import corrected

NAN = math.nan


class TestWilson:
    @given(st.integers(1, 5000), st.data())
    def test_is_where_the_score_test_just_holds(self, n: int, data: st.DataObject) -> None:
        count = data.draw(st.integers(0, n))
        z = norm.ppf(0.975)
        for end in wilson_interval(count, n):
            error = math.sqrt(end * (1 - end) / n)
            assert abs(count / n - end) == pytest.approx(z * error, abs=1e-9) or end in (0, 1)

    @given(st.integers(1, 1000), st.data())
    def test_is_that_of_another_implementation(self, n: int, data: st.DataObject) -> None:
        count = data.draw(st.integers(0, n))
        other = binomtest(count, n).proportion_ci(method="wilson")
        assert wilson_interval(count, n) == pytest.approx((other.low, other.high), abs=1e-9)

    @pytest.mark.parametrize("n", [100, 1000, 3925, 50_000])
    def test_holds_the_share_in_93_to_97_of_100_cases(self, n: int) -> None:
        """Exactly, over all counts, for shares from 4 to 98 %."""
        counts = np.arange(n + 1)
        low, high = np.array([wilson_interval(k, n) for k in counts.tolist()]).T
        for p in np.linspace(0.04, 0.98, 48).tolist():
            covered = float(binom.pmf(counts, n, p)[(low <= p) & (p <= high)].sum())
            assert 0.93 <= covered <= 0.9716

    def test_of_no_trial_and_at_the_ends(self) -> None:
        assert all(map(math.isnan, wilson_interval(0, 0)))
        assert wilson_interval(0, 10)[0] == 0
        assert wilson_interval(10, 10)[1] == 1


def test_a_share() -> None:
    one = Share.of(np.array([True, True, False, True]))
    assert (one.count, one.images, one.value) == (3, 4, 3 / 4)
    assert one.interval == wilson_interval(3, 4)
    assert one.holds(0.5)
    assert not one.holds(0.1)
    assert math.isnan(Share(0, 0).value)


def test_a_share_of_equal_answers_is_right_or_wrong() -> None:
    assert Share.of(np.array([1, 2, 3, 4]) == np.array([1, 0, 3, 0])) == Share(2, 4)


class TestPaired:
    def test_is_mcnemars_exact_test(self) -> None:
        a = np.array([True] * 50 + [True] * 12 + [False] * 3 + [False] * 10)
        b = np.array([True] * 50 + [False] * 12 + [True] * 3 + [False] * 10)
        effect = paired(a, b)
        assert effect.estimate == pytest.approx((12 - 3) / 75)
        assert effect.p == pytest.approx(binomtest(3, 15).pvalue)
        assert effect.low < 9 / 75 < effect.high
        assert effect.verdict == "higher"
        assert paired(b, a).verdict == "lower"
        assert "12 and 3 of 75" in effect.reason

    def test_equal_networks_do_not_differ(self) -> None:
        a = np.array([True, False] * 20)
        effect = paired(a, a)
        assert (effect.estimate, effect.p, effect.verdict) == (0, 1, "undecided")

    def test_no_images_and_one(self) -> None:
        none, one = np.array([], dtype=np.bool_), np.array([True])
        assert math.isnan(paired(none, none).estimate)
        assert paired(none, none).reason == "no test images"
        assert (paired(one, ~one).reason, paired(one, ~one).n) == ("one test image cannot decide", 1)

    def test_alarms_for_nothing_stay_below_five_of_a_hundred(self) -> None:
        """Of three networks that are equally good, in any of three pairs, corrected by Holm."""
        rng, alarms, runs = np.random.default_rng(0), 0, 150
        for _ in range(runs):
            hard = rng.random(200)
            nets = [rng.random(200) < 0.5 + 0.5 * hard for _ in range(3)]
            effects = corrected([paired(nets[i], nets[j]) for i, j in ((0, 1), (0, 2), (1, 2))])
            alarms += any(e.verdict in ("higher", "lower") for e in effects)
        assert alarms / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


class TestReliability:
    def test_by_hand(self) -> None:
        confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
        correct = np.array([True, True, True, False, True, False])
        made = Reliability.of(confidence, correct, bins=10)
        assert made.error == pytest.approx((4 * abs(3 / 4 - 0.95) + 2 * abs(1 / 2 - 0.55)) / 6)
        assert [(b.confidence, b.accuracy, b.images) for b in made.bins] == [
            (pytest.approx(0.55), 1 / 2, 2),
            (pytest.approx(0.95), 3 / 4, 4),
        ]
        assert made.lean == pytest.approx(4 / 6 - (4 * 0.95 + 2 * 0.55) / 6)

    def test_bins_end_with_their_upper_end(self) -> None:
        made = Reliability.of(np.array([0.0, 0.1, 0.2, 1.0]), np.array([False] * 4), bins=10)
        assert [b.images for b in made.bins] == [2, 1, 1]

    def test_a_confidence_that_is_no_number_is_left_out(self) -> None:
        confidence, correct = np.array([0.9, NAN, 0.6, NAN]), np.array([True, True, False, False])
        numbers = Reliability.of(confidence[::2], correct[::2])
        assert repr(Reliability.of(confidence, correct)) == repr(numbers)  # NaN, equal to no other, is in it
        assert math.isnan(Reliability.of(confidence[1::2], correct[1::2]).error)

    def test_of_nothing(self) -> None:
        assert math.isnan(Reliability.of(np.array([]), np.array([], dtype=np.bool_)).error)

    def test_chance_alone_is_told_as_such(self) -> None:
        """Of networks without fault: the usual estimate is too high by what is told, p is even, the square is without bias."""
        rng, errors, told, squares, ps = np.random.default_rng(1), [], [], [], []
        for _ in range(60):
            confidence = rng.beta(5, 2, 400)
            made = Reliability.of(confidence, rng.random(400) < confidence)
            errors.append(made.error)
            told.append(made.perfect)
            squares.append(made.square)
            ps.append(made.p)
        assert np.mean(errors) > 0.03  # though there is no fault
        assert np.mean(told) == pytest.approx(np.mean(errors), rel=0.1)
        assert abs(np.mean(squares)) < 2 * np.std(squares) / math.sqrt(60)
        assert np.mean(np.array(ps) <= 0.05) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 60)

    def test_a_fault_is_found_and_the_square_of_its_size_is_without_bias(self) -> None:
        rng, truth, errors, squares = np.random.default_rng(2), 0.06, [], []
        for _ in range(60):
            confidence = rng.uniform(0.5, 0.9, 500)
            made = Reliability.of(confidence, rng.random(500) < confidence - truth)
            errors.append(made.error)
            squares.append(made.square)
        assert np.mean(squares) == pytest.approx(truth**2, abs=2 * np.std(squares) / math.sqrt(60))
        assert np.mean(errors) > truth + 0.004  # the usual one stays too high
        sure = rng.uniform(0.5, 0.9, 4000)
        made = Reliability.of(sure, rng.random(4000) < sure - truth)
        assert made.p < 0.01
        assert made.lean == pytest.approx(-truth, abs=3 * 0.5 / math.sqrt(4000))
        assert made.debiased == pytest.approx(truth, abs=0.02)

    def test_there_are_fifteen_bins(self) -> None:
        assert len(Reliability.of(np.linspace(0, 1, 400), np.ones(400, dtype=np.bool_)).bins) == _BINS == 15


class TestLabelOrder:
    LABELS = np.repeat(np.arange(5), 20)

    def test_an_order_is_found_again(self) -> None:
        meant = np.array([2, 0, 1, 4, 3])
        answers = np.argsort(meant)[self.LABELS]  # the network says k where it means meant[k]
        made = LabelOrder.of(self.LABELS, answers, 5)
        assert made.order.tolist() == meant.tolist()
        assert made.moved == 5
        assert (made.before.value, made.after) == (0.0, Share(50, 50))
        assert made.gain.verdict == "higher"

    def test_the_right_order_stays(self) -> None:
        made = LabelOrder.of(self.LABELS, self.LABELS, 7)
        assert made.moved == 0
        assert made.gain.estimate == 0

    def test_answers_without_sense_have_no_order(self) -> None:
        """What is chosen on half of the images by chance does not help on the other half."""
        rng, gains = np.random.default_rng(0), 0
        for _ in range(100):
            made = LabelOrder.of(self.LABELS, rng.integers(0, 5, 100), 5)
            assert made.after.images == 50
            gains += made.gain.verdict == "higher"
        assert gains <= 5

    def test_one_answer_to_all_images_is_no_order(self) -> None:
        """Of classes that differ in size, another order gives that answer the meaning of the commonest class."""
        labels = np.array([0] * 4 + [1] * 40 + [2] * 4)
        made = LabelOrder.of(labels, np.zeros_like(labels), 3)
        assert (made.moved, made.before, made.after, made.tells) == (0, Share(2, 24), Share(2, 24), False)
        assert LabelOrder.of(self.LABELS, (self.LABELS + 1) % 5, 5).tells

    def test_names_that_are_given_more_than_twice_as_often_as_ones_own_are_exchanged(self) -> None:
        """Of each two images the second is held out: of classes 0 and 1, 31 are called by the other's name, 9 by their own."""
        labels = np.repeat([0, 1, 2], 40)
        answers = np.concatenate([np.repeat([1, 0], [30, 10]), np.repeat([0, 1], [32, 8]), np.full(40, 2)])
        made = LabelOrder.of(labels, answers, 3)
        assert (made.order.tolist(), made.by_other, made.against) == ([1, 0, 2], 31, 9)
        assert made.p == pytest.approx(binomtest(31, 40, 2 / 3, alternative="greater").pvalue)
        assert not made.tells  # 31 to 9 may be two to one

    def test_what_is_mostly_called_by_a_third_name_speaks_against_an_exchange(self) -> None:
        """0 and 1 are called by each other's names, and so are two further classes by those of others: no order."""
        labels = np.repeat(np.arange(5), 40)
        swapped = np.repeat([1, 0, 2, 3, 4], 40)
        favourites = np.repeat([1, 0, 0, 0, 4], 40)
        assert LabelOrder.of(labels, swapped, 5).tells
        made = LabelOrder.of(labels, favourites, 5)
        assert (made.by_other, made.against, made.tells) == (40, 40, False)

    @pytest.mark.parametrize(
        ("share", "concentrated", "moved", "found"),
        [
            (0.05, True, 0, 0.05),  # in the right order: found by a better fit alone in all of these
            (0.2, True, 0, 0.05),
            (0.2, False, 0, 0.05),
            (0.8, False, 50, 1.0),
            (0.4, False, 50, 1.0),
            (0.95, False, 2, 1.0),
        ],
    )
    def test_how_often_weak_networks_and_wrong_orders_are_told(
        self, share: float, concentrated: bool, moved: int, found: float
    ) -> None:
        """50 classes of 40 images; errors fall onto one name of each class in half of the cases, or on any."""
        rng, told, draws = np.random.default_rng(1), 0, 20
        labels = np.repeat(np.arange(50), 40)
        for _ in range(draws):
            wrong = rng.integers(50, size=50)[labels]
            anything = rng.integers(50, size=len(labels))
            errors = np.where(rng.random(len(labels)) < 0.6, wrong, anything) if concentrated else anything
            answers = np.where(rng.random(len(labels)) < share, labels, errors)
            order, some = np.arange(50), rng.permutation(50)[:moved]
            order[some] = np.roll(some, 1)
            told += LabelOrder.of(labels, order[answers], 50).tells
        assert abs(told / draws - found) <= 0.05


class TestCorruptionError:
    ERRORS: ClassVar = {"fog": {1: 0.2, 2: 0.4}, "snow": {1: 0.5, 2: 0.7}}

    def test_is_the_mean_of_ratios(self) -> None:
        made = CorruptionError.of(self.ERRORS, {"fog": 0.6, "snow": 0.8})
        assert made.mean == pytest.approx((0.3 + 0.6) / 2)
        assert made.relative == pytest.approx((0.3 / 0.6 + 0.6 / 0.8) / 2)
        assert made.corruptions == 2

    def test_has_none_without_a_whole_baseline(self) -> None:
        assert math.isnan(CorruptionError.of(self.ERRORS).relative)
        assert math.isnan(CorruptionError.of(self.ERRORS, {"fog": 0.6}).relative)
        assert math.isnan(CorruptionError.of({}).mean)
