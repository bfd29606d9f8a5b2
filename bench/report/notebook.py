"""Records in a notebook: a frame that is shown as the comparison, and figures of it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis.comparison import compare_table, progress
from bench.records.flags import explain
from bench.report.tables import comparison_view, rich_table
from bench.report.view import Cell, View

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
        return "\n".join([*lines, self._told()])

    def _repr_html_(self) -> str:
        """Return the comparison as HTML; whatever stands in a record is escaped."""
        shown = comparison_view(self.comparison)
        return to_html(shown) + f"<p>{html.escape(self._told())}</p>"

    def _told(self) -> str:
        return (
            f"{len(self)} rows of the frame: {str(progress(self)).replace(' measured', ' jobs measured', 1)}"
        )


def to_html(shown: View) -> str:
    """Return a view as a table of HTML, with the best values bold, and doubts about cells below it."""
    letters = shown.footnotes
    heads = "".join(f"<th>{html.escape(str(head))}</th>" for head in shown.heads)
    rows = "".join(f"<tr>{''.join(_cell(c, c.marks(letters)) for c in row)}</tr>" for row in shown.rows)
    notes = [f"The same in every row: {shown.note}"] if shown.common else []
    lines = [f"<p>{html.escape(note)}</p>" for note in notes]
    lines += [
        f"<p><sup>{mark}</sup> {html.escape(f'{flag}: {explain(flag)}')}</p>"
        for flag, mark in letters.items()
    ]
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{''.join(lines)}"


def _cell(cell: Cell, marks: str) -> str:
    text, aside = html.escape(cell.text), html.escape(cell.aside)
    return (
        f"<td>{f'<b>{text}</b>' if cell.best else text}{aside}{f'<sup>{marks}</sup>' if marks else ''}</td>"
    )


def draw(name: str, frame: pd.DataFrame, style: Mapping[str, Any] | None = None) -> Figure | None:
    """Return a figure of a frame; None where there is nothing to draw.

    Args:
        name: of the figure, see `bench list figures`.
        frame: as `bench.load` gives it, or a selection of its rows.
        style: settings of matplotlib that replace the report's own.

    Raises:
        UnknownNameError: for a name that no figure has.
    """
    from bench.report.figures import FIGURES
    from bench.report.short_names import shortened
    from bench.report.style import styled

    figure, plain = FIGURES.get(name), pd.DataFrame(frame)
    table = compare_table(plain)
    with styled(style):
        return figure.draw(*shortened(table, plain)) if len(table) else None
