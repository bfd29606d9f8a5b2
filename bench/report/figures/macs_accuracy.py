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
from bench.report.figures._failed import absent, failed_note
from bench.report.figures._panels import (
    CROWDED,
    Accuracy,
    accuracies,
    by_family,
    heading,
    panels,
    protocol_note,
    protocols,
    worthwhile,
)
from bench.report.labels import Point, place_labels
from bench.report.style import MUTED, Look, family_legend, legend, log_axis, looks, number_axis, tick

_LARGEST = 900.0  # pt^2, of the ball with the most parameters


@figure(
    "macs_accuracy",
    title="Accuracy against multiply-accumulates",
    caption="Up and to the left is better. The area of a ball is the count of parameters; colour and marker are "
    "the family. Published accuracies are as published and not measured here; where they were tested in several ways, "
    "such as on 1 crop or on 10 crops of each image, brackets say how, and they do not compare across these. Bars at "
    "measured ones are one standard deviation over seeds.",
    needs="counted MACs, and a published accuracy or a short training, of the same network",
    place=10,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each kind of accuracy."""
    kinds = worthwhile(
        [Accuracy(k.title, k.axis, rows) for k in accuracies(table) if len(rows := _networks(k.rows))]
    )
    if not kinds:
        return None
    drawing, axes = panels(len(kinds), wide=max(len(k.rows) for k in kinds) > CROWDED)
    look, most = looks(table["family"]), float(table["parameters"].max())
    points = [_panel(a, k, look, most) for a, k in zip(axes, kinds, strict=True)]
    families = pd.concat([k.rows["family"] for k in kinds])
    notes = [protocol_note(kinds), failed_note(drawing, _failed(table, frame))]
    family_legend(drawing, families, look, "\n".join(filter(None, notes)))
    _size_legend(drawing, most)
    for a, labelled in zip(axes, points, strict=True):
        place_labels(a, labelled)
    return drawing


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


def _panel(axes: Axes, kind: Accuracy, look: Mapping[str, Look], most: float) -> Sequence[Point]:
    """Draw one kind of accuracy, and return what is to be labelled."""
    points: list[Point] = []
    for style, rows in by_family(kind.rows, look):
        x, y, areas = rows["macs"].tolist(), rows["value"].tolist(), _areas(rows["parameters"], most)
        axes.scatter(x, y, s=areas, color=style.colour, alpha=0.25, linewidth=0, zorder=2)
        axes.errorbar(
            x,
            y,
            rows["spread"],
            marker=style.marker,
            markersize=5,
            linestyle="",
            color=style.colour,
            elinewidth=1,
            zorder=3,
        )
        halos = [math.sqrt(area) / 2 for area in areas]
        places = zip(x, y, rows["label"], halos, rows["spread"], strict=True)
        points += [Point(*p[:3], halo=p[3], spread=p[4]) for p in places]
    log_axis(axes.xaxis, kind.rows["macs"].tolist(), "Multiply-accumulates per image", "MAC")
    number_axis(axes.yaxis, kind.axis, "%")
    axes.margins(y=0.12)
    heading(axes, kind.title)
    return points


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
    where: dict[str, Any] = {
        "loc": "outside upper right",
        "ncols": 3,
        "columnspacing": 3.0,
        "handletextpad": 1.0,
        "borderpad": 0.7,
    }
    legend(drawing, handles, texts, **where)
