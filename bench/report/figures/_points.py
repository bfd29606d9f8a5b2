"""Networks as labelled points in the colour and marker of their family."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from bench.report.figures._panels import by_family, in_doubt
from bench.report.labels import Point
from bench.report.style import SURFACE, Look


def draw_points(
    axes: Axes, rows: pd.DataFrame, across: str, up: str, look: Mapping[str, Look]
) -> list[Point]:
    """Draw column `up` against `across`, with a standard deviation where `{up}_sd` has it; return what to label.

    Points with a number that is in doubt are hollow.
    """
    doubted = in_doubt(rows, across, up)
    for hollow, some in ((False, rows[~doubted]), (True, rows[doubted])):
        for style, part in by_family(some, look):
            axes.errorbar(
                part[across], part[up], part[f"{up}_sd"], marker=style.marker, markersize=6, linestyle="",
                color=style.colour, markerfacecolor=SURFACE if hollow else style.colour, elinewidth=1, zorder=3,
            )  # fmt: skip
    places = zip(rows[across], rows[up], rows["label"], rows[f"{up}_sd"], strict=True)
    return [Point(x, y, text, radius=4, spread=spread) for x, y, text, spread in places]
