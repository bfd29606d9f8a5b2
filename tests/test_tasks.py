"""Tasks: what they say of themselves, the ids of stored jobs, and the roles of records."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import ENVIRONMENT, make_job, make_record, sound_line

import bench
from bench.contracts import check_task
from bench.plan.job import Job
from bench.plan.settings import Settings, Timed, Timing
from bench.plan.task import TASKS, quantities, tasks
from bench.records.line import decode, encode
from bench.records.record import count, measured
from bench.records.store import latest, read_run

read_once = cache(read_run)
RUNS = sorted(path.parent for path in (Path(__file__).parent.parent / "results").glob("*/run.json"))


def test_there_are_runs() -> None:
    assert RUNS


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_stored_jobs_keep_their_ids_and_their_content(folder: Path) -> None:
    run = read_once(folder)
    stored = [json.loads(line)["job"] for line in (folder / "records.jsonl").read_bytes().splitlines()]
    assert [r.job.to_json() for r in run.records] == stored
    for asked in [*stored, *json.loads((folder / "run.json").read_text())["jobs"]]:
        content = {k: v for k, v in asked.items() if k != "id"}
        job = Job.from_json(asked)
        assert (job.id, job.content()) == (asked["id"], content)
        assert Job.from_json(job.to_json()) == job


def test_settings_of_another_version_are_kept() -> None:
    job = make_job(
        task="infer",
        settings={"batch_size": 2, "gone_since": [1], "precision": "fp8", "timing": {"limit_s": 2.0, "x": 1}},
    )
    assert isinstance(job.settings, Timed)
    assert (job.settings.batch_size, job.settings.backend, job.settings.precision) == (2, "eager", "fp8")
    assert job.content()["settings"]["timing"] == {"limit_s": 2.0, "x": 1}
    assert set(job.content()["settings"]) == {"batch_size", "gone_since", "precision", "timing"}
    unknown = make_job(task="of_tomorrow", settings={"a": 1})
    assert (type(unknown.settings), unknown.content()["settings"]) == (Settings, {"a": 1})
    assert unknown.label() == "of_tomorrow net 32 px"


def test_settings_are_changed_and_nothing_else_is_said() -> None:
    job = make_job(task="infer", settings={"batch_size": "max", "timing": {"limit_s": 2.0}})
    changed = job.with_settings(batch_size=3, energy_s=None)
    assert changed.settings.content == {"batch_size": 3, "timing": {"limit_s": 2.0}}
    assert changed.settings.timing == Timing(limit_s=2.0)  # type: ignore[attr-defined]
    assert changed.id != job.id


def test_tasks_stand_in_an_order_of_their_own() -> None:
    assert list(tasks()) == [
        "cost",
        "infer",
        "train_step",
        "accuracy",
        "ceiling",
        "versus",
        "evaluate",
        "layers",
    ]


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_keeps_the_contract(name: str) -> None:
    check_task(name)


def test_a_column_is_of_one_quantity() -> None:
    columns = [q.name for task in tasks().values() for q in task.quantities if q.summary]
    assert len(columns) == len(set(columns))


def test_what_is_stored_is_a_quantity() -> None:
    known = quantities()
    for folder in RUNS:
        for record in read_once(folder).records:
            for m in record.measurements:
                unit, better = known[m.name]
                assert unit == m.unit
                assert better in (m.better, "neither")


def test_a_measurement_takes_unit_and_direction_from_its_quantity() -> None:
    seconds = measured("latency", [0.1, 0.2], {"of": "a call"}, ("noisy",))
    assert (seconds.unit, seconds.better, seconds.samples) == ("s", "lower", (0.1, 0.2))
    assert count("macs", 3).unit == "MAC"
    assert count("of_my_own", 3, "px").unit == "px"


@pytest.mark.parametrize("role", ["measured", "repeated", "drift_control"])
def test_a_record_keeps_its_role(role: Any) -> None:
    assert decode(encode(make_record(role=role))).role == role


@pytest.mark.parametrize(
    ("key", "role"), [(None, "measured"), ("worse_again", "repeated"), ("drift_control", "drift_control")]
)
def test_old_records_had_their_role_in_the_environment(key: str | None, role: str) -> None:
    old = make_record(environment={**ENVIRONMENT, **({key: True} if key else {})}).to_json()
    del old["role"]
    assert decode(sound_line(old)).role == role


def test_a_control_of_drift_replaces_no_record() -> None:
    first, control = make_record(), make_record(role="drift_control", attempt=2)
    assert latest([first, control]) == {first.job.id: first}
    assert latest([first, make_record(attempt=2)])[first.job.id].attempt == 2


def scratch(folder: Path) -> Path:
    """Return a copy of the package in a folder."""
    shutil.copytree(
        Path(bench.__file__).parent, folder / "bench", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder / "bench"


def answer(folder: Path, script: str) -> dict[str, Any]:
    """Return what a script prints last, as JSON, where the package is the copy in a folder."""
    paths = os.pathsep.join([str(folder), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


SHOWN = """
import json
import os
import shutil
import subprocess
import sys
from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.report.page._data import page_data
from bench.report.tables._columns import COMPARISON, comparison_view
from bench.report.tables._csv import csv_text, with_units
from bench.report.tables.formats import to_markdown

