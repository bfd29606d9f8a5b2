"""The commands, end to end over the fake executor, and a few over the real one."""

from __future__ import annotations

import itertools
import json
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import warm
from commands import COMMANDS
from conftest import Bench, make_catalog, make_job, make_planned, make_record, ok_events, scripted, seconds
from fake_executor import FakeExecutor

from bench.api.runs import run_folder
from bench.cli._words import edits, failure_lines, headline, summary_line
from bench.errors import ConfigError
from bench.execution import EXECUTORS, Ended, ExecutorKind
from bench.execution.runner import Summary
from bench.plan.card import ArchCard
from bench.records.record import count
from bench.records.store import RECORDS, Run, read_run


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> FakeExecutor:
    """Put a fake executor, which is well with every job, in the place of the real one."""
    fake = scripted()
    EXECUTORS.load()
    for name in ("process", "inline"):
        monkeypatch.setitem(EXECUTORS._units, name, ExecutorKind("fake", lambda *_: fake))
    return fake


def fail_with(fake: FakeExecutor, *ends: Any) -> None:
    fake.play = scripted(*ends).play


def test_every_command_and_option_has_help() -> None:
    assert set(COMMANDS) >= {"run", "plan", "report", "env"}
    for words, command in COMMANDS.items():
        assert command.help, words
        assert all(getattr(p, "help", "") for p in command.params), words


def test_version(run: Bench) -> None:
    assert run("--version").stdout.startswith("bench ")


class TestRun:
    def test_all_is_well(self, run: Bench, executor: FakeExecutor, experiment: Path) -> None:
        result = run("run", "all", "-c", experiment)
        assert result.exit_code == 0, result.stderr
        assert "3 of 3 measured" in result.stderr
        assert len(read_run("results/three").records) == 3
        assert Path("reports/three/index.html").is_file()
        assert executor.closed

    def test_again_measures_nothing_twice(self, run: Bench, executor: FakeExecutor, experiment: Path) -> None:
        run("run", "-c", experiment, "--no-report")
        result = run("run", "-c", experiment, "--no-report")
        assert result.exit_code == 0
        assert "3 of 3 measured (all of them before)" in result.stderr
        assert len(read_run("results/three").records) == 3

    def test_json_is_all_there_is_on_stdout(
        self, run: Bench, executor: FakeExecutor, experiment: Path
    ) -> None:
        result = run("run", "x", "net.py:Net", "-c", experiment, "--json", "--no-report")
        document = json.loads(result.stdout)
        assert [r["job"]["arch"] for r in document["records"]] == ["x", "net.py:Net"]
        assert document["counts"] == {"ok": 2}
        assert document["records"][0]["measurements"][0]["name"] == "parameters"

    def test_a_failed_job_is_exit_code_1_with_its_reason(
        self, run: Bench, executor: FakeExecutor, experiment: Path
    ) -> None:
        fail_with(executor, (ok_events(), Ended()), ([("stage", "build")], Ended(exitcode=-11)))
        result = run("run", "-c", experiment, "--no-report")
        assert result.exit_code == 1
        assert "2 of 3 measured, 1 crashed" in result.stderr
        assert "died of SIGSEGV in stage build" in result.stderr
        assert "Traceback" not in result.output

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_is_exit_code_130_and_the_run_goes_on_the_next_time(
        self, run: Bench, executor: FakeExecutor, experiment: Path, number: int
    ) -> None:
        play, jobs = executor.play, itertools.count()

        def signalled(target: str, args: tuple[Any, ...]) -> Any:
            if target.endswith(":work") and next(jobs) == 1:
                signal.raise_signal(number)
            return play(target, args)

        executor.play = signalled
        result = run("run", "-c", experiment, "--no-report")
        assert result.exit_code == 130
        assert "1 of 3 measured, 1 cancelled, 1 pending" in result.stderr
        assert run("run", "-c", experiment, "--no-report").exit_code == 0

    def test_the_run_notes_what_was_asked(self, run: Bench, executor: FakeExecutor, experiment: Path) -> None:
        run("run", "-c", experiment, "--name", "mine", "--no-report")
        run("run", "-c", experiment, "--name", "mine", "--no-report")
        stored = read_run("results/mine")
        info = stored.info
        assert [job.arch for job in stored.planned] == ["a", "b", "c"]
        assert len(info["invocations"]) == 2
        assert info["experiment"]["name"] == "three"

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--config", "smokey"], "did you mean smoke?"),
            (["--set", "batchsize=3"], "batchsize"),
            (["--task", "costs"], "did you mean cost?"),
            (["--executor", "proces"], "did you mean process?"),
            (["all", "resnet18"], "cannot be joined"),
            (["--set", "infer.batch_size=0", "-c", "smoke"], "greater than or equal to 1, got 0"),
            (["--set", "device=cuda", "-c", "smoke"], "use --set device=cpu"),
            (["--set", "device=gpu", "-c", "smoke"], "unknown device 'gpu'"),
            (["--set", "device=mps", "-c", "smoke"], "known: auto, cpu, cuda"),
            (["--set", "dataset=digit", "-c", "smoke"], "did you mean digits?"),
            (["--set", "recipe=stt", "-c", "smoke"], "did you mean std?"),
            (["--no-such-option"], "no such option"),
        ],
    )
    def test_bad_words_are_exit_code_2_with_a_next_step(
        self, run: Bench, executor: FakeExecutor, words: list[str], message: str
    ) -> None:
        result = run("run", *words)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.output
        assert result.stdout == ""
        assert not Path("results").exists()

    @pytest.mark.parametrize("form", [[], ["--json"]])
    def test_results_are_told_where_a_report_cannot_be_written(
        self, run: Bench, executor: FakeExecutor, experiment: Path, form: list[str]
    ) -> None:
        Path("reports").write_text("a file stands where the folder should be")
        result = run("run", "-c", experiment, *form)
        assert result.exit_code == 1
        assert "cannot write a report" in result.stderr
        assert (
            "results: results/three; bench report results/three -o FOLDER draws them elsewhere"
            in result.stderr
        )
        if form:
            assert json.loads(result.stdout)["counts"] == {"ok": 3}
        else:
            assert "Network" in result.stdout

    def test_an_unwritable_folder(self, run: Bench, executor: FakeExecutor, experiment: Path) -> None:
        Path("results").write_text("a file")
        result = run("run", "-c", experiment)
        assert result.exit_code == 1
        assert "cannot write to results" in result.stderr
        assert not any(
            target.endswith(":work") for target, _ in executor.calls
        )  # before anything is measured


