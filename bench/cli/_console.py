"""Consoles of rich that print nothing but visible text.

A name, an error or a stored record may hold an escape sequence that hides lines, sets the title or pastes a command.
What is said to the terminal itself is rich's alone.
"""

from __future__ import annotations

from typing import IO

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from bench.report.text import visible


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


def console(stream: IO[str], *, width: int | None = None, highlight: bool = True, soft: bool) -> Console:
    """Return a console that writes to a stream."""
    made = Console(file=stream, width=width, soft_wrap=soft, highlight=highlight)
    made.push_render_hook(AllVisible())
    return made
