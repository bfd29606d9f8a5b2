"""Several processes for one measurement: their order in a plan, and what is told of them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_job, make_planned, make_record, seconds
from scipy import stats
from series import median_interval

from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.plan.expand import in_rounds
from bench.records.record import Record, count
from bench.records.store import Run
from bench.stats.intervals import Interval, _interpolated_interval

SETTINGS = {
    "device": "cpu",
    "precision": "fp32",
    "memory_format": "contiguous",
    "backend": "eager",
    "threads": 2,
}


def infer(arch: str, replicate: int | None, batch_size: int = 1) -> dict[str, object]:
    number = {} if replicate is None else {"replicate": replicate}
    return {"task": "infer", "arch": arch, "settings": {**SETTINGS, "batch_size": batch_size, **number}}


def test_timed_jobs_go_round_by_round_in_an_order_that_is_drawn() -> None:
    names = [f"net{i}" for i in range(8)]
    timed = [make_planned(**infer(n, r)) for n in names for r in range(3)]
    skipped = replace(make_planned(**infer("never", 0)), status="skipped")
    plan = [
        make_planned(arch="counted"),
        *timed[:5],
        skipped,
        *timed[5:],
        make_planned(task="accuracy", arch="trained"),
    ]
    ordered = in_rounds(plan)
    assert Counter(p.job.id for p in ordered) == Counter(p.job.id for p in plan)
    assert ordered[0].job.arch == "counted"
    assert [p.job.arch for p in ordered[-2:]] == ["never", "trained"]
    rounds = [ordered[1 + 8 * r : 9 + 8 * r] for r in range(3)]
    for number, jobs in enumerate(rounds):
        assert {p.job.settings.replicate for p in jobs} == {number}
        assert sorted(p.job.arch for p in jobs) == names
    assert len({tuple(p.job.arch for p in jobs) for jobs in rounds}) == 3  # each round in another order
    assert in_rounds(plan) == ordered
    assert in_rounds(plan, seed=1) != ordered


def timed(arch: str, replicate: int | None, *latencies: float) -> Record:
    job = make_job(**infer(arch, replicate))
    return make_record(
        job=job, measurements=(seconds("latency", *latencies), seconds("step_time", *latencies))
    )


def test_the_process_is_the_unit() -> None:
    medians = [1.0, 1.2, 1.1, 1.3, 0.9, 1.15]
    records = [timed("many", i, m, m, 5.0) for i, m in enumerate(medians)]
    table = compare_table(to_frame([Run("r", Path("r"), (*records, timed("one", None, 2.0, 2.1, 2.2)))]))
    rows = {row["network"]: row for row in table.to_dict("records")}
    assert len(rows) == 2
    middle = math.sqrt(1.1 * 1.15)
    assert rows["many"]["latency"] == pytest.approx(middle)
    low, high = np.exp(_interpolated_interval(np.log(medians).tolist()))
    assert (rows["many"]["latency_low"], rows["many"]["latency_high"]) == pytest.approx((low, high))
    assert rows["many"]["throughput"] == pytest.approx(1 / middle)
    assert rows["one"]["latency"] == 2.1


def test_the_samples_of_one_process_alone_are_correlated() -> None:
    rng = np.random.default_rng(0)
    samples = np.exp(0.02 * np.cumsum(rng.normal(size=60)) + 0.01 * rng.normal(size=60)).tolist()
    (row,) = compare_table(to_frame([Run("r", Path("r"), (timed("one", None, *samples),))])).to_dict(
        "records"
    )
    interval = Interval.within_one(samples)
    assert (row["latency_low"], row["latency_high"]) == (interval.low, interval.high)
    assert interval.high - interval.low > np.subtract(*median_interval(samples)[::-1])


def flags_in(records: list[Record], column: str) -> list[str]:
    return compare_table(to_frame([Run("r", Path("r"), tuple(records))]))[f"{column}_flags"].tolist()


def flagged(record: Record, *flags: str) -> Record:
    return record.changed(measurements=tuple(m.changed(flags=flags) for m in record.measurements))


def with_energy(record: Record, joules: float, *flags: str) -> Record:
    energy = count("energy", joules, "J").changed(flags=flags)
    return record.changed(measurements=(*record.measurements, energy))


def test_what_is_told_of_one_process_is_told_of_the_number_but_for_its_own_noise() -> None:
    alone = flagged(timed("net", None, 1.0), "noisy", "unsteady")
    assert flags_in([alone], "latency") == flags_in([alone], "throughput") == ["noisy;unsteady;one_process"]
    several = [flagged(timed("net", i, 1.0 + i / 1000), "noisy", *(["stolen"] * (i == 1))) for i in range(4)]
    assert flags_in(several, "latency") == ["stolen"]  # the processes are within 0.3 % of one another
    apart = [with_energy(timed("net", i, m), m) for i, m in enumerate((1.0, 2.0, 3.0))]
    assert flags_in(apart, "latency") == ["noisy"]
    assert flags_in(apart, "energy") == [""]  # has no interval that could be wide
    hot = [
        with_energy(timed("net", i, 1.0), 1.0, *flags)
        for i, flags in enumerate((["throttled"], [], ["swapping"]))
    ]
    assert flags_in(hot, "energy") == ["throttled;swapping"]
    assert flags_in([with_energy(timed("net", 0, 1.0), 1.0)], "energy") == [""]  # nor is it a time


def test_percentiles_are_the_median_over_processes_of_theirs_and_refused_where_samples_are_few() -> None:
    rng = np.random.default_rng(0)
    drawn = [
        1 + i / 100 + rng.permutation(np.arange(99)) / 1000 for i in (0, 1, 2, 3, 900)
    ]  # of each p90 is its 90th
    records = [timed("net", i, *samples.tolist()) for i, samples in enumerate(drawn)]
    [row] = compare_table(to_frame([Run("r", Path("r"), tuple(records))])).to_dict("records")
    place = (99 + 1 / 3) * 0.9 + 1 / 3 - 1  # without bias of the median, from 0
    assert row["latency_p90"] == pytest.approx(1.02 + place / 1000)
    assert row["latency_p90_low"] == pytest.approx(1 + place / 1000)
    assert row["latency_p90_high"] == pytest.approx(10 + place / 1000)  # one process is slow as a whole
    assert math.isnan(row["latency_p90_needed"])
    assert not [column for column in row if "p50" in column]  # which is the latency once more
    assert math.isnan(row["latency_p99"])
    assert row["latency_p99_needed"] == 100
    [few] = compare_table(to_frame([Run("r", Path("r"), tuple(records[:1]))])).to_dict("records")
    assert math.isnan(few["latency_p99"])
    assert few["latency_p99_needed"] >= 368  # log 0.025 / log 0.99 independent ones


def test_two_processes_say_how_little_they_know() -> None:
    table = compare_table(to_frame([Run("r", Path("r"), (timed("net", 0, 1.0), timed("net", 1, 2.0)))]))
    assert table["latency"].tolist() == pytest.approx([math.sqrt(2)])
    reach = math.exp(
        stats.t.ppf(0.975, 1) * math.log(2) / 2
    )  # half of the logarithms' distance is their error
    assert (table["latency_low"][0], table["latency_high"][0]) == pytest.approx(
        (math.sqrt(2) / reach, math.sqrt(2) * reach)
    )
