"""What the commands share: errors turned into exit codes, and how what is typed is read."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import typer

from bench.cli._interrupts import EXIT_CANCELLED, heed, interrupted, left, measuring
from bench.cli._streams import note, show_error
from bench.errors import MORE_PROCESSES, NO_THREAD, BenchError, ConfigError, text_of

if TYPE_CHECKING:
    from bench.records.store import Run

P = ParamSpec("P")

EXIT_FAILED = 1
EXIT_USAGE = 2


def examples_of(*examples: str) -> str:
    """Return the end of a command's --help: its examples, a line each."""
    return "\n  ".join(["\b\nExamples:", *examples])


def at_address(executor: str, ray_address: str | None) -> str:
    """Return the executor, once it knows the address of its cluster: Ray's own variable says it.

    Raises:
        ConfigError: for an address of no use.
    """
    if ray_address is not None:
        if executor != "ray":
            raise ConfigError("--ray-address is of use with --executor ray alone", "add --executor ray")
        os.environ["RAY_ADDRESS"] = ray_address
    return executor


def words_of(text: str | None) -> list[str]:
    """Return the words of ``cost,infer``."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def run_path(run: str, results: Path) -> Path:
    """Return the folder of a run, given by name or path; a name in the results folder comes first."""
    from bench.records.store import run_called

    return run_called(run, results) or (Path(run) if Path(run).parts[1:] else results / run)


def stored_run(run: str, results: Path) -> Run:
    """Read a run, given by name or path, and say on stderr what of it was set aside."""
    from bench.records.store import read_run

    stored = read_run(run_path(run, results))
    if stored.rejected:
        note(stored.set_aside)
    return stored


def handled(command: Callable[P, None]) -> Callable[P, None]:
    """Turn errors into a message on stderr and an exit code; the one handler of all commands."""

    @functools.wraps(command)
    def safely(*args: P.args, **kwargs: P.kwargs) -> None:
        heed()
        try:
            command(*args, **kwargs)
        except (Exception, KeyboardInterrupt) as raised:
            if error := _known(raised):
                show_error(error.message, error.tip)
                raise typer.Exit(error.exit_code) from None
            # An import that was interrupted may end in any error.
            if isinstance(raised, typer.Exit) or not (isinstance(raised, KeyboardInterrupt) or interrupted()):
                raise
            note(f"cancelled{left()}")
            raise typer.Exit(EXIT_CANCELLED) from None

    return safely


class _RefusedError(BenchError):
    """What the system refused."""

    exit_code = EXIT_FAILED


def _known(error: BaseException) -> BenchError | None:
    """Return an error with what is wrong and what to do next; None for one of no kind that is known."""
    if isinstance(error, BenchError):
        return error
    if isinstance(error, EOFError):  # which typer would take for the user's end of the command
        return _RefusedError(f"a file ends too early: {text_of(error)}", _TORN)
    if isinstance(error, OSError):
        place = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
        tip = MORE_PROCESSES if error.errno == errno.EAGAIN else "mend that, or name another file or folder"
        return _RefusedError(f"{error.strerror or text_of(error)}{place}", tip)
    if isinstance(error, RuntimeError) and str(error) == NO_THREAD:
        return _RefusedError(str(error), MORE_PROCESSES)
    return None


def measures(command: Callable[P, None]) -> Callable[P, None]:
    """Do the same for a command that measures: interrupted, it says what is kept, from its first import on."""

    @functools.wraps(command)
    def begun(*args: P.args, **kwargs: P.kwargs) -> None:
        measuring()
        command(*args, **kwargs)

    return handled(begun)


_TORN = "where a disk was full while Python compiled its files, remove the folders __pycache__ of bench"


def share(text: str, option: str) -> float:
    """Return the fraction that ``5%`` or ``0.05`` means.

    Raises:
        ConfigError: for anything else, a bare 5 included, which would be 500 %.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise ConfigError(
            f"{option}: {text!r} is neither a percentage nor a fraction below 1", "write 5% or 0.05"
        )
    return value