def shown(run, name):
    frame = to_frame([run])
    table = compare_table(frame)
    print(json.dumps({
        "frame": int((frame["measurement"] == name).sum()),
        "comparison": [c for c in table.columns if c.startswith(name)],
        "csv": [c for c in csv_text(with_units(table, COMPARISON)).splitlines()[0].split(",") if c.startswith(name)],
        "markdown": to_markdown(comparison_view(table)).splitlines()[0],
        "page": page_data(table, frame)["quantities"].get(name),
    }))
"""

MEASURED = """
from dataclasses import replace
from make_records import make_run
from bench.records.record import measured

run = make_run()
records = tuple(
    record.changed(measurements=(*record.measurements, measured("dram_reads", (1e6 + i,))))
    if record.job.task == "infer" else record
    for i, record in enumerate(run.records)
)
shown(replace(run, records=records), "dram_reads")
"""


def test_a_new_quantity_is_one_line(tmp_path: Path) -> None:
    file = scratch(tmp_path) / "tasks" / "infer.py"
    line = '    Quantity("dram_reads", "B", "higher", "Read from DRAM", "batch"),\n'
    file.write_text(file.read_text().replace("QUANTITIES = (\n", f"QUANTITIES = (\n{line}"))
    said = answer(tmp_path, SHOWN + MEASURED)
    assert said["frame"] > 0
    assert said["comparison"] == ["dram_reads", "dram_reads_flags"]
    assert said["csv"] == ["dram_reads_B", "dram_reads_flags"]
    assert "Read from DRAM (MB)" in said["markdown"]
    assert said["page"] == {
        "title": "Read from DRAM", "unit": "B", "better": "higher", "whole": False, "exact": False,
        "within": ["device_name", "device", "in_channels", "num_classes", "batch_size"], "at": ["input_size"], "shape": 0,
    }  # fmt: skip


TASK = '''
"""The task `folding`: how often an image can be folded."""

from bench.plan.settings import NetworkKeys, Settings
from bench.plan.task import TASKS, Quantity, Task
from bench.records.record import measured


class FoldingSettings(Settings):
    """Settings of this task."""

    hands: int = 2


class FoldingKeys(FoldingSettings, NetworkKeys, extra="forbid", frozen=True):
    """What a block of this task may give."""


def run(job, hooks):
    hooks.stage("folding")
    yield measured("folds", (job.settings.hands * job.input_size,))


TASKS.add(
    "folding",
    Task(
        place=9,
        keys=FoldingKeys,
        settings=FoldingSettings,
        run=run,
        estimate=lambda *_: 1.0,
        quantities=(Quantity("folds", "1", "lower", "Folds", "shape"),),
    ),
)
'''

FOLDED = """
from pathlib import Path
from conftest import make_catalog
from bench.execution.executors.inline import _InlineExecutor
from bench.execution.runner import run_plan
from bench.plan.config import Experiment
from bench.plan.expand import expand
from bench.records.store import Store, read_run

experiment = Experiment.parse({"blocks": [{"task": "folding", "hands": 3, "grid": {"arch": ["a", "b"], "input_size": [32, 64]}}]})
catalog = make_catalog("a", "b")
with Store(Path("run")) as store:
    assert not run_plan(expand(experiment, catalog), _InlineExecutor(), store, catalog).failed
shown(read_run(Path("run")), "folds")
"""


def test_a_new_task_is_one_file(tmp_path: Path) -> None:
    (scratch(tmp_path) / "tasks" / "folding.py").write_text(TASK)
    said = answer(tmp_path, SHOWN + FOLDED)
    assert said["frame"] == 4
    assert said["comparison"] == ["folds", "folds_flags"]
    assert "| Folds |" in said["markdown"]
    assert said["page"] == {
        "title": "Folds", "unit": "1", "better": "lower", "whole": False, "exact": True,
        "within": ["in_channels", "num_classes"], "at": ["input_size"], "shape": 0,
    }  # fmt: skip
