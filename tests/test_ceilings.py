"""The machine's ceilings, with a fake clock, and once for real; and how they are planned."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import pytest
from conftest import make_catalog
from fake_clock import FakeClock

from bench.execution._rounds import rows_of
from bench.execution._worker import _measure
from bench.plan.config import Experiment
from bench.plan.expand import expand, in_rounds
from bench.plan.job import Job
from bench.plan.settings import Timing
from bench.plan.task import Hooks
from bench.timing import ceilings
from bench.timing.ceilings import _best_product, _copy_bandwidth, _sides
from bench.timing.clock import Workload

TIMING = Timing(warmup_s=0.01, min_s=0.0, limit_s=0.05, min_samples=6)


class Machine(FakeClock):
    """A clock on which a product takes as long as its size says."""

    def __init__(self, rates: dict[int, float]) -> None:
        super().__init__([0.0])
        self.rates = rates
        self.made: list[int] = []

    def make(self, side: int) -> Workload:
        self.made.append(side)
        return lambda: self.costs.__setitem__(0, side**3 / self.rates[side])


def test_the_rate_is_that_of_the_best_size() -> None:
    machine = Machine({10: 1e6, 20: 4e6, 40: 2e6})
    found = _best_product(machine.make, (10, 20, 40), machine, TIMING)
    assert (found.name, found.unit, found.better) == ("matmul_rate", "MAC/s", "higher")
    assert found.samples == tuple(pytest.approx(4e6) for _ in found.samples)
    assert found.detail["rates"] == {
        "10": pytest.approx(1e6),
        "20": pytest.approx(4e6),
        "40": pytest.approx(2e6),
    }
    assert "20 x 20" in found.detail["of"]


def test_a_size_that_would_take_too_long_is_not_tried() -> None:
    machine = Machine(dict.fromkeys((10, 20, 40), 1e5))  # 0.01, 0.08 and 0.64 s
    found = _best_product(machine.make, (10, 20, 40), machine, TIMING)
    assert machine.made == [10, 20]
    assert set(found.detail["rates"]) == {"10", "20"}


def test_sides_double_as_long_as_three_matrices_fit() -> None:
    room = 3 * 8192**2 * 2
    assert list(_sides(2048, room, 2)) == [2048, 4096, 8192]
    assert list(_sides(2048, room, 4)) == [2048, 4096]
    assert list(_sides(2048, 0, 4)) == [2048]


def test_the_watch_looks_between_samples() -> None:
    machine, ticks = Machine({10: 1e6}), []
    _best_product(machine.make, (10,), machine, TIMING, lambda: ticks.append("product"))
    _copy_bandwidth("cpu", 1000, FakeClock([0.5]), TIMING, lambda: ticks.append("copy"))
    assert ticks.count("product") >= 6
    assert ticks.count("copy") >= 6


def test_a_copy_reads_and_writes() -> None:
    found = _copy_bandwidth("cpu", 1000, FakeClock([0.5]), TIMING)
    assert set(found.samples) == {2 * 1000 / 0.5}
    assert found.unit == "B/s"


def test_a_ceiling_job_measures_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ceilings._FIRST_SIDE, "cpu", 32)
    monkeypatch.setattr(ceilings, "_free", lambda device: 8 * 3 * 64**2 * 4)  # for sides up to 64
    monkeypatch.setitem(ceilings._COPY_BYTES, "cpu", 1 << 20)
    monkeypatch.setattr(ceilings, "_LONGEST_S", math.inf)  # also where others have the cores
    experiment = Experiment.parse({"blocks": [{"task": "ceiling", "timing": TIMING.model_dump()}]})
    planned, *_ = expand(experiment, make_catalog())
    hooks = Hooks(stage=lambda _: None, progress=lambda *_: None, environment=lambda _: None)
    found = {m.name: m for m in _measure(planned.job, hooks)}
    assert set(found) == {"matmul_rate", "copy_bandwidth"}
    assert all(max(m.samples) > 1e6 for m in found.values())
    assert set(found["matmul_rate"].detail["rates"]) == {"32", "64"}
    assert found["copy_bandwidth"].detail["copied_B"] == 3 * 64**2 * 4 // 2


def plan(block: dict[str, Any], **catalog: Any) -> list[Any]:
    return [p.job for p in expand(Experiment.parse({"blocks": [block]}), make_catalog("a", **catalog))]


def test_it_is_planned_in_three_processes_for_each_precision_and_needs_no_network() -> None:
    jobs = plan({"task": "ceiling", "grid": {"precision": ["fp32", "bf16", "fp32"]}})
    assert [(j.task, j.arch, j.settings.precision, j.settings.replicate) for j in jobs] == [
        ("ceiling", "ceiling", precision, process) for precision in ("fp32", "bf16") for process in range(3)
    ]
    assert {(j.settings.device, j.settings.threads) for j in jobs} == {("cpu", 2)}
    assert jobs[0].label() == "ceiling process 1"
    assert jobs[3].label() == "ceiling process 1 bf16"
    assert len({j.id for j in jobs}) == 6
    assert len({j.series() for j in jobs}) == 2


def test_a_block_may_name_the_processes() -> None:
    assert [j.settings.replicate for j in plan({"task": "ceiling", "replicate": 0})] == [0]
    assert [j.settings.replicate for j in plan({"task": "ceiling", "grid": {"replicate": [3, 1]}})] == [3, 1]


def test_a_stored_job_of_one_process_has_no_number() -> None:
    settings = {"device": "cpu", "precision": "fp32", "threads": 2}
    job = Job(task="ceiling", arch="ceiling", input_size=1, settings=settings)  # type: ignore[arg-type]
    assert job.settings.content == settings
    assert job.with_settings(replicate=0).with_settings(replicate=None).id == job.id
    assert job.label() == "ceiling"


def test_each_round_of_times_begins_with_a_process_of_it_and_none_is_added() -> None:
    blocks = [
        {"task": "ceiling"},
        {"task": "cost", "grid": {"arch": ["a"]}},
        {
            "task": "infer",
            "processes": {"least": 4, "most": 4},
            "grid": {"arch": ["a"], "batch_size": [1, 2]},
        },
    ]
    planned = in_rounds(expand(Experiment.parse({"blocks": blocks}), make_catalog("a")))
    order = [(p.job.task, p.job.settings.given.get("replicate")) for p in planned]
    rounds = [[("ceiling", n)] * (n < 3) + [("infer", n)] * 2 for n in range(4)]
    assert order == [("cost", None), *chain(*rounds)]
    assert {row.planned.job.task for row in rows_of(planned, {})} == {"infer"}


def test_other_networks_leave_it_alone(tmp_path: Any) -> None:
    file = tmp_path / "e.yaml"
    file.write_text("blocks:\n  - {task: ceiling}\n  - {task: cost, grid: {arch: [b]}}\n")
    jobs = [p.job for p in expand(Experiment.load(str(file)).narrowed(archs=["a"]), make_catalog("a"))]
    assert [(j.task, j.arch) for j in jobs] == [*[("ceiling", "ceiling")] * 3, ("cost", "a")]
