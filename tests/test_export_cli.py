"""`bench export` as a command: where it writes, what it refuses, and what it leaves behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from exporting import TIMM, timed
from typer.testing import CliRunner, Result

from bench.cli.app import app
from bench.errors import install_tip
from bench.records.store import Store
from bench.report.exports import EXPORTS, Export

Bench = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    monkeypatch.chdir(tmp_path)
    with Store(tmp_path / "results" / "mine") as store:
        for one in [*timed(), *timed(precision="bf16")[2:3]]:
            store.append(one)
    (tmp_path / "results" / "zero").mkdir()
    (tmp_path / "results" / "zero" / "records.jsonl").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "kept.csv").write_text("kept")
    return lambda *words: CliRunner().invoke(app, ["export", *words])


def test_command_writes_to_stdout_or_a_file(run: Bench, tmp_path: Path) -> None:
    result = run("mine")
    assert result.exit_code == 0
    assert result.stdout.startswith("run,job_id,")
    assert run("mine", "-o", "mine.csv").stdout == ""
    assert (tmp_path / "mine.csv").read_text() == result.stdout
    assert run("results/mine", "-f", "parquet", "-o", "mine.parquet").exit_code == 0
    assert len(pd.read_parquet(tmp_path / "mine.parquet")) == result.stdout.count("\n") - 1


def test_command_writes_timms_columns_and_says_what_is_lost(run: Bench) -> None:
    result = run("mine", "--format", "timm")
    assert result.stdout.splitlines()[0] == ",".join(TIMM)
    assert result.stdout.count("\nresnet18,") == 2
    assert "do not tell apart rows that differ in precision" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["mine", "-f", "parquet"], 2, "name a file: --out mine.parquet"),
        (["mine", "-o", "nowhere/mine.csv"], 2, "no folder nowhere"),
        (["mine", "-o", "results"], 2, "the folder results is not empty"),
        (["mine", "-o", "empty"], 1, "cannot write empty"),
        (["mine", "-o", "kept.csv"], 2, "kept.csv is there already"),
        (["mine", "-f", "model-card", "-o", "kept.csv", "--force"], 2, "name a new folder: --out"),
        (["mine", "-f", "model-card"], 2, "name a new folder: --out"),
        (["mine", "-f", "csv", "--set", "dataset=x"], 2, "the format has no option dataset"),
        (["mine", "-f", "model-card", "--set", "data=x"], 2, "dataset: id of the data set"),
        (["mine", "-f", "model-card", "--set", "dataset"], 2, "--set dataset=VALUE"),
        (
            ["mine", "-f", "eval-results", "--set", "x=1", "--set", "task=2", "--set", "dataset"],
            2,
            "3 mistakes",
        ),
        (["mine", "--where", "family == 'vgg'"], 2, "no job of mine fits"),
        (["zero"], 2, "nothing is stored in zero"),
        (["other"], 1, "runs there: mine"),
        (["mine", "-f", "xlsx"], 2, "xlsx"),
        ([], 2, "RUN"),
    ],
)
def test_command_refuses(run: Bench, words: list[str], code: int, message: str) -> None:
    result = run(*words)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert Path("kept.csv").read_text() == "kept"


def test_command_replaces_a_file_that_it_may(run: Bench) -> None:
    assert run("mine", "-o", "kept.csv", "--force").exit_code == 0
    assert Path("kept.csv").read_text().startswith("run,job_id,")


def test_command_writes_to_a_pipe_that_stays_one(run: Bench) -> None:
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDWR)
    try:
        assert (
            run("mine", "-f", "timm", "-o", "pipe").exit_code == 0
        )  # nothing is lost, which --force would be for
        assert os.read(reader, 1 << 20).startswith(b"model,")
    finally:
        os.close(reader)
    assert Path("pipe").is_fifo()


def test_command_chooses_jobs(run: Bench) -> None:
    result = run("mine", "-f", "timm", "--where", "precision == 'bf16'", "--where", "task == 'infer'")
    assert result.stdout.count("\nresnet18,") == 1
    assert "timm would call the file benchmark-infer-bf16-nchw-pt2110-cu128-" in result.stderr


def test_command_says_whose_numbers_are_in_doubt_where_the_format_has_no_place(run: Bench) -> None:
    assert "in doubt are resnet18" in run("mine", "-f", "timm").stderr  # of one process each


def test_command_fills_a_new_folder_or_an_empty_one(run: Bench) -> None:
    for folder in ("cards", "empty"):
        assert run("mine", "-f", "model-card", "-o", folder).exit_code == 0
        assert (Path(folder) / "resnet18" / "README.md").is_file()
    again = run("mine", "-f", "model-card", "-o", "cards")
    assert again.exit_code == 2
    assert "not empty" in again.stderr


@pytest.mark.parametrize("folder", ["new", "empty"])
def test_what_fails_leaves_nothing_behind(run: Bench, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(out: Path) -> None:
        (out / "within").mkdir()
        (out / "half").write_text("half")
        raise OSError(28, "No space left on device", str(out / "half"))

    EXPORTS.load()
    monkeypatch.setitem(EXPORTS._units, "failing", Export("it fails", lambda results: fail))
    result = run("mine", "-f", "failing", "-o", folder)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert Path(folder).is_dir() == (folder == "empty")
    assert not list(Path("empty").iterdir())


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="it takes a folder where root may not write")
@pytest.mark.parametrize("words", [["-o", "/proc/mine.csv"], ["-f", "model-card", "-o", "/proc/cards"]])
def test_command_says_where_it_may_not_write(run: Bench, words: list[str]) -> None:
    result = run("mine", *words)
    assert result.exit_code == 1
    assert words[-1] in result.stderr
    assert "name another file" in result.stderr
    assert "Traceback" not in result.output


def test_a_missing_library_is_told(run: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorboard", "wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
        result = run("mine", "-f", name, "-o", "out")
        assert result.exit_code == 2
        assert install_tip(name) in result.stderr
        assert not Path("out").exists()


def test_mlflow_without_a_database_says_what_it_lacks(run: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_alembic(_uri: str) -> None:
        raise ModuleNotFoundError("No module named 'alembic'")

    fake: Any = ModuleType("mlflow")
    fake.__file__, fake.MlflowClient = "mlflow/__init__.py", without_alembic
    fake.exceptions = SimpleNamespace(MlflowException=OSError)
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    result = run("mine", "-f", "mlflow", "-o", "out")
    assert result.exit_code == 2
    assert "mlflow can write no database" in result.stderr
    assert "alembic" in result.stderr
    assert install_tip("mlflow") in result.stderr
