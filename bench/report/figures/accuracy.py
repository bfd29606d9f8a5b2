"""Published and measured accuracies against what is counted of a network: MACs, receptive field, depth; and by year."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.flags import flags_text
from bench.analysis.shapes import as_published
from bench.report.figures import figure
from bench.report.figures._labels import Labels, Line, Point
from bench.report.figures._layer_lists import weighted_layers
from bench.report.figures._shared import (
    MOST,
    AccuracyKind,
    Looks,
    absent,
    accuracies,
    accuracy_axis,
    by_family,
    draw_corners,
    draw_marks,
    draw_points,
    draw_scatter,
    heading,
    in_doubt,
    protocols,
    published,
    trained,
    whole_numbers,
    worthwhile,
)
from bench.report.figures._style import MUTED, legend, log_axis, number_axis, tick

# --- MACs ---

_LARGEST = 900.0  # pt^2, of the ball with the most parameters


@figure(
    "macs_accuracy",
    title="Accuracy against multiply-accumulates",
    caption="Up and to the left is better. The area of a ball is the count of parameters; colour and marker are "
    "the family. Published accuracies are as published and not measured here, of networks that were counted at the "
    "size that they are published for; where they were tested in several ways, such as on 1 crop or on 10 crops of "
    "each image, brackets say how, and they do not compare across these. Bars at measured ones are one standard "
    "deviation over seeds. Hollow marks are in doubt.",
    needs="counted MACs, and a published accuracy or a short training, of two networks or more at that size",
    place=10,
    charted=True,
)
def _by_macs(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each kind of accuracy."""
    kinds = worthwhile(accuracies(table), _with_macs)
    most = float(table["parameters"].max())
    counted, trained = (table.loc[table[key].notna(), "network"] for key in ("macs", "accuracy"))
    return draw_scatter(
        table,
        [(kind.rows, partial(_balls, kind, most)) for kind in kinds],
        doubts=("macs", "value"),
        failed=[*absent(frame, ["cost"], counted), *absent(frame, ["accuracy"], trained)],
        most=len(kinds),
        more=lambda drawing: _size_legend(drawing, most),
    )


def _with_macs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a network and size, labelled: ways of running it change neither its MACs nor its accuracy.

    The label of a published accuracy says how it was tested, where others were tested otherwise.
    """
    rows = rows[rows["macs"] > 0].drop_duplicates(["network", "macs", "value"])
    alone = ~rows["network"].duplicated(keep=False)
    labels = rows["label"].where(~alone, rows["network"])
    ways = [f" ({way})" if way else "" for way in protocols(rows)]
    return rows.assign(label=[f"{label}{way}" for label, way in zip(labels, ways, strict=True)])


def _balls(kind: AccuracyKind, most: float, axes: Axes, look: Looks) -> Labels:
    points: list[Point] = []
    for style, rows in by_family(kind.rows, look):
        areas = _areas(rows["parameters"], most)
        axes.scatter(
            rows["macs"], rows["value"], s=areas, color=style.colour, alpha=0.25, linewidth=0, zorder=2
        )
        for hollow, some in rows.groupby(in_doubt(rows, "macs", "value")):
            draw_marks(axes, some, "macs", "value", style, size=5, hollow=bool(hollow), yerr=some["spread"])
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


# --- receptive field ---


@figure(
    "field_accuracy",
    title="Accuracy against receptive field",
    caption="The receptive field is the side of what one unit of the last local feature map can see, not clipped to "
    "the image; the dashed line is the side of the image, where all networks of a panel have the same. Published "
    "accuracies are as published, for images of that size, and not measured here; bars at measured ones are one "
    "standard deviation over seeds. Hollow points are in doubt.",
    needs="a counted receptive field, and a published accuracy or a short training, of two networks or more at "
    "that size",
    place=66,
    charted=True,
)
def _by_field(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each kind of accuracy."""
    counted = table.assign(
        field=table["receptive_field"], field_flags=table["receptive_field_flags"], image=table["input_size"]
    )
    kinds = worthwhile(published(counted[as_published(table)]), _with_field)
    kinds += worthwhile(trained(table), lambda rows: _with_field(_with_trained(rows, frame)))
    failed = absent(frame, ["cost", "accuracy"], {n for kind in kinds[:MOST] for n in kind.rows["network"]})
    parts = [(kind.rows, partial(_field_panel, kind)) for kind in kinds]
    return draw_scatter(table, parts, doubts=("field", "value"), failed=failed)


