"""`bench gate`: what is taken from two commits, when a second round is run, and what counts as slower."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import process
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from conftest import make_record
from typer.testing import CliRunner, Result

from bench.analysis.gate import TwoRounds
from bench.analysis.versus import Ratio
from bench.api import _gating
from bench.cli.app import app
from bench.execution.runner import Summary
from bench.report.tables.verdicts import gate_markdown
from bench.stats.effects import Effect


@pytest.fixture(autouse=True)
def where_processes_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back, after a test, what the command sets: it leaves the repository, and takes jobs with it."""
    monkeypatch.chdir(Path.cwd())
    monkeypatch.setattr(process, "ORIGINAL_DIR", process.ORIGINAL_DIR)
    monkeypatch.setattr(sys, "path", [*sys.path])


def latency(ratio: float, *, spread: float = 0.01, flags: tuple[str, ...] = ()) -> Ratio:
    """Return a ratio of latencies, later over earlier, with an interval of so much to either side."""
    low, high = ratio * (1 - spread), ratio * (1 + spread)
    verdict = "slower" if low > 1.02 else "faster" if high < 1 / 1.02 else "same"
    effect = replace(Effect.none("", 8), estimate=ratio, low=low, high=high, p=0.01, n=8, verdict=verdict)
    return Ratio("", "", "latency", effect, flags)


def throughput(ratio: float) -> Ratio:
    slower = replace(latency(1 / ratio), quantity="throughput")
    low, high = 1 / slower.effect.high, 1 / slower.effect.low
    return replace(slower, effect=replace(slower.effect, estimate=ratio, low=low, high=high))


@pytest.mark.parametrize(
    ("first", "again", "verdict"),
    [
        (latency(1.2), latency(1.2), "slower"),
        (latency(1.2), latency(1.0), "suspected"),
        (latency(1.2), None, "suspected"),  # the second round was cut off
        (latency(1.2, flags=("contended",)), None, "slower in doubt"),
        (latency(0.8, flags=("contended",)), None, "faster in doubt"),
        (latency(1.0, flags=("contended",)), None, "same in doubt"),
        (latency(1.0, flags=("power_capped",)), None, "same"),  # told, and no doubt
        (latency(1.04), None, "slower within the limit"),
        (latency(1.055), None, "slower within the limit"),  # its interval begins at 1.0445
        (latency(1.0), None, "same"),
        (latency(0.8), None, "faster"),
        (throughput(0.8), throughput(0.8), "slower"),
        (throughput(0.96), None, "slower within the limit"),
    ],
)
def test_a_slowdown_counts_where_both_rounds_are_certain_of_it(
    first: Ratio, again: Ratio | None, verdict: str
) -> None:
    assert TwoRounds(first, again, 0.05).verdict == verdict


def test_the_comment_says_what_is_slower_and_does_not_count_and_what_to_do() -> None:
    rows = [
        replace(latency(1.2, flags=flags), arch="net", baseline="one two") for flags in (("contended",), ())
    ]
    doubted, certain = (gate_markdown(("one", "two"), [TwoRounds(row, row, 0.05)]) for row in rows)
    assert "not counted: net in latency; measure again on an idle machine" in doubted
    assert "not counted" not in certain


def test_more_parameters_are_told_and_do_not_count() -> None:
    more = replace(latency(2.0), quantity="parameters", effect=replace(latency(2.0).effect, verdict="higher"))
    assert TwoRounds(more, None, 0.05).verdict == "higher"


