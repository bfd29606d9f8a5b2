"""Speed-ups of all pairs of a comparison."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from bench.analysis.versus import speedups
from bench.report.figures import figure
from bench.report.figures._shared import draw_cells, grid, heading, not_drawn
from bench.report.figures._style import COLOURS, GRID, INK, MUTED, drawable
from bench.report.tables._view import interval
from bench.units import fixed, significant

_MOST = 16  # networks of a panel
_PANELS = 4
_INTERVALS = 8  # networks, up to which a cell has room for its interval
_LETTERS = 24  # of a name, at most
_FLAT = 4  # names below the columns that lie side by side, at most
_FLAT_LETTERS = 12  # of each
_STRONGEST = 0.55  # of a colour, so that text stays readable, be the surface behind it white or dark


@figure(
    "speedup_matrix",
    title="Speed-ups of a comparison",
    caption="How many times as fast the network of a row is as that of a column, timed interleaved within the same "
    "processes: blue is faster, orange slower, and grey text is undecided. Below each its 95 % interval over "
    "processes, for one pair and not corrected for their number; the table of verdicts is.",
    needs="a run of bench compare",
    place=58,
)
def _speedup_matrix(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each run and quantity."""
    parts = list(speedups(frame).groupby(["run", "quantity"], sort=False))
    if not parts:
        return None
    shown = parts[:_PANELS]
    most = max(min(rows["network"].nunique(), _MOST) for _, rows in shown)
    side = most * (0.78 if most <= _INTERVALS else 0.46)
    longest = max(len(drawable(name, _LETTERS)) for _, rows in shown for name in rows["network"])
    upright = most > _FLAT or longest > _FLAT_LETTERS
    beside = 0.9 + 0.065 * longest  # inches, of the names, so that cells are as wide as their numbers need
    height = max(side, 1.6) + (max(1.5, beside) if upright else 1.5)
    drawing, panels = grid(len(shown), 2, (max(side, 2.4) + max(1.6, beside), height))
    several = len({rows["run"].iloc[0] for _, rows in parts}) > 1
    for axes, ((run, quantity), rows) in zip(panels, shown, strict=True):
        _panel(axes, rows, 90 if upright else 0)
        batch = rows["batch_size"].iloc[0]
        name = "Latency" if quantity == "latency" else "Throughput"
        count = rows["network"].nunique()
        words = [name, "" if pd.isna(batch) else f"batch {batch:.0f}", run if several else ""]
        words += [f"the first {_MOST} of {count:,} networks" if count > _MOST else ""]
        heading(axes, ", ".join(str(word) for word in words if word))
    if more := not_drawn(parts, shown):
        panels[-1].set_xlabel(f"Baseline · {more}")
    return drawing


def _panel(axes: Axes, rows: pd.DataFrame, turned: int) -> None:
    names = list(dict.fromkeys(rows["network"]))[:_MOST]
    ratio, low, high, decided = (
        rows.pivot(index="network", columns="baseline", values=key)
        .reindex(index=names, columns=names)
        .to_numpy()
        for key in ("speedup", "low", "high", "decided")
    )
    reach = np.nanmax(np.abs(np.log(ratio)), initial=math.log(1.1))
    colours = [_shade(math.log(one) / reach) for one in ratio.flat]
    draw_cells(axes, colours, [drawable(name, _LETTERS) for name in names], linewidths=0)
    room = len(names) <= _INTERVALS
    for row, column in np.argwhere(np.isfinite(ratio)):
        place, ends = (row, column), (low[row, column], high[row, column])
        _cell(axes, place, ratio[place], ends, INK if decided[place] else MUTED, room=room)
    axes.tick_params(axis="x", rotation=turned)
    axes.set_xlabel("Baseline")
    axes.set_ylabel("Network")


def _shade(share: float) -> tuple[float, float, float, float]:
    """Return the colour of a cell, the less opaque the nearer to equal, from -1 (slower) to 1; grey where it is NaN."""
    if math.isnan(share):
        return to_rgba(GRID)
    return to_rgba(COLOURS[0 if share > 0 else 1], _STRONGEST * abs(share))


def _cell(
    axes: Axes,
    place: tuple[int, int],
    ratio: float,
    ends: tuple[float, float],
    colour: str,
    *,
    room: bool,
) -> None:
    """Write a ratio into its cell, and where there is room for them, the ends of its interval below it."""
    y, x = (position + 0.5 for position in place)
    where: dict[str, Any] = {"ha": "center", "va": "center"}
    if room and math.isfinite(ends[0]):
        words = interval(*ends, lambda end: fixed(end, ratio, 3))
        axes.text(x, y + 0.2, words, fontsize=6.5, color=colour, **where)
        y -= 0.12
    axes.text(x, y, f"{significant(ratio)}×", fontsize=9 if room else 7.5, color=colour, **where)
