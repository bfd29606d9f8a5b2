"""What the commands share: consoles, errors turned into exit codes, options."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn, ParamSpec

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from rich.console import Console

    from bench.records.store import Run

P = ParamSpec("P")

EXIT_FAILED = 1
EXIT_CANCELLED = 130


class Format(StrEnum):
    """How results are printed."""

    rich = "rich"
    md = "md"
    json = "json"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="What is printed.")]
ConfigOption = Annotated[
    str, typer.Option("--config", "-c", help="Experiment: a shipped name or the path of a YAML file.")
]
TaskOption = Annotated[
    str | None,
    typer.Option("--task", "-t", help="Only these tasks: cost, infer, train_step, accuracy; with commas."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="Override a setting, such as device=cpu or epochs=3."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
ResultsOption = Annotated[Path, typer.Option("--results", help="Folder that holds runs.")]
ReportsOption = Annotated[Path, typer.Option("--reports", help="Folder that holds reports.")]
ReportOption = Annotated[bool, typer.Option("--report/--no-report", help="Write the report at the end.")]
ExecutorOption = Annotated[str, typer.Option("--executor", help="Where jobs run: process or inline.")]
NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[all | NAME...]",
        help="Architectures: names, globs, torchvision:NAME, timm:NAME, hf:NAME, file.py:NAME, net.pt2, net.pt. "
        "None or `all`: the line-up.",
    ),
]


def stdout() -> Console:
    """Return a console for results; wide where the output is a file, so that nothing is cut."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200, soft_wrap=not sys.stdout.isatty())


def stderr() -> Console:
    """Return a console for progress and errors."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False)


def words_of(text: str | None) -> list[str]:
    """Return the words of ``cost,infer``."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def run_path(run: str, results: Path) -> Path:
    """Return the folder of a run, given by name or path; a name in the results folder comes first."""
    named = results / run
    try:
        return named if named.is_dir() or not Path(run).is_dir() else Path(run)
    except OSError:  # a name that no folder can have, as whoever reads it will say
        return named


def stored_run(run: str, results: Path) -> Run:
    """Read a run, given by name or path, and say on stderr what of it was set aside."""
    from bench.records.store import read_run, set_aside

    stored = read_run(run_path(run, results))
    if stored.rejected:
        note(set_aside(stored))
    return stored


def print_json(value: object) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def write(text: str) -> None:
    """Print a document on stdout as it is."""
    sys.stdout.write(text)


def note(text: str) -> None:
    """Print a line on stderr as it is."""
    stderr().print(text, markup=False)


def handled(command: Callable[P, None]) -> Callable[P, None]:
    """Turn errors into a message on stderr and an exit code; the one handler of all commands."""

    @functools.wraps(command)
    def safely(*args: P.args, **kwargs: P.kwargs) -> None:
        # A shell ignores SIGINT for what it runs in the background.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _cancel)
        try:
            command(*args, **kwargs)
        except BenchError as error:
            show_error(error.message, error.tip)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            show_error("cancelled", None)
            raise typer.Exit(EXIT_CANCELLED) from None
        except BrokenPipeError:
            # The reader of our output has gone, as with `bench list | head`; say nothing more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None

    return safely


def show_error(message: str, tip: str | None) -> None:
    """Write what is wrong and what to do next to stderr."""
    from rich.markup import escape

    console = stderr()
    console.print(f"[bold red]error:[/] {escape(message)}")
    if tip:
        console.print(f"  [bold]tip:[/] {escape(tip)}")


def _cancel(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 (a signal handler's signature)
    raise KeyboardInterrupt
