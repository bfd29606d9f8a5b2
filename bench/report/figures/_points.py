"""Networks as labelled points in the colour and marker of their family."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from bench.report.figures._panels import by_family
from bench.report.labels import Point
from bench.report.style import Look


def draw_points(
    axes: Axes, rows: pd.DataFrame, across: str, up: str, look: Mapping[str, Look]
) -> list[Point]:
    """Draw column `up` against `across`, with a standard deviation where `{up}_sd` has it; return what to label."""
    for style, part in by_family(rows, look):
        axes.errorbar(
            part[across], part[up], part[f"{up}_sd"], marker=style.marker, markersize=6, linestyle="",
            color=style.colour, elinewidth=1, zorder=3,
        )  # fmt: skip
    places = zip(rows[across], rows[up], rows["label"], rows[f"{up}_sd"], strict=True)
    return [Point(x, y, text, radius=4, spread=spread) for x, y, text, spread in places]
