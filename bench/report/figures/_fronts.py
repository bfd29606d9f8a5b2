"""Accuracy against one cost or speed, with the Pareto front: panels that several figures draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.pareto import pareto_front
from bench.report.figures._failed import absent, failed_note
from bench.report.figures._panels import (
    CROWDED,
    Accuracy,
    accuracies,
    by_family,
    by_machine,
    conditions,
    doubt_note,
    heading,
    in_doubt,
    not_drawn,
    panels,
    protocol_note,
    worthwhile,
)
from bench.report.labels import Point, place_labels
from bench.report.style import MUTED, SURFACE, Look, drawable, family_legend, log_axis, looks, number_axis

_MOST = 6  # panels of a figure

Corners = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Cost:
    """A column of the table that accuracy is set against.

    Attributes:
        key: the column; its interval, where it has one, is in `_low` and `_high`.
        unit: of its numbers.
        axis: title of the axis.
        better: which direction is an improvement.
        batch: whether it depends on the batch size of the row.
    """

    key: str
    unit: str
    axis: str
    better: Literal["lower", "higher"] = "lower"
    batch: bool = True


@dataclass(frozen=True, slots=True)
class Panel:
    """What one panel shows: a machine, a kind of accuracy and a cost."""

    machine: str
    kind: Accuracy
    cost: Cost


def draw_fronts(table: pd.DataFrame, frame: pd.DataFrame, costs: Sequence[Cost]) -> Figure | None:
    """Draw a panel for each machine, kind of accuracy and cost; the first six, or three crowded ones."""
    found = [
        Panel(name, kind, cost)
        for name, rows in by_machine(table)
        for kinds in [{cost: worthwhile(_measured(rows, cost)) for cost in costs}]
        for title in dict.fromkeys(kind.title for some in kinds.values() for kind in some)
        for cost, some in kinds.items()
        for kind in some
        if kind.title == title
    ]
    if not found:
        return None
    crowded = max(len(panel.kind.rows) for panel in found) > CROWDED
    shown = found[: _MOST // 2 if crowded else _MOST]
    drawing, axes = panels(len(shown), wide=crowded)
    look = looks(table["family"])
    labelled = [_panel(a, panel, look) for a, panel in zip(axes, shown, strict=True)]
    drawn = pd.concat([panel.kind.rows for panel in shown])
    costed = [_with_interval(panel.kind.rows, panel.cost.key) for panel in shown]
    measured = table.loc[table[[cost.key for cost in costs]].notna().any(axis=1), "network"]
    note = failed_note(drawing, absent(frame, ["infer"], measured))
    kinds = [panel.kind for panel in shown]
    notes = [protocol_note(kinds), doubt_note(costed, "cost", "value"), note, not_drawn(found, shown)]
    family_legend(drawing, drawn["family"], look, "\n".join(filter(None, notes)))
    for a, (points, lines, unnamed) in zip(axes, labelled, strict=True):
        place_labels(a, points, lines, unnamed)
    return drawing


def _measured(rows: pd.DataFrame, cost: Cost) -> list[Accuracy]:
    """Return the kinds with those rows alone whose cost was measured in the shape of their accuracy."""
    kinds = (
        Accuracy(kind.title, kind.axis, kind.rows[kind.rows[cost.key] > 0])
        for kind in accuracies(rows[rows[cost.key] > 0])
    )
    return [kind for kind in kinds if len(kind.rows)]


def _panel(axes: Axes, panel: Panel, look: Mapping[str, Look]) -> tuple[list[Point], list[Corners], Corners]:
    """Draw one panel, and return what is to be labelled, and the lines and other markers that are in the way."""
    kind, cost = panel.kind, panel.cost
    rows = _with_interval(kind.rows, cost.key)
    doubted = in_doubt(rows, "cost", "value")
    front = doubted & False
    front[~doubted] = pareto_front(rows[~doubted], "cost", "value", cost_better=cost.better)
    best = rows[front].sort_values("cost")
    corners = steps(best["cost"].tolist(), best["value"].tolist(), cost.better)
    if corners:
        axes.plot(*zip(*corners, strict=True), color=MUTED, linewidth=1, zorder=1)
    points: list[Point] = []
    named = _named(rows, cost) | front
    for on_front, hollow, chosen in (
        (True, False, front),
        (False, False, ~front & ~doubted),
        (False, True, doubted),
    ):
        for style, some in by_family(rows[chosen], look):
            _marks(axes, some, style, on_front=on_front, hollow=hollow)
            labels = some.loc[named[some.index], ["cost", "value", "label", "spread"]].itertuples(index=False)
            points += [Point(x, y, text, 4.5, first=on_front, spread=spread) for x, y, text, spread in labels]
    reached = rows[["cost", "low", "high"]].to_numpy(dtype=np.float64)
    log_axis(axes.xaxis, reached[reached > 0].tolist(), "", cost.unit)
    number_axis(axes.yaxis, kind.axis, "%")
    axes.margins(y=0.12)
    heading(axes, kind.title)
    words = (cost.axis, panel.machine, conditions(rows, batch=cost.batch))
    axes.set_xlabel(drawable(", ".join(word for word in words if word), 80))
    ends = rows[["low", "high", "value"]].dropna().itertuples(index=False)
    unnamed = [(x, y) for x, y in rows.loc[~named, ["cost", "value"]].itertuples(index=False)]
    return (
        points,
        [*([corners] if corners else []), *([(low, y), (high, y)] for low, high, y in ends)],
        unnamed,
    )


def _named(rows: pd.DataFrame, cost: Cost) -> pd.Series[bool]:
    """Return which points are named: all of a few, else of each network that with the best cost."""
    if len(rows) <= CROWDED:
        return pd.Series(True, rows.index)
    costs = rows.groupby(["run", "network"], dropna=False)["cost"]
    best = costs.idxmin() if cost.better == "lower" else costs.idxmax()
    return pd.Series(rows.index.isin(best), rows.index)


def _with_interval(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the rows with `cost`, and `cost_flags`, and `low` and `high` of its interval, NaN where it has none."""
    ends = {end: rows.get(f"{key}_{end}", math.nan) for end in ("low", "high")}
    return rows.assign(cost=rows[key], cost_flags=rows.get(f"{key}_flags", ""), **ends)


def _marks(axes: Axes, rows: pd.DataFrame, style: Look, *, on_front: bool, hollow: bool) -> None:
    """Draw the points of a family with their intervals."""
    axes.errorbar(
        rows["cost"],
        rows["value"],
        xerr=np.abs([rows["cost"] - rows["low"], rows["high"] - rows["cost"]]),
        yerr=rows["spread"],
        marker=style.marker,
        markersize=7 if on_front else 5.5,
        linestyle="",
        color=style.colour,
        markerfacecolor=SURFACE if hollow else style.colour,
        alpha=1.0 if on_front or hollow else 0.5,
        elinewidth=1,
        zorder=3,
    )


def steps(costs: Sequence[float], values: Sequence[float], better: Literal["lower", "higher"]) -> Corners:
    """Return the corners of a front, whose costs rise: the best value to be had at a cost no worse than each."""
    corners = list(zip(costs[:1], values[:1], strict=True))
    for (before, y_before), (x, y) in zip(
        zip(costs[:-1], values[:-1], strict=True), zip(costs[1:], values[1:], strict=True), strict=True
    ):
        corners += [(x, y_before) if better == "lower" else (before, y), (x, y)]
    return corners
