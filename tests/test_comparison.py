"""The comparison, the accuracies, failures, progress and Pareto fronts."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_records import (
    FAILURES,
    by_name,
    counted,
    failed,
    job,
    make_run,
    record,
    records,
    scored,
    speed,
    stepped,
    training,
)
from series import median_interval

from bench.analysis.accuracy import accuracy_table
from bench.analysis.choosing import pareto_front
from bench.analysis.comparison import _COLUMNS, STATUS_WORDS, Progress, compare_table, failures
from bench.analysis.frame import PENDING, UNREADABLE, to_frame
from bench.records.record import STATUSES, Measurement, Record, count
from bench.stats.intervals import mean_interval
from bench.stats.samples import median

ALEXNET, RESNET18, RESNET50, LENET = by_name("alexnet", "resnet18", "resnet50", "lenet5")[1:] + by_name(
    "lenet5"
)


def table_of(seen: Iterable[Record], **more: object) -> pd.DataFrame:
    return compare_table(to_frame([make_run(seen, **more)]))


def steps(seconds: Sequence[float]) -> Measurement:
    return Measurement(name="step_time", unit="s", better="lower", samples=tuple(seconds))


def latencies(seconds: Sequence[float]) -> Measurement:
    return Measurement(name="latency", unit="s", better="lower", samples=tuple(seconds))


def test_counted_timed_and_trained_make_one_row() -> None:
    table = table_of(records([RESNET18]))
    assert len(table) == 1
    row = table.iloc[0]
    assert row["network"] == row["label"] == "resnet18"
    assert (row["parameters"], row["macs"]) == (RESNET18.parameters, round(RESNET18.mmacs * 1e6))
    assert (row["published_top1"], row["published_top5"]) == (RESNET18.top1, RESNET18.top5)
    assert row[["latency", "throughput", "peak_memory", "train_throughput", "accuracy"]].notna().all()
    assert (row["dataset"], row["recipe"], row["epochs"], row["n_ok"]) == ("cifar10", "std v1", 8, 3)
    assert list(table.columns) == list(_COLUMNS)


def test_latency_is_that_of_batch_one() -> None:
    times = [0.003, 0.001, 0.002, 0.005, 0.004, 0.006, 0.007]
    seen = [
        record(job(RESNET18, "infer", **speed(batch_size=1)), RESNET18, [latencies(times)]),
        record(job(RESNET18, "infer", **speed(batch_size=8)), RESNET18, [latencies([9.0] * 7)]),
    ]
    row = table_of(seen).iloc[0]
    assert row["latency"] == median(times)
    assert (row["latency_low"], row["latency_high"]) == median_interval(times)


def test_choosing_algorithms_by_trying_is_another_row() -> None:
    seen = [
        record(job(RESNET18, "infer", **speed(batch_size=1, **more)), RESNET18, [latencies([s] * 7)])
        for more, s in (({}, 0.2), ({"cudnn_benchmark": True}, 0.1))
    ]
    table = table_of(seen)
    assert dict(zip(table["label"], table["latency"], strict=True)) == {
        "resnet18 · cudnn_benchmark off": 0.2,
        "resnet18 · cudnn_benchmark on": 0.1,
    }


def test_throughput_is_the_largest_batch_over_its_step_and_memory_is_of_that_batch() -> None:
    times = [0.5, 0.4, 0.6, 0.45, 0.55, 0.7, 0.35]
    low, high = median_interval(times)
    seen = [
        record(job(RESNET18, "infer", **speed(batch_size=32)), RESNET18, [steps(times), count("peak_memory", 7e9, "B")]),
        record(job(RESNET18, "infer", **speed(batch_size=4)), RESNET18, [steps([0.1]), count("peak_memory", 1e9, "B")]),
        record(job(RESNET18, "infer", **speed(batch_size=64)), RESNET18, status="oom"),
    ]  # fmt: skip
    row = table_of(seen).iloc[0]
    assert row["throughput"] == 32 / 0.5
    assert (row["throughput_low"], row["throughput_high"]) == (32 / high, 32 / low)
    assert (row["batch_size"], row["peak_memory"]) == (32, 7e9)


def test_training_steps_have_columns_of_their_own() -> None:
    asked = job(RESNET18, "train_step", **speed(batch_size=16))
    row = table_of([record(asked, RESNET18, [steps([0.25] * 7), count("peak_memory", 3e9, "B")])]).iloc[0]
    assert (row["train_throughput"], row["train_batch_size"], row["train_peak_memory"]) == (
        16 / 0.25,
        16,
        3e9,
    )
    assert math.isnan(row["throughput"])


@pytest.mark.parametrize("task", ["cost", "infer", "train_step", "accuracy"])
def test_a_network_with_one_kind_of_job_has_a_row(task: str) -> None:
    settings = {"cost": {}, "accuracy": training()}.get(task, speed())
    table = table_of([record(job(RESNET18, task, **settings), RESNET18)])
    assert table["network"].tolist() == ["resnet18"]


def test_a_pending_network_has_a_row() -> None:
    assert table_of([], planned=[job(RESNET18)])["network"].tolist() == ["resnet18"]


def test_rows_go_by_year_then_macs_and_the_unknown_come_last() -> None:
    mine = replace(RESNET18, name="mine", year=None)
    seen = [record(job(n), n, counted(n)) for n in (mine, RESNET50, RESNET18, ALEXNET, LENET)]
    assert table_of(seen)["network"].tolist() == ["lenet5", "alexnet", "resnet18", "resnet50", "mine"]


def test_each_way_of_running_is_a_row_whose_label_tells_it_apart() -> None:
    rng = random.Random(0)
    seen = [record(job(RESNET18), RESNET18, counted(RESNET18))]
    for device, precision in product(("cpu", "cuda"), ("fp32", "bf16")):
        asked = job(RESNET18, "infer", **speed(device, precision=precision))
        seen.append(record(asked, RESNET18, stepped(RESNET18, 1, rng)))
    table = table_of(seen)
    assert sorted(table["label"]) == [
        f"resnet18 · {d} · {p}" for d in ("cpu", "cuda") for p in ("bf16", "fp32")
    ]
    assert (table["parameters"] == RESNET18.parameters).all()


def test_runs_are_compared_side_by_side() -> None:
    runs = [
        make_run(records([RESNET18], device), name=name) for name, device in (("a", "cpu"), ("b", "cuda"))
    ]
    table = compare_table(to_frame(runs))
    assert table["label"].tolist() == ["resnet18 · cpu · a", "resnet18 · cuda · b"]


def test_input_sizes_are_rows_and_told_apart() -> None:
    seen = [record(job(RESNET18, size=s), RESNET18, [count("macs", s**2, "MAC")]) for s in (64, 32)]
    table = table_of(seen)
    assert table["label"].tolist() == ["resnet18 · 32 px", "resnet18 · 64 px"]
    assert table["macs"].tolist() == [32**2, 64**2]


def test_native_sizes_that_differ_between_networks_are_no_label() -> None:
    assert table_of(record(job(n), n) for n in (LENET, ALEXNET))["label"].tolist() == ["lenet5", "alexnet"]


def test_seeds_become_mean_spread_and_students_interval() -> None:
    values = [0.90, 0.92, 0.94]
    row = table_of(scored(RESNET18, s, v) for s, v in enumerate(values)).iloc[0]
    assert row["accuracy"] == pytest.approx(0.92)
    assert row["accuracy_sd"] == pytest.approx(0.02)
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(mean_interval(values))


def test_no_end_of_an_interval_lies_beyond_all_images() -> None:
    values = [0.95, 1.0]
    assert mean_interval(values)[1] > 1
    row = table_of(scored(RESNET18, s, v) for s, v in enumerate(values)).iloc[0]
    assert (row["accuracy_low"], row["accuracy_high"]) == (pytest.approx(mean_interval(values)[0]), 1.0)
    alone = table_of([scored(RESNET18, 0, 0.9)]).iloc[0]
    assert math.isnan(alone["accuracy_low"])


def test_diverged_failed_and_pending_trainings_stay_in_the_denominator() -> None:
    seen = [scored(RESNET18, 0, 0.9), scored(RESNET18, 1, 0.1).changed(status="diverged")]
    seen.append(record(job(RESNET18, "accuracy", seed=2, size=32, **training()), RESNET18, status="killed"))
    planned = [job(RESNET18, "accuracy", seed=s, size=32, **training()) for s in range(5)]
    row = table_of(seen, planned=planned).iloc[0]
    assert (row["accuracy"], row["n_ok"], row["n_planned"], row["diverged"]) == (0.9, 1, 5, 1)
    assert math.isnan(row["accuracy_sd"])


def test_recipes_of_one_name_but_different_content_are_not_averaged() -> None:
    other = {"name": "std", "version": 1, "learning_rate": 0.4}
    seen = [scored(RESNET18, 0, 0.9), scored(RESNET18, 0, 0.5, recipe=other)]
    assert sorted(accuracy_table(to_frame([make_run(seen)]))["accuracy"]) == [0.5, 0.9]


def test_a_network_that_was_only_trained_has_a_row_for_each_condition() -> None:
    taught = [(RESNET18, "digits"), (RESNET18, "cifar10"), (RESNET50, "cifar10")]
    seen = [scored(net, seed, 0.9, dataset=dataset) for net, dataset in taught for seed in (0, 1)]
    table = compare_table(to_frame([make_run(seen)]))
    assert sorted(zip(table["label"], table["dataset"], table["n_ok"], strict=True)) == [
        ("resnet18 · cifar10", "cifar10", 2),
        ("resnet18 · digits", "digits", 2),
        ("resnet50", "cifar10", 2),
    ]


def test_row_has_the_training_that_most_networks_share() -> None:
    seen = [
        record(job(RESNET18), RESNET18, counted(RESNET18)),
        scored(RESNET18, 0, 0.99, dataset="digits"),
        scored(RESNET18, 0, 0.90),
        scored(RESNET50, 0, 0.91),
        scored(LENET, 0, 0.98, dataset="mnist"),
    ]
    frame = to_frame([make_run(seen)])
    shown = compare_table(frame).set_index("network")["dataset"]
    assert shown.to_dict() == {"resnet18": "cifar10", "resnet50": "cifar10", "lenet5": "mnist"}
    assert accuracy_table(frame)["dataset"].tolist() == ["cifar10", "cifar10", "digits", "mnist"]


def test_empty_frame_gives_empty_tables() -> None:
    frame = to_frame([])
    assert list(compare_table(frame).columns) == list(_COLUMNS)
    assert len(compare_table(frame)) == len(accuracy_table(frame)) == len(failures(frame)) == 0
    assert (Progress.of(frame).planned, str(Progress.of(frame))) == (0, "0 of 0 measured")


def test_failures_have_each_job_once_with_its_reason() -> None:
    frame = to_frame([make_run()])
    listed = failures(frame)
    assert dict(zip(listed["status"], listed["error"], strict=True)) == {
        s: f"Error: {m}" for s, m in FAILURES.items()
    }
    assert listed.loc[listed["status"] == "oom", "tip"].tolist() == ["try a smaller batch"]
    assert listed.loc[listed["status"] == "diverged", "label"].str.startswith("accuracy googlenet").all()


def test_a_failure_with_measurements_is_listed_once() -> None:
    seen = record(job(RESNET18), RESNET18, counted(RESNET18), status="timeout")
    assert failures(to_frame([make_run([seen])]))["status"].tolist() == ["timeout"]


def test_progress_counts_each_job_once() -> None:
    done = Progress.of(to_frame([make_run()]))
    assert (done.planned, done.ok, done.counts["pending"]) == (14 * 7 + 9 + 4, 14 * 7, 4)
    assert str(done).startswith("98 of 111 measured, 1 unsupported, 1 out of memory, ")
    assert str(done).endswith(", 4 pending")


def test_progress_goes_by_the_latest_attempt() -> None:
    first = record(job(RESNET18), RESNET18, status="killed")
    again = record(job(RESNET18), RESNET18, counted(RESNET18), attempt=2)
    for attempts in ("latest", "all"):
        assert Progress.of(to_frame([make_run([first, again])], attempts=attempts)).counts == {"ok": 1}


def test_every_status_has_words() -> None:
    assert set(STATUS_WORDS) == {*STATUSES, PENDING, UNREADABLE}
    assert {r.status for r in failed()} == set(STATUSES) - {"ok"}


numbers = st.sampled_from([math.nan, 0.0, 1.0, 2.0, 3.0, 3.5]) | st.floats(-5, 5)


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, numbers), max_size=12), st.sampled_from(["lower", "higher"]))
def test_pareto_front_against_brute_force(points: list[tuple[float, float]], better: str) -> None:
    sign = 1 if better == "lower" else -1

    def dominated(x: float, y: float) -> bool:
        return any(
            sign * a <= sign * x and b >= y and (a, b) != (x, y)
            for a, b in points
            if not (math.isnan(a) or math.isnan(b))
        )

    expected = [not (math.isnan(x) or math.isnan(y) or dominated(x, y)) for x, y in points]
    frame = pd.DataFrame(points, columns=["x", "y"], dtype=float)
    assert pareto_front(frame, "x", "y", cost_better=better).tolist() == expected


@pytest.mark.parametrize("given", [{}, {"device": "cpu"}, {"device": "cpu", "precision": "fp32"}])
def test_settings_that_no_job_of_a_run_has_are_missing(given: dict[str, object]) -> None:
    """As of an older version's jobs; a column of which nothing is known has a kind all the same."""
    timed = [
        record(job(LENET, "infer", batch_size=1, replicate=n, **given), LENET, [latencies([1.0] * 8)])
        for n in range(3)
    ]
    table = table_of([record(job(net), net, counted(net)) for net in (RESNET18, LENET)] + timed)
    row = table.set_index("network").loc["lenet5"]
    assert row["latency"] == 1.0
    assert pd.isna(row["latency_p99"])  # of 24 samples
    assert all(pd.isna(row[key]) for key in ("precision", "memory_format", "threads") if key not in given)
