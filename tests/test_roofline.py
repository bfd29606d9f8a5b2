"""The roofline, by arithmetic."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from conftest import make_job, make_record

from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.analysis.roofline import ceilings_of, machine_rows, rooflines
from bench.records.record import Measurement, Record, count
from bench.records.store import Run

ON_CPU = {"device": "cpu", "threads": 2}


def rate(name: str, unit: str, value: float) -> Measurement:
    return Measurement(name=name, unit=unit, better="higher", samples=(value,))


def ceiling(precision: str, peak: float, bandwidth: float, **own: int) -> Record:
    settings = {**ON_CPU, "precision": precision, **own}
    job = make_job(task="ceiling", arch="ceiling", input_size=1, settings=settings)
    found = (rate("matmul_rate", "MAC/s", peak), rate("copy_bandwidth", "B/s", bandwidth))
    return make_record(job=job, measurements=found)


def timed(precision: str, step_s: float, batch: int = 10) -> Record:
    settings = {**ON_CPU, "precision": precision, "memory_format": "contiguous", "backend": "eager"}
    job = make_job(task="infer", settings={**settings, "batch_size": batch})
    step = Measurement(name="step_time", unit="s", better="lower", samples=(step_s,))
    return make_record(job=job, measurements=(step,))


COUNTED = make_record(
    measurements=(
        count("macs", 1000, "MAC"),
        count("activation_bytes", 40, "B"),
        count("parameter_bytes", 100, "B"),
    )
)


def row(*records: Record) -> dict[str, Any]:
    table = compare_table(to_frame([Run("r", Path("r"), (COUNTED, *records), (), ())]))
    (found,) = table[table["throughput"].notna()].to_dict("records")
    return {str(column): value for column, value in found.items()}


def ceilings(*records: Record) -> tuple[float, float]:
    """Return what a job in fp32 is held against."""
    frame = to_frame([Run("r", Path("r"), (COUNTED, *records), (), ())])
    (found,) = ceilings_of([{"run": "r", **ON_CPU, "precision": "fp32"}], machine_rows(frame))
    return found


def test_bound_by_memory() -> None:
    # 10 images move 10 * 40 + 100 = 500 B for 10,000 MAC: 20 MAC/B; at 5 B/s no more than 100 MAC/s.
    found = row(timed("fp32", 200.0), ceiling("fp32", 1e6, 5.0))
    assert found["intensity"] == 20
    assert found["roofline_share"] == pytest.approx((10_000 / 200) / 100)


def test_bound_by_products() -> None:
    found = row(timed("fp32", 200.0), ceiling("fp32", 80.0, 1e6))
    assert found["roofline_share"] == pytest.approx(50 / 80)


@pytest.mark.parametrize(
    ("precision", "intensity"),
    [("tf32", 20.0), ("bf16", 40.0), ("fp16", 40.0), ("amp_bf16", 10_000 / (10 * 20 + 100))],
)
def test_bytes_are_those_of_the_precision(precision: str, intensity: float) -> None:
    assert row(timed(precision, 1.0), ceiling(precision, 1.0, 1.0))["intensity"] == pytest.approx(intensity)


def test_autocast_is_held_against_its_16_bit_type() -> None:
    found = row(timed("amp_bf16", 1000.0), ceiling("fp32", 1.0, 1e9), ceiling("bf16", 100.0, 1e9))
    assert found["roofline_share"] == pytest.approx(10 / 100)


@pytest.mark.parametrize("numbers", [(None, 1, 2), (0, 1, 2)])
def test_of_several_processes_the_best_is_the_ceiling(numbers: tuple[int | None, ...]) -> None:
    """One process is slow as a whole, by seven times; an earlier version stored one that has no number."""
    processes = zip(numbers, (1.0, 1.01, 1 / 7), strict=True)
    several = [
        ceiling("fp32", 80.0 * share, 1e6 / share, **({} if number is None else {"replicate": number}))
        for number, share in processes
    ]
    for order in (several, several[::-1]):
        assert row(timed("fp32", 200.0), *order)["roofline_share"] == pytest.approx(50 / 80.8)
    assert ceilings(*several) == (80.8, 7e6)


def test_without_a_ceiling_there_is_no_share() -> None:
    found = row(timed("fp32", 1.0), ceiling("bf16", 1.0, 1.0))
    assert found["intensity"] == 20
    assert math.isnan(found["roofline_share"])


def test_the_machine_is_no_network() -> None:
    frame = to_frame([Run("r", Path("r"), (COUNTED, ceiling("fp32", 2.0, 3.0)), (), ())])
    assert set(compare_table(frame)["network"]) == {"net"}
    assert ceilings(ceiling("fp32", 2.0, 3.0)) == (2.0, 3.0)


def test_of_no_rows_there_is_no_roofline() -> None:
    assert [list(numbers) for numbers in rooflines([], [])] == [[], []]
