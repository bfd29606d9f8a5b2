"""Trainings compared: what varies by seed and what varies by image are told apart."""

from __future__ import annotations

import math
from math import comb
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap, ttest_ind
from trainings import diverged, run_of, told, trained, training, with_outputs

from bench.analysis._series import series_of
from bench.analysis.accuracy import accuracy_table, to_json
from bench.analysis.frame import to_frame
from bench.analysis.trainings import SeriesComparison
from bench.errors import StoreError, UnknownNameError
from bench.records.job_files import JobFile
from bench.records.record import Measurement
from bench.records.store import Run
from bench.report.tables.formats import to_markdown
from bench.report.tables.verdicts import training_comparisons
from bench.stats._tests import rank_sums, welch
from bench.stats.comparisons import _exact, correlation, mcnemar, over_images

A, B = [0.91, 0.92, 0.90, 0.93], [0.85, 0.88, 0.86, 0.87]


class TestEstimates:
    def test_welch_is_scipys(self) -> None:
        found, other = welch(A, B), ttest_ind(A, B, equal_var=False)
        ends = other.confidence_interval(0.95)
        assert found.estimate == pytest.approx(np.mean(A) - np.mean(B))
        assert found.p_at(0.0) == pytest.approx(other.pvalue)
        assert (found.low, found.high) == pytest.approx((ends.low, ends.high))

    def test_the_p_at_an_end_of_the_interval_is_five_percent(self) -> None:
        found = welch(A, B)
        assert [found.p_at(end) for end in (found.low, found.high)] == pytest.approx([0.05, 0.05])
        assert found.p_at(found.estimate) == pytest.approx(1.0)

    @pytest.mark.parametrize(
        ("a", "b", "why"),
        [
            ([1.0], [1.0, 2.0], "at least 2"),
            ([1.0, 1.0], [2.0, 2.0], "no spread"),
            ([], [1.0], "no trainings"),
        ],
    )
    def test_welch_says_why_it_cannot(self, a: list[float], b: list[float], why: str) -> None:
        found = welch(a, b)
        assert math.isnan(found.p_at(0.0))
        assert why in found.reason

    def test_ranks_of_samples_apart(self) -> None:
        found = rank_sums([5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0])
        assert found.estimate == 4.0
        assert found.p_at(0.0) == pytest.approx(2 / comb(8, 4))
        assert (found.low, found.high) == (1.0, 7.0)  # of 4 and 4 only the whole range holds 95 %

    def test_a_miss_is_beyond_every_number(self) -> None:
        never = math.inf
        found = rank_sums([never, never, 9.0, never], [1.0, 2.0, 3.0, 4.0])
        assert found.p_at(0.0) == pytest.approx(2 / comb(8, 4))
        assert (found.estimate, found.low, found.high) == (never, 5.0, never)

    def test_two_misses_are_not_told_apart(self) -> None:
        never = math.inf
        found = rank_sums([never] * 4, [1.0, 2.0, 3.0, never])
        assert found.low == -never
        assert math.isnan(rank_sums([never] * 4, [never] * 4).estimate)

    def test_the_bootstrap_is_scipys(self) -> None:
        differences = np.random.default_rng(3).choice([-1, 0, 1], p=[0.05, 0.8, 0.15], size=400).astype(float)
        found = over_images(differences)
        other = bootstrap(
            (differences,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(4)
        ).confidence_interval
        assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.004)
        assert found.estimate == pytest.approx(differences.mean())
        assert found.p_at(found.estimate) > 0.9
        assert found.p_at(0.5) < 0.001

    def test_the_exact_p_of_a_trend(self) -> None:
        found = correlation([1, 2, 3, 4, 5, 6], [10, 20, 30, 40, 50, 60])
        assert found.estimate == pytest.approx(1.0)
        assert found.p_at(0.0) == pytest.approx(2 / math.factorial(6))  # only that order and its reverse
        assert 0 < found.low < found.high <= 1

    def test_five_networks_are_no_trend(self) -> None:
        assert "at least 6" in correlation([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]).reason

    def test_counts_are_exact(self) -> None:
        found = _exact([12.0, 12.0], [10.0])
        assert (found.estimate, found.low, found.high, found.counted) == (2.0, 2.0, 2.0, True)
        assert "differ" in _exact([1.0, 2.0], [1.0]).reason


def test_mcnemar_is_a_coin_thrown_for_each_image_that_only_one_tells_right() -> None:
    a = np.array([True] * 9 + [False] * 1 + [True] * 5)
    b = np.array([False] * 9 + [True] * 1 + [True] * 5)
    p, only_a, only_b = mcnemar(a, b)
    assert (only_a, only_b) == (9, 1)
    assert p == pytest.approx(2 * (comb(10, 0) + comb(10, 1)) / 2**10)
    assert mcnemar(a, a) == (1.0, 0, 0)


LABELS = [0, 1, 2] * 20


def said(wrong: int) -> list[int]:
    """Return what a network says that is wrong on the first so many images."""
    return [(k + 1) % 3 if i < wrong else k for i, k in enumerate(LABELS)]


