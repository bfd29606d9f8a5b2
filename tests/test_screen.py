"""Several commands in one terminal or pipe: one draws while it is alone there, lines stay whole, colours mean something."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from conftest import make_job, make_planned, make_record, seconds
from rich.cells import cell_len
from rich.console import Console

from bench.cli import _screen, _streams
from bench.cli._console import console
from bench.cli._live import Below, Measured
from bench.cli._progress import Progress
from bench.cli._screen import Screen
from bench.cli._words import headline
from bench.plan.expand import Catalog
from bench.records.record import Record, count
from bench.records.store import Run
from bench.report.tables.formats import _COLOURS


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """Return the end of a terminal that commands write to, which belongs to no shell."""
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        yield stream
    os.close(ours)


class TestWhoDraws:
    def test_one_that_is_alone_does_until_another_comes(self, terminal: TextIO) -> None:
        first, second, third = (Screen(terminal) for _ in range(3))
        assert first.take()
        assert first.alone()
        answers: list[bool] = []
        coming = threading.Thread(target=lambda: answers.append(second.take()))
        coming.start()
        while first.alone():
            time.sleep(0.001)
        first.step_aside()
        coming.join()
        assert answers == [False]
        assert not third.take()
        for screen in (first, second, third):
            screen.leave()
        assert third.take()
        third.leave()

    def test_whoever_dies_gives_the_screen_back(self, terminal: TextIO) -> None:
        first, second = Screen(terminal), Screen(terminal)
        assert first.take()
        assert first._drawing is not None
        os.close(first._drawing)  # as the end of its process does
        assert second.take()
        second.leave()

    def test_none_waits_for_ever(self, terminal: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_screen, "_PATIENCE_S", 0.05)
        first, second = Screen(terminal), Screen(terminal)
        assert first.take()
        assert not second.take()  # the first one hangs
        assert not first.alone()
        first.leave()
        second.leave()

    def test_none_draws_in_the_background(self, terminal: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
        screen = Screen(terminal)
        assert screen.take()
        monkeypatch.setattr("os.tcgetpgrp", lambda _: os.getpgrp() + 1)
        assert not screen.alone()
        screen.leave()
        assert not Screen(terminal).take()

    @pytest.mark.parametrize("term", ["dumb", "unknown", ""])
    def test_nor_on_a_terminal_that_cannot(
        self, terminal: TextIO, monkeypatch: pytest.MonkeyPatch, term: str
    ) -> None:
        monkeypatch.setenv("TERM", term)
        assert not Screen(terminal).take()

    def test_nor_into_a_file(self) -> None:
        assert not Screen(io.StringIO()).take()


def infer(arch: str, replicate: int, median_s: float) -> Record:
    job = make_job(task="infer", arch=arch, settings={"batch_size": 1, "replicate": replicate})
    return make_record(job=job, measurements=(seconds("step_time", median_s, median_s, median_s),))


def shown(measured: Measured, width: int, height: int = 24) -> list[str]:
    made = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    made.print(Below(measured, 1))
    assert isinstance(made.file, io.StringIO)
    return [line.rstrip() for line in made.file.getvalue().splitlines()]


class TestMeasured:
    def test_processes_of_one_time_are_a_row_with_their_median_and_range(self) -> None:
        measured = Measured()
        for replicate, median_s in enumerate((0.010, 0.030, 0.020)):
            record = infer("net", replicate, median_s)
            measured.add(record, headline(record))
        again = infer("net", 2, 0.020).changed(role="repeated")
        measured.add(again, headline(again))
        measured.add(again.changed(role="drift_control"), "")
        cells = [cell.strip() for cell in shown(measured, 80)[1].split("  ") if cell.strip()]
        assert cells == ["infer net 32 px batch 1", "20.0 ms", "3", "10.0 ms – 30.0 ms"]
        assert "from" not in shown(measured, 40)[0]

    def test_trainings_have_their_mean_and_counts_their_words(self) -> None:
        measured = Measured()
        for seed, top1 in enumerate((0.90, 0.94)):
            job = make_job(task="accuracy", seed=seed, settings={"dataset": "digits"})
            record = make_record(job=job, measurements=(count("top1", top1),))
            measured.add(record, headline(record))
        measured.add(make_record(), headline(make_record()))
        rows = measured.rows(9)
        assert rows[0] == ("accuracy net 32 px on digits", "92.0 %", "90.0 % – 94.0 %", "2")
        assert rows[1] == ("cost net 32 px", "10.0 parameters, 100 MAC", "", "")

    @pytest.mark.parametrize("width", [40, 60, 80, 200])
    def test_it_fits_its_terminal_with_the_latest_rows(self, width: int) -> None:
        measured = Measured()
        for number in range(50):
            record = infer(f"a_network_with_a_long_name_{number}", 0, 0.01)
            measured.add(record, headline(record))
        lines = shown(measured, width, height=20)
        assert max(map(cell_len, lines)) <= width
        assert len(lines) < 20
        assert lines[-1].startswith("and 35 more")
        assert measured.rows(2)[-1][0].startswith("infer a_network_with_a_long_name_49")


ALL_STATUSES = ("ok", "oom", "unsupported", "skipped")


def drawn(screen: Screen | None, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what progress writes to a terminal of 80 characters."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    made = Console(file=stream, force_terminal=True, width=80, height=24, highlight=False)
    with Progress(made, screen) as progress:
        plan = [make_planned(arch=status) for status in ALL_STATUSES]
        progress.planned(plan, Run("r", Path("nowhere/r"), ()), Catalog())
        for planned in plan:
            progress.started(planned, len(plan))
            error = None if planned.job.arch == "ok" else {"message": "no room"}
            progress.recorded(make_record(job=planned.job, status=planned.job.arch, error=error))
        if progress.live is not None:
            progress.live.refresh()
    return stream.getvalue()


class Given(Screen):
    """A screen that another command may come to."""

    def __init__(self, alone: bool) -> None:
        super().__init__(io.StringIO())
        self.is_alone, self.aside = alone, threading.Event()

    def take(self) -> bool:
        return True

    def alone(self) -> bool:
        return self.is_alone

    def step_aside(self) -> None:
        self.aside.set()


def test_where_it_draws_what_went_well_is_in_the_table_and_all_else_is_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = drawn(Given(alone=True), monkeypatch)
    assert "measured so far" in text
    assert re.search(r"2/4\x1b\[0m cost oom 32 px  .*oom", text)
    assert not re.search(r"1/4\x1b\[0m cost ok 32 px  .*ok", text)


def test_where_it_does_not_draw_all_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text = re.sub(r"\x1b\[[\d;]*m", "", drawn(None, monkeypatch))
    assert "\x1b" not in text
    assert [line.split()[0] for line in text.splitlines()] == ["1/4", "2/4", "3/4", "4/4"]


def test_once_another_command_comes_it_draws_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.cli._progress._REFRESH_S", 0.001)
    stream, screen = io.StringIO(), Given(alone=True)
    made = Console(file=stream, force_terminal=True, width=80, height=24, highlight=False)
    with Progress(made, screen) as progress:
        assert progress.live is not None
        screen.is_alone = False
        assert screen.aside.wait(10)
        assert progress.live is None
        before = len(stream.getvalue())
        progress.recorded(make_record())
        assert "\x1b[1A" not in stream.getvalue()[before:]
        assert "cost net 32 px" in stream.getvalue()[before:]


def test_lines_go_out_in_whole_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    lasting = _streams._lasting(Stream(), needed=True)
    lines = ["x" * length for length in (10, 4000, 200, 9000, 0, 5)]
    lasting.write("\n".join(lines))
    assert written == []
    lasting.flush()
    assert "".join(written) == "\n".join(lines)
    assert all(piece.endswith("\n") for piece in written[:-1])
    assert all(len(piece) <= 4096 or piece.count("\n") == 1 for piece in written)


WRITES = """
import sys
from bench.cli._streams import note, say
for number in range(300):
    note(f"{sys.argv[1]} {number} " + sys.argv[1] * 60 + " end")
    say(f"{sys.argv[1]} {number} " + sys.argv[1] * 60 + " end")
