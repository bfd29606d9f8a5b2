"""`bench train`, and the verdict of a study at the end of `bench run`, over the fake executor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ok_events, scripted
from trainings import told
from typer.testing import CliRunner, Result

from bench.cli.app import app
from bench.execution import EXECUTORS, Ended, ExecutorKind
from bench.records.record import count
from bench.records.store import read_run

Bench = Callable[..., Result]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """Return the command line over trainings that reach these accuracies, in the order in which they run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    ends = [(ok_events(told("top1", v, "higher"), count("parameters", 10 * v)), Ended()) for v in ALL]
    fake = scripted(*ends)
    EXECUTORS.load()
    monkeypatch.setitem(EXECUTORS._units, "process", ExecutorKind("fake", lambda *_: fake))
    return lambda *words: CliRunner().invoke(app, [str(w) for w in words])


ALL = [0.90, 0.80, 0.91, 0.81, 0.92, 0.82]


def by_network(records: list[dict[str, object]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for record in records:
        job = record["job"]
        assert isinstance(job, dict)
        found.setdefault(job["arch"], []).append(job["seed"])
    return found


def test_each_network_is_trained_with_each_seed(bench: Bench) -> None:
    result = bench("train", "a", "b", "-d", "digits", "--epochs", 2, "--seeds", 3, "--no-report", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert by_network(document["records"]) == {"a": [0, 1, 2], "b": [0, 1, 2]}
    assert {r["job"]["settings"]["epochs"] for r in document["records"]} == {2}
    assert document["counts"] == {"ok": 6}
    assert [t["n_ok"] for t in document["trainings"]] == [3, 3]
    [comparison] = document["comparisons"]
    assert (comparison["network"], comparison["baseline"]) == ("a", "b")


@pytest.mark.parametrize(
    ("cores", "words", "expected"),
    [
        (2, ["--seeds", "3"], 1),
        (64, ["--seeds", "3"], 8),
        (64, ["--seeds", "3", "--set", "threads=3"], 3),
        (64, ["--seeds", "1"], 2),  # alone it has the machine's default, here of the fake catalog
    ],
)
def test_several_trainings_share_the_cores(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, cores: int, words: list[str], expected: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    result = bench("train", "a", "-d", "digits", "--set", "device=cpu", "--no-report", "--json", *words)
    assert result.exit_code == 0, result.output
    threads = {r["job"]["settings"]["threads"] for r in json.loads(result.stdout)["records"]}
    assert threads == {expected}


def test_again_trains_nothing_twice(bench: Bench) -> None:
    words = ("train", "a", "b", "-d", "digits", "--no-report")
    bench(*words)
    result = bench(*words)
    assert "6 of 6 measured (all of them before)" in result.stderr
    assert len(read_run("results/train-digits").records) == 6


def test_the_table_and_the_comparison_are_printed(bench: Bench) -> None:
    result = bench("train", "a", "b", "-d", "digits", "--name", "mine", "--set", "device=cpu")
    assert result.exit_code == 0, result.output
    assert "Trainings compared" in result.stdout
    assert result.stdout.count(" ± ") == 2
    assert "Welch's t, 3 and 3 trainings" in result.stdout
    assert Path("reports/mine/index.html").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a"], "dataset"),
        (["a", "-d", "nowhere"], "unknown data set"),
        (["a", "-d", "digits", "--recipe", "stdd"], "did you mean std?"),
        (["all", "-d", "digits"], "no network to train is named"),
        (["a", "-d", "digits", "--set", "epoch=3"], "did you mean epochs?"),
        (["-d", "digits"], "missing argument 'NET'"),
    ],
)
def test_what_cannot_be_done_is_said(bench: Bench, words: list[str], message: str) -> None:
    result = bench("train", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


STUDY = """
name: mine
blocks:
  - {task: accuracy, dataset: digits, grid: {arch: [a, b], seed: [0, 1, 2]}}
study:
  hypothesis: a is better than b
  tests:
    - {says: a is more accurate, quantity: top1, of: {arch: a}, against: {arch: b}, expect: higher}
"""


def test_a_run_with_a_study_ends_with_its_verdict(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY)
    result = bench("run", "-c", file, "--no-report")
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip().endswith("a is better than b")
    document = json.loads(bench("run", "-c", file, "--no-report", "--json").stdout)
    assert document["study"]["hypothesis"] == "a is better than b"
    assert document["study"]["tests"][0]["n_of"] == 3
    assert read_run("results/mine").info["experiment"]["study"]["tests"][0]["says"] == "a is more accurate"


def test_a_study_of_jobs_that_are_not_planned_is_refused(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY.replace("against: {arch: b}", "against: {arch: c}"))
    result = bench("run", "-c", file)
    assert result.exit_code == 2
    assert "study.tests[0].against: no job of the plan has arch: c" in result.stderr
    assert not Path("results").exists()
