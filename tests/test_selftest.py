"""The self-test: known scatter and slowdowns in, known shares out; what the terminal, JSON and the page say of them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_planned, make_record, scripted, seconds
from fake_executor import FakeExecutor
from test_versus import _SETTINGS, TIMES, measured, run_of
from typer.testing import CliRunner

from bench.analysis.selftest import SLOWDOWNS, Selftest, band_of
from bench.api._comparing import selftest
from bench.cli.app import app
from bench.execution import EXECUTORS, Ended, Event, ExecutorKind
from bench.records.record import Record, count
from bench.records.store import Run, Store, read_run
from bench.report.selftest import selftest_lines
from bench.report.write import write_report
from bench.stats.calibration import _held_expected
from bench.stats.intervals import Proportion, binomial_interval
from bench.tasks.versus import versus


def selftest_run(spread: float, groups: int = 3) -> Run:
    networks = {
        "A": make_planned(task="infer", settings=_SETTINGS),
        "A again": make_planned(task="infer", settings=_SETTINGS),
    }
    networks["+5 %"] = networks["A"]
    records = []
    for group in range(groups):
        jobs = versus(networks, 8, slowdown={"+5 %": 0.05}, group=group, harness=True)
        for i, planned in enumerate(jobs):
            record = measured(planned.job, {"A": 1.0, "A again": 1.0, "+5 %": 1.05}, spread, 100 * group + i)
            harness = (count("overhead", 1.002), count("timer_resolution", 5e-8, "s"))
            records.append(record.changed(measurements=(*record.measurements, *harness)))
    return Run("selftest", Path("selftest"), tuple(records))


def test_a_selftest_counts_alarms_and_finds() -> None:
    found = Selftest.of(selftest_run(0.01))
    assert found is not None
    same, slowed = found.trials
    assert (same.slowdown, same.called) == (0.0, Proportion(0, 6, 6))
    assert (slowed.slowdown, slowed.called) == (0.05, Proportion(6, 6, 6))
    assert same.called.interval == (0.0, pytest.approx(1 - 0.025 ** (1 / 6)))
    assert slowed.ratio == pytest.approx(1.05, rel=0.01)
    assert found.overhead == 1.002
    assert found.timer_resolution == 5e-8
    assert same.reach <= found.noise_floor < 0.05
    assert found.doubts == ()
    assert Selftest.of(Run("empty", Path("empty"), ())) is None


def test_a_selftest_tells_the_doubts_about_its_times() -> None:
    run = selftest_run(0.01)
    first = run.records[0]
    flagged = [m.changed(flags=("launch_bound",)) if m.name == "step_time" else m for m in first.measurements]
    found = Selftest.of(replace(run, records=(first.changed(measurements=tuple(flagged)), *run.records[1:])))
    assert found is not None
    assert found.to_json()["doubts"] == ["launch_bound"]


@pytest.mark.parametrize(
    ("devices", "arch", "asked"),
    [
        (("cpu",), None, ("resnet20", 32, 4)),
        (("cpu", "cuda:0"), None, ("resnet20", 768, 8)),
        (("cpu", "cuda:0"), "resnet20", ("resnet20", 32, 64)),
    ],
)
def test_a_selftest_on_a_gpu_fills_it(
    tmp_path: Path, devices: tuple[str, ...], arch: str | None, asked: tuple[str, int, int]
) -> None:
    def play(target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
        events, end = plain(target, args)
        if target.endswith(":probe_machine"):
            events = [("answer", replace(events[0][1], devices=devices))]
        return events, end

    plain = scripted().play
    fake = FakeExecutor(play)
    selftest(arch=arch, comparisons=1, processes=6, results=tmp_path, executor=fake)
    jobs = [args[0] for target, args in fake.calls if target.endswith(":work")]
    job = next(job for job in jobs if job.task == "versus")
    assert (job.arch, job.input_size, job.settings.batch_size) == asked


def test_the_noise_of_a_selftest_widens_what_counts_as_the_same(tmp_path: Path) -> None:
    run = run_of(TIMES)
    assert band_of(tmp_path, run) == 0.02
    noisy = selftest_run(0.2)
    with Store(tmp_path / "selftest") as store:
        for record in noisy.records:
            store.append(record)
    found = Selftest.of(noisy)
    assert found is not None
    assert band_of(tmp_path, run) == found.noise_floor > 0.02
    other = run.records[-1].changed(environment={"packages": {"torch": "9"}})
    assert band_of(tmp_path, replace(run, records=(other,))) == 0.02  # of another machine


def timed(arch: str, batch: int, process: int, sd: float, time: float) -> Record:
    """Return a record of one process of a row, whose median is off by so much."""
    rng = np.random.default_rng([process, batch, len(arch)])
    own = time * math.exp(rng.normal(0, sd))
    samples = own * np.exp(rng.normal(0, 0.04, 200))
    settings = {**_SETTINGS, "batch_size": batch, "replicate": process}
    planned = make_planned(task="infer", arch=arch, settings=settings)
    name = "latency" if batch == 1 else "step_time"
    return make_record(job=planned.job, measurements=(seconds(name, *samples.tolist()),))


def with_rows(run: Run, sd: float = 0.02, processes: int = 10) -> Run:
    rows = [("lenet5", 1), ("lenet5", 4), ("resnet20", 1), ("resnet20", 4)]
    more = [timed(arch, batch, p, sd, 0.01 * batch) for p in range(processes) for arch, batch in rows]
    return replace(run, records=(*run.records, *more))


def test_scatter_comes_back_and_shares_are_counted() -> None:
    found = Selftest.of(with_rows(selftest_run(0.01), processes=40))
    assert found is not None
    assert [(r.arch, r.quantity, r.batch_size) for r in found.rows] == [
        ("lenet5", "latency", 1), ("lenet5", "step_time", 4), ("resnet20", "latency", 1), ("resnet20", "step_time", 4)
    ]  # fmt: skip
    for row in found.rows:
        assert row.between == pytest.approx(0.02, rel=0.3)  # 40 processes: 11 % is one standard error
        assert row.levels.spread == pytest.approx(0.04, rel=0.05)
        assert abs(row.levels.correlation) < 0.05
    tested = found.calibration
    assert tested is not None
    assert (tested.size, tested.held.worth, tested.alarms.worth) == (5, 4 * 4, 4)
    assert tested.held_expected == _held_expected(5, 5)
    assert tested.held.interval[0] < tested.held_expected < tested.held.interval[1]
    assert tested.predicted.share == pytest.approx(0.95, abs=0.04)
    assert tested.alarms.share < 0.2
    assert [s.slowdown for s in tested.slowed] == list(SLOWDOWNS)
    two, five, ten = (s.called.share for s in tested.slowed)
    assert two < 0.2 < five < ten
    assert ten > 0.9


def test_a_selftest_of_before_has_comparisons_alone() -> None:
    found = Selftest.of(selftest_run(0.01))
    assert found is not None
    assert (found.rows, found.calibration) == ((), None)
    assert list(selftest_lines(found)) == ["bench compare", "Harness"]
    few = Selftest.of(with_rows(selftest_run(0.01), processes=9))  # fewer than two runs take
    assert few is not None
    assert (len(few.rows), few.calibration) == (4, None)


def test_what_was_last_to_be_measured_counts_alone() -> None:
    old, new = selftest_run(0.01), selftest_run(0.01, groups=1)
    both = replace(old, planned=tuple(r.job for r in new.records))
    found = Selftest.of(both)
    assert found is not None
    assert found.trials[0].called == Proportion(0, 2, 2)


def test_sentences_have_counts_and_exact_intervals() -> None:
    found = Selftest.of(with_rows(selftest_run(0.01)))
    assert found is not None
    lines = selftest_lines(found)
    assert list(lines) == ["Scatter", "Intervals", "bench diff", "bench compare", "Harness"]
    same = lines["bench compare"][0]
    assert "0 of 6 (0 to 46 %)" in same  # 1 - 0.025^(1/6) = 0.459
    (held, _) = lines["Intervals"]
    assert "of 1,008, " in held  # 126 splits, both ways, 4 times
    assert "worth 4 independent)" in held
    assert "82 % expected" in held  # 83.3, but for the simulation
    alarms = lines["bench diff"][0]
    assert "one after the other 0 of 1 (0 to 98 %); mixed " in alarms  # 1 - 0.025
    assert "of 126, " in alarms
    assert "10 % longer, by multiplying what was measured" in lines["bench diff"][3]


def test_plain_values_have_every_count_and_interval() -> None:
    found = Selftest.of(with_rows(selftest_run(0.01)))
    assert found is not None
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert value["trials"][0]["called"] == {
        "count": 0, "of": 6, "worth": 6, "low": 0.0, "high": pytest.approx(1 - 0.025 ** (1 / 6))
    }  # fmt: skip
    held = value["calibration"]["held"]
    low, high = binomial_interval(4 * held["count"] / 1008, 4)
    assert held == {"count": held["count"], "of": 1008, "worth": 4, "low": low, "high": high}
    assert [s["slowdown"] for s in value["calibration"]["slowed"]] == [0.02, 0.05, 0.1]
    assert set(value["rows"][0]) >= {"between", "within", "correlation", "processes"}
    few = replace(found, rows=(), calibration=None)
    assert few.to_json()["calibration"] is None


def stored(run: Run, folder: Path) -> Run:
    with Store(folder) as store:
        for record in run.records:
            store.append(record)
    return replace(run, path=folder)


def test_a_page_quotes_the_selftest_of_its_machine(tmp_path: Path) -> None:
    run = stored(run_of(TIMES), tmp_path / "mine")
    formats = ("html", "md")
    before = write_report([run], tmp_path / "report", formats=formats)
    assert "Self-test" not in before.index.read_text(encoding="utf-8")
    stored(with_rows(selftest_run(0.01)), tmp_path / "selftest")
    files = write_report([run, replace(run, name="again")], tmp_path / "report", formats=formats)
    page, text = (f.read_text(encoding="utf-8") for f in (files.index, files.folder / "report.md"))
    assert page.count("Self-test of the machine of") == text.count("Self-test of the machine of") == 1
    for document in (page, text):
        assert "the same network, called different, at most 5 % expected: 0 of 6 (0 to 46 %)" in document
        assert "of 1,008, " in document


def test_a_selftest_of_another_machine_is_not_quoted(tmp_path: Path) -> None:
    stored(selftest_run(0.01), tmp_path / "selftest")
    run = replace(run_of(TIMES), path=tmp_path / "mine")
    other = tuple(r.changed(environment={"packages": {"torch": "9"}}) for r in run.records)
    counted = make_record()  # says nothing of where it was timed
    runs = [run, replace(run, records=other), replace(run, records=(counted,))]
    assert [tested is None for tested in Selftest.beside(runs)] == [False, True, True]


def test_a_selftest_beside_several_runs_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(selftest_run(0.01), tmp_path / "selftest")
    folders: list[Path] = []
    monkeypatch.setattr(
        "bench.analysis.selftest.read_run", lambda path: folders.append(path) or read_run(path)
    )
    run = replace(run_of(TIMES), path=tmp_path / "mine")
    one, other = Selftest.beside([run, replace(run, name="again", path=tmp_path / "again")])
    assert isinstance(one, Selftest)
    assert isinstance(other, Selftest)
    assert one.to_json() == other.to_json()
    assert folders == [tmp_path / "selftest"]


@pytest.mark.parametrize("name", ["run.json", "records.jsonl"])
def test_a_report_is_drawn_beside_a_selftest_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    stored(selftest_run(0.01), tmp_path / "selftest")
    file = tmp_path / "selftest" / name
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    run = replace(run_of(TIMES), path=tmp_path / "mine")
    write_report([run], tmp_path / "report", formats=["md"], figures=[])
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert f"{name} is a pipe" in text
    assert "or run bench selftest again" in text


def play(target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
    """Play a machine: networks take as long as they are slowed, give or take."""
    if not target.endswith(":work"):
        return scripted().play(target, args)
    job = args[0]
    if job.task == "versus":
        times = {n.label: 1.0 + n.slowdown for n in job.settings.networks}
        made = measured(job, times, 0.002, 100 * job.settings.group + job.settings.replicate).measurements
        made = (*made, count("overhead", 1.0), count("timer_resolution", 5e-8, "s"))
    else:
        made = timed(job.arch, job.settings.batch_size, job.settings.replicate, 0.003, 0.01).measurements
    return [*(("measurement", m) for m in made), ("outcome", ("ok", None))], Ended()


def test_the_second_run_comes_after_the_comparisons(tmp_path: Path) -> None:
    fake = FakeExecutor(play)
    selftest(comparisons=2, processes=6, results=tmp_path, executor=fake)
    jobs = [args[0] for target, args in fake.calls if target.endswith(":work")]
    kinds = "".join("v" if j.task == "versus" else "1" if j.settings.replicate < 5 else "2" for j in jobs)
    assert kinds == "1" * 20 + "v" * 12 + "2" * 20 + "1"  # the last shows how the machine drifted
    rounds = [j.settings.replicate for j in jobs[:20]]
    assert rounds == [process for process in range(5) for _ in range(4)]
    assert {(j.arch, j.settings.batch_size) for j in jobs[:4]} == {
        (arch, batch) for arch in ("lenet5", "resnet20") for batch in (1, 4)
    }


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EXECUTORS.load()
    monkeypatch.setitem(EXECUTORS._units, "process", ExecutorKind("fake", lambda *_: FakeExecutor(play)))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["selftest", "--comparisons", "2", "--runs", "4"])
    assert done.exit_code == 0, done.output
    assert "slowed by 5 %, called slower: 4 of 4 (40 to 100 %)" in done.stdout  # 0.025^(1/4) = 0.398
    assert "worth 8 independent)" in done.stdout  # 4 times, of each two pairs of runs
    value = json.loads(CliRunner().invoke(app, ["selftest", "--json"]).stdout)
    assert value["trials"][0]["called"]["of"] == 8
    assert value["calibration"]["alarms_in_order"]["of"] == 1
