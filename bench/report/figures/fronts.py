"""Accuracy against one cost or speed, and which networks none beats in both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures import figure
from bench.report.figures._panels import (
    CROWDED,
    Labels,
    Looks,
    accuracy_axis,
    by_family,
    draw_front,
    draw_marks,
    draw_scatter,
    heading,
)
from bench.report.figures._rows import (
    AccuracyKind,
    absent,
    accuracies,
    by_machine,
    conditions,
    doubt_note,
    failed_note,
    in_doubt,
    protocol_note,
    worthwhile,
)
from bench.report.figures.labels import Point
from bench.report.figures.style import SURFACE, drawable, log_axis

_MOST = 6  # panels of a figure, half of that where they are crowded


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


_THROUGHPUT = Cost("throughput", "1", "Images per second", better="higher")
_LATENCY = Cost("latency", "s", "Latency at batch 1", batch=False)
_TENSORS = Cost("tensor_memory", "B", "Memory of tensors")
_PEAK = Cost("peak_memory", "B", "Peak memory")
_ENERGY = Cost("energy", "J", "Energy per image")


@figure(
    "throughput_accuracy",
    title="Accuracy against throughput",
    caption="Up and to the right is better. The line is the Pareto front: no network shown is both faster and more "
    "accurate than one on it; those behind it are paler, and hollow ones are in doubt and on no line. Throughput is of "
    "the forward pass, at the largest batch that was timed; accuracies of short trainings are shown where the network "
    "was timed in the shape it was trained in. Bars are the 95 % interval of the throughput and one standard deviation "
    "of the accuracy over seeds.",
    needs="a measured throughput, and a published accuracy or a short training, of the same network",
    place=20,
    charted=True,
)
def draw_throughput(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine and kind of accuracy."""
    return _draw(table, frame, [_THROUGHPUT])


@figure(
    "accuracy_cost",
    title="Accuracy against latency, memory and energy",
    caption="Up and to the left is better. The line is the Pareto front: no network shown is both cheaper and more "
    "accurate than one on it; those behind it are paler, and hollow ones are in doubt and on no line. Latency is of "
    "one image, memory and energy of the largest batch that was timed; memory is of the tensors alive at once where "
    "these were counted, else the process's peak. Accuracies of short trainings are shown where the network was timed "
    "in the shape it was trained in. Bars are the 95 % interval of the latency and one standard deviation of the "
    "accuracy over seeds.",
    needs="a measured latency, memory or energy, and a published accuracy or a short training, of the same "
    "network",
    place=25,
    charted=True,
)
def draw_costs(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine, kind of accuracy and cost."""
    memory = _TENSORS if table["tensor_memory"].notna().any() else _PEAK
    return _draw(table, frame, (_LATENCY, memory, _ENERGY))


@dataclass(frozen=True, slots=True)
class _Panel:
    """One panel: a machine, a cost, and rows of the table with `cost`, `low`, `high`, `value` and `spread`."""

    machine: str
    cost: Cost
    kind: AccuracyKind

    @property
    def rows(self) -> pd.DataFrame:
        return self.kind.rows


def _draw(table: pd.DataFrame, frame: pd.DataFrame, costs: Sequence[Cost]) -> Figure | None:
    """Draw a panel for each machine, kind of accuracy and cost; the first six, or three crowded ones."""
    parts = list(_parts(table, costs))
    crowded = any(len(part.rows) > CROWDED for part in parts)
    measured = table.loc[table[[cost.key for cost in costs]].notna().any(axis=1), "network"]

    def notes(drawing: Figure, shown: Sequence[_Panel]) -> list[str]:
        doubts = doubt_note([part.rows for part in shown], "cost", "value")
        failed = failed_note(drawing, absent(frame, ["infer"], measured))
        return [protocol_note(part.kind for part in shown), doubts, failed]

    most = _MOST // 2 if crowded else _MOST
    return draw_scatter(table, parts, _panel, notes, most=most, wide=crowded)


def _parts(table: pd.DataFrame, costs: Sequence[Cost]) -> Iterator[_Panel]:
    """Yield the panels of each machine, those of one kind of accuracy beside each other."""
    for name, rows in by_machine(table):
        some = [_Panel(name, cost, kind) for cost in costs for kind in worthwhile(_measured(rows, cost))]
        titles = list(dict.fromkeys(panel.kind.title for panel in some))
        yield from sorted(some, key=lambda panel: titles.index(panel.kind.title))


def _measured(rows: pd.DataFrame, cost: Cost) -> list[AccuracyKind]:
    """Return the kinds with those rows alone whose cost was measured in the shape of their accuracy."""
    return [
        replace(kind, rows=_with_cost(kind.rows[kind.rows[cost.key] > 0], cost.key))
        for kind in accuracies(rows[rows[cost.key] > 0])
    ]


def _with_cost(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the rows with `cost`, `cost_flags`, and `low` and `high` of its interval, NaN where it has none."""
    ends = {end: rows.get(f"{key}_{end}", math.nan) for end in ("low", "high")}
    return rows.assign(cost=rows[key], cost_flags=rows.get(f"{key}_flags", ""), **ends)


def _panel(axes: Axes, panel: _Panel, look: Looks) -> Labels:
    """Draw one panel, and return what is to be labelled."""
    rows, cost = panel.rows, panel.cost
    doubtful = in_doubt(rows, "cost", "value")
    front, lines = draw_front(axes, rows, "cost", "value", doubtful=doubtful, better=cost.better)
    named = _named(rows, cost) | front
    points: list[Point] = []
    for part, on_front, hollow in (
        (front, True, False),
        (~front & ~doubtful, False, False),
        (doubtful, False, True),
    ):
        for style, some in by_family(rows[part], look):
            draw_marks(
                axes, some, "cost", "value", style, size=7 if on_front else 5.5,
                xerr=np.abs([some["cost"] - some["low"], some["high"] - some["cost"]]), yerr=some["spread"],
                markerfacecolor=SURFACE if hollow else style.colour, alpha=1.0 if on_front or hollow else 0.5,
            )  # fmt: skip
            labels = some.loc[named[some.index], ["cost", "value", "label", "spread"]].itertuples(index=False)
            points += [Point(x, y, text, 4.5, first=on_front, spread=spread) for x, y, text, spread in labels]
    reached = rows[["cost", "low", "high"]].to_numpy(dtype=np.float64)
    log_axis(axes.xaxis, reached[reached > 0].tolist(), "", cost.unit)
    accuracy_axis(axes, panel.kind.axis)
    heading(axes, panel.kind.title)
    words = (cost.axis, panel.machine, conditions(rows, batch=cost.batch))
    axes.set_xlabel(drawable(", ".join(word for word in words if word), 80))
    ends = rows[["low", "high", "value"]].dropna().itertuples(index=False)
    unnamed = [(x, y) for x, y in rows.loc[~named, ["cost", "value"]].itertuples(index=False)]
    return Labels(points, [*lines, *([(low, y), (high, y)] for low, high, y in ends)], unnamed)


def _named(rows: pd.DataFrame, cost: Cost) -> pd.Series[bool]:
    """Return which points are named: all of a few, else of each network that with the best cost."""
    if len(rows) <= CROWDED:
        return pd.Series(True, rows.index)
    costs = rows.groupby(["run", "network"], dropna=False)["cost"]
    best = costs.idxmin() if cost.better == "lower" else costs.idxmax()
    return pd.Series(rows.index.isin(best), rows.index)
