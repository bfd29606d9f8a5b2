"""All figures of a report as bytes, drawn side by side in two processes where there is much to draw."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.processes import bare_main
from bench.records.environment import usable_cores
from bench.report.figures import FIGURES, in_order
from bench.report.style import styled, to_bytes
from bench.report.svg import inline

# A second process costs some 2 s until it has imported what it needs; so many records take longer to draw.
_MANY_RECORDS = 40


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure as bytes; without any, there was nothing to draw and `needs` says what is missing."""

    name: str
    title: str
    caption: str
    needs: str
    files: dict[str, bytes]
    charted: bool = False

    @property
    def alt(self) -> str:
        """Return what the figure shows, for those who do not see it."""
        return f"{self.title}. {self.caption} The numbers are in the comparison table."

    @property
    def svg(self) -> str:
        """Return the figure as an element of a page."""
        return inline(self.files["svg"], self.name) if "svg" in self.files else ""


Finish = Callable[[], list[Drawn]]
Draw = Callable[[pd.DataFrame, pd.DataFrame], Finish]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be drawn, and how.

    Attributes:
        names: of the figures, all where there is none; they stand on the page in their own order.
        kinds: formats, of `bench.report.style.KINDS`; a page needs `svg`.
        style: settings of matplotlib that replace those of `bench.report.style`.
    """

    names: Sequence[str] = ()
    kinds: Sequence[str] = ("svg", "png")
    style: Mapping[str, Any] = field(default_factory=dict)

    @property
    def figures(self) -> list[str]:
        """Return the names of the figures that are drawn, in the order of the page."""
        return [name for name, _ in in_order() if not self.names or name in self.names]


@contextlib.contextmanager
def drawing(records: int, wish: Wish | None = None) -> Iterator[Draw]:
    """Give the function that begins to draw and returns the one that ends it.

    For many records, a second process starts at once, and draws from the beginning on.
    """
    asked = wish or Wish()
    if records < _MANY_RECORDS or usable_cores() < 2:
        yield lambda table, frame: lambda: [draw(name, table, frame, asked) for name in asked.figures]
        return
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as helper:
        with bare_main():
            helper.submit(in_order)  # imports matplotlib and the figures meanwhile
        yield lambda table, frame: _begin(helper, table, frame, asked)


def _begin(helper: Executor, table: pd.DataFrame, frame: pd.DataFrame, wish: Wish) -> Finish:
    """Let the helper begin with the first figure; to end it, draw from the last backwards until the two meet."""
    names = wish.figures
    with bare_main():
        handed: dict[str, Future[Drawn]] = {n: helper.submit(draw, n, table, frame, wish) for n in names}

    def finish() -> list[Drawn]:
        own = {name: draw(name, table, frame, wish) for name in reversed(names) if handed[name].cancel()}
        return [own[name] if name in own else handed[name].result() for name in names]

    return finish


def draw(name: str, table: pd.DataFrame, frame: pd.DataFrame, wish: Wish | None = None) -> Drawn:
    """Draw one figure of the comparison table and the frame; equal ones give equal bytes."""
    figure, asked = FIGURES.get(name), wish or Wish()
    with styled(asked.style):
        drawn = figure.draw(table, frame) if len(table) else None
        files = {} if drawn is None else {kind: to_bytes(drawn, kind) for kind in asked.kinds}
    return Drawn(name, figure.title, figure.caption, figure.needs, files, figure.charted)