def _with_trained(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with `field` and `image` in px and the flags of `field`: where it was counted, as trained."""
    counted = frame[(frame["task"] == "accuracy") & (frame["measurement"] == "receptive_field")]
    counted = counted[counted["median"].notna()]
    shapes = zip(counted["run"], counted["arch"], counted["input_size"], strict=True)
    flags = [flags_text([some]) for some in counted["flags"]]
    own = dict(zip(shapes, zip(counted["median"], flags, strict=True), strict=True))
    trained_in = zip(rows["run"], rows["network"], rows["trained_size"], strict=True)
    others = zip(rows["receptive_field"], rows["receptive_field_flags"], strict=True)
    fields = [own.get(shape, other) for shape, other in zip(trained_in, others, strict=True)]
    return rows.assign(
        field=[field for field, _ in fields],
        field_flags=[flags for _, flags in fields],
        image=rows["trained_size"],
    )


def _with_field(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a network: ways of running it change neither what it sees nor its accuracy."""
    rows = rows.assign(value_sd=rows["spread"], label=rows["network"])
    return rows[rows["field"] > 0].drop_duplicates(["network", "field", "value"])


def _field_panel(kind: AccuracyKind, axes: Axes, look: Looks) -> Labels:
    points = draw_points(axes, kind.rows, "field", "value", look)
    reached, label, images = kind.rows["field"].tolist(), "Receptive field", kind.rows["image"]
    if images.nunique(dropna=False) == 1 and images.iloc[0] > 0:
        side = float(images.iloc[0])
        axes.axvline(side, color=MUTED, linewidth=1, linestyle="--", zorder=1)
        reached.append(side)
        label += f" (dashed: the image, {side:.0f} px)"
    log_axis(axes.xaxis, reached, label, "px")
    accuracy_axis(axes, kind.axis)
    heading(axes, kind.title)
    return Labels(points)


# --- years and depths ---


@figure(
    "timeline",
    title="Published error by year and depth",
    caption="Lower is better. Errors are as published and not measured here; the line is the least error up to "
    "each year. Depth is the count of layers that hold weights and multiply, on all branches and shortcuts.",
    needs="two networks or more with a published accuracy and a year",
    place=15,
    charted=True,
)
def _by_year(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw for each kind of published accuracy a panel by year, and where depths are counted one by depth."""
    depths = weighted_layers(frame)
    keys = zip(table["run"], table["network"], strict=True)
    known = table.assign(layers=[depths.get(key, math.nan) for key in keys])
    parts = [
        (shown.rows, partial(_timeline_panel, shown, key))
        for kind in published(known)
        for key in ("year", "layers")
        for shown in worthwhile([kind], partial(_with_error, key))
    ]
    return draw_scatter(table, parts, most=4)


def _with_error(key: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a network whose year, or count of layers, is known."""
    rows = rows[rows[key] > 0].drop_duplicates(["network", "value"])
    return rows.assign(error=1 - rows["value"])


def _timeline_panel(kind: AccuracyKind, key: str, axes: Axes, look: Looks) -> Labels:
    rows = kind.rows
    for style, part in by_family(rows, look):
        draw_marks(axes, part, key, "error", style, size=6.5)
    number_axis(axes.yaxis, kind.axis.replace("accuracy", "error"), "%")
    axes.set_ylim(0, 1.12 * rows["error"].max() or 1)
    heading(axes, f"{kind.title}, by {'year' if key == 'year' else 'depth'}")
    points = [Point(*p, radius=4) for p in zip(rows[key], rows["error"], rows["network"], strict=True)]
    if key == "layers":
        log_axis(axes.xaxis, rows["layers"].tolist(), "Layers with weights", "1")
        return Labels(points)
    whole_numbers(axes, "Year")
    axes.margins(x=0.1)
    if rows["year"].nunique() == 1:  # else matplotlib shows two centuries around it
        year = float(rows["year"].iloc[0])
        axes.set_xlim(year - 2, year + 2)
    return Labels(points, draw_corners(axes, _least(rows)))


def _least(rows: pd.DataFrame) -> Line:
    """Return the corners of the least error up to each year."""
    best = rows.groupby("year")["error"].min().sort_index().cummin()
    years, errors = best.index.to_numpy(dtype=np.float64), best.to_numpy(dtype=np.float64)
    corners = np.column_stack([np.repeat(years, 2)[1:], np.repeat(errors, 2)[:-1]])
    return [(float(x), float(y)) for x, y in corners]