"""


def write_together(end: int, folder: Path) -> None:
    """Let two commands write to one end at the same time."""
    both = [
        subprocess.Popen([sys.executable, "-c", WRITES, letter], stdout=end, stderr=end, cwd=folder)
        for letter in "ab"
    ]
    os.close(end)
    assert [process.wait(60) for process in both] == [0, 0]


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_two_commands_in_one_terminal_or_pipe_do_not_mix_within_a_line(kind: str, tmp_path: Path) -> None:
    ours, theirs = os.pipe() if kind == "pipe" else pty.openpty()
    pieces: list[bytes] = []
    reader = threading.Thread(target=lambda: pieces.extend(_read(ours)))
    reader.start()
    write_together(theirs, tmp_path)
    reader.join()
    os.close(ours)
    lines = b"".join(pieces).decode().replace("\r", "").splitlines()
    whole = {f"{letter} {number} {letter * 60} end" for letter in "ab" for number in range(300)}
    assert sorted(lines) == sorted([*whole, *whole])


def _read(end: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(end, 65536)
        except OSError:  # a terminal's other end is closed
            return
        if not piece:
            return
        yield piece


class TestColours:
    @pytest.mark.parametrize(
        ("variables", "coloured"),
        [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    )
    def test_there_are_none_where_nobody_wants_them(
        self, terminal: TextIO, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
    ) -> None:
        for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        made = console(terminal)
        with made.capture() as capture:
            made.print("[red]slower[/]")
        assert ("\x1b[31m" in capture.get()) == coloured
        assert "slower" in capture.get()

    def test_words_of_one_meaning_have_one_colour(self) -> None:
        assert _COLOURS["slower"] == _COLOURS["refuted"] != _COLOURS["faster"] == _COLOURS["supported"]
        assert "same" not in _COLOURS


class TestWidth:
    def at(self, terminal: TextIO, columns: int) -> Console:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        return console(terminal)

    def test_a_file_has_none_and_columns_is_obeyed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("COLUMNS", raising=False)
        assert console(io.StringIO()).soft_wrap
        monkeypatch.setenv("COLUMNS", "60")
        made = console(io.StringIO())
        assert (made.width, made.soft_wrap) == (60, False)

    @pytest.mark.parametrize("columns", ["0", "many", ""])
    def test_a_width_that_is_none_is_the_usual_one(
        self, monkeypatch: pytest.MonkeyPatch, columns: str
    ) -> None:
        monkeypatch.setenv("COLUMNS", columns)
        assert console(io.StringIO()).width >= 20

    def test_sentences_wrap_at_words_and_a_path_stays_whole(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        path = "/a/path/that/is/far/longer/than/the/terminal/is/wide"
        _streams.note(f"what was measured is kept in {path} and the same command goes on from there")
        _streams.say(f"what was measured is kept in {path} and the same command goes on from there")
        for text in capsys.readouterr():
            assert path in text
            assert all(cell_len(line) <= 40 or line.strip() == path for line in text.splitlines())
