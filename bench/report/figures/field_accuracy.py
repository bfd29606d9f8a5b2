"""Accuracy against the receptive field of the last local features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.flags import flags_text
from bench.report.figures import figure
from bench.report.figures._panels import Labels, Looks, accuracy_axis, draw_points, draw_scatter, heading
from bench.report.figures._rows import (
    AccuracyKind,
    absent,
    doubt_note,
    failed_note,
    protocol_note,
    published,
    trained,
    worthwhile,
)
from bench.report.figures.style import MUTED, log_axis


@figure(
    "field_accuracy",
    title="Accuracy against receptive field",
    caption="The receptive field is the side of what one unit of the last local feature map can see, not clipped to "
    "the image; the dashed line is the side of the image, where all networks of a panel have the same. Published "
    "accuracies are as published and not measured here; bars at measured ones are one standard deviation over "
    "seeds. Hollow points are in doubt.",
    needs="a counted receptive field, and a published accuracy or a short training, of the same network",
    place=66,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each kind of accuracy."""
    rows = [(kind, _with_counted(kind.rows)) for kind in published(table)]
    rows += [(kind, _with_trained(kind.rows, frame)) for kind in trained(table)]
    kinds = worthwhile(replace(kind, rows=_networks(some)) for kind, some in rows)

    def notes(drawing: Figure, shown: Sequence[AccuracyKind]) -> list[str]:
        drawn = pd.concat([kind.rows["network"] for kind in shown])
        doubts = doubt_note([kind.rows for kind in shown], "field", "value")
        failed = failed_note(drawing, absent(frame, ["cost", "accuracy"], drawn))
        return [protocol_note(shown), doubts, failed]

    return draw_scatter(table, kinds, _panel, notes)


def _with_counted(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with `field` and `image` in px, of the shape that was counted, and the flags of `field`."""
    return rows.assign(
        field=rows["receptive_field"], field_flags=rows["receptive_field_flags"], image=rows["input_size"]
    )


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


def _networks(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a network: ways of running it change neither what it sees nor its accuracy."""
    rows = rows.assign(value_sd=rows["spread"], label=rows["network"])
    return rows[rows["field"] > 0].drop_duplicates(["network", "field", "value"])


def _panel(axes: Axes, kind: AccuracyKind, look: Looks) -> Labels:
    """Draw one kind of accuracy, and return what is to be labelled."""
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
