"""Records in a notebook: a frame that is shown as the comparison, and figures of it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.comparison import compare_table, progress
from bench.report.tables._columns import comparison_view
from bench.report.tables.comparison import rich_table
from bench.report.tables.formats import to_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 200  # characters of a table as text


class Records(pd.DataFrame):
    """The frame of `bench.analysis.frame.to_frame`, shown as the comparison that it comes to.

    All else is as with any frame of pandas, and what is selected from it is a plain one.
    """

    @property
    def comparison(self) -> pd.DataFrame:
        """Return `bench.analysis.comparison.compare_table` of it."""
        return compare_table(pd.DataFrame(self))

    def __repr__(self) -> str:
        """Return the comparison as text."""
        from rich.console import Console

        console = Console(width=_WIDTH, color_system=None, force_terminal=False, force_jupyter=False)
        with console.capture() as shown:
            console.print(rich_table(self.comparison))
        lines = [line.rstrip() for line in shown.get().strip("\n").splitlines()]
        return "\n".join([*lines, self._size()])

    def _repr_html_(self) -> str:
        """Return the comparison as HTML; whatever stands in a record is escaped."""
        return to_html(comparison_view(self.comparison)) + f"<p>{html.escape(self._size())}</p>"

    def _size(self) -> str:
        """Return how many rows there are, and how far their jobs came."""
        return f"{len(self)} rows of the frame: {progress(self).sentence}"


def draw(name: str, frame: pd.DataFrame, style: Mapping[str, object] | None = None) -> Figure | None:
    """Return a figure of a frame; None where there is nothing to draw.

    Args:
        name: of the figure, see `bench list figures`.
        frame: as `bench.load` gives it, or a selection of its rows.
        style: settings of matplotlib that replace the report's own.

    Raises:
        UnknownNameError: for a name that no figure has.
    """
    from bench.report._short_names import shortened
    from bench.report.figures import FIGURES
    from bench.report.figures._style import styled

    figure, rows = FIGURES.get(name), pd.DataFrame(frame)
    table = compare_table(rows)
    with styled(style):
        return figure.draw(*shortened(table, rows)) if len(table) else None
