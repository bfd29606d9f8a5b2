"""Networks as labelled points in the colour and marker of their family."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from bench.report.figures._panels import by_family
from bench.report.labels import Point
from bench.report.style import Look


def draw_points(axes: Axes, rows: pd.DataFrame, x: str, y: str, look: Mapping[str, Look]) -> list[Point]:
    """Draw column `y` against `x` with one standard deviation of `y`, where `{y}_sd` has it; return what to label."""
    for style, part in by_family(rows, look):
        axes.errorbar(
            part[x], part[y], part[f"{y}_sd"], marker=style.marker, markersize=6, linestyle="",
            color=style.colour, elinewidth=1, zorder=3,
        )  # fmt: skip
    return [Point(*place, radius=4) for place in zip(rows[x], rows[y], rows["label"], strict=True)]
