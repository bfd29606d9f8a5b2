"""Consoles of rich that print nothing but visible text, no wider than their terminal.

A name, an error or a stored record may hold an escape sequence that hides lines, sets the title or pastes a command.
What is said to the terminal itself is rich's alone.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from typing import IO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment
from rich.text import Text

from bench.report.text import visible

_ENDLESS = 100_000  # characters: a sentence and a row of a table are a line each


class _Visible:
    """What is printed, with its texts made visible."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


class AllVisible(RenderHook):
    """The hook that makes all visible that a console prints; the last hook of several sees what the others add."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Return what is printed instead."""
        return [_Visible(renderable) for renderable in renderables]


def console(stream: IO[str], *, highlight: bool = True) -> Console:
    """Return a console that writes to a stream, as wide as COLUMNS says, or else its terminal is.

    A file or a pipe has no width: sentences and rows of tables are a line each, which `grep` and `cut` can take.
    """
    terminal, given = stream.isatty(), os.environ.get("COLUMNS")
    soft = not terminal and given is None
    width = _ENDLESS if soft else None  # None: as the terminal is at each moment
    if given is not None or (terminal and os.environ.get("TERM") in ("dumb", "unknown")):
        width = shutil.get_terminal_size().columns
    made = Console(file=stream, width=width, soft_wrap=soft, highlight=highlight)
    made.push_render_hook(AllVisible())
    return made


def print_lines(console: Console, text: Text) -> None:
    """Print text in lines that are as wide as the console, broken between words; a longer word stays whole."""
    if not console.soft_wrap:
        text = Text("\n").join(_lines(text, console.width))
    console.print(text, soft_wrap=True)


_WORD = re.compile(r"^\s+\S+\s*|\S+\s*")  # with the blanks around it


def _lines(text: Text, width: int) -> Iterator[Text]:
    for line in text.split("\n", allow_blank=True):
        breaks, taken = [], 0
        for word in _WORD.finditer(line.plain):
            if taken and taken + cell_len(word[0].rstrip()) > width:
                breaks.append(word.start())
                taken = 0
            taken += cell_len(word[0])
        for piece in line.divide(breaks):
            piece.rstrip()
            yield piece
