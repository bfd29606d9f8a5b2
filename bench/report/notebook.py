"""Stored runs in a notebook: frames that are shown as the comparison that they come to, and figures of them."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from bench.analysis.comparison import Progress, compare_table
from bench.analysis.dictionary import FRAMES, typed, untyped
from bench.errors import ConfigError
from bench.report.tables._columns import comparison_view
from bench.report.tables.answers import rich_table
from bench.report.tables.formats import to_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 200  # characters of a table as text


class _Shown(pd.DataFrame):
    """A frame that is shown as a report's table, as long as it has the columns for it, and else as any frame."""

    _frame: ClassVar[str]

    @property
    def _constructor(self) -> type[_Shown]:
        """The class of what is selected or computed from it."""
        return type(self)

    def _view(self) -> tuple[pd.DataFrame, str]:
        """Return the comparison to show, as `bench.analysis` has it, and a line below it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return the table as text."""
        if _lacking(self, self._frame):
            return super().__repr__()
        from rich.console import Console

        table, line = self._view()
        console = Console(width=_WIDTH, color_system=None, force_terminal=False, force_jupyter=False)
        with console.capture() as shown:
            console.print(rich_table(table))
        return "\n".join([*(row.rstrip() for row in shown.get().strip("\n").splitlines()), line])

    def _repr_html_(self) -> str:
        """Return the table as HTML; whatever stands in a record is escaped."""
        if _lacking(self, self._frame):
            return str(pd.DataFrame(self).to_html(max_rows=60, max_cols=20))
        table, line = self._view()
        return to_html(comparison_view(table)) + f"<p>{html.escape(line)}</p>"


class Comparison(_Shown):
    """The comparison, one row a network and way of running it; columns are those of ``bench.columns("comparison")``.

    Beside a quantity such as `latency` are the ends of its 95 % interval, `latency_low` and `latency_high`, and what is
    doubted of it, `latency_flags`. What is selected from it is one too.
    """

    _frame = "comparison"

    def _view(self) -> tuple[pd.DataFrame, str]:
        return untyped(self, self._frame), f"{len(self)} rows; columns: bench.columns('comparison')"


class Records(_Shown):
    """Measurements, one row each; columns are those of ``bench.columns("measurements")``.

    It is shown as the comparison that it comes to. What is selected from it is one too, and so is what a figure takes.
    """

    _frame = "measurements"

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Records:
        """Return the frame of `bench.analysis.frame.to_frame` as people get it."""
        table = typed(frame, cls._frame)
        records = cls(table)
        records.attrs = table.attrs
        return records

    @property
    def comparison(self) -> Comparison:
        """The frame that a report's table shows: one row a network and way of running it.

        Raises:
            ConfigError: where columns of the measurements are missing.
        """
        _demand_columns(self, "a comparison is made")
        return Comparison(typed(compare_table(untyped(self)), Comparison._frame))

    def _view(self) -> tuple[pd.DataFrame, str]:
        size = f"{len(self)} rows of the frame: {Progress.of(self).sentence}"
        return compare_table(untyped(self)), size


def _lacking(table: pd.DataFrame, name: str) -> list[str]:
    return [e.column for e in FRAMES[name] if e.column not in table and e.column != "value"]


def _demand_columns(frame: object, what: str) -> None:
    """Raise ConfigError where a frame is none of measurements."""
    if not isinstance(frame, pd.DataFrame):
        raise ConfigError(f"{what} of measurements, and this is of type {type(frame).__name__}", _GIVE)
    if lacking := _lacking(frame, Records._frame):
        raise ConfigError(f"{what} of measurements, and this frame has no column {lacking[0]}", _GIVE)


_GIVE = "take bench.load(...), or rows of it with all their columns: frame[frame.family == 'resnet']"


def draw(name: str, frame: pd.DataFrame, style: Mapping[str, object] | None = None) -> Figure | None:
    """Return a figure of a frame; None where there is nothing to draw.

    Args:
        name: of the figure, see `bench list figures`.
        frame: as `bench.load` gives it, or a selection of its rows, also one that was read back from a file.
        style: settings of matplotlib that replace the report's own.

    Raises:
        ConfigError: for a frame of other columns.
        UnknownNameError: for a name that no figure has.
    """
    from bench.report._short_names import shortened
    from bench.report.figures import FIGURES
    from bench.report.figures._style import styled

    figure = FIGURES.get(name)
    _demand_columns(frame, "a figure is drawn")
    rows = untyped(frame)
    table = compare_table(rows)
    with styled(style):
        return figure.draw(*shortened(table, rows)) if len(table) else None
