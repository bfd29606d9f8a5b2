"""No line of a command is wider than the terminal, of each command that reads what is stored, plans or lists."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import COMMANDS, read
from conftest import Bench, scripted
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from bench.analysis.studies import StudyVerdict
from bench.cli._markdown import column_widths
from bench.execution import EXECUTORS, ExecutorKind
from bench.records.store import read_run
from bench.report.tables.cells import Cell, Head, View
from bench.report.tables.formats import Terminal
from bench.report.tables.verdicts import study_report

RESULTS = Path(__file__).parent.parent / "results"
RUNS = ("study-depth", "study-dropout", "h100-again", "h100-line-up", "study-ensembles")
WIDTHS = (60, 80, 200)

# A line for each command, read by it as it stands; what a line leaves out says why below.
LINES = [
    "list",
    "list --long",
    "plan -c three.yaml",
    "run -c three.yaml --no-report --name a-run-with-a-name-that-is-rather-long-for-a-narrow-terminal",
    "run -c three.yaml --no-report --quiet",
    "report study-depth --format csv -o out",
    "report h100-line-up --format csv -o out",
    "report study-dropout --format csv -o out --quiet",
    "diff h100-line-up h100-again",
    "ensemble study-ensembles",
    "export study-dropout -o out.csv",
    "merge study-depth study-dropout --name both",
    "facts list",
    "facts show resnet50",
    "choose --on rtx4090 --latency 1ms --explain timm:resnet50.a1_in1k",
    "choose --on h100-line-up",
    "explain",
    "explain start",
    "explain quantities",
    "explain noisy",
    "env",
]
NOT_HERE = {
    "compare": "its table and sentences are views, as those of `diff` are",
    "engines": "as `compare`",
    "evaluate": "as `compare`",
    "train": "as `run`",
    "gate": "prints Markdown for a comment, a row a line",
    "selftest": "prints sentences",
    "show": "needs torch; its table is a view",
    "verify": "counts networks for seconds; its tables are views",
    "sql": "needs DuckDB; its table is a view",
    "facts update": "prints a word a file",
    "pull": "prints a sentence a run; asks a hub for it",
    "push": "lists paths, a line each, which are not to be broken",
}


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, run: Bench, tmp_path: Path) -> Path:
    """Return a folder with stored runs, an experiment, and a fake executor for what measures."""
    (tmp_path / "results").mkdir()
    for name in RUNS:
        (tmp_path / "results" / name).symlink_to(RESULTS / name)
    (tmp_path / "three.yaml").write_text(
        "about: three networks whose names are as long as those of libraries\nblocks: [{task: cost, grid: {arch: "
        "[alexnet, torchvision_mobilenet_v3_large_with_a_long_name, timm_vit_so150m2_patch16_reg1_gap_256]}}]\n"
    )
    fake = scripted()
    EXECUTORS.load()
    monkeypatch.setitem(EXECUTORS._units, "process", ExecutorKind("fake", lambda *_: fake))
    return tmp_path


def wide(text: str, width: int) -> list[str]:
    """Return the lines that are wider than a terminal; a path or an address alone may be, which stays whole."""
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text).replace("\r", "")
    return [line for line in plain.splitlines() if cell_len(line) > width and " " in line.strip()]


@pytest.mark.parametrize("line", LINES)
def test_no_line_is_wider_than_the_terminal(
    line: str, folder: Path, run: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        result = run(*shlex.split(line))
        assert result.exit_code == 0, result.output
        assert wide(result.stdout, width) == []
        assert wide(result.stderr, width) == []
        for made in ("out", "results/both"):
            shutil.rmtree(folder / made, ignore_errors=True)
        (folder / "out.csv").unlink(missing_ok=True)


def test_each_command_is_looked_at_or_says_why_not() -> None:
    looked_at = {read(f"bench {line}") for line in LINES}
    assert looked_at | NOT_HERE.keys() == COMMANDS.keys()
    assert not looked_at & NOT_HERE.keys()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_study_fits(width: int) -> None:
    verdict = StudyVerdict.of(read_run(RESULTS / "study-depth"))
    assert verdict is not None
    assert wide(printed(study_report(verdict), width), width) == []


def printed(what: object, width: int, *, soft: bool = False) -> str:
    made = Console(file=io.StringIO(), width=width, color_system=None, soft_wrap=soft)
    made.print(what)
    assert isinstance(made.file, io.StringIO)
    return made.file.getvalue()


WORDS = st.text(st.sampled_from("ab_ ü网"), min_size=1, max_size=70)
NUMBERS = st.floats(0, 1e9).map(lambda value: f"{value:,.3f}")


@st.composite
def views(draw: st.DrawFn) -> View:
    heads = [Head("Network")]
    for number in range(draw(st.integers(0, 7))):
        title = f"Column {number}"
        heads.append(Head(title, numeric=draw(st.booleans()), keep=draw(st.integers(0, 3))))
    rows = [
        [
            Cell(draw(NUMBERS if head.numeric else WORDS), draw(st.sampled_from(["", "1.0 – 2.0"])))
            for head in heads
        ]
        for _ in range(draw(st.integers(1, 3)))
    ]
    return View(heads, rows)


@given(views(), st.integers(40, 120))
def test_a_table_fits_cuts_no_number_and_names_what_it_leaves_out(view: View, width: int) -> None:
    text = printed(Terminal(view, "A title"), width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "…" not in text
    said = " ".join(text.split()).partition("characters: ")[2].partition(". A wider")[0]
    left_out = [head.title for head in view.heads if head.title not in said.split("; ")]
    for i, head in enumerate(view.heads):
        if head.numeric and head.title in left_out:
            assert all(row[i].text in text for row in view.rows)
    assert {head.title for head in view.heads} - set(said.split("; ")) == set(left_out)
    assert "Network" in left_out


def test_columns_that_matter_stay_longest() -> None:
    heads = [Head("Job"), *(Head(f"C{keep}", numeric=True, keep=keep) for keep in (0, 1, 2, 3))]
    view = View(heads, [[Cell(text) for text in ("a", "0" * 12, "1" * 12, "2" * 12, "3" * 12)]])
    told = [printed(Terminal(view), width) for width in (80, 60, 50, 30)]
    assert [sum(digit * 12 in text for digit in "0123") for text in told] == [4, 3, 2, 1]
    assert "Not at 60 characters: C0. A wider terminal has them." in " ".join(told[1].split())
    assert "Not at 50 characters: C0; C1. A wider terminal" in " ".join(told[2].split())
    assert "3" * 12 in told[3]


def test_a_file_has_all_and_a_row_is_a_line() -> None:
    heads = [Head("Job"), *(Head(f"C{i}", numeric=bool(i % 2)) for i in range(20))]
    view = View(heads, [[Cell(f"{row}-{i} " + "x" * 40) for i in range(21)] for row in range(3)])
    lines = printed(Terminal(view), 100_000, soft=True).splitlines()
    for row in range(3):
        assert sum(all(f"{row}-{i} " in line for i in range(21)) for line in lines) == 1


def in_terminal(words: Sequence[str], folder: Path, columns: int) -> str:
    """Return what a command writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment,
    )  # fmt: skip
    os.close(theirs)
    pieces = []
    while True:
        try:
            pieces.append(os.read(ours, 65536))
        except OSError:  # its other end is closed
            break
    os.close(ours)
    assert process.wait(60) == 0
    return b"".join(pieces).decode()


