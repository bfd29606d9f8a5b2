"""Published errors by year, and by depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures import figure
from bench.report.figures._lines import whole_numbers
from bench.report.figures._panels import (
    Labels,
    Looks,
    by_family,
    draw_corners,
    draw_marks,
    draw_scatter,
    heading,
)
from bench.report.figures._rows import AccuracyKind, protocol_note, published, weighted_layers, worthwhile
from bench.report.figures.labels import Line, Point
from bench.report.figures.style import log_axis, number_axis

_MOST = 4  # panels


@dataclass(frozen=True, slots=True)
class _Panel:
    """A kind of published accuracy by `key`, the year or the count of layers; its rows have the `error`."""

    kind: AccuracyKind
    key: str
    rows: pd.DataFrame


@figure(
    "timeline",
    title="Published error by year and depth",
    caption="Lower is better. Errors are as published and not measured here; the line is the least error up to "
    "each year. Depth is the count of layers that hold weights and multiply, on all branches and shortcuts.",
    needs="networks with a published accuracy and a year",
    place=15,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw for each kind of published accuracy a panel by year, and where depths are counted one by depth."""
    depths = weighted_layers(frame)
    keys = zip(table["run"], table["network"], strict=True)
    known = table.assign(layers=[depths.get(key, math.nan) for key in keys])
    parts = [
        _Panel(kind, key, rows)
        for kind in worthwhile(published(known))
        for key in ("year", "layers")
        if len(rows := _networks(kind.rows, key))
    ]

    def notes(_drawing: Figure, shown: Sequence[_Panel]) -> list[str]:
        return [protocol_note(panel.kind for panel in shown)]

    return draw_scatter(table, parts, _panel, notes, most=_MOST)


def _networks(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return one row a network whose year, or count of layers, is known."""
    rows = rows[rows[key] > 0].drop_duplicates(["network", "value"])
    return rows.assign(error=1 - rows["value"])


def _panel(axes: Axes, panel: _Panel, look: Looks) -> Labels:
    """Draw one panel, and return what is to be labelled."""
    rows, key = panel.rows, panel.key
    for style, part in by_family(rows, look):
        draw_marks(axes, part, key, "error", style, size=6.5)
    number_axis(axes.yaxis, panel.kind.axis.replace("accuracy", "error"), "%")
    axes.set_ylim(0, 1.12 * rows["error"].max() or 1)
    heading(axes, f"{panel.kind.title}, by {'year' if key == 'year' else 'depth'}")
    points = [Point(*p, radius=4) for p in zip(rows[key], rows["error"], rows["network"], strict=True)]
    if key == "layers":
        log_axis(axes.xaxis, rows["layers"].tolist(), "Layers with weights", "1")
        return Labels(points)
    whole_numbers(axes, "Year")
    axes.margins(x=0.1)
    if rows["year"].nunique() == 1:  # else matplotlib shows two centuries around it
        year = float(rows["year"].iloc[0])
        axes.set_xlim(year - 2, year + 2)
    return Labels(points, draw_corners(axes, _least(rows)))


def _least(rows: pd.DataFrame) -> Line:
    """Return the corners of the least error up to each year."""
    best = rows.groupby("year")["error"].min().sort_index().cummin()
    years, errors = best.index.to_numpy(dtype=np.float64), best.to_numpy(dtype=np.float64)
    corners = np.column_stack([np.repeat(years, 2)[1:], np.repeat(errors, 2)[:-1]])
    return [(float(x), float(y)) for x, y in corners]