class TestComparisons:
    def test_the_trainings_decide_and_the_images_stand_beside(self, tmp_path: Path) -> None:
        first = [with_outputs(tmp_path, "a", s, said(w), LABELS) for s, w in enumerate((6, 9, 12))]
        other = [with_outputs(tmp_path, "b", s, said(w), LABELS) for s, w in enumerate((27, 30, 33))]
        [found] = SeriesComparison.in_run(run_of(*first, *other, path=tmp_path))
        accuracies = [[1 - w / 60 for w in side] for side in ((6, 9, 12), (27, 30, 33))]
        assert found.effect.estimate == pytest.approx(21 / 60)
        assert found.effect.p == pytest.approx(ttest_ind(*accuracies, equal_var=False).pvalue)
        assert found.trainings_error == pytest.approx(math.sqrt(2 * np.var(accuracies[0], ddof=1) / 3))
        shares = [
            sum(i < w for w in (27, 30, 33)) / 3 - sum(i < w for w in (6, 9, 12)) / 3 for i in range(60)
        ]
        assert found.images_error == pytest.approx(np.std(shares, ddof=1) / math.sqrt(60))
        assert found.image_low < 21 / 60 < found.image_high
        assert (found.effect.verdict, found.n, found.n_baseline) == ("higher", 3, 3)
        assert "a | b" in to_markdown(training_comparisons([found]).view)

    def test_one_training_each_is_mcnemars(self, tmp_path: Path) -> None:
        first, other = (with_outputs(tmp_path, a, 0, said(w), LABELS) for a, w in (("a", 0), ("b", 10)))
        [found] = SeriesComparison.in_run(run_of(first, other, path=tmp_path))
        assert found.effect.p == pytest.approx(2 / 2**10)
        assert found.effect.verdict == "higher"
        assert "these two trainings alone" in found.effect.reason
        assert math.isnan(found.trainings_error)

    def test_a_diverged_training_stays_in_n_and_is_the_worst(self) -> None:
        seen = [trained("a", s, v) for s, v in enumerate((0.9, 0.91, 0.92, 0.93))]
        other = [trained("b", s, v) for s, v in enumerate((0.8, 0.81, 0.82))]
        [found] = SeriesComparison.in_run(run_of(*seen, *other, diverged("b", 3)))
        assert found.n_baseline == 4
        assert found.effect.p == pytest.approx(2 / comb(8, 4))
        assert "b: 1 of 4 diverged" in found.effect.reason
        assert "no test outputs are stored" in found.effect.reason

    def test_what_is_missing_is_said(self) -> None:
        records = [trained("a", 0, 0.9), trained("a", 1, 0.91), trained("b", 0, 0.8), trained("b", 1, 0.7)]
        [found] = SeriesComparison.in_run(
            run_of(*records, planned=[r.job for r in records] + [training("b", 2)])
        )
        assert "b: 1 of 3 missing" in found.effect.reason

    def test_several_baselines_are_corrected_for(self) -> None:
        records = [
            trained(arch, s, v + 0.01 * s)
            for arch, v in (("a", 0.9), ("b", 0.87), ("c", 0.5))
            for s in (0, 1, 2)
        ]
        found = SeriesComparison.in_run(run_of(*records))
        raw = [
            ttest_ind([0.9, 0.91, 0.92], [v, v + 0.01, v + 0.02], equal_var=False).pvalue for v in (0.87, 0.5)
        ]
        assert [c.effect.p for c in found] == pytest.approx([max(raw[0], 2 * raw[1]), 2 * raw[1]])

    def test_only_what_is_trained_alike_is_compared(self) -> None:
        records = [trained("a", 0, 0.9), trained("b", 0, 0.9, epochs=8), trained("c", 0, 0.8, epochs=8)]
        assert [(c.network, c.baseline) for c in SeriesComparison.in_run(run_of(*records))] == [("b", "c")]

    def test_a_torn_file_is_an_error_with_a_tip(self, tmp_path: Path) -> None:
        records = [with_outputs(tmp_path, a, 0, said(3), LABELS) for a in "ab"]
        JobFile.outputs.path(tmp_path, records[0].job.id).write_bytes(b"PK\x03\x04 torn")
        with pytest.raises(StoreError) as caught:
            SeriesComparison.in_run(run_of(*records, path=tmp_path))
        assert caught.value.tip


def test_labels_have_what_tells_trainings_apart() -> None:
    records = [trained("a", 0, 0.9), trained("a", 0, 0.9, epochs=8), trained("b", 0, 0.9)]
    assert [t.label for t in series_of(run_of(*records))] == ["a · epochs 4", "a · epochs 8", "b"]
    with pytest.raises(UnknownNameError):
        series_of(run_of(*records), ["resnet*"])


class TestTargets:
    def run(self, *times: float | None, broken: int = 0) -> Run:
        """Return a run of trainings that took so long to their target, None for a miss."""
        records = [
            trained("a", s, 0.9, Measurement(
                name="time_to_accuracy", unit="s", better="lower", samples=(math.nan if t is None else t,),
                detail={"target": 0.8}, flags=("missed",) if t is None else (),
            ))
            for s, t in enumerate(times)
        ]  # fmt: skip
        return run_of(*records, *(diverged("a", 100 + s) for s in range(broken)))

    @pytest.mark.parametrize(
        ("times", "broken", "reached", "median"),
        [
            ((3.0, 5.0, 4.0), 0, 3, 4.0),
            ((3.0, None, 4.0), 0, 2, 4.0),
            ((3.0, None, None), 0, 1, math.inf),
            ((3.0, 4.0), 1, 2, 4.0),
            ((3.0, None), 0, 1, math.inf),
        ],
    )
    def test_a_miss_takes_for_ever(
        self, times: tuple[float | None, ...], broken: int, reached: int, median: float
    ) -> None:
        [row] = accuracy_table(to_frame([self.run(*times, broken=broken)])).to_dict("records")
        assert (row["n_reached"], row["time_to_accuracy"], row["target"]) == (reached, median, 0.8)

    def test_json_has_no_infinity(self) -> None:
        [row] = to_json(accuracy_table(to_frame([self.run(None)])))
        assert row["time_to_accuracy"] is None
        assert row["n_reached"] == 0

    def test_without_a_target_there_is_none(self) -> None:
        table = accuracy_table(to_frame([run_of(trained("a", 0, 0.9, told("top5", 1.0)))]))
        assert math.isnan(table["n_reached"].iloc[0])
