"""Published errors by year, and by depth."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures import figure
from bench.report.figures._layers import weighted_layers
from bench.report.figures._lines import whole_numbers
from bench.report.figures._panels import (
    CROWDED,
    Accuracy,
    by_family,
    heading,
    not_drawn,
    panels,
    protocol_note,
    published,
    worthwhile,
)
from bench.report.labels import Point, place_labels
from bench.report.style import MUTED, Look, family_legend, log_axis, looks, number_axis

_MOST = 4  # panels


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
    found = [
        (kind, key, rows)
        for kind in worthwhile(list(published(known)))
        for key in ("year", "layers")
        if len(rows := _networks(kind.rows, key))
    ]
    if not found:
        return None
    shown = found[:_MOST]
    drawing, axes = panels(len(shown), wide=max(len(rows) for _, _, rows in shown) > CROWDED)
    look = looks(table["family"])
    lines = [_panel(a, kind, key, rows, look) for a, (kind, key, rows) in zip(axes, shown, strict=True)]
    families = pd.concat([rows["family"] for _, _, rows in shown])
    notes = [protocol_note([kind for kind, _, _ in shown]), not_drawn(found, shown)]
    family_legend(drawing, families, look, "\n".join(filter(None, notes)))
    for a, (_, key, rows), line in zip(axes, shown, lines, strict=True):
        points = [Point(*p, radius=4) for p in zip(rows[key], rows["error"], rows["network"], strict=True)]
        place_labels(a, points, [line] if line else [])
    return drawing


def _networks(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return one row a network whose year, or count of layers, is known."""
    rows = rows[rows[key] > 0].drop_duplicates(["network", "value"])
    return rows.assign(error=1 - rows["value"])


def _panel(
    axes: Axes, kind: Accuracy, key: str, rows: pd.DataFrame, look: Mapping[str, Look]
) -> list[tuple[float, float]]:
    """Draw one panel, and return the corners of its line."""
    for style, part in by_family(rows, look):
        axes.plot(
            part[key], part["error"], linestyle="", marker=style.marker, markersize=6.5, color=style.colour, zorder=3
        )  # fmt: skip
    number_axis(axes.yaxis, kind.axis.replace("accuracy", "error"), "%")
    axes.set_ylim(0, 1.12 * rows["error"].max() or 1)
    heading(axes, f"{kind.title}, by {'year' if key == 'year' else 'depth'}")
    if key == "layers":
        log_axis(axes.xaxis, rows["layers"].tolist(), "Layers with weights", "1")
        return []
    whole_numbers(axes, "Year")
    axes.margins(x=0.1)
    if rows["year"].nunique() == 1:  # else matplotlib shows two centuries around it
        year = float(rows["year"].iloc[0])
        axes.set_xlim(year - 2, year + 2)
    corners = _least(rows)
    axes.plot(*zip(*corners, strict=True), color=MUTED, linewidth=1, zorder=1)
    return corners


def _least(rows: pd.DataFrame) -> list[tuple[float, float]]:
    """Return the corners of the least error up to each year."""
    best = rows.groupby("year")["error"].min().sort_index().cummin()
    years, errors = best.index.to_numpy(dtype=np.float64), best.to_numpy(dtype=np.float64)
    corners = np.column_stack([np.repeat(years, 2)[1:], np.repeat(errors, 2)[:-1]])
    return [(float(x), float(y)) for x, y in corners]
