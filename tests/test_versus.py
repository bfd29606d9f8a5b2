"""Networks timed in turn: the order, the pairing, and the verdicts, with clocks and records that are made up."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_catalog, make_job, make_planned, make_record, scripted, seconds
from fake_clock import FakeClock
from fake_executor import FakeExecutor
from typer.testing import CliRunner

import bench
from bench.analysis.dictionary import typed
from bench.analysis.trainings import SeriesComparison
from bench.analysis.versus import Ratio, _Standing, _stored_band
from bench.api._comparing import _at_one_size, _enough, _labelled, _least_processes
from bench.backends import BACKENDS
from bench.cli.app import app
from bench.execution import EXECUTORS, Ended, Event, ExecutorKind
from bench.plan.card import ArchCard
from bench.plan.config import Experiment
from bench.plan.expand import expand
from bench.plan.job import Job
from bench.plan.settings import Timing
from bench.plan.task import Hooks
from bench.records.record import Record, count
from bench.records.store import Run
from bench.report.tables.verdicts import _ratio_cell, versus_document
from bench.report.write import write_report
from bench.stats.effects import Effect
from bench.tasks import _versus
from bench.tasks._versus import _call, measure_versus
from bench.tasks.versus import versus
from bench.timing._watch import WatchReport
from bench.timing.interleaving import interleave
from bench.timing.steps import Instruments
from bench.units import bound

TIMING = Timing(warmup_s=0.01, min_s=0, limit_s=10, precision=0.01, min_samples=8, max_samples=100)


class Turns(FakeClock):
    """Knows which call costs what, and writes down who was called; everything gets slower with time."""

    def __init__(self, costs: dict[str, float], drift: float = 0.0) -> None:
        super().__init__([0.0])
        self.by_name, self.drift, self.order = costs, drift, ""

    def seconds(self, call: Any, calls: int) -> float:
        name = call()
        self.order += name
        taken = calls * self.by_name[name] * (1 + self.drift * self._now)
        self._now += taken
        return taken


def test_every_second_round_goes_backwards() -> None:
    clock = Turns({"a": 0.01, "b": 0.02, "c": 0.03})
    taken = interleave({n: (lambda n=n: n) for n in "abc"}, clock, TIMING)  # type: ignore[misc]
    assert clock.order.endswith("abccba" * 4)
    assert {n: len(s.seconds) for n, s in taken.items()} == {"a": 8, "b": 8, "c": 8}
    assert {s.stop for s in taken.values()} == {"precise"}


def test_drift_takes_from_each_alike() -> None:
    clock = Turns({"a": 0.01, "b": 0.011}, drift=0.5)
    taken = interleave({n: (lambda n=n: n) for n in "ab"}, clock, TIMING)  # type: ignore[misc]
    assert taken["a"].seconds[-1] > 1.04 * taken["a"].seconds[0]
    ratios = [b / a for a, b in zip(taken["a"].seconds, taken["b"].seconds, strict=True)]
    assert np.median(ratios) == pytest.approx(1.1, rel=0.01)


def test_short_calls_are_timed_in_blocks() -> None:
    clock = Turns({"a": 1e-4, "b": 1e-3})
    timing = TIMING.model_copy(update={"min_block_s": 0.01})
    taken = interleave({n: (lambda n=n: n) for n in "ab"}, clock, timing, blocks=True)  # type: ignore[misc]
    assert {n: s.block for n, s in taken.items()} == {"a": 100, "b": 10}
    assert taken["a"].seconds == pytest.approx((1e-4,) * 8)


def test_the_share_of_launching_is_told_of_each() -> None:
    class Launches(Turns):
        def seconds(self, call: Any, calls: int) -> float:
            taken = super().seconds(call, calls)
            self.launch_s = taken * {"a": 0.25, "b": 1.0}[self.order[-1]]
            return taken

    clock = Launches({"a": 0.01, "b": 0.02})
    taken = interleave({n: (lambda n=n: n) for n in "ab"}, clock, TIMING)  # type: ignore[misc]
    assert [s.launch_share for s in taken.values()] == [pytest.approx(0.25), pytest.approx(1.0)]
    plain = interleave({"a": lambda: "a"}, Turns({"a": 0.01}), TIMING)
    assert plain["a"].launch_share is None


@pytest.mark.parametrize(("launch", "flags"), [(0.5, ()), (0.96, ("launch_bound",))])
def test_networks_that_python_holds_up_are_flagged(
    monkeypatch: pytest.MonkeyPatch, launch: float, flags: tuple[str, ...]
) -> None:
    tools = replace(Instruments.of("cpu"), step=FakeClock([0.01], launch), watch=Quiet())
    monkeypatch.setattr(Instruments, "of", lambda device, **more: tools)
    monkeypatch.setattr(_versus, "_placed", lambda job, hooks: (torch.nn.Identity(), ONE_IMAGE))
    seen = measure_versus(two_networks(), Hooks())
    found = list(seen)
    steps = [m for m in found if m.name == "step_time"]
    assert [m.flags for m in steps] == [flags, flags]
    assert [m.detail["launch_share"] for m in steps] == [pytest.approx(launch)] * 2
    assert not any("launch_share" in m.detail for m in found if m.name == "latency")


ONE_IMAGE = torch.zeros(1, 3, 8, 8)


class Quiet:
    """A watch that sees nothing."""

    def start(self) -> None: ...

    def tick(self) -> None: ...

    def stop(self, *, launch_bound: bool = False) -> WatchReport:
        return WatchReport({}, ())


def two_networks() -> Job:
    shape = {"input_size": 8, "in_channels": 3, "num_classes": 10}
    networks = [{"label": n, "arch": n, **shape} for n in "ab"]
    timing = {"warmup_s": 0.001, "min_s": 0.0, "limit_s": 0.01, "min_samples": 6}
    settings = {"backend": "eager", "device": "cpu", "precision": "fp32", "batch_size": 1, "timing": timing}
    return make_job(task="versus", settings={**settings, "networks": networks, "labels": ["a", "b"]})


def plan(count: int = 8, **more: Any) -> list[Any]:
    names = ("mine.py:Net", "resnet18", "resnet18")
    return versus(
        _labelled([make_planned(task="infer", arch=n, settings=_SETTINGS) for n in names]), count, **more
    )


_SETTINGS = {"device": "cpu", "precision": "fp32", "backend": "eager", "batch_size": 8}


def test_a_plan_begins_with_another_network_in_each_process() -> None:
    jobs = [p.job for p in plan(4)]
    assert len({j.id for j in jobs}) == 4
    assert [j.settings.networks[0].label for j in jobs] == [
        "mine.py:Net", "resnet18", "resnet18 #2", "mine.py:Net"
    ]  # fmt: skip
    assert jobs[0].settings.labels == ("mine.py:Net", "resnet18", "resnet18 #2")
    assert {j.task for j in jobs} == {"versus"}


@pytest.mark.parametrize("baselines", [1, 2, 3, 5, 10])
def test_there_are_enough_processes_for_a_verdict(baselines: int) -> None:
    n = _enough(baselines)
    assert n >= 8
    assert 2 * baselines * 2 ** (1 - n) <= 0.05
    least = _least_processes(2 * baselines)
    assert 2 * baselines * 2 ** (1 - least) <= 0.05 < 2 * baselines * 2 ** (2 - least)


def measured(job: Any, times: dict[str, float], spread: float, seed: int) -> Record:
    """Return a record of one process, in which a network takes so long, give or take."""
    rng = np.random.default_rng(seed)
    found = []
    for name, batch in (("latency", 1), ("step_time", 8)):
        for label in job.settings.labels:
            samples = times[label] * batch * np.exp(rng.normal(0, spread, 10))
            detail = {"label": label, "batch_size": batch}
            found.append(seconds(name, *samples.tolist()).changed(detail=detail))
    return make_record().changed(job=job, measurements=tuple(found))


def run_of(
    times: dict[str, float], spread: float = 0.005, processes: int = 9, extra: Sequence[Record] = ()
) -> Run:
    jobs = [p.job for p in plan(processes)]
    return Run("r", Path("r"), (*(measured(j, times, spread, i) for i, j in enumerate(jobs)), *extra))


TIMES = {"mine.py:Net": 1.05, "resnet18": 1.0, "resnet18 #2": 1.3}


def test_verdicts_of_a_slower_and_a_faster_network() -> None:
    rows = {(r.baseline, r.quantity): r for r in Ratio.in_run(run_of(TIMES))}
    slower = rows["resnet18", "latency"]
    assert slower.effect.verdict == "slower"
    assert slower.effect.estimate == pytest.approx(1.05, rel=0.01)
    assert slower.effect.low < 1.05 < slower.effect.high
    assert slower.effect.p == pytest.approx(4 * 2 ** (1 - 9))  # nine signs agree; four tests
    faster = rows["resnet18 #2", "throughput"]
    assert (faster.effect.verdict, faster.sign) == ("faster", 1)
    assert faster.effect.estimate == pytest.approx(1.3 / 1.05, rel=0.01)  # of rates
    assert rows["resnet18", "throughput"].effect.verdict == "slower"


def test_an_exact_copy_is_the_same() -> None:
    rows = Ratio.in_run(run_of({**TIMES, "mine.py:Net": 1.0}))
    assert {r.effect.verdict for r in rows if r.baseline == "resnet18"} == {"same"}


def test_images_of_different_sizes_are_a_doubt() -> None:
    run = run_of(TIMES)
    assert not any("other_input" in row.flags for row in Ratio.in_run(run))

    def shrunk(record: Record) -> Record:
        networks = [
            {**n, "input_size": 999} if n["label"] == "resnet18" else n
            for n in record.job.settings.content["networks"]
        ]
        return record.changed(
            job=replace(record.job, settings={**record.job.settings.content, "networks": networks})
        )

    rows = Ratio.in_run(replace(run, records=tuple(map(shrunk, run.records))))
    assert {r.baseline for r in rows if "other_input" in r.flags} == {"resnet18"}


def test_noise_leaves_it_undecided_and_few_processes_too() -> None:
    noisy = Ratio.in_run(run_of(TIMES, spread=0.6))
    assert {r.effect.verdict for r in noisy if r.baseline == "resnet18"} == {"undecided"}
    few = Ratio.in_run(run_of(TIMES, processes=3))
    assert {r.effect.verdict for r in few} == {"undecided"}
    assert "at least 6" in few[0].effect.reason


def alone(
    arch: str, parameters: int, memory: float = 50e6, top1: Sequence[float] = (), **more: Any
) -> list[Record]:
    """Return what is measured of a network alone; `more` are fields of the jobs of its trainings."""

    def record(task: Any, *measurements: Any, **fields: Any) -> Record:
        job = make_job(**{"task": task, "arch": arch, "settings": _SETTINGS, **fields})
        return make_record(job=job, measurements=measurements)

    memories = (count("tensor_memory", memory, "B"), count("peak_memory", memory + 8e6, "B"))
    return [
        record("cost", count("parameters", parameters), count("macs", 100, "MAC")),
        record("infer", *memories),
        *(record("accuracy", count("top1", t, better="higher"), seed=i, **more) for i, t in enumerate(top1)),
    ]


GOOD, POOR = [0.91, 0.912, 0.911], [0.90, 0.90, 0.901]


def test_counts_memory_and_accuracy_stand_beside_the_times() -> None:
    extra = alone("mine.py:Net", 90, 50e6, GOOD) + alone("resnet18", 100, 52e6, POOR)
    rows = {(r.baseline, r.quantity): r for r in Ratio.in_run(run_of(TIMES, extra=extra))}
    assert rows["resnet18", "parameters"].effect.estimate == 0.9
    assert rows["resnet18", "parameters"].sign == 1
    assert rows["resnet18", "macs"].effect.verdict == "equal"
    memory = rows["resnet18", "tensor_memory"].effect
    assert (memory.verdict, memory.estimate, memory.counted) == ("lower", 50 / 52, True)
    assert "58.0 MB and 60.0 MB" in memory.reason  # of the processes, which are no line of their own
    assert ("resnet18", "peak_memory") not in rows
    assert rows["resnet18", "accuracy"].effect.verdict == "higher"
    traded, dominates = Ratio.standings(list(rows.values()))
    assert (traded.verdict, traded.sentence) == (
        "traded",
        "mine.py:Net against resnet18: smaller in memory of tensors, parameters; better in accuracy; slower in latency, "
        "throughput; the same in MACs",
    )
    assert (dominates.verdict, dominates.sentence) == (
        "dominates",
        "mine.py:Net dominates resnet18 #2: faster in latency, throughput; smaller in memory of tensors, parameters; "
        "better in accuracy; the same in MACs",
    )


FASTER = {"mine.py:Net": 0.5, "resnet18": 1.0, "resnet18 #2": 0.5}
BETTER = alone("mine.py:Net", 90, 50e6, GOOD), alone("resnet18", 100, 52e6, POOR)


def standing_of(run: Run) -> _Standing:
    return Ratio.standings(Ratio.in_run(run))[0]


def test_nothing_dominates_before_every_quantity_is_decided() -> None:
    whole = run_of(FASTER, extra=[*BETTER[0], *BETTER[1]])
    assert standing_of(whole).verdict == "dominates"
    untrained = standing_of(run_of(FASTER, extra=alone("mine.py:Net", 90) + alone("resnet18", 100)))
    assert untrained.verdict == "undecided"
    assert untrained.sentence == (
        "mine.py:Net against resnet18: faster in latency, throughput; smaller in parameters; the same in memory of "
        "tensors, MACs; never measured: accuracy (to know: bench compare mine.py:Net resnet18 --train fashion_mnist)"
    )
    open_times = standing_of(run_of(FASTER, spread=5.0, extra=whole.records[9:]))
    assert open_times.verdict == "undecided"
    assert (
        "undecided in latency, throughput (to know: bench compare mine.py:Net resnet18 --processes 18)"
        in open_times.sentence
    )
    flagged = standing_of(flagged_first(whole, "contended"))
    assert flagged.verdict == "undecided"
    assert "faster in latency (in doubt: contended)" in flagged.sentence
    assert standing_of(flagged_first(whole, "power_capped")).verdict == "dominates"


def flagged_first(run: Run, *flags: str) -> Run:
    """Return the run with flags on what its first process measured."""
    first = run.records[0]
    changed = first.changed(measurements=tuple(m.changed(flags=flags) for m in first.measurements))
    return replace(run, records=(changed, *run.records[1:]))


def test_what_the_samples_of_one_process_are_like_is_no_doubt_about_several() -> None:
    run = flagged_first(run_of(FASTER, extra=[*BETTER[0], *BETTER[1]]), "unsteady", "noisy", "few_samples")
    assert {row.flags for row in Ratio.in_run(run)} == {()}
    assert standing_of(run).verdict == "dominates"


def test_a_doubted_difference_is_no_trade() -> None:
    slower = run_of(TIMES, extra=[*BETTER[0], *BETTER[1]])  # 5 % slower, smaller, better
    assert standing_of(slower).verdict == "traded"
    assert standing_of(flagged_first(slower, "contended")).verdict == "undecided"


def test_a_copy_is_the_same_in_all_there_is() -> None:
    times = {**TIMES, "mine.py:Net": 1.0}
    copies = alone("mine.py:Net", 100, 50e6, [0.9] * 3), alone("resnet18", 100, 50e6, [0.9] * 3)
    run = run_of(times, extra=[*copies[0], *copies[1]])
    rows = {r.quantity: r.effect.verdict for r in Ratio.in_run(run) if r.baseline == "resnet18"}
    assert rows["tensor_memory"] == "equal"
    assert standing_of(run).verdict == "same"


@pytest.mark.parametrize(
    "other", [{"settings": {**_SETTINGS, "recipe": "adamw"}}, {"source_sha256": "changed"}]
)
def test_accuracies_of_two_recipes_or_of_another_definition_are_not_compared(other: dict[str, Any]) -> None:
    timed = run_of(FASTER)  # last, so that their definition is the one that counts
    before = (*alone("mine.py:Net", 90, 50e6, GOOD, **other), *BETTER[1])
    run = replace(timed, records=(*before, *timed.records))
    assert not any(row.quantity == "accuracy" for row in Ratio.in_run(run))
    assert "never measured: accuracy" in standing_of(run).sentence


def test_a_training_that_diverged_leaves_accuracy_undecided() -> None:
    *rest, last = BETTER[0]
    run = run_of(FASTER, extra=[*rest, last.changed(status="diverged", measurements=()), *BETTER[1]])
    accuracy = next(row for row in Ratio.in_run(run) if row.quantity == "accuracy")
    assert (accuracy.effect.verdict, accuracy.effect.reason) == (
        "undecided", "3 and 3 trainings cannot decide by ranks: at least 4 on each side; no test outputs are stored; "
        "mine.py:Net: 1 of 3 diverged",
    )  # fmt: skip
    assert standing_of(run).verdict == "undecided"


def test_accuracies_are_decided_as_those_of_trainings_are() -> None:
    four, other = [0.91 + i / 1000 for i in range(8)], [0.90 + i / 1000 for i in range(7)]
    broken = alone("resnet18", 100, top1=[*other, 0.9])[-1].changed(status="diverged", measurements=())
    for extra in (
        [*BETTER[0], *BETTER[1]],
        [*alone("mine.py:Net", 90, top1=four), *alone("resnet18", 100, top1=other), broken],
    ):
        run = run_of(FASTER, extra=extra)
        [accuracy] = [r for r in Ratio.in_run(run) if (r.baseline, r.quantity) == ("resnet18", "accuracy")]
        trainings = run_of(FASTER, processes=0, extra=[r for r in extra if r.job.task == "accuracy"])
        [decided] = SeriesComparison.in_run(trainings)
        assert accuracy.effect.reason == decided.effect.reason
        assert accuracy.effect.verdict == decided.effect.verdict == "higher"
        values = [m.samples[0] for r in trainings.records if r.job.arch == "resnet18" for m in r.measurements]
        assert accuracy.effect.estimate == pytest.approx(1 + decided.effect.estimate / np.mean(values))


def test_processes_of_an_earlier_definition_are_left_out() -> None:
    run = run_of(TIMES)
    before = run_of({**TIMES, "mine.py:Net": 9.0}).records

    def changed(record: Record) -> Record:
        networks = [{**one, "source_sha256": "earlier"} for one in record.job.settings.content["networks"]]
        return record.changed(
            job=replace(record.job, settings={**record.job.settings.content, "networks": networks})
        )

    both = replace(run, records=(*map(changed, before), *run.records))
    assert ratios_of(both) == ratios_of(run)


def ratios_of(run: Run) -> str:
    """Return the ratios of a run: NaN, which is in them, is equal to no other."""
    return repr(Ratio.in_run(run))


def test_the_comparison_last_asked_for_stands_also_where_it_was_measured_before() -> None:
    run = run_of(TIMES)
    others = [
        record.changed(job=record.job.with_settings(batch_size=64), measurements=record.measurements[:1])
        for record in run.records
    ]
    both = replace(run, records=(*run.records, *others))
    assert ratios_of(both) != ratios_of(run)  # the others came last
    again = tuple(record.job for record in run.records)
    assert ratios_of(replace(both, planned=again)) == ratios_of(run)
    pending = tuple(job.with_settings(batch_size=2) for job in again)
    assert ratios_of(replace(both, planned=pending)) == ratios_of(both)


def test_the_band_is_the_runs(tmp_path: Path) -> None:
    run = run_of({**TIMES, "mine.py:Net": 1.03}, spread=0.0005)

    def told(run: Run) -> list[str]:
        page = write_report([run], tmp_path).index.read_text(encoding="utf-8")
        [row] = [r for r in Ratio.in_run(run) if (r.baseline, r.quantity) == ("resnet18", "latency")]
        assert f'data-verdict="{row.effect.verdict}"' in page
        assert bound(f"Times within ±{100 * row.band:.3g} % are the same.") in page
        return [row.effect.verdict, str(row.to_json()["band"])]

    assert told(run) == ["slower", "0.02"]
    assert told(replace(run, info={"band": 0.1})) == ["same", "0.1"]
    assert _stored_band(replace(run, info={"band": "wide"})) == 0.02


@pytest.mark.parametrize(("failing", "left"), [("b", ["a", "c"]), ("a", None), ("bc", None)])
def test_a_baseline_that_fails_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, failing: str, left: list[str] | None
) -> None:
    def placed(job: Job, hooks: Hooks) -> tuple[Any, Any]:
        if job.arch in failing:
            raise RuntimeError(f"{job.arch} is broken")
        return torch.nn.Identity(), torch.zeros(1, 3, 8, 8)

    networks = [{"label": n, "arch": n, "input_size": 8, "in_channels": 3, "num_classes": 10} for n in "bac"]
    timing = {"warmup_s": 0.001, "min_s": 0.001, "limit_s": 0.01}
    settings = {"backend": "eager", "device": "cpu", "precision": "fp32", "batch_size": 2, "timing": timing}
    job = make_job(task="versus", settings={**settings, "networks": networks, "labels": ["a", "b", "c"]})
    monkeypatch.setattr(_versus, "_placed", placed)
    seen = measure_versus(job, Hooks())
    if left is None:
        with pytest.raises(RuntimeError, match=f"{failing[0]} is broken"):
            list(seen)
    else:
        assert sorted(m.detail["label"] for m in seen if m.name == "latency") == left


def test_images_keep_the_jobs_layout() -> None:
    seen: list[tuple[int, bool]] = []

    class Looks(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append((len(images), images.is_contiguous(memory_format=torch.channels_last)))
            return images

    job = make_job(task="versus", settings={"device": "cpu", "batch_size": 4})
    images = torch.zeros(4, 3, 8, 8).to(memory_format=torch.channels_last)
    for batch in (1, 4):
        _call(BACKENDS.get("eager"), (Looks(), images), batch, job)()
    assert seen == [(1, True), (4, True)]


def test_the_table_and_its_json() -> None:
    rows = Ratio.in_run(run_of(TIMES))
    shown = versus_document(rows).table
    assert [cell.text for cell in shown.rows[0]][:2] == ["resnet18", "latency"]
    assert (
        "mine.py:Net against resnet18: slower in latency, throughput; never measured: "
        in versus_document(rows).notes[0]
    )
    assert versus_document(rows).notes[2] == "Ratios are over the baseline's. Times within ±2 % are the same."
    found = json.loads(json.dumps([r.to_json() for r in rows], allow_nan=False))
    assert set(found[0]) >= {"arch", "baseline", "quantity", "ratio", "low", "high", "p", "verdict"}
    assert Ratio.in_run(Run("empty", Path("empty"), ())) == []


def test_the_report_has_the_verdicts(tmp_path: Path) -> None:
    files = write_report([run_of(TIMES)], tmp_path)
    assert '<section id="verdicts" aria-labelledby=' in files.index.read_text(encoding="utf-8")
    assert "## Verdicts" in (files.folder / "report.md").read_text(encoding="utf-8")
    written = pd.read_csv(files.folder / "ratios.csv")
    table = typed(Ratio.table(Ratio.in_run(run_of(TIMES))), "ratios")
    for name in ("value", "low", "high", "p", "n"):
        assert written[name].tolist() == pytest.approx(table[name].tolist())


@pytest.mark.parametrize(
    ("value", "counted", "shown"),
    [
        (1.00013, True, "1.0001"),
        (0.999992, True, "0.999992"),
        (1.0072, True, "1.007"),
        (1.0, True, "1.000"),
        (1.00013, False, "1.000"),  # of one process, whose digits say nothing
    ],
)
def test_a_count_that_is_higher_is_not_told_as_the_same(value: float, counted: bool, shown: str) -> None:
    assert _ratio_cell(Effect(value, n=1, counted=counted)).text == shown


def test_ratios_are_a_frame_of_numbers() -> None:
    rows = Ratio.in_run(run_of(TIMES))
    table = typed(Ratio.table(rows), "ratios")
    expected = bench.columns("ratios").set_index("column")["dtype"]
    assert {c: str(dtype) for c, dtype in table.dtypes.items()} == expected.to_dict()
    for row, one in zip(table.to_dict("records"), rows, strict=True):
        told = {
            **one.to_json(),
            "network": one.arch,
            "value": one.effect.estimate,
            "flags": ";".join(one.flags),
        }
        assert row == {name: told[name] for name in row}
    assert pd.read_parquet(io.BytesIO(table.to_parquet())).equals(table)
    ratio, interval = (
        head for head in versus_document(rows).table.heads if head.title in ("Ratio", "95 % interval")
    )
    assert (ratio.stored, interval.stored) == ("", None)
    cells = [cells[2] for cells in versus_document(rows).table.rows]
    assert [cell.sort for cell in cells] == table["value"].tolist()
    assert [cell.ends for cell in cells] == list(zip(table["low"], table["high"], strict=True))


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ({"mine.py:Net": None, "resnet20": 32}, [32, 32]),
        ({"mine.py:Net": None, "resnet20": 32, "vgg16": 224}, [224, 32, 224]),  # which of them is not known
        ({"mine.py:Net": 64, "resnet20": 32}, [64, 32]),
        ({"mine.py:Net": None, "other.py:Net": None}, [224, 224]),
    ],
)
def test_a_network_without_a_native_size_takes_that_of_the_others(
    sizes: dict[str, int | None], taken: list[int]
) -> None:
    cards = [ArchCard(name=n, input_size=s or 224, sized=s is not None) for n, s in sizes.items()]
    catalog = replace(make_catalog(), archs={card.name: (card,) for card in cards})
    alone = {"cost": {}, "infer": {"processes": {"least": 1, "most": 1}}}
    content = {"blocks": [{"task": t, "grid": {"arch": list(sizes)}, **more} for t, more in alone.items()]}
    asked = _at_one_size(Experiment.parse(content), cards)
    assert [p.job.input_size for p in expand(asked, catalog)] == taken * 2


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def play(target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
        if not target.endswith(":work"):
            return plain(target, args)
        job = args[0]
        if job.task != "versus":
            return plain(target, args)
        times = {n.label: 1.0 + (n.slowdown or 0.05 * i) for i, n in enumerate(job.settings.networks)}
        times |= {label: 1.0 + 0.1 * i for i, label in enumerate(job.settings.labels) if "+" not in label}
        record = measured(job, times, 0.002, job.settings.replicate)
        return [*(("measurement", m) for m in record.measurements), ("outcome", ("ok", None))], Ended()

    plain = scripted().play
    fake = FakeExecutor(play)
    EXECUTORS.load()
    monkeypatch.setitem(EXECUTORS._units, "process", ExecutorKind("fake", lambda *_: fake))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    one = CliRunner().invoke(app, ["compare", "lenet5"])
    assert one.exit_code == 2
    assert "at least one baseline" in one.output
    done = CliRunner().invoke(app, ["compare", "lenet5", "resnet20", "--json"])
    assert done.exit_code == 0, done.output
    few = CliRunner().invoke(app, ["compare", "lenet5", "resnet20", "--processes", "6", "--name", "few"])
    assert few.exit_code == 2
    assert "6 processes cannot decide 2 tests" in few.output  # 2 x 2^(1 - 6) = 0.0625
    assert not (tmp_path / "results" / "few").exists()
    rows = json.loads(done.stdout)
    assert {row.get("band") for row in rows} == {0.02, None}
    overall = next(r for r in rows if r["quantity"] == "all")
    assert (overall["baseline"], overall["verdict"]) == ("resnet20", "undecided")
    assert "faster in latency" in overall["reason"]
    latency = next(r for r in rows if r["quantity"] == "latency")
    assert (latency["arch"], latency["baseline"], latency["verdict"]) == ("lenet5", "resnet20", "faster")
    assert latency["n"] == 8
    assert math.isclose(latency["ratio"], 1 / 1.1, rel_tol=0.02)
    assert (tmp_path / "results" / "compare-lenet5-resnet20" / "records.jsonl").is_file()
    page = tmp_path / "reports" / "compare-lenet5-resnet20" / "index.html"
    assert bound("within ±2 %") in page.read_text(encoding="utf-8")
    for again in (["--band", "50%"], []):  # what was told once holds for the run
        wide = CliRunner().invoke(app, ["compare", "lenet5", "resnet20", "--json", *again])
        latency = next(r for r in json.loads(wide.stdout) if r["quantity"] == "latency")
        assert (latency["verdict"], latency["band"]) == ("same", 0.5)
        assert bound("within ±50 %") in page.read_text(encoding="utf-8")
