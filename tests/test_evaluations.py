"""Evaluations read from records and stored answers: what belongs together, pairs, agreement, corruption, classes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from evaluated import evaluated, evaluation, read, right_so_often, run_of
from scipy.stats import binomtest

from bench.analysis.diff import Diff
from bench.analysis.evaluations import Evaluations
from bench.analysis.frame import to_frame
from bench.plan.corruption import ALEXNET, NAMES, SEVERITIES
from bench.plan.task import TASKS
from bench.stats.intervals import wilson_interval

LABELS = np.repeat(np.arange(10), 40)


class TestRead:
    def test_counts_come_from_the_record(self, tmp_path: Path) -> None:
        (one,) = read(
            tmp_path, evaluated(tmp_path, "a", right_so_often(LABELS, 0.9, 10), LABELS, left_out=3)
        ).plain
        assert (one.top1.count, one.top1.images, one.left_out) == (360, 400, 3)
        assert one.top5.value == 1
        assert one.data == "imagefolder:pictures val"
        assert one.correct.sum() == 360
        plain = one.to_json()
        assert (plain["top1_low"], plain["top1_high"]) == wilson_interval(360, 400)

    def test_tries_and_corruptions_belong_to_the_plain_one(self, tmp_path: Path) -> None:
        every = read(
            tmp_path,
            evaluated(tmp_path, "a", LABELS, LABELS, corruption="fog:2"),
            evaluated(tmp_path, "a", LABELS, LABELS, transform={"colour": "bgr"}),
            evaluated(tmp_path, "a", LABELS, LABELS),
            evaluated(tmp_path, "b", LABELS, LABELS),
            evaluated(tmp_path, "a", LABELS, LABELS, limit=100),
            evaluated(tmp_path, "a", LABELS, LABELS, precision="bf16"),
        )
        assert [(one.label, one.settings.get("limit")) for one in every.plain] == [
            ("a", None), ("b", None), ("a", 100), ("a · bf16", None),
        ]  # fmt: skip
        first = every.plain[0]
        assert not first.settings.get("transform")
        assert [one.transform["colour"] for one in every.tries[first.id]] == ["bgr"]
        assert [one.corruption for one in every.corrupted[first.id]] == [("fog", 2)]

    def test_what_one_run_has_tried_is_of_no_other_that_asked_the_same(self, tmp_path: Path) -> None:
        a, b = tmp_path / "a", tmp_path / "b"
        tried = run_of(
            a,
            evaluated(a, "net", LABELS, LABELS),
            evaluated(a, "net", LABELS, LABELS, transform={"colour": "bgr"}),
            evaluated(a, "net", right_so_often(LABELS, 0.5, 10), LABELS, corruption="fog:2"),
        )
        plain = run_of(b, evaluated(b, "net", LABELS, LABELS))
        for runs in ([tried, plain], [plain, tried]):
            every = Evaluations.of(to_frame(runs))
            counts = {
                one.run: (len(every.tries[one.id]), len(every.corrupted[one.id])) for one in every.plain
            }
            assert counts == {"a": (1, 1), "b": (0, 0)}
            (robust,) = every.robustness()
            assert robust.shares["fog"][2].value == 0.5

    def test_where_all_give_a_transform_the_first_is_the_plain_one(self, tmp_path: Path) -> None:
        every = read(
            tmp_path,
            evaluated(tmp_path, "a", LABELS, LABELS, transform={"colour": "bgr"}),
            evaluated(tmp_path, "a", LABELS, LABELS, transform={"colour": "bgr", "resize": 224}),
        )
        (one,) = every.plain
        assert one.transform["resize"] == 256
        assert len(every.tries[one.id]) == 1

    @pytest.mark.parametrize("harm", ["gone", "torn", "of another job"])
    def test_answers_that_cannot_be_read_leave_the_counts(self, tmp_path: Path, harm: str) -> None:
        record = evaluated(tmp_path, "a", LABELS, LABELS)
        (file,) = (tmp_path / "outputs").iterdir()
        if harm == "gone":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:100] if harm == "torn" else b"")
        every = read(tmp_path, record, evaluated(tmp_path, "b", LABELS, LABELS))
        one = every.plain[0]
        assert one.top1.value == 1
        assert one.answers is None
        assert math.isnan(one.reliability.error)
        assert one.order is None
        assert every.pairs() == []
        assert one.by_class() == []

    def test_no_evaluations(self, tmp_path: Path) -> None:
        every = read(tmp_path)
        assert not every
        assert (every.pairs(), every.agreements(), every.robustness()) == ([], [], [])


class TestPairs:
    def test_are_of_the_images_that_both_answered_in_whatever_order(self, tmp_path: Path) -> None:
        labels = np.array([0, 0, 1, 1, 1])
        names = ["a", "b", "c", "d", "e"]
        one = evaluated(tmp_path, "one", [0, 0, 1, 1, 0], labels, images=names)
        kept = [4, 2, 1]  # of the images, in another order
        other = evaluated(
            tmp_path,
            "other",
            np.array([0, 1, 0, 0, 1])[kept],
            labels[kept],
            images=[names[i] for i in kept],
            classes=2,
        )
        (pair,) = read(tmp_path, one, other).pairs()
        assert pair.images == 3
        # Of b, c and e: one tells b and c right, other c's label 1 as 0, b as 1, e right.
        assert pair.effect.estimate == pytest.approx((2 - 1) / 3)

    def test_are_mcnemars_corrected_by_holm(self, tmp_path: Path) -> None:
        nets = {"a": 0.95, "b": 0.9, "c": 0.88}
        records = [
            evaluated(tmp_path, name, right_so_often(LABELS, share, 10, seed), LABELS)
            for seed, (name, share) in enumerate(nets.items())
        ]
        every = read(tmp_path, *records)
        made = every.pairs()
        assert [(p.network, p.baseline) for p in made] == [("a", "b"), ("a", "c"), ("b", "c")]
        raw = []
        for pair in made:
            one, other = (
                next(e for e in every.plain if e.network == name) for name in (pair.network, pair.baseline)
            )
            only = int((one.correct & ~other.correct).sum()), int((other.correct & ~one.correct).sum())
            raw.append(binomtest(only[0], sum(only)).pvalue)
        order = np.argsort(raw)
        steps = np.maximum.accumulate([raw[i] * (3 - rank) for rank, i in enumerate(order)])
        assert [made[i].effect.p for i in order] == pytest.approx(np.minimum(1, steps).tolist())
        assert made[1].effect.verdict == "higher"

    def test_none_of_other_images_or_conditions(self, tmp_path: Path) -> None:
        every = read(
            tmp_path,
            evaluated(tmp_path, "a", LABELS, LABELS),
            evaluated(tmp_path, "b", LABELS, LABELS, data="imagefolder:others"),
            evaluated(tmp_path, "c", LABELS, LABELS, precision="bf16"),
        )
        assert every.pairs() == []


def test_agreement_is_of_the_first_way_with_each_other(tmp_path: Path) -> None:
    said = right_so_often(LABELS, 0.9, 10)
    halves = said.copy()
    halves[:4] = (halves[:4] + 1) % 10
    every = read(
        tmp_path,
        evaluated(tmp_path, "a", said, LABELS),
        evaluated(tmp_path, "a", halves, LABELS, precision="bf16"),
        evaluated(tmp_path, "a", said, LABELS, backend="onnx"),
    )
    made = every.agreements()
    assert [(m.one, m.other, m.equal.count, m.equal.images) for m in made] == [
        ("fp32", "bf16", 396, 400),
        ("eager", "onnx", 400, 400),
    ]
    assert made[0].effect.estimate == pytest.approx(4 / 400, abs=4 / 400)
    assert made[1].effect.verdict == "undecided"


def test_how_a_network_was_run_is_no_part_of_its_images(tmp_path: Path) -> None:
    """An engine in 8 bits that was calibrated, and one with other threads, are held against fp32 image by image."""
    calibrated = {"precision": "int8", "backend": "openvino", "calibration": "imagefolder:others"}
    every = read(
        tmp_path,
        evaluated(tmp_path, "a", LABELS, LABELS, threads=2),
        evaluated(tmp_path, "a", (LABELS + 1) % 10, LABELS, **calibrated, threads=2),
        evaluated(tmp_path, "a", LABELS, LABELS, threads=1),
        evaluated(tmp_path, "b", LABELS, LABELS, threads=1, cudnn_benchmark=True),
    )
    assert [(m.one, m.other, m.equal.count) for m in every.agreements()] == [
        ("fp32 · eager · not calibrated", "int8 · openvino · calibrated on imagefolder:others", 0),
        ("2 threads", "1 thread", 400),
    ]
    assert {(p.network, p.baseline) for p in every.pairs()} == {("a", "b")}


def test_corrupted_images_are_others(tmp_path: Path) -> None:
    every = read(
        tmp_path,
        evaluated(tmp_path, "a", LABELS, LABELS),
        evaluated(tmp_path, "b", LABELS, LABELS, corruption="fog:3"),
    )
    assert [one.data for one in every.plain] == [
        "imagefolder:pictures val",
        "imagefolder:pictures val, fog:3",
    ]
    assert every.pairs() == []


class TestRobustness:
    def test_the_first_network_is_the_baseline(self, tmp_path: Path) -> None:
        shares = {"a": {"fog": (0.8, 0.6), "snow": (0.5, 0.5)}, "b": {"fog": (0.9, 0.8), "snow": (0.6, 0.4)}}
        records = [
            evaluated(
                tmp_path, net, right_so_often(LABELS, share, 10), LABELS, corruption=f"{name}:{severity}"
            )
            for net, by_name in shares.items()
            for name, by in by_name.items()
            for severity, share in enumerate(by, 1)
        ]
        plain = [evaluated(tmp_path, net, LABELS, LABELS) for net in shares]
        a, b = read(tmp_path, *plain, *records).robustness()
        assert list(a.shares) == ["snow", "fog"]  # in the order of their kinds
        assert a.error.mean == pytest.approx(((0.2 + 0.4) / 2 + 0.5) / 2)
        assert math.isnan(a.error.relative)
        assert b.baseline == "a"
        assert b.error.relative == pytest.approx((0.15 / 0.3 + 0.5 / 0.5) / 2)
        assert not a.whole

    def test_no_baseline_of_other_corruptions(self, tmp_path: Path) -> None:
        records = [
            evaluated(
                tmp_path, net, LABELS, LABELS, **{} if corruption is None else {"corruption": corruption}
            )
            for net, corruption in (("a", None), ("a", "fog:1"), ("b", None), ("b", "fog:2"))
        ]
        _, b = read(tmp_path, *records).robustness()
        assert math.isnan(b.error.relative)
        assert b.baseline == ""

    def test_whole_is_fifteen_by_five(self, tmp_path: Path) -> None:
        few = LABELS[:10]
        records = [
            evaluated(tmp_path, "a", few, few, corruption=f"{name}:{severity}")
            for name in NAMES
            for severity in SEVERITIES
        ]
        (one,) = read(tmp_path, evaluated(tmp_path, "a", few, few), *records).robustness()
        assert one.whole
        assert one.error.mean == 0
        assert math.isnan(one.error.relative)

    def test_of_imagenets_classes_the_baseline_is_alexnet_as_published(self, tmp_path: Path) -> None:
        few = LABELS[:10]
        records = [
            evaluated(tmp_path, "a", (few + 1) % 1000, few, classes=1000, corruption=f"{name}:{severity}")
            for name in NAMES
            for severity in SEVERITIES
        ]
        (one,) = read(tmp_path, evaluated(tmp_path, "a", few, few, classes=1000), *records).robustness()
        assert one.error.relative == pytest.approx(sum(1 / error for error in ALEXNET.values()) / 15)
        assert one.baseline == "AlexNet, published"
        assert set(ALEXNET) == set(NAMES)


def test_classes_say_for_what_they_are_taken(tmp_path: Path) -> None:
    labels, said = np.array([0, 0, 0, 2, 2]), np.array([0, 2, 2, 2, -1])
    (one,) = read(tmp_path, evaluated(tmp_path, "a", said, labels, classes=3)).plain
    first, last = one.by_class()
    assert (first.name, first.right.count, first.right.images) == ("class 0", 1, 3)
    assert (first.taken_for, first.taken) == ("class 2", 2)
    assert (last.taken_for, last.taken) == ("a class of none of the images", 1)


def test_a_try_says_in_the_progress_what_it_changes() -> None:
    job = evaluation("a", transform={"mean": [0.5, 1 / 255, 0.0], "colour": "bgr", "crop": (64, 64)})
    assert TASKS.get("evaluate").subject(job).endswith(" val mean=0.5,0.00392,0 colour=bgr crop=64,64")
    assert TASKS.get("evaluate").subject(evaluation("a")).endswith("pictures val")


def test_another_order_of_labels_is_noticed(tmp_path: Path) -> None:
    shuffled = (right_so_often(LABELS, 0.95, 10) + 3) % 10
    (one,) = read(tmp_path, evaluated(tmp_path, "a", shuffled, LABELS)).plain
    assert one.order is not None
    assert one.order.moved == 10
    assert one.order.after.value > 0.85
    assert one.order.order[(0 + 3) % 10] == 0


class TestDiff:
    def test_two_runs_are_paired_over_their_images(self, tmp_path: Path) -> None:
        sound, worse = right_so_often(LABELS, 0.9, 10), right_so_often(LABELS, 0.8, 10)
        runs = []
        for name, said in (("before", sound), ("after", worse)):
            path = tmp_path / name
            runs.append(run_of(path, evaluated(path, "a", said, LABELS), evaluated(path, "b", sound, LABELS)))
        rows = {(row.arch, row.quantity): row for row in Diff.of(*runs).rows}
        changed = rows["a", "top1"]
        assert (changed.a, changed.b) == (0.9, 0.8)
        assert changed.effect.estimate == pytest.approx(0.8 / 0.9)
        only = [
            int((runs_correct(sound) & ~runs_correct(worse)).sum()),
            int((runs_correct(worse) & ~runs_correct(sound)).sum()),
        ]
        assert changed.effect.p >= binomtest(only[0], sum(only)).pvalue  # corrected for all rows
        assert changed.effect.verdict == "lower"
        assert rows["b", "top1"].effect.verdict == "same"
        assert rows["a", "left_out"].effect.verdict == "equal"

    def test_without_answers_nothing_is_said(self, tmp_path: Path) -> None:
        paths = [tmp_path / name for name in ("before", "after")]
        runs = [run_of(path, evaluated(path, "a", LABELS, LABELS)) for path in paths]
        for file in (tmp_path / "after" / "outputs").iterdir():
            file.unlink()
        (row,) = (row for row in Diff.of(*runs).rows if row.quantity == "top1")
        assert row.effect.verdict == "undecided"
        assert "not stored" in row.effect.reason


def runs_correct(said: np.ndarray) -> np.ndarray:
    return np.asarray(said == LABELS)
