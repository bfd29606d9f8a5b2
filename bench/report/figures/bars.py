"""Latency and throughput in rows, sorted, a panel for each machine: bars, or points with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.comparison import STATUS_WORDS
from bench.analysis.flags import doubts_of
from bench.records.flags import spoken
from bench.report._short_names import OWN
from bench.report.figures import figure
from bench.report.figures._shared import (
    Looks,
    by_family,
    by_machine,
    conditions,
    heading,
    name_rows,
    not_drawn,
    reached,
    spans,
    unmeasured,
)
from bench.report.figures._style import (
    GRID,
    INK,
    MUTED,
    SURFACE,
    Look,
    canvas,
    drawable,
    footnote,
    log_axis,
    looks,
    number_axis,
)
from bench.report.tables._view import interval
from bench.units import Scale, digits_for, fixed, show, significant

_MOST = 40  # rows of a panel
_FAILED = 10  # further rows of what failed
_PANELS = 6
_LETTER = 0.0105  # of the width of a panel
_LOG = 30.0  # largest over smallest value from which an axis is logarithmic


@dataclass(frozen=True, slots=True)
class _Bars:
    """What is drawn."""

    key: str  # column of the table, with `_low` and `_high`
    unit: str  # of its numbers
    axis: str  # title of the axis
    lower_is_better: bool  # which rows are on top
    batch: int | None = None  # the batch size that it is of, None where that is the row's own
    points: bool = False  # whether values are points with their intervals in words, instead of bars


_LATENCY = _Bars("latency", "s", "Latency at batch 1", lower_is_better=True, batch=1, points=True)
_THROUGHPUT = _Bars("throughput", "1", "Images per second", lower_is_better=False)


@figure(
    "latency_forest",
    title="Latency of a single image",
    caption="A synchronised forward pass at batch 1, fastest on top; colours and markers are families. Points are "
    "medians, lines and numbers in brackets their 95 % interval, over processes where there are several (one "
    "process with fewer than six samples has none). Intervals that overlap decide nothing. What failed is named below.",
    needs="infer jobs at batch size 1",
    place=30,
    charted=True,
)
def _latency_forest(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine."""
    return _draw(table, frame, _LATENCY)


