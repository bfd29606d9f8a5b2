"""Nothing from outside rules the terminal, and no end that nobody reads ends a command."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from pathlib import Path

import pytest
import typer
from conftest import make_job, make_planned, make_record
from rich.console import Console
from rich.table import Table

from bench.cli import _interrupts, _measuring, _streams
from bench.cli._common import handled
from bench.cli._console import AllVisible, console
from bench.cli._progress import Progress
from bench.cli._screen import Screen
from bench.records.store import Run
from bench.report.text import visible

EVIL = "a\x1b[2J\x1b]0;title\x07\x00\x9b31m\u202eb\u2066c\r\x7f"
_STYLES = re.compile(
    r"\x1b\[(\d+(;\d+)*m|\?25[lh]|\d*[AGK]|2K)"
)  # what rich says: colours, the cursor, lines


def rest(text: str) -> str:
    """Return what is not printable, but for what rich says to the terminal."""
    plain = _STYLES.sub("", text)
    return "".join(c for c in plain if not c.isprintable() and c not in "\n\r")


def test_text_is_visible() -> None:
    assert visible("plain, \u00e4\u00d7, tab\tand\nline") == "plain, \u00e4\u00d7, tab\tand\nline"
    assert visible(EVIL) == "a\ufffd[2J\ufffd]0;title\ufffd\ufffd\ufffd31m\ufffdb\ufffdc\ufffd\ufffd"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_console_prints_visible_text(terminal: bool) -> None:
    stream = io.StringIO()
    made = Console(file=stream, force_terminal=terminal, width=100)
    made.push_render_hook(AllVisible())
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    made.print(table)
    made.print(EVIL, style="bold", markup=False)
    made.print(f"[red]{EVIL.replace('[', '(')}[/]")
    assert stream.getvalue().count("b\ufffdc") == 5
    assert rest(stream.getvalue()).replace("\ufffd", "") == ""
    assert ("\x1b[" in stream.getvalue()) == terminal


class Alone(Screen):
    """A screen that may be drawn on."""

    def take(self) -> bool:
        return True

    def alone(self) -> bool:
        return True


def test_the_bar_and_the_table_show_visible_names() -> None:
    stream = io.StringIO()
    made = Console(file=stream, force_terminal=True, width=100)
    made.push_render_hook(AllVisible())
    with Progress(made, Alone(stream)) as progress:
        progress.planned([make_planned(arch=EVIL)], Run(EVIL, Path(EVIL), ()), {})
        progress.fetching(EVIL)
        progress.started(make_planned(arch=EVIL), 1)
        progress.stage(EVIL)
        progress.recorded(make_record(job=make_job(arch=EVIL)))
        progress.live.refresh()
        progress.recorded(make_record(status="crashed", error={"message": EVIL, "tip": EVIL}))
    assert "title" in stream.getvalue()
    assert rest(stream.getvalue()) == ""


def test_errors_notes_and_documents_are_visible(capsys: pytest.CaptureFixture[str]) -> None:
    _streams.show_error(EVIL, EVIL)
    _streams.note(EVIL)
    _streams.write(EVIL)
    _streams.print_json({EVIL: EVIL})
    out, err = capsys.readouterr()
    assert rest(out) == rest(err) == ""
    assert err.count("title") == out.count("title") == 3


class TestEndsThatNobodyReads:
    @pytest.fixture
    def ends(self) -> tuple[io.TextIOWrapper, int]:
        read, write = os.pipe()
        return os.fdopen(write, "w"), read

    @pytest.mark.parametrize("needed", [True, False])
    def test_a_pipe_without_a_reader_is_written_to_without_an_error(
        self, ends: tuple[io.TextIOWrapper, int], needed: bool
    ) -> None:
        stream, read = ends
        lasting = _streams._lasting(stream, needed=needed)
        lasting.write("before\n")
        lasting.flush()
        assert os.read(read, 100) == b"before\n"
        os.close(read)
        for _ in range(3):
            lasting.write("more\n" * 10_000)
            lasting.flush()
        stream.close()  # what is still held goes nowhere

    def test_a_console_goes_on(self, ends: tuple[io.TextIOWrapper, int]) -> None:
        stream, read = ends
        made = console(_streams._lasting(stream, needed=True))
        os.close(read)
        made.print("nobody reads this")
        made.print("nor this")
        stream.close()

    def test_a_full_disk_is_an_error_of_results_and_none_of_progress(self) -> None:
        with open("/dev/full", "w") as full:  # noqa: PTH123
            lasting = _streams._lasting(full, needed=True)
            lasting.write("x")
            with pytest.raises(OSError, match="No space left"):
                lasting.flush()
            _streams._lasting(full, needed=False).flush()


def test_a_second_interrupt_says_what_is_kept_and_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[bytes] = []
    monkeypatch.setattr("os.write", lambda descriptor, text: said.append(text))
    monkeypatch.setattr("os._exit", lambda code: said.append(b"%d" % code))
    monkeypatch.setattr(_interrupts._Interrupts, "count", 0)
    monkeypatch.setattr(_interrupts._Interrupts, "kept", None)
    with pytest.raises(KeyboardInterrupt):
        _interrupts._interrupt(2, None)
    assert said == []
    _interrupts.keeping(Path("results/mine"))
    _interrupts._interrupt(2, None)
    kept = "what had been measured is kept in results/mine, and the same command goes on from there"
    assert said == [f"\nstopped at once; {kept}\n".encode(), b"130"]


def test_an_interrupt_before_the_first_job_says_that_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def interrupted(at: str) -> str:
        def command() -> None:
            if at != "reading":
                _interrupts.measuring()
            if at == "running":
                _interrupts.keeping(Path("results/mine"))
            raise KeyboardInterrupt

        with pytest.raises(typer.Exit) as caught:
            handled(command)()
        assert caught.value.exit_code == 130
        return " ".join(capsys.readouterr().err.split())

    nothing = "nothing was measured yet, what is stored is as it was, and the same command begins again"
    assert interrupted("planning") == f"cancelled before the first job; {nothing}"
    kept = "what had been measured is kept in results/mine, and the same command goes on from there"
    assert interrupted("running") == f"cancelled; {kept}"
    assert interrupted("reading") == "cancelled"


def test_where_an_answer_follows_the_third_interrupt_ends_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[bytes] = []
    monkeypatch.setattr("os.write", lambda descriptor, text: said.append(text))
    monkeypatch.setattr("os._exit", lambda code: said.append(b"%d" % code))
    monkeypatch.setattr(_interrupts._Interrupts, "count", 0)
    monkeypatch.setattr(_interrupts._Interrupts, "kept", Path("results/mine"))
    kept = "what had been measured is kept in results/mine, and the same command goes on from there"
    with _interrupts.following("the answer so far"):
        with pytest.raises(KeyboardInterrupt):
            _interrupts._interrupt(2, None)
        _interrupts._interrupt(2, None)
        assert said == [f"\nthe answer so far follows; {kept}; once more stops at once\n".encode()]
        _interrupts._interrupt(2, None)
    assert said[1:] == [f"\nstopped at once; {kept}\n".encode(), b"130"]
    monkeypatch.setattr(_interrupts._Interrupts, "count", 1)
    _interrupts._interrupt(2, None)  # the answer is out
    assert said[-1] == b"130"


def test_the_report_of_an_answer_that_is_out_follows_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[bytes] = []
    monkeypatch.setattr("os.write", lambda descriptor, text: said.append(text))
    monkeypatch.setattr(_interrupts._Interrupts, "count", 1)
    monkeypatch.setattr(_interrupts._Interrupts, "kept", tmp_path)
    with _interrupts.following("the answer so far"), _interrupts.following("the report"):
        _interrupts._interrupt(2, None)
    assert said[0].startswith(b"\nthe report follows; ")
    monkeypatch.setattr(_interrupts._Interrupts, "count", 0)

    def draws(*args: object) -> None:
        _interrupts._interrupt(2, None)

    monkeypatch.setattr("bench.report.write.write_report", draws)
    with pytest.raises(KeyboardInterrupt):
        _measuring.write_page(Run("mine", tmp_path / "mine", ()), tmp_path)
    assert f"bench report {tmp_path / 'mine'} draws it" in capsys.readouterr().err


def test_streams_that_were_closed_are_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    _streams.open_standard_streams()
    assert sys.stdout.fileno() == 1


def test_whatever_an_interrupted_import_ends_in_is_a_cancellation(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        try:
            _interrupts._interrupt(2, None)
        except KeyboardInterrupt:
            raise SyntaxError("no module could be loaded") from None

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(typer.Exit) as caught:
        handled(command)()
    for number, handler in zip((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), before, strict=True):
        signal.signal(number, handler)
    assert caught.value.exit_code == 130
    assert capsys.readouterr().err == "cancelled\n"
