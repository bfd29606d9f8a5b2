"""Speed-ups of all pairs of a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from bench.analysis.speedups import speedups
from bench.report.figures import figure
from bench.report.figures._panels import heading, not_drawn
from bench.report.style import COLOURS, GRID, INK, MUTED, SURFACE, canvas, drawable, ticks_at
from bench.report.view import fixed
from bench.units import significant

_MOST = 16  # networks of a panel
_PANELS = 4
_INTERVALS = 8  # networks, up to which a cell has room for its interval
_STRONGEST = 0.55  # of a colour, so that black text stays readable
_SHADES = LinearSegmentedColormap.from_list("speedup", [COLOURS[1], SURFACE, COLOURS[0]])


@figure(
    "speedup_matrix",
    title="Speed-ups of a comparison",
    caption="How many times as fast the network of a row is as that of a column, timed in turn within the same "
    "processes: blue is faster, orange slower, and grey text is undecided. Below each its 95 % interval over "
    "processes, for one pair and not corrected for their number; the table of verdicts is.",
    needs="a run of bench compare",
    place=58,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each run and quantity."""
    found = list(speedups(frame).groupby(["run", "quantity"], sort=False))
    if not found:
        return None
    shown = found[:_PANELS]
    sizes = [min(rows["network"].nunique(), _MOST) for _, rows in shown]
    cell = 0.78 if max(sizes) <= _INTERVALS else 0.46
    side = cell * max(sizes)
    columns = min(2, len(shown))
    lines = math.ceil(len(shown) / columns)
    drawing = canvas(columns * (max(side, 2.4) + 1.6), lines * (max(side, 1.6) + 1.5))
    grid = list(drawing.subplots(lines, columns, squeeze=False).flat)
    for axes, ((run, quantity), rows) in zip(grid, shown, strict=False):
        _panel(axes, rows)
        batch = rows["batch_size"].iloc[0]
        name = "Latency" if quantity == "latency" else "Throughput"
        words = [name, "" if pd.isna(batch) else f"batch {batch:.0f}", run if _several(found) else ""]
        heading(axes, ", ".join(str(word) for word in words if word))
    for empty in grid[len(shown) :]:
        empty.remove()
    if more := not_drawn(found, shown):
        grid[len(shown) - 1].set_xlabel(f"Baseline · {more}")
    return drawing


def _several(found: Sequence[tuple[object, pd.DataFrame]]) -> bool:
    return len({rows["run"].iloc[0] for _, rows in found}) > 1


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    names = list(dict.fromkeys(rows["network"]))[:_MOST]
    ratio, low, high = (
        rows.pivot(index="network", columns="baseline", values=key)
        .reindex(index=names, columns=names)
        .to_numpy()
        for key in ("speedup", "low", "high")
    )
    reach = np.nanmax(np.abs(np.log(ratio)), initial=math.log(1.1)) / _STRONGEST
    # Squares, not an image: a page that fetches nothing shows no image of an SVG.
    axes.pcolormesh(np.ma.masked_invalid(np.log(ratio)), cmap=_SHADES, vmin=-reach, vmax=reach)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    intervals = len(names) <= _INTERVALS
    for row, column in np.argwhere(np.isfinite(ratio)):
        _cell(
            axes,
            (column + 0.5, row + 0.5),
            ratio[row, column],
            (low[row, column], high[row, column]),
            intervals,
        )
    texts = [drawable(name, 24) for name in names]
    ticks_at(axes.xaxis, [i + 0.5 for i in range(len(names))], texts)
    ticks_at(axes.yaxis, [i + 0.5 for i in range(len(names))], texts)
    axes.tick_params(length=0)
    axes.tick_params(axis="x", rotation=90 if len(names) > 4 else 0)
    axes.grid(visible=False)
    axes.set_facecolor(GRID)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Baseline")
    axes.set_ylabel("Network")


def _cell(
    axes: Axes, at: tuple[float, float], ratio: float, ends: tuple[float, float], interval: bool
) -> None:
    """Write a ratio into its cell, with the ends of its interval below it."""
    (column, row), (low, high) = at, ends
    shifted = interval and math.isfinite(low)
    where: dict[str, Any] = {"ha": "center", "va": "center"}
    if shifted:
        words = f"{fixed(low, ratio, 3)} – {fixed(high, ratio, 3)}"
        axes.text(column, row + 0.2, words, fontsize=6.5, color=MUTED, **where)
    colour = INK if low > 1 or high < 1 else MUTED
    y = row - 0.12 if shifted else row
    axes.text(column, y, f"{significant(ratio)}×", fontsize=9 if interval else 7.5, color=colour, **where)