@figure(
    "throughput_bars",
    title="Throughput",
    caption="Forward passes at the largest batch that was timed, without synchronisation between them, fastest on "
    "top; colours are families. Values are the batch over the median step, whiskers its 95 % interval. "
    "What failed is named below.",
    needs="infer jobs with a step time",
    place=40,
    charted=True,
)
def _throughput_bars(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine."""
    return _draw(table, frame, _THROUGHPUT)


def _draw(table: pd.DataFrame, frame: pd.DataFrame, bars: _Bars) -> Figure | None:
    """Draw the best on top, and what failed below; on a logarithmic axis points, as lengths mean nothing there."""
    missing = unmeasured(table, frame, bars.key, bars.batch)
    by_name = by_machine(pd.concat([table[table[bars.key] > 0].assign(why=None), missing]))
    machines = [(name, rows) for name, rows in by_name if rows[bars.key].notna().any()]
    if not machines:
        return None
    shown = [(name, rows, _rows(rows, bars)) for name, rows in machines[:_PANELS]]
    heights = [len(some) * 0.24 + 1.0 for _, _, some in shown]
    drawing = canvas(8.2, sum(heights))
    panels = drawing.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    look = looks(table["family"])
    common = _in_all([some for _, _, some in shown], bars.key)
    for axes, (name, rows, some) in zip(panels, shown, strict=True):
        _panel(axes, some, bars, look, common)
        heading(axes, ", ".join(word for word in (name, conditions(rows, batch=bars.batch is None)) if word))
        _say_left_out(axes, rows, some, bars.key)
    doubts = f"All are in doubt: {drawable(spoken(*common), 200)}" if common else ""
    footnote(drawing, [doubts, not_drawn(machines, shown)])
    return drawing


def _rows(rows: pd.DataFrame, bars: _Bars) -> pd.DataFrame:
    """Return the rows of a panel at their places: the best of those measured and one's own, then some that failed."""
    order = [bars.key, "label"]
    ranked = rows.sort_values(order, ascending=[bars.lower_is_better, True], kind="stable")
    measured = ranked[bars.key].notna()
    best, others = ranked[measured].iloc[:_MOST], ranked[measured].iloc[_MOST:]
    some = pd.concat([best, others[others["family"] == OWN], ranked[~measured].head(_FAILED)])
    return some.assign(place=range(len(some)))


def _in_all(parts: Sequence[pd.DataFrame], key: str) -> tuple[str, ...]:
    """Return the doubts that all drawn numbers have, which are said once."""
    rows = [row for part in parts for row in part[part[key].notna()].to_dict("records")]
    first, *others = [doubts_of(row, key) for row in rows]
    return tuple(flag for flag in first if all(flag in flags for flags in others))


def _say_left_out(axes: Axes, rows: pd.DataFrame, some: pd.DataFrame, key: str) -> None:
    counts = [(part[key].notna().sum(), part[key].isna().sum()) for part in (rows, some)]
    (measured, failed), (drawn, named) = counts
    words = [f"the {drawn} best of {measured}"] if drawn < measured else []
    words += [f"{named} of {failed} that failed"] if named < failed else []
    axes.set_title(" · ".join([axes.get_title("left"), *words]))


def _panel(axes: Axes, rows: pd.DataFrame, bars: _Bars, look: Looks, common: Sequence[str]) -> None:
    measured, failed = rows[rows[bars.key].notna()], rows[rows[bars.key].isna()]
    values = measured[bars.key].tolist()
    logarithmic = spans(values) > _LOG
    ends = measured[[f"{bars.key}_low", f"{bars.key}_high"]].to_numpy(dtype=np.float64).ravel()
    reach = reached(values, ends, logarithmic=logarithmic)
    for style, part in by_family(measured, look):
        _family(axes, part, bars.key, style, points=logarithmic or bars.points)
    texts: list[str] = []
    for row in measured.to_dict("records"):
        value, low, high = (float(row[bars.key + end]) for end in ("", "_low", "_high"))
        end = value if math.isnan(high) else min(high, max(reach))
        own = spoken(*(flag for flag in doubts_of(row, bars.key) if flag not in common))
        texts.append(_words(value, low, high, bars) + (f"  {own}" if own else ""))
        on_bar = {"facecolor": SURFACE, "edgecolor": "none", "pad": 1.0} if high > end else None
        axes.annotate(
            texts[-1], (end, row["place"]), (7, 0), textcoords="offset points", va="center", fontsize=8,
            bbox=on_bar, zorder=4,
        )  # fmt: skip
    _axis(axes, measured, bars, reach, logarithmic=logarithmic, letters=max(map(len, texts)))
    for row in failed.to_dict("records"):
        axes.annotate(
            f"{STATUS_WORDS.get(row['why'], row['why'])}", (0, row["place"]), (6, 0),
            ("axes fraction", "data"), "offset points", va="center", fontsize=8, color=MUTED,
        )  # fmt: skip
    name_rows(axes, [drawable(label) for label in rows["label"]])


def _words(value: float, low: float, high: float, bars: _Bars) -> str:
    """Return the value, and of points the interval in the same unit: ``49 ms (44 – 52)``."""
    digits = digits_for(value, low, high)
    text = show(value, bars.unit, digits)
    if not bars.points or math.isnan(low):
        return text
    scale = Scale.of(value, bars.unit)
    shown = float(significant(value / scale.factor, digits).replace(",", ""))
    ends = interval(low, high, lambda end: fixed(end / scale.factor, shown, digits))
    return f"{text}  ({ends})"


def _axis(
    axes: Axes, rows: pd.DataFrame, bars: _Bars, reach: Sequence[float], *, logarithmic: bool, letters: int
) -> None:
    """Set up the axis of values, with room for texts of so many letters behind them, and lines that lead to points."""
    share = min(0.6, _LETTER * letters)
    room = max(0.14, share / (1 - share))
    if logarithmic:
        log_axis(axes.xaxis, reach, bars.axis, bars.unit)
        axes.set_xlim(right=axes.get_xlim()[1] * spans(reach) ** room)
    else:
        number_axis(axes.xaxis, bars.axis, bars.unit)
        axes.set_xlim(0, (1 + room) * max(reach))
    if logarithmic or bars.points:
        axes.hlines(rows["place"], axes.get_xlim()[0], rows[bars.key], color=GRID, linewidth=1, zorder=1)


def _family(axes: Axes, rows: pd.DataFrame, key: str, style: Look, *, points: bool) -> None:
    """Draw the values of a family with their intervals."""
    values, places = rows[key], rows["place"]
    sides = np.abs([values - rows[f"{key}_low"], rows[f"{key}_high"] - values])
    if not points:
        axes.barh(places, values, height=0.66, color=style.colour, alpha=0.85, zorder=2)
    marks = {"marker": style.marker, "color": style.colour} if points else {"color": INK, "capsize": 2}
    axes.errorbar(values, places, xerr=sides, linestyle="", elinewidth=1.3, zorder=3, **marks)
