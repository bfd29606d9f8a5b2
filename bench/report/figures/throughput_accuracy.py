"""Accuracy against throughput, and which networks none beats in both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.pareto import pareto_front
from bench.report.figures import figure
from bench.report.figures._panels import Accuracy, accuracies, by_machine, conditions, grid, heading, left_out, marker, rows_of
from bench.report.labels import Point, place_labels
from bench.report.style import MUTED, Look, drawable, family_legend, log_axis, looks, number_axis

Corners = list[tuple[float, float]]


@figure(
    "throughput_accuracy",
    title="Accuracy against throughput",
    caption="Up and to the right is better. The line is the Pareto front: no network shown is both faster and more "
    "accurate than one on it; those behind it are paler. Throughput is of the forward pass, at the largest batch that was "
    "timed. Bars are the 95 % interval of the throughput and one standard deviation of the accuracy over seeds.",
    needs="a measured throughput, and a published accuracy or a short training, of the same network",
    place=20,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a line of panels for each machine, with a panel for each kind of accuracy."""
    timed = table[table["throughput"] > 0]
    machines = by_machine(timed)
    panels = [(name, kind) for name, rows in machines for kind in accuracies(rows)]
    if not panels:
        return None
    columns = min(len(panels), 2)
    drawing, lines = grid(math.ceil(len(panels) / columns), columns)
    axes, look = [a for line in lines for a in line], looks(table["family"])
    labelled = []
    for a, (name, kind) in zip(axes, panels, strict=False):
        heading(a, kind.title)
        labelled.append(_panel(a, kind, look))
        a.set_xlabel(drawable(f"Images per second, {name}, {conditions(kind.rows, batch=True)}", 80))
    for empty in axes[len(panels) :]:
        empty.remove()
    family_legend(drawing, pd.concat([kind.rows["family"] for _, kind in panels]), look)
    for a, (points, front) in zip(axes, labelled, strict=False):
        left_out(a, place_labels(a, points, front))
    return drawing


def _panel(axes: Axes, kind: Accuracy, look: Mapping[str, Look]) -> tuple[list[Point], Corners]:
    """Draw one kind of accuracy, and return what is to be labelled and the corners of the front."""
    front = pareto_front(kind.rows, "throughput", "value", cost_better="higher")
    best = kind.rows[front].sort_values("throughput")
    corners = _steps(best["throughput"].tolist(), best["value"].tolist())
    axes.plot(*zip(*corners, strict=True), color=MUTED, linewidth=1, zorder=1)
    points = []
    for row, on_front in zip(rows_of(kind.rows), front, strict=True):
        style, x, y = marker(row, look), row["throughput"], row["value"]
        sides = [[x - row["throughput_low"]], [row["throughput_high"] - x]]
        axes.errorbar(
            x,
            y,
            xerr=None if math.isnan(sides[0][0]) else sides,
            yerr=None if math.isnan(row["spread"]) else row["spread"],
            marker=style.marker,
            markersize=7 if on_front else 5.5,
            color=style.colour,
            alpha=1.0 if on_front else 0.5,
            elinewidth=1,
            zorder=3,
        )
        points.append(Point(x, y, row["label"], 4.5))
    log_axis(axes.xaxis, kind.rows["throughput"].tolist(), "", "1")
    number_axis(axes.yaxis, kind.axis, "%")
    axes.margins(y=0.12)
    return points, corners


def _steps(throughputs: Sequence[float], values: Sequence[float]) -> Corners:
    """Return the corners of the front: at least this fast, the best accuracy is that of the next point to the right."""
    corners = [(throughputs[0], values[0])]
    for before, x, y in zip(throughputs, throughputs[1:], values[1:], strict=False):
        corners += [(before, y), (x, y)]
    return corners
