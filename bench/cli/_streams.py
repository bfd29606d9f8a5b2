"""What is printed: on stdout results, on stderr progress and errors; nothing else of `bench` writes to a terminal.

No text from outside rules the terminal, no reader that has gone, as of ``bench run all 2>&1 | head``, ends a run, and
two commands that write to one terminal or pipe do not mix within a line.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, cast

from bench.processes import open_standard_descriptors

if TYPE_CHECKING:
    from rich.console import Console

    from bench.report.document import Document

_NOBODY_READS = (errno.EPIPE, errno.EIO)  # a pipe without its other end, a terminal that was closed
_WHOLE = 4096  # bytes that Linux writes to a pipe in one piece (PIPE_BUF)


class _Lasting:
    """A stream that goes on where nobody reads it any more, and to which whole lines go in one piece.

    Args:
        stream: what is written to.
        needed: whether any other failure, such as a full disk, is one; of progress it is none.
        padded: whether lines may end in blanks, as those of tables do.
    """

    def __init__(self, stream: IO[str], *, needed: bool, padded: bool) -> None:
        self._stream = stream
        self._needed = needed
        self._padded = padded
        self._held: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Take text that `flush` writes."""
        self._held.append(text)
        return len(text)

    def flush(self) -> None:
        """Write what is held, or nothing where nobody reads it."""
        text = "".join(self._held)
        self._held.clear()
        if not self._padded:
            text = _PADDING.sub("", text)
        for piece in [*_pieces(text)] or [""]:
            self._put(piece)

    def _put(self, piece: str) -> None:
        try:
            self._stream.write(piece)
            self._stream.flush()
        except OSError as error:
            if self._needed and error.errno not in _NOBODY_READS:
                raise
            with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
                os.dup2(nowhere.fileno(), self._stream.fileno())


_PADDING = re.compile(r" +(?=\n)")


def _pieces(text: str) -> Iterator[str]:
    """Yield lines together that one write takes whole; a longer line is a piece of its own."""
    piece, size = "", 0
    for line in text.splitlines(keepends=True):
        more = len(line.encode("utf-8", "replace"))
        if piece and size + more > _WHOLE:
            yield piece
            piece, size = "", 0
        piece, size = piece + line, size + more
    if piece:
        yield piece


def _lasting(stream: IO[str], *, needed: bool, padded: bool = True) -> IO[str]:
    return cast("IO[str]", _Lasting(stream, needed=needed, padded=padded))


def stdout() -> Console:
    """Return a console for results."""
    from bench.cli._console import console

    return console(_lasting(sys.stdout, needed=True, padded=sys.stdout.isatty()))


def stderr() -> Console:
    """Return a console for progress and errors."""
    from bench.cli._console import console

    return console(_lasting(sys.stderr, needed=False, padded=sys.stderr.isatty()), highlight=False)


def print_json(value: object, **many: Iterable[bytes]) -> None:
    """Print one JSON document on stdout; what is not ASCII is escaped.

    Args:
        value: plain values.
        many: further keys of an object, each with the texts of the values of a list: they are printed one by one, as
            there may be more than memory has room for at once.
    """
    from bench.io import ascii_json
    from bench.records.line import json_document

    stream = _lasting(sys.stdout, needed=True)
    text = ascii_json(json_document(value)).decode()
    for key, texts in many.items():
        text = text.removesuffix("}").rstrip() + f',\n "{key}": ['
        comma = ""
        for one in texts:
            stream.write(f"{text}{comma}\n  {ascii_json(one).decode()}")
            stream.flush()
            text, comma = "", ","
        text += "\n ]\n}"
    stream.write(f"{text}\n")
    stream.flush()


def write(text: str) -> None:
    """Print a document on stdout as it is, but for what a terminal would obey."""
    from bench.report.text import visible

    stream = _lasting(sys.stdout, needed=True)
    stream.write(visible(text))
    stream.flush()


def print_document(document: Document, form: str) -> None:
    """Print a document on stdout as ``rich``, ``md``, ``csv``, ``json`` or ``latex``."""
    if form == "json":
        print_json(document.values)
    elif form == "md":
        write(document.markdown())
    elif form == "csv":
        write(document.csv)
    elif form == "latex":
        write(document.latex())
    else:
        stdout().print(document)


def say(text: str) -> None:
    """Print a sentence on stdout, in lines that fit the terminal."""
    _print_lines(stdout(), text)


def note(text: str) -> None:
    """Print a sentence on stderr, in lines that fit the terminal; a path or an address stays whole."""
    _print_lines(stderr(), text)


def show_error(message: str, tip: str | None) -> None:
    """Write what is wrong and what to do next to stderr."""
    _print_lines(stderr(), ("error:", "bold red"), f" {message}")
    if tip:
        _print_lines(stderr(), "  ", ("tip:", "bold"), f" {tip}")


def _print_lines(console: Console, *parts: str | tuple[str, str]) -> None:
    from rich.text import Text

    from bench.cli._console import print_lines

    print_lines(console, Text.assemble(*parts))


def open_standard_streams() -> None:
    """Open the streams that were closed when the process began, as by ``2>&-``."""
    open_standard_descriptors()
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115 (as long as the process)
        getattr(sys, name).reconfigure(errors="replace")
