"""What the commands share: consoles, errors turned into exit codes, options."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, ParamSpec

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")

EXIT_FAILED = 1
EXIT_CANCELLED = 130

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
NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[all | NAME...]",
        help="Architectures: names, globs, torchvision:NAME, timm:NAME, file.py:NAME. None or `all`: the line-up.",
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


def tasks_of(text: str | None) -> list[str]:
    """Return the tasks of ``cost,infer``."""
    return [t.strip() for t in (text or "").split(",") if t.strip()]


def run_path(run: str, results: Path) -> Path:
    """Return the folder that a name or a path of a run means; a name in the results folder comes first."""
    named = results / run
    return named if named.is_dir() or not Path(run).is_dir() else Path(run)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def write(text: str) -> None:
    """Print a document on stdout as it is."""
    sys.stdout.write(text)


def handled(command: Callable[P, None]) -> Callable[P, None]:
    """Turn errors into a message on stderr and an exit code; the one handler of all commands."""

    @functools.wraps(command)
    def safely(*args: P.args, **kwargs: P.kwargs) -> None:
        for number in (
            signal.SIGINT,
            signal.SIGTERM,
        ):  # a shell ignores SIGINT for what it runs in the background
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
    console = stderr()
    console.print(f"[bold red]error:[/] {_escape(message)}")
    if tip:
        console.print(f"  [bold]tip:[/] {_escape(tip)}")


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _cancel(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 (a signal handler's signature)
    raise KeyboardInterrupt
