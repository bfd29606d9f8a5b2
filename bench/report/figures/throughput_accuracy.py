"""Accuracy against throughput, and which networks none beats in both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.pareto import pareto_front
from bench.report.figures import figure
from bench.report.figures._panels import (
    CROWDED,
    Accuracy,
    accuracies,
    by_family,
    by_machine,
    conditions,
    heading,
    left_out,
    panels,
    worthwhile,
)
from bench.report.labels import Point, place_labels
from bench.report.style import MUTED, Look, drawable, family_legend, log_axis, looks, number_axis

Corners = list[tuple[float, float]]


@figure(
    "throughput_accuracy",
    title="Accuracy against throughput",
    caption="Up and to the right is better. The line is the Pareto front: no network shown is both faster and more "
    "accurate than one on it; those behind it are paler. Throughput is of the forward pass, at the largest batch "
    "that was timed; accuracies of short trainings are shown where the network was timed in the shape it was trained "
    "in. Bars are the 95 % interval of the throughput and one standard deviation of the accuracy over "
    "seeds.",
    needs="a measured throughput, and a published accuracy or a short training, of the same network",
    place=20,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each machine and kind of accuracy."""
    timed = table[table["throughput"] > 0]
    shown = [
        (name, kind) for name, rows in by_machine(timed) for kind in worthwhile(_timed(accuracies(rows)))
    ]
    if not shown:
        return None
    drawing, axes = panels(len(shown), wide=max(len(kind.rows) for _, kind in shown) > CROWDED)
    look = looks(table["family"])
    labelled = []
    for a, (name, kind) in zip(axes, shown, strict=True):
        heading(a, kind.title)
        labelled.append(_panel(a, kind, look))
        a.set_xlabel(drawable(f"Images per second, {name}, {conditions(kind.rows, batch=True)}", 80))
    family_legend(drawing, pd.concat([kind.rows["family"] for _, kind in shown]), look)
    for a, (points, lines) in zip(axes, labelled, strict=True):
        left_out(a, place_labels(a, points, lines))
    return drawing


def _timed(kinds: Iterable[Accuracy]) -> list[Accuracy]:
    """Return the kinds with those rows alone that were timed in the shape of their accuracy."""
    rows = [Accuracy(kind.title, kind.axis, kind.rows[kind.rows["throughput"] > 0]) for kind in kinds]
    return [kind for kind in rows if len(kind.rows)]


def _panel(axes: Axes, kind: Accuracy, look: Mapping[str, Look]) -> tuple[list[Point], list[Corners]]:
    """Draw one kind of accuracy, and return what is to be labelled and the lines that are in the way."""
    front = pareto_front(kind.rows, "throughput", "value", cost_better="higher")
    best = kind.rows[front].sort_values("throughput")
    corners = _steps(best["throughput"].tolist(), best["value"].tolist())
    axes.plot(*zip(*corners, strict=True), color=MUTED, linewidth=1, zorder=1)
    points: list[Point] = []
    for on_front, part in ((True, kind.rows[front]), (False, kind.rows[~front])):
        for style, rows in by_family(part, look):
            _marks(axes, rows, style, on_front)
            places = zip(rows["throughput"], rows["value"], rows["label"], strict=True)
            points += [Point(x, y, label, 4.5, first=on_front) for x, y, label in places]
    reached = kind.rows[["throughput", "throughput_low", "throughput_high"]].to_numpy(dtype=np.float64)
    log_axis(axes.xaxis, reached[reached > 0].tolist(), "", "1")
    number_axis(axes.yaxis, kind.axis, "%")
    axes.margins(y=0.12)
    ends = kind.rows[["throughput_low", "throughput_high", "value"]].dropna()
    return points, [corners, *([(low, y), (high, y)] for low, high, y in ends.itertuples(index=False))]


def _marks(axes: Axes, rows: pd.DataFrame, style: Look, on_front: bool) -> None:
    """Draw the points of a family with their intervals."""
    x = rows["throughput"]
    axes.errorbar(
        x,
        rows["value"],
        xerr=np.abs([x - rows["throughput_low"], rows["throughput_high"] - x]),
        yerr=rows["spread"],
        marker=style.marker,
        markersize=7 if on_front else 5.5,
        linestyle="",
        color=style.colour,
        alpha=1.0 if on_front else 0.5,
        elinewidth=1,
        zorder=3,
    )


def _steps(throughputs: Sequence[float], values: Sequence[float]) -> Corners:
    """Return the corners of the front: at least so fast, the best accuracy is that of the next point to the right."""
    corners = [(throughputs[0], values[0])]
    for before, x, y in zip(throughputs[:-1], throughputs[1:], values[1:], strict=True):
        corners += [(before, y), (x, y)]
    return corners
