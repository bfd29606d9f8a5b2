"""A race: accuracy against the cost that was raced, with the front, the budget, and what was left alone."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.choosing import COSTS
from bench.io import JsonObject
from bench.report._raced import race_table, races_of
from bench.report.figures import figure
from bench.report.figures._labels import Labels, Point, place_labels
from bench.report.figures._shared import accuracy_axis, draw_corners, heading, panels, steps
from bench.report.figures._style import COLOURS, INK, MUTED, OWN_LOOK, SURFACE, drawable, legend, log_axis
from bench.units import exactly

_BLUE, _ORANGE = COLOURS[:2]
_PALE = 0.18


@figure(
    "race",
    title="The race: accuracy against cost",
    caption="Up and to the left is better, or to the right of a throughput. The line is the front of what was "
    "measured: filled points are on it for certain, hollow ones may be; bars are 99 % intervals of the cost. Grey "
    "points are behind it. Pale lines were never measured: the cost of each is expected between its "
    "ends, with 95 %; of very many, those have a line that are likeliest to matter, the others a dot in its middle. "
    "Where there was a budget, it is the upright line, and the choice has a ring.",
    needs="a race, bench choose",
    place=15,
    charted=True,
)
def _race(_table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each race, of what the runs keep of it."""
    races = races_of(frame)
    if not races:
        return None
    drawing, axes = panels(len(races), wide=True)
    placed: list[tuple[Axes, Labels]] = []
    drawn: set[str] = set()
    for one, (name, race) in zip(axes, races, strict=True):
        rows = race_table(race)
        placed.append((one, _panel(one, name, race, rows)))
        drawn |= _drawn(rows, race)
    names = [name for name in _LOOKS if name in drawn]
    handles = [Line2D([], [], **_LOOKS[name]) for name in names]
    legend(drawing, handles, names, loc="outside lower center", ncols=3)
    for one, labels in placed:
        place_labels(one, labels)
    return drawing


def _limit(race: JsonObject) -> float | None:
    """Return the budget of what was raced; None where there was none."""
    limit = race.get("limit")
    return float(limit) if isinstance(limit, int | float) and limit > 0 else None


_DOT: dict[str, Any] = {"linestyle": "", "marker": "o"}
_LOOKS: dict[str, dict[str, Any]] = {
    "chosen": {**_DOT, "ms": 11, "markerfacecolor": "none", "markeredgecolor": INK},
    "on the front for certain": {**_DOT, "color": _BLUE},
    "on the front, not for certain": {**_DOT, "color": _BLUE, "markerfacecolor": SURFACE},
    "measured, behind the front": {**_DOT, "ms": 4, "color": MUTED, "alpha": 0.55},
    "your own": {**_DOT, "marker": OWN_LOOK.marker, "ms": 10, "color": OWN_LOOK.colour},
    "never measured": {"color": MUTED, "alpha": 2 * _PALE},
    "the budget": {"color": _ORANGE},
}
"""What stands for what."""


def _drawn(rows: pd.DataFrame, race: JsonObject) -> set[str]:
    """Return what of `_LOOKS` is drawn of a race."""
    measured, certain = rows["state"] == "measured", rows["certain"].astype(bool)
    front = measured & rows["on_front"].astype(bool)
    there = {
        "chosen": front & rows["best"],
        "on the front for certain": front & certain,
        "on the front, not for certain": front & ~certain,
        "measured, behind the front": measured & ~front,
        "your own": measured & rows["own"],
        "never measured": (rows["state"] == "never") & rows["cost_expected_low"].notna(),
    }
    budget = set() if _limit(race) is None else {"the budget"}
    return budget | {name for name, some in there.items() if some.any()}


def _panel(axes: Axes, name: str, race: JsonObject, rows: pd.DataFrame) -> Labels:
    """Draw one race; return what is to be labelled, and the lines in the way."""
    unit = COSTS[race["cost"]][0]
    better: Literal["lower", "higher"] = "higher" if COSTS[race["cost"]][1] == "higher" else "lower"
    never, measured = rows[rows["state"] == "never"], rows[rows["state"] == "measured"]
    ends = never[["cost_expected_low", "cost_expected_high"]].to_numpy()
    span = never["span"].to_numpy(dtype=bool)
    axes.hlines(never["accuracy"][span], ends[span, 0], ends[span, 1], color=MUTED, alpha=_PALE, lw=1)
    axes.plot(
        np.sqrt(ends[~span].prod(axis=1)), never["accuracy"][~span], ".", ms=2.5, color=MUTED, alpha=2 * _PALE
    )
    on_front = measured["on_front"].astype(bool)
    behind = measured[~on_front]
    axes.plot(behind["cost"], behind["accuracy"], "o", ms=4, color=MUTED, alpha=0.55)
    own = measured[measured["own"]]
    axes.plot(own["cost"], own["accuracy"], OWN_LOOK.marker, ms=10, color=OWN_LOOK.colour, zorder=4)
    front = measured[on_front].sort_values("cost", ascending=better == "lower")
    lines = draw_corners(axes, steps(front["cost"].tolist(), front["accuracy"].tolist(), better))
    _draw_members(axes, front)
    reached = [*measured["cost"], *ends.ravel()]
    words = ""
    if (limit := _limit(race)) is not None:
        axes.axvline(limit, color=_ORANGE, lw=1.2)
        reached.append(limit)
        words = f"; the budget is {exactly(limit, unit)}"
    title = f"{race['cost'].capitalize()}{words}"
    log_axis(axes.xaxis, [v for v in reached if math.isfinite(v) and v > 0], title, unit)
    accuracy_axis(axes, drawable(str(race.get("accuracy") or "Accuracy")))
    heading(axes, name)
    named = pd.concat([front, own[~own["on_front"].astype(bool)]])
    points = [
        Point(row["cost"], row["accuracy"], row["label"], 4.5, first=bool(row["best"]))
        for row in named.to_dict("records")
    ]
    return Labels(points, lines)


def _draw_members(axes: Axes, front: pd.DataFrame) -> None:
    """Draw the members of the front with their intervals, and a ring around the one that is chosen."""
    for sure, face in ((True, _BLUE), (False, SURFACE)):
        some = front[front["certain"].astype(bool) == sure]
        bars = np.nan_to_num(np.abs([some["cost"] - some["cost_low"], some["cost_high"] - some["cost"]]))
        look: dict[str, Any] = {"ms": 6.5, "color": _BLUE, "markerfacecolor": face, "lw": 1}
        if len(some):
            axes.errorbar(some["cost"], some["accuracy"], xerr=bars, fmt="o", **look)
    chosen = front[front["best"].astype(bool)]
    axes.plot(chosen["cost"], chosen["accuracy"], "o", ms=13, markerfacecolor="none", markeredgecolor=INK)