@pytest.mark.parametrize("topic", ["quantities", "columns", "keys", "exports", "h100"])
def test_no_word_of_a_guides_table_is_cut_and_names_stay_whole(
    topic: str, run: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = run("explain", topic).stdout
    names = re.findall(r"^\| `?([\w.-]+)`? \|", source, re.MULTILINE)
    assert names
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("explain", topic).stdout
    assert "…" not in shown
    assert {name for name in names if not re.search(rf"^ {re.escape(name)} ", shown, re.MULTILINE)} == {
        name for name in names if set(name) == {"-"}
    }


@pytest.mark.parametrize(
    ("heads", "cells", "room", "expected"),
    [
        (["a", "b"], [["one two"], ["three"]], 20, [7, 5]),  # there is room for all
        (["a", "b"], [["x"], ["some words"]], 8, [1, 7]),  # what is left goes to longer cells
        (["a", "longest"], [["names"], ["1"]], 8, [5, 1 + 2]),  # heads are folded before what stands below
        (["a", "b"], [["12345678"], ["1234"]], 8, [4, 4]),  # the widest gives way
        (["a", "b"], [[], []], 1, [1, 1]),
    ],
)
def test_columns_share_their_room(
    heads: list[str], cells: list[list[str]], room: int, expected: list[int]
) -> None:
    assert column_widths(heads, cells, room) == expected


@pytest.mark.parametrize("columns", [60, 80])
def test_a_terminal_is_as_wide_as_it_says(folder: Path, columns: int) -> None:
    text = in_terminal(["diff", "h100-line-up", "h100-again"], folder, columns)
    assert wide(text, columns) == []
    assert "\x1b[" in text
    assert f"Not at {columns} characters" in text
