"""Each exit code that is documented is that of some command, and no command has another."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import COMMANDS
from conftest import Bench, ok_events, scripted
from fake_executor import FakeExecutor
from make_records import by_name, job, record, speed

import bench
from bench.cli import _common, _interrupts, diff, gate
from bench.docs import EXIT_CODES
from bench.execution import EXECUTORS, Ended, ExecutorKind
from bench.records.record import Measurement
from bench.records.store import Store

(RESNET18,) = by_name("resnet18")


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> FakeExecutor:
    fake = scripted()
    EXECUTORS.load()
    for name in ("process", "inline"):
        monkeypatch.setitem(EXECUTORS._units, name, ExecutorKind("fake", lambda *_: fake))
    return fake


def timed(name: str, seconds: float) -> None:
    """Store a run of one network, timed in six processes."""
    with Store(Path("results") / name) as store:
        for replicate in range(6):
            own = seconds * (1 + 0.001 * replicate)
            asked = job(RESNET18, "infer", **speed(replicate=replicate))
            samples = tuple(own * (1 + 1e-4 * i) for i in range(9))
            latency = Measurement(name="latency", unit="s", better="lower", samples=samples)
            store.append(record(asked, RESNET18, [latency]))


def test_0_all_is_there(run: Bench, executor: FakeExecutor, experiment: Path) -> None:
    assert run("run", "-c", experiment, "--no-report").exit_code == 0


def test_1_a_job_failed(run: Bench, executor: FakeExecutor, experiment: Path) -> None:
    executor.play = scripted((ok_events(), Ended()), ([("stage", "build")], Ended(exitcode=-11))).play
    assert run("run", "-c", experiment, "--no-report").exit_code == 1


@pytest.mark.parametrize("words", [["report", "nothing"], ["export", "nothing"], ["diff", "a", "b"]])
def test_1_a_folder_cannot_be_read(run: Bench, words: list[str]) -> None:
    assert run(*words).exit_code == 1


def test_1_a_file_ends_too_early_which_is_no_cancelling(run: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(*_: object) -> None:
        raise EOFError("marshal data too short")  # as Python says of what it compiled to a full disk

    monkeypatch.setattr("bench.cli.report.stored_run", torn)
    result = run("report", "nothing")
    assert result.exit_code == 1
    assert "a file ends too early: marshal data too short" in result.stderr
    assert "__pycache__" in result.stderr


def test_1_a_folder_cannot_be_written(run: Bench, executor: FakeExecutor, experiment: Path) -> None:
    Path("results").write_text("a file")
    assert run("run", "-c", experiment).exit_code == 1


@pytest.mark.parametrize(
    "words",
    [["comprae"], ["run", "--no-such"], ["train"], ["plan", "-c", "nothing"], ["plan", "--set", "nonsense"]],
)
def test_2_it_cannot_be_carried_out_as_written(run: Bench, executor: FakeExecutor, words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "tip: " in result.stderr


def test_3_slower_for_certain_and_0_where_that_is_allowed(run: Bench) -> None:
    timed("before", 0.010)
    timed("after", 0.012)
    assert run("diff", "before", "after", "--fail-above", "5%").exit_code == 3
    assert run("diff", "before", "after", "--fail-above", "50%").exit_code == 0
    assert run("diff", "before", "after").exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_130_cancelled(run: Bench, executor: FakeExecutor, experiment: Path, number: int) -> None:
    play = executor.play

    def signalled(target: str, args: tuple[Any, ...]) -> Any:
        if target.endswith(":work"):
            signal.raise_signal(number)
        return play(target, args)

    executor.play = signalled
    before = signal.signal(number, signal.SIG_DFL)  # which nohup, say, may have had ignored
    try:
        assert run("run", "-c", experiment, "--no-report").exit_code == 130
    finally:
        signal.signal(number, before)


_CUT = """
import atexit, contextlib, signal, sys
from types import SimpleNamespace

def cut():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        exec("signal.raise_signal(signal.SIGINT)")
    for number in (signal.SIGINT, signal.SIGTERM):
        atexit.register(signal.raise_signal, number)
    sys.exit(130)

sys.modules["bench.cli.app"] = SimpleNamespace(main=cut)
from bench.__main__ import main
main()
"""


def test_130_cancelled_in_text_that_is_executed(tmp_path: Path) -> None:
    """With `-m` Python takes it for an interrupt that nobody has caught, and ends by the signal itself.

    Those that come while the interpreter ends change nothing.
    """
    (tmp_path / "cut.py").write_text(_CUT)
    environment = {**os.environ, "PYTHONPATH": str(Path(bench.__file__).parents[1])}
    words = [sys.executable, "-m", "cut"]
    ended = subprocess.run(words, cwd=tmp_path, env=environment, check=False, stderr=subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (130, b"")


def test_no_command_leaves_with_a_code_that_is_not_documented() -> None:
    """Look at whatever leaves: `typer.Exit(...)`, `sys.exit(...)` and `os._exit(...)` in the folder of commands."""
    names = {
        "EXIT_FAILED": _common.EXIT_FAILED,
        "EXIT_CANCELLED": _interrupts.EXIT_CANCELLED,
        "EXIT_USAGE": _common.EXIT_USAGE,
    }
    left = set()
    for file in sorted(Path(_common.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "typer.Exit",
                "sys.exit",
                "os._exit",
            ):
                (argument,) = node.args or [ast.Constant(0)]
                left.add((file.stem, ast.unparse(argument)))
    known = {text for _, text in left if text in names or text.isdigit()}
    assert {int(text) if text.isdigit() else names[text] for text in known} <= EXIT_CODES.keys()
    assert {text for _, text in left} - known == {
        "_EXIT_REGRESSION",
        "error.exit_code",  # of `bench.errors`: 1 or 2
        "code if isinstance(code, int) else 0",  # what a command has left with
    }
    assert diff._EXIT_REGRESSION == gate._EXIT_REGRESSION == 3


def test_what_the_help_of_a_command_says_of_them_is_documented() -> None:
    for name, command in COMMANDS.items():
        said = " ".join(str(command.help).split()).partition("Exit codes: ")[2]
        codes = {int(code) for code in re.findall(r"(?:^|[;,] )(\d+)\b", said)}
        assert codes <= EXIT_CODES.keys(), name
        assert not said or codes, name
