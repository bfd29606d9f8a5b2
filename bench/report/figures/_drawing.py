"""All figures of a report as bytes, drawn in two processes where there is much to draw, and as SVG for the page."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from bench.processes import bare_main, deaf
from bench.records.environment import usable_cores
from bench.report.figures import FIGURES, in_order
from bench.report.figures._style import styled, to_bytes
from bench.report.figures._svg import compact, inline

# A second process costs some 2 s until it has imported what it needs; so many records take longer to draw.
_MANY_RECORDS = 40
LARGEST_SVG = 250_000  # bytes; there may be a dozen figures on a page that is to stay below 8 MB


@dataclass(frozen=True, slots=True)
class Picture:
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


_Finish = Callable[[], list[Picture]]
Start = Callable[[pd.DataFrame, pd.DataFrame], _Finish]


@dataclass(frozen=True, slots=True)
class DrawingOptions:
    """What is to be drawn, and how."""

    # of the figures, all where there is none; they stand on the page in their own order
    names: Sequence[str] = ()
    kinds: Sequence[str] = ("svg", "png")  # formats, of `bench.report.figures._style.KINDS`
    # whether they stand on a page as well, which takes SVG, and PNG of what is too large for that
    page: bool = False
    # settings of matplotlib that replace those of `bench.report.figures._style`
    style: Mapping[str, object] = field(default_factory=dict)

    @property
    def figures(self) -> list[str]:
        """Return the names of the figures that are drawn, in the order of the page."""
        return [name for name, _ in in_order() if not self.names or name in self.names]


@contextlib.contextmanager
def drawing(records: int, options: DrawingOptions | None = None) -> Iterator[Start]:
    """Give the function that begins to draw and returns the one that ends it.

    For many records, a second process starts at once, and draws from the beginning on.
    """
    options = options or DrawingOptions()
    if records < _MANY_RECORDS or usable_cores() < 2:
        yield lambda table, frame: lambda: [_draw(name, table, frame, options) for name in options.figures]
        return
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as helper:
        try:
            with bare_main(), deaf():
                helper.submit(in_order)  # imports matplotlib and the figures meanwhile
            yield lambda table, frame: _shared_out(helper, table, frame, options)
        except BaseException:
            _end(helper)
            raise


def _end(helper: ProcessPoolExecutor) -> None:
    """End a helper in the midst of a figure, for which nobody waits any more."""
    for process in list(helper._processes.values()):
        process.kill()
    helper.shutdown(wait=False, cancel_futures=True)


def _shared_out(
    helper: Executor, table: pd.DataFrame, frame: pd.DataFrame, options: DrawingOptions
) -> _Finish:
    """Hand all figures to a helper, which draws from the first on, and return what draws here from the last on.

    What it has not begun is taken from it, and what it leaves where it dies is drawn here.
    """
    draw = partial(_draw, table=table, frame=frame, options=options)
    handed: dict[str, Future[Picture]] = {}
    with contextlib.suppress(RuntimeError):  # it has died
        for name in options.figures:
            handed[name] = helper.submit(draw, name)

    def picture(name: str) -> Picture:
        with contextlib.suppress(BrokenExecutor):  # it was killed
            if name in handed and not handed[name].cancel():
                return handed[name].result()
        return draw(name)

    def finish() -> list[Picture]:
        drawn = {name: picture(name) for name in reversed(options.figures)}
        return [drawn[name] for name in options.figures]

    return finish


def _draw(
    name: str, table: pd.DataFrame, frame: pd.DataFrame, options: DrawingOptions | None = None
) -> Picture:
    """Draw one figure of the comparison table and the frame; equal ones give equal bytes."""
    figure, options = FIGURES.get(name), options or DrawingOptions()
    with styled(options.style):
        result = figure.draw(table, frame) if len(table) else None
        files = {} if result is None else _files(result, options, charted=figure.charted)
    return Picture(name, figure.title, figure.caption, figure.needs, files, figure.charted)


def _files(figure: Figure, options: DrawingOptions, *, charted: bool) -> dict[str, bytes]:
    """Return a figure in each format that is needed; the page has pixels of a large one of which it has no chart."""
    kinds = dict.fromkeys([*options.kinds, *(["svg"] if options.page else [])])
    files = {kind: to_bytes(figure, kind) for kind in kinds}
    if "svg" in files:
        files["svg"] = compact(files["svg"])
    if options.page and len(files["svg"]) > LARGEST_SVG and not charted and "png" not in files:
        files["png"] = to_bytes(figure, "png")
    return files
