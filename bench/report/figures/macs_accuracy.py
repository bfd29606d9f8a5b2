"""The ball chart: accuracy against multiply-accumulates, with parameters as areas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures import figure
from bench.report.figures._panels import (
    Labels,
    Looks,
    accuracy_axis,
    by_family,
    draw_marks,
    draw_scatter,
    heading,
)
from bench.report.figures._rows import (
    AccuracyKind,
    absent,
    accuracies,
    doubt_note,
    failed_note,
    in_doubt,
    protocol_note,
    protocols,
    worthwhile,
)
from bench.report.figures.labels import Point
from bench.report.figures.style import MUTED, SURFACE, legend, log_axis, tick

_LARGEST = 900.0  # pt^2, of the ball with the most parameters


@figure(
    "macs_accuracy",
    title="Accuracy against multiply-accumulates",
    caption="Up and to the left is better. The area of a ball is the count of parameters; colour and marker are "
    "the family. Published accuracies are as published and not measured here; where they were tested in several ways, "
    "such as on 1 crop or on 10 crops of each image, brackets say how, and they do not compare across these. Bars at "
    "measured ones are one standard deviation over seeds. Hollow marks are in doubt.",
    needs="counted MACs, and a published accuracy or a short training, of the same network",
    place=10,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each kind of accuracy."""
    kinds = worthwhile(replace(kind, rows=_networks(kind.rows)) for kind in accuracies(table))
    most = float(table["parameters"].max())

    def notes(drawing: Figure, shown: Sequence[AccuracyKind]) -> list[str]:
        doubts = doubt_note([kind.rows for kind in shown], "macs", "value")
        return [protocol_note(shown), doubts, failed_note(drawing, _failed(table, frame))]

    def panel(axes: Axes, kind: AccuracyKind, look: Looks) -> Labels:
        return _panel(axes, kind, look, most)

    return draw_scatter(
        table, kinds, panel, notes, most=len(kinds), more=lambda drawing: _size_legend(drawing, most)
    )


def _failed(table: pd.DataFrame, frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (status, network) of those that could not be counted, or that were not trained to an end."""
    counted, trained = (table.loc[table[key].notna(), "network"] for key in ("macs", "accuracy"))
    return [*absent(frame, ["cost"], counted), *absent(frame, ["accuracy"], trained)]


def _networks(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a network and size, labelled: ways of running it change neither its MACs nor its accuracy.

    The label of a published accuracy says how it was tested, where others were tested otherwise.
    """
    rows = rows[rows["macs"] > 0].drop_duplicates(["network", "macs", "value"])
    alone = ~rows["network"].duplicated(keep=False)
    labels = rows["label"].where(~alone, rows["network"])
    ways = [f" ({way})" if way else "" for way in protocols(rows)]
    return rows.assign(label=[f"{label}{way}" for label, way in zip(labels, ways, strict=True)])


def _panel(axes: Axes, kind: AccuracyKind, look: Looks, most: float) -> Labels:
    """Draw one kind of accuracy, and return what is to be labelled."""
    points: list[Point] = []
    for style, rows in by_family(kind.rows, look):
        areas = _areas(rows["parameters"], most)
        axes.scatter(
            rows["macs"], rows["value"], s=areas, color=style.colour, alpha=0.25, linewidth=0, zorder=2
        )
        for hollow, some in rows.groupby(in_doubt(rows, "macs", "value")):
            face = SURFACE if hollow else style.colour
            draw_marks(axes, some, "macs", "value", style, size=5, yerr=some["spread"], markerfacecolor=face)
        halos = [math.sqrt(area) / 2 for area in areas]
        places = zip(rows["macs"], rows["value"], rows["label"], halos, rows["spread"], strict=True)
        points += [Point(x, y, text, halo=halo, spread=spread) for x, y, text, halo, spread in places]
    log_axis(axes.xaxis, kind.rows["macs"].tolist(), "Multiply-accumulates per image", "MAC")
    accuracy_axis(axes, kind.axis)
    heading(axes, kind.title)
    return Labels(points)


def _areas(parameters: Sequence[float] | pd.Series[float], most: float) -> list[float]:
    """Return areas in pt^2; unknown counts have none."""
    return [_LARGEST * p / most if p > 0 and most > 0 else 0.0 for p in parameters]


def _size_legend(drawing: Figure, most: float) -> None:
    """Show what the areas mean, by round counts of parameters."""
    if not most > 0:
        return
    top = 10.0 ** math.floor(math.log10(most))
    top *= max(k for k in (1, 2, 5) if k * top <= most)
    sizes = [top, top / 5, top / 20]
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=math.sqrt(area), color=MUTED, alpha=0.35, mew=0)
        for area in _areas(sizes, most)
    ]
    texts = [f"{tick(size, '1')} parameters" for size in sizes]
    legend(
        drawing, handles, texts,
        loc="outside upper right", ncols=3, columnspacing=3.0, handletextpad=1.0, borderpad=0.7,
    )  # fmt: skip