# --- the command, on a repository of two commits ---


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository whose second commit edits what a network imports, and adds a second network."""
    folder = tmp_path / "repository"
    (folder / "nets").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "nets" / "net.py").write_text("from layers import WIDTH\n")
    (folder / "layers.py").write_text("WIDTH = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    (folder / "layers.py").write_text("WIDTH = 2\n")
    (folder / "nets" / "new.py").write_text("")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "two")
    (folder / "layers.py").write_text("WIDTH = 3\n")  # not committed
    monkeypatch.chdir(folder)
    return folder


Rounds = Callable[[str], Sequence[Ratio]]


def gate(
    monkeypatch: pytest.MonkeyPatch,
    rounds: Rounds,
    *words: str,
    summary: Callable[[str], Summary] = lambda _: Summary(),
    lacking: Sequence[tuple[str, str]] = (),
) -> tuple[Result, list[tuple[str, str, str]]]:
    """Run the command where a comparison called so has such ratios, and comes to such a summary.

    `lacking` are names that files of a commit do not have. Return the command's result, and what was compared.
    """
    compared: list[tuple[str, str, str]] = []

    def compare(names: Sequence[str], *, name: str, **_: Any) -> Any:
        widths = [(Path(n.partition(":")[0]).parent.parent / "layers.py").read_text() for n in names]
        compared.append((name, *widths))
        ratios = list(rounds(name))
        return SimpleNamespace(here=ratios, summary=summary(name), path=Path("results") / name)

    missing = [f"{git(Path.cwd(), 'rev-parse', '--short', commit)}/{name}" for commit, name in lacking]
    monkeypatch.setattr(_gating, "_lacks", lambda network, _: str(network).endswith(tuple(missing)))
    monkeypatch.setattr(_gating, "compare", compare)
    monkeypatch.setattr(_gating.Ratio, "in_run", lambda ratios: ratios)
    return CliRunner().invoke(app, ["gate", *words]), compared


def test_a_slowdown_is_measured_again_and_ends_with_3(repository, monkeypatch):
    result, compared = gate(
        monkeypatch, lambda _: [latency(1.2), throughput(1.0)], "HEAD~", "HEAD", "nets/net.py:Net"
    )
    before, after = (
        git(repository, "rev-parse", "--short", "HEAD~"),
        git(repository, "rev-parse", "--short", "HEAD"),
    )
    assert result.exit_code == 3, result.output
    # The later commit's files first, and what is not committed in neither.
    widths = ("WIDTH = 2\n", "WIDTH = 1\n")
    assert compared == [
        (f"gate-{before}-{after}-Net", *widths),
        (f"gate-{before}-{after}-Net-again", *widths),
    ]
    assert f"### {after} against {before}" in result.output
    assert "**Slower for certain, in two rounds: nets/net.py:Net in latency.**" in result.output
    assert (
        "| nets/net.py:Net | latency | 1.200; again 1.200 | 1.188 – 1.212; again 1.188 – 1.212 | slower |"
        in result.output
    )
    assert git(repository, "status", "--porcelain") == "M layers.py"  # the repository is as it was
    # Its files as they are now are in nobody's way.
    assert process.ORIGINAL_DIR == "/"
    assert not any(entry and Path(entry).is_relative_to(repository) for entry in sys.path)


def test_what_one_round_alone_says_is_suspected(repository, monkeypatch):
    result, compared = gate(
        monkeypatch,
        lambda name: [latency(1.0 if name.endswith("again") else 1.2)],
        "HEAD~",
        "main",
        "nets/net.py:Net",
    )
    assert result.exit_code == 0, result.output
    assert len(compared) == 2
    assert (
        "Nothing is slower for certain. Suspected, in one round alone: nets/net.py:Net in latency."
        in result.output
    )


def test_without_a_slowdown_there_is_one_round(repository, monkeypatch):
    result, compared = gate(
        monkeypatch, lambda _: [latency(1.0)], "HEAD~", "HEAD", "nets/net.py:Net", "--json"
    )
    assert result.exit_code == 0, result.output
    assert len(compared) == 1
    (row,) = json.loads(result.stdout)
    assert (row["arch"], row["verdict"], row["again"], row["fail_above"]) == (
        "nets/net.py:Net",
        "same",
        None,
        0.05,
    )
    assert math.isclose(row["ratio"], 1.0)


def test_a_network_that_is_new_is_left_out(repository, monkeypatch):
    names = ("nets/new.py:Net", "nets/net.py:Net")
    result, compared = gate(monkeypatch, lambda _: [latency(1.0)], "HEAD~", "HEAD", *names)
    assert result.exit_code == 0, result.output
    assert [name.rpartition("-")[2] for name, *_ in compared] == ["Net"]
    assert "Nothing is slower for certain. New, with nothing to compare: nets/new.py:Net." in result.output
    monkeypatch.chdir(repository)
    alone, _ = gate(monkeypatch, lambda _: [], "HEAD~", "HEAD", "nets/new.py:Net")
    assert alone.exit_code == 0
    heading, *said = alone.stdout.splitlines()
    assert re.fullmatch(r"### [0-9a-f]+ against [0-9a-f]+", heading)
    assert said == ["", "New, with nothing to compare: nets/new.py:Net."]


@pytest.mark.parametrize(("cancelled", "ratio", "code"), [(False, 1.2, 3), (False, 1.0, 1), (True, 1.0, 130)])
def test_a_network_that_fails_hides_no_slowdown_of_another(repository, monkeypatch, cancelled, ratio, code):
    error = {"type": "InvalidModelError", "message": "it has no forward"}
    failed = make_record(status="invalid_model", error=error, measurements=())
    place = "/tmp/bench-gate-x/1a2b3c4/nets/net.py:Broken"  # of the commit's files
    failed = failed.changed(job=replace(failed.job, arch=place))

    def summary(run: str) -> Summary:
        return Summary([failed]) if "-Broken" in run else Summary(cancelled=cancelled)

    result, _ = gate(
        monkeypatch,
        lambda run: [] if "-Broken" in run else [latency(ratio)],
        *("HEAD~", "HEAD", "nets/net.py:Broken", "nets/net.py:Net"),
        summary=summary,
    )
    assert result.exit_code == code, result.output
    assert "**Not compared: nets/net.py:Broken.**" in result.stdout
    assert "it has no forward" in result.stderr
    heading, _, _, _, why, *_ = result.stdout.splitlines()
    assert heading.startswith("### ")
    assert why == "- 1a2b3c4/nets/net.py:Broken: invalid\\_model: it has no forward"
    assert re.search(r"results: .*-Net$", result.stderr, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere", "HEAD", "nets/net.py:Net"), "there is no commit 'nowhere'"),
        (("HEAD~", "HEAD", "resnet18"), "has no file resnet18"),
        (("HEAD~", "HEAD", "nets/gone.py:Net"), "has no file nets/gone.py"),
        (("HEAD~", "HEAD", "nets/net.py:Net", "--fail-above", "5"), "is neither a percentage"),
    ],
)
def test_what_cannot_be_compared_is_told(repository, monkeypatch, words, message):
    result, compared = gate(monkeypatch, lambda _: [], *words)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert not compared


def test_outside_of_a_repository_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    result, _ = gate(monkeypatch, lambda _: [], "HEAD~", "HEAD", "net.py:Net")
    assert result.exit_code == 2
    assert "not a git repository" in result.output


def test_the_action_runs_the_command_and_keeps_its_exit_code(tmp_path: Path) -> None:
    """Its step, as a runner would execute it, with a `bench` that says what it was called with."""
    action = yaml.safe_load((Path(__file__).parent.parent / ".github/actions/gate/action.yml").read_text())
    (step,) = action["runs"]["steps"]
    stub = tmp_path / "bench"
    stub.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 3\n")
    stub.chmod(0o755)
    given = {"networks": "a.py:A b.py:B", "base": "one", "head": "two", "fail-above": "10%", "options": ""}
    assert set(given) == set(action["inputs"])
    values = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: given[m[1]], v)
        for name, v in step["env"].items()
    }
    summary = tmp_path / "summary.md"
    environment = {**values, "PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(summary)}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    words = ["gate", "one", "two", "a.py:A", "b.py:B", "--fail-above", "10%"]
    assert (done.returncode, done.stdout.split()) == (3, words)
    assert summary.read_text().split() == words
