"""Horizontal bars of one speed, sorted, a panel for each machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures._panels import by_family, by_machine, conditions, heading, spans
from bench.report.style import GRID, INK, Look, canvas, drawable, log_axis, looks, number_axis, ticks_at
from bench.report.view import digits_for
from bench.units import show

_MOST = 40  # bars of a panel
_LOG = 30.0  # largest over smallest value from which an axis is logarithmic


@dataclass(frozen=True, slots=True)
class Bars:
    """What is drawn: a column of the table with `_low` and `_high`, its unit, axis title, and which is better."""

    key: str
    unit: str
    axis: str
    lower_is_better: bool


def draw_bars(table: pd.DataFrame, bars: Bars) -> Figure | None:
    """Draw the best on top; lines of points instead of bars on a logarithmic axis, where lengths mean nothing."""
    machines = by_machine(table[table[bars.key] > 0])
    if not machines:
        return None
    sorted_rows = [(name, _best_first(rows, bars)) for name, rows in machines]
    heights = [min(len(rows), _MOST) * 0.24 + 1.0 for _, rows in sorted_rows]
    drawing = canvas(8.2, sum(heights))
    panels = drawing.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    look = looks(table["family"])
    for axes, (name, rows) in zip(panels, sorted_rows, strict=True):
        _panel(axes, rows.head(_MOST), bars, look)
        more = f" · the {_MOST} best of {len(rows)}" if len(rows) > _MOST else ""
        shared = conditions(rows, batch=bars.key == "throughput")
        heading(axes, ", ".join(word for word in (name, shared) if word) + more)
    return drawing


def _best_first(rows: pd.DataFrame, bars: Bars) -> pd.DataFrame:
    return rows.sort_values([bars.key, "label"], ascending=[bars.lower_is_better, True], kind="stable")


def _panel(axes: Axes, rows: pd.DataFrame, bars: Bars, look: Mapping[str, Look]) -> None:
    values = rows[bars.key].tolist()
    logarithmic = spans(values) > _LOG
    rows = rows.assign(place=range(len(rows)))
    places = rows["place"].tolist()
    for style, part in by_family(rows, look):
        _family(axes, part, bars.key, style, logarithmic=logarithmic)
    for place, row in zip(places, rows.to_dict("records"), strict=True):
        value, low, high = (float(row[bars.key + end]) for end in ("", "_low", "_high"))
        text, end = show(value, bars.unit, digits_for(value, low, high)), value if math.isnan(high) else high
        axes.annotate(text, (end, place), (7, 0), textcoords="offset points", va="center", fontsize=8)
    reached = [*values, *rows[f"{bars.key}_low"].dropna(), *rows[f"{bars.key}_high"].dropna()]
    if logarithmic:
        log_axis(axes.xaxis, [r for r in reached if r > 0], bars.axis, bars.unit)
        axes.set_xlim(right=axes.get_xlim()[1] * spans(reached) ** 0.12)
        axes.hlines(places, axes.get_xlim()[0], values, color=GRID, linewidth=1, zorder=1)
    else:
        number_axis(axes.xaxis, bars.axis, bars.unit)
        axes.set_xlim(0, 1.14 * max(reached))
    ticks_at(axes.yaxis, places, [drawable(label) for label in rows["label"]])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _family(axes: Axes, rows: pd.DataFrame, key: str, style: Look, *, logarithmic: bool) -> None:
    """Draw the values of a family with their intervals."""
    values, places = rows[key], rows["place"]
    sides = np.abs([values - rows[f"{key}_low"], rows[f"{key}_high"] - values])
    if not logarithmic:
        axes.barh(places, values, height=0.66, color=style.colour, alpha=0.85, zorder=2)
    marks = {"marker": style.marker, "color": style.colour} if logarithmic else {"color": INK, "capsize": 2}
    axes.errorbar(values, places, xerr=sides, linestyle="", elinewidth=1.3, zorder=3, **marks)
