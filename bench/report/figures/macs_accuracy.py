"""The ball chart: accuracy against multiply-accumulates, with parameters as areas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures import figure
from bench.report.figures._panels import Accuracy, accuracies, grid, heading, left_out, marker, rows_of
from bench.report.labels import Point, place_labels
from bench.report.style import MUTED, Look, family_legend, legend, log_axis, looks, number_axis, tick

_LARGEST = 900.0  # pt^2, of the ball with the most parameters


@figure(
    "macs_accuracy",
    title="Accuracy against multiply-accumulates",
    caption="Up and to the left is better. The area of a ball is the count of parameters; colour and marker are the "
    "family. Published accuracies are those of the papers and not measured here; bars at measured ones are one standard "
    "deviation over seeds.",
    needs="counted MACs, and a published accuracy or a short training, of the same network",
    place=10,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each kind of accuracy."""
    kinds = [Accuracy(k.title, k.axis, rows) for k in accuracies(table) if len(rows := _networks(k.rows))]
    if not kinds:
        return None
    columns = min(len(kinds), 2)
    drawing, panels = grid(math.ceil(len(kinds) / columns), columns)
    axes = [a for line in panels for a in line]
    look, most = looks(table["family"]), float(table["parameters"].max())
    points = [_panel(a, k, look, most) for a, k in zip(axes, kinds, strict=False)]
    for empty in axes[len(kinds) :]:
        empty.remove()
    family_legend(drawing, pd.concat([k.rows["family"] for k in kinds]), look)
    _size_legend(drawing, most)
    for a, labelled in zip(axes, points, strict=False):
        left_out(a, place_labels(a, labelled))
    return drawing


def _networks(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a network and size: ways of running it change neither its MACs nor its accuracy."""
    rows = rows[rows["macs"] > 0].drop_duplicates(["network", "macs", "value"])
    alone = ~rows["network"].duplicated(keep=False)
    return rows.assign(label=rows["label"].where(~alone, rows["network"]))


def _area(parameters: float, most: float) -> float:
    return _LARGEST * parameters / most if parameters > 0 and most > 0 else 0.0


def _panel(axes: Axes, kind: Accuracy, look: Mapping[str, Look], most: float) -> Sequence[Point]:
    """Draw one kind of accuracy, and return what is to be labelled."""
    points = []
    for row in rows_of(kind.rows):
        area, style = _area(row["parameters"], most), marker(row, look)
        axes.scatter(row["macs"], row["value"], s=area, color=style.colour, alpha=0.25, linewidth=0, zorder=2)
        _mark(axes, row, style)
        points.append(Point(row["macs"], row["value"], row["label"], max(3.0, math.sqrt(area) / 2)))
    log_axis(axes.xaxis, kind.rows["macs"].tolist(), "Multiply-accumulates per image", "MAC")
    number_axis(axes.yaxis, kind.axis, "%")
    axes.margins(y=0.12)
    heading(axes, kind.title)
    return points


def _mark(axes: Axes, row: Mapping[str, Any], style: Look) -> None:
    axes.errorbar(
        row["macs"],
        row["value"],
        yerr=None if math.isnan(row["spread"]) else row["spread"],
        marker=style.marker,
        markersize=5,
        color=style.colour,
        elinewidth=1,
        zorder=3,
    )


def _size_legend(drawing: Figure, most: float) -> None:
    """Show what the areas mean, by round counts of parameters."""
    if not most > 0:
        return
    top = 10 ** math.floor(math.log10(most))
    top *= max(k for k in (1, 2, 5) if k * top <= most)
    sizes = [top, top / 5, top / 20]
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=math.sqrt(_area(s, most)), color=MUTED, alpha=0.35, markeredgewidth=0)
        for s in sizes
    ]
    texts = [f"{tick(s, '1')} parameters" for s in sizes]
    legend(drawing, handles, texts, loc="outside upper right", ncols=3, columnspacing=3.0, handletextpad=1.0, borderpad=0.7)
