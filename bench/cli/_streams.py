"""What is printed: on stdout results, on stderr progress and errors; nothing else of `bench` writes to a terminal.

No text from outside rules the terminal, and no reader that has gone, as of ``bench run all 2>&1 | head``, ends a run.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from rich.console import Console

_NOBODY_READS = (errno.EPIPE, errno.EIO)  # a pipe without its other end, a terminal that was closed


class _Lasting:
    """A stream that goes on where nobody reads it any more.

    Args:
        stream: what is written to.
        needed: whether any other failure, such as a full disk, is one; of progress it is none.
    """

    def __init__(self, stream: IO[str], *, needed: bool) -> None:
        self._stream = stream
        self._needed = needed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, or nothing where nobody reads it."""
        self._last(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is still held."""
        self._last(self._stream.flush)

    def _last(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            if self._needed and error.errno not in _NOBODY_READS:
                raise
            with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
                os.dup2(nowhere.fileno(), self._stream.fileno())


def _lasting(stream: IO[str], *, needed: bool) -> IO[str]:
    return cast("IO[str]", _Lasting(stream, needed=needed))


def stdout() -> Console:
    """Return a console for results; wide where the output is a file, so that nothing is cut."""
    from bench.cli._console import console

    terminal = sys.stdout.isatty()
    return console(_lasting(sys.stdout, needed=True), width=None if terminal else 200, soft=not terminal)


def stderr() -> Console:
    """Return a console for progress and errors."""
    from bench.cli._console import console

    return console(_lasting(sys.stderr, needed=False), highlight=False, soft=True)


def print_json(value: object) -> None:
    """Print one JSON document on stdout; what is not ASCII is escaped."""
    _print(json.dumps(value, indent=1, allow_nan=False) + "\n")


def write(text: str) -> None:
    """Print a document on stdout as it is, but for what a terminal would obey."""
    from bench.report.text import visible

    _print(visible(text))


def _print(text: str) -> None:
    stream = _lasting(sys.stdout, needed=True)
    stream.write(text)
    stream.flush()


def note(text: str) -> None:
    """Print a line on stderr as it is."""
    stderr().print(text, markup=False)


def show_error(message: str, tip: str | None) -> None:
    """Write what is wrong and what to do next to stderr."""
    from rich.markup import escape

    console = stderr()
    console.print(f"[bold red]error:[/] {escape(message)}")
    if tip:
        console.print(f"  [bold]tip:[/] {escape(tip)}")


def open_standard_streams() -> None:
    """Open what was closed when the process began, as by ``2>&-``: else the next file would be in its place."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115 (as long as the process)
        getattr(sys, name).reconfigure(errors="replace")