class TestPlan:
    def test_jobs_and_time(self, run: Bench, executor: FakeExecutor, experiment: Path) -> None:
        result = run("plan", "-c", experiment)
        assert result.exit_code == 0
        assert re.search(r"3 jobs: 3 to run; about \d", result.stdout)
        assert not Path("results").exists()

    def test_of_very_many_jobs_the_first_are_in_the_table(
        self, run: Bench, executor: FakeExecutor, experiment: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bench.cli.plan._MOST", 2)
        ids = [job["job"]["id"] for job in json.loads(run("plan", "-c", experiment, "--json").stdout)["jobs"]]
        told = run("plan", "-c", experiment).stdout
        assert [job_id in told for job_id in ids] == [True, True, False]
        assert "the first 2 of 3 jobs; --json has all" in told
        assert "3 jobs: 3 to run; about " in told

    def test_what_a_run_does_beside_its_jobs_is_in_the_time(
        self, run: Bench, executor: FakeExecutor, experiment: Path
    ) -> None:
        few = json.loads(run("plan", "-c", experiment, "--json").stdout)
        one = "processes: {least: 1, most: 1}"
        experiment.write_text(f"blocks:\n  - {{task: infer, {one}, grid: {{arch: [a, b, c, d]}}}}\n")
        more = json.loads(run("plan", "-c", experiment, "--json").stdout)
        jobs_s, control_s = sum(job["estimate_s"] for job in more["jobs"]), more["jobs"][0]["estimate_s"]
        assert few["jobs_s"] == sum(job["estimate_s"] for job in few["jobs"])
        assert more["jobs_s"] == jobs_s + control_s  # the first once more, as the machine may drift
        assert more["estimate_s"] > more["jobs_s"]  # to begin, and the report

    def test_what_is_done_is_shown(self, run: Bench, executor: FakeExecutor, experiment: Path) -> None:
        run("run", "-c", experiment, "--no-report")
        document = json.loads(run("plan", "-c", experiment, "--json").stdout)
        assert [j["state"] for j in document["jobs"]] == ["done"] * 3
        assert document["jobs_s"] == 0 < document["estimate_s"]

    def test_skips_are_shown(self, run: Bench, executor: FakeExecutor, experiment: Path) -> None:
        experiment.write_text(experiment.read_text() + "skip: [{arch: b}]\n")
        result = run("plan", "-c", experiment)
        assert "2 to run, 1 skipped" in result.stdout


CARDS = [{"name": "NVIDIA H100", "uuid": f"GPU-{c}", "memory_B": 80, "driver": "580"} for c in "abc"]
ON_CARDS = "blocks: [{task: infer, device: all, grid: {arch: [a, b, c], replicate: [0, 1, 2]}}]\n"


def with_three_cards(executor: FakeExecutor) -> None:
    """Put three cards into the host of a fake executor, which runs several jobs at once."""
    env = {"cpu": {"model": "test", "cores": 8}, "packages": {"torch": "2.11"}, "gpu": CARDS}
    devices = ("cpu", "cuda:0", "cuda:1", "cuda:2")
    play = executor.play

    def on_three(target: str, args: tuple[Any, ...]) -> Any:
        if target.endswith(":probe_machine"):
            return [("answer", make_catalog(*args[0], devices=devices, environment=env))], Ended()
        return play(target, args)

    executor.play, executor.at_once = on_three, 8


class TestThreeCards:
    def test_a_plan_says_where_and_how_long_with_several(
        self, run: Bench, executor: FakeExecutor, experiment: Path
    ) -> None:
        with_three_cards(executor)
        experiment.write_text(ON_CARDS)
        document = json.loads(run("plan", "-c", experiment, "--json").stdout)
        assert document["places"] == ["cuda:0", "cuda:1", "cuda:2", "host"]
        assert len(document["jobs"]) == 9
        assert document["jobs_s"] == pytest.approx(sum(j["estimate_s"] for j in document["jobs"]) / 3)
        told = run("plan", "-c", experiment).stdout
        assert "9 jobs: 9 to run; about " in told
        assert "on cuda:0, cuda:1, cuda:2, host, " in told
        assert "one after the other" in told

    def test_a_run_names_the_card_of_each_record_and_measures_nothing_twice(
        self, run: Bench, executor: FakeExecutor, experiment: Path
    ) -> None:
        with_three_cards(executor)
        experiment.write_text(ON_CARDS)
        result = run("run", "-c", experiment, "--no-report")
        assert result.exit_code == 0, result.stderr
        assert "jobs run at 4 places side by side: cuda:0, cuda:1, cuda:2, host" in result.stderr
        assert "9 of 9 measured" in result.stderr
        again = run("run", "-c", experiment, "--no-report")
        assert "9 of 9 measured (all of them before)" in again.stderr
        assert "side by side" not in again.stderr

    def test_one_card_is_asked_for_by_its_number(
        self, run: Bench, executor: FakeExecutor, experiment: Path
    ) -> None:
        with_three_cards(executor)
        experiment.write_text(ON_CARDS)
        document = json.loads(run("plan", "-c", experiment, "--set", "device=cuda:1", "--json").stdout)
        assert document["places"] == []
        assert {j["job"]["settings"]["device"] for j in document["jobs"]} == {"cuda:1"}

    def test_the_machine_tells_its_places(self, run: Bench, executor: FakeExecutor) -> None:
        with_three_cards(executor)
        assert json.loads(run("env", "--json").stdout)["places"] == ["cuda:0", "cuda:1", "cuda:2"]


class TestReport:
    def test_a_run_is_redrawn(self, run: Bench, executor: FakeExecutor, experiment: Path) -> None:
        run("run", "-c", experiment, "--no-report")
        assert not Path("reports").exists()
        for words in ([], ["three"], ["results/three"]):
            assert run("report", *words, "--format", "html").exit_code == 0
        assert Path("reports/three/index.html").is_file()

    def test_a_corrupt_line_is_told_and_the_rest_is_drawn(
        self, run: Bench, executor: FakeExecutor, experiment: Path
    ) -> None:
        run("run", "-c", experiment, "--no-report")
        file = Path("results/three") / RECORDS
        file.write_text("nonsense\n" + file.read_text())
        result = run("report", "three", "--format", "md")
        assert result.exit_code == 0
        assert "line 1 of results/three/records.jsonl set aside: " in result.stderr

    @pytest.mark.parametrize("words", [["diff", "three", "three"], ["export", "three"]])
    def test_whatever_reads_a_run_says_what_is_set_aside(
        self, run: Bench, executor: FakeExecutor, experiment: Path, words: list[str]
    ) -> None:
        run("run", "-c", experiment, "--no-report")
        file = Path("results/three") / RECORDS
        file.write_text("nonsense\nmore\n" + file.read_text())
        result = run(*words)
        assert result.exit_code == 0, result.stderr
        assert result.stderr.count("set aside") == words.count("three")
        assert "2 lines, the first of them line 1, of results/three/records.jsonl set aside" in result.stderr

    def test_no_run(self, run: Bench) -> None:
        result = run("report")
        assert result.exit_code == 1
        assert "bench run smoke" in result.stderr or "bench run" in result.stderr
        assert run("report", "nothing").exit_code == 1


def test_a_failure_is_told_with_the_innermost_line_of_the_users_own_code() -> None:
    places = (
        '  File "/home/me/net.py", line 7, in forward\n'
        '  File "/home/me/parts.py", line 3, in forward\n'
        '  File "/env/lib/python3.11/site-packages/torch/nn/modules/conv.py", line 560, in forward\n'
    )
    error = {"type": "RuntimeError", "message": "expected 3 channels", "traceback": places}
    failed = make_record().changed(status="invalid_model", measurements=(), error=error)
    assert headline(failed) == "RuntimeError in parts.py, line 3: expected 3 channels"
    inside = {**error, "traceback": places.splitlines(keepends=True)[-1]}
    assert headline(failed.changed(error=inside)).startswith("RuntimeError in conv.py, line 560")
    refused = {**inside, "type": "InvalidModelError", "message": "w.pt holds more than tensors"}
    assert headline(failed.changed(error=refused)) == "w.pt holds more than tensors"
    theirs = {**error, "type": "InvalidModelError", "message": "importing net.py raised SyntaxError"}
    assert headline(failed.changed(error=theirs)) == "parts.py, line 3: importing net.py raised SyntaxError"


def test_networks_whose_files_changed_are_named_with_the_files() -> None:
    def card(name: str, **sources: str) -> ArchCard:
        files = {f"{file}.py": sha for file, sha in sources.items()}
        return ArchCard(name=name, source_sha256=str(sorted(files.items())), sources=files)

    names = ("net.py:Net", "one.py:Net(width=2)", "same.py:Net", "new.py:Net")
    then = dict(zip(names, (card(names[0], net="1", parts="1", gone="1"), ArchCard(name=names[1], source_sha256="1"),
                            card(names[2], same="1")), strict=False))  # fmt: skip
    now = (card(names[0], net="1", parts="2", fresh="1"), ArchCard(name=names[1], source_sha256="2"),
           card(names[2], same="1"), card(names[3], new="1"))  # fmt: skip
    records = tuple(make_record().changed(job=make_job(arch=name), card=then[name]) for name in then)
    plan = [replace(make_planned(arch=card.name), card=card) for card in now]
    assert edits(plan, Run("r", Path("r"), records)) == [
        "net.py:Net, as fresh.py, gone.py, parts.py have changed",
        "one.py:Net(width=2), as one.py has changed",
    ]


def test_headlines() -> None:
    assert headline(make_record()) == "10.0 parameters, 100 MAC"
    job = make_job(task="infer", settings={"batch_size": 8})
    record = make_record(
        job=job, measurements=(seconds("step_time", 0.1, 0.2, 0.3), count("peak_memory", 2e6, "B"))
    )
    assert headline(record) == "200 ms, 40 images/s, 2.00 MB"
    found = make_record(
        job=make_job(task="infer", settings={"batch_size": "max"}),
        measurements=(count("max_batch", 30, "1"), seconds("step_time", 0.1, 0.2, 0.3)),
    )
    assert headline(found) == "200 ms, 150 images/s, batch 30"
    failed = make_record(status="oom", error={"message": "no room\nat all", "tip": "use less"})
    assert headline(failed) == "no room (use less)"


def test_summary_lines() -> None:
    records = [make_record(), make_record(status="oom"), make_record(status="oom")]
    assert summary_line(Summary(records=records, pending=4)) == "1 of 7 measured, 2 oom, 4 pending"


# From here on with real processes.


NETS = """
import os, sys, time
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.head = nn.Linear(3, num_classes)
    def forward(self, x):
        print("not on your stdout")
        return self.head(x.mean((2, 3)))

class Segfaults(Net):
    def forward(self, x):
        os.kill(os.getpid(), 11)

class Hangs(Net):
    def forward(self, x):
        time.sleep(600)

class Wrong(Net):
    def forward(self, x):
        return "a cat"
"""


# A network that hangs is waited for to know the images that it takes, too.
SOON = """
import bench.execution.catalog
from bench.cli.app import main

bench.execution.catalog._FIT_S = 0.5
main()
"""


def test_networks_of_ones_own_good_and_bad_in_one_run(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "broken.py").write_text("1/0")
    expected = {
        "nets.py:Net": "ok",
        "nets.py:Segfaults": "crashed",
        "nets.py:Hangs": "timeout",
        "nets.py:Wrong": "invalid_model",
        "broken.py:Net": "invalid_model",
        "linear": "ok",
    }
    words = ["-c", "smoke", "-t", "cost", "-s", "input_size=8", "-s", "timeout_s=3", "--json", "--no-report"]
    result = warm.run([sys.executable, "-c", SOON, "run", *expected, *words], cwd=tmp_path, text=True)
    assert result.returncode == 1, result.stderr
    document = json.loads(result.stdout)  # in which nothing is that a job's process prints
    assert {r["job"]["arch"]: r["status"] for r in document["records"]} == expected
    assert "2 invalid_model" in result.stderr
    assert "not on your stdout" not in result.stderr


def test_an_experiment_is_named_as_all_is(run: Bench, executor: FakeExecutor) -> None:
    plans = [json.loads(run("plan", *words, "--json").stdout) for words in (["-c", "smoke"], ["smoke"])]
    for plan in plans:
        del plan["estimate_s"]  # in which is how long it took to begin
    assert plans[0] == plans[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt18", "resnet18"),
        ("smoke", "smoke is an experiment: --config smoke"),
        ("smoke linear", "smoke is an experiment: --config smoke"),
        ("smok", "did you mean the experiment smoke?"),
        ("linear infer", "infer is a task: --task cost,infer"),
        ("nets.py:Nett", "Net"),
        ("net.py:Net", "nets.py"),
        ("torchvision:resnet19", "resnet18"),
    ],
)
def test_names_that_mean_nothing_name_the_nearest(
    run: Bench, inline_jobs: None, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    result = run("run", *name.split(), "-c", "smoke", "-t", "cost")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../evil", "/abs", "a/b", "new\nline", "bad\udcff", "x" * 300]
)
def test_a_run_is_called_by_one_name_within_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be called"):
        run_folder(tmp_path, name)
    assert run_folder(tmp_path, "my run-1.0 ü") == tmp_path / "my run-1.0 ü"


def test_failures_are_told_once_with_their_place() -> None:
    trace = 'File "/x/nets/bad.py", line 16, in forward\n'
    error = {"type": "RuntimeError", "message": "oh no\nmore", "tip": None, "traceback": trace}
    bad = [
        make_record(job=make_job(arch="bad.py:Net", seed=i), status="invalid_model", error=error)
        for i in range(3)
    ]
    fine, skipped = make_record(), make_record(status="skipped")
    assert failure_lines([fine, *bad, skipped]) == [
        "bad.py:Net: invalid_model, 3 jobs: RuntimeError in bad.py, line 16: oh no"
    ]
    many = [make_record(job=make_job(arch=f"n{i}"), status="oom", error={"message": "x"}) for i in range(5)]
    assert failure_lines(many, most=2) == ["n0: oom: x", "n1: oom: x", "and 3 more; the report has all"]
