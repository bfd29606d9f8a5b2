"""Accuracy against the receptive field of the last local features."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures import figure
from bench.report.figures._failed import absent, failed_note
from bench.report.figures._panels import (
    CROWDED,
    Accuracy,
    heading,
    not_drawn,
    panels,
    protocol_note,
    published,
    trained,
    worthwhile,
)
from bench.report.figures._points import draw_points
from bench.report.labels import Point, place_labels
from bench.report.style import MUTED, Look, family_legend, log_axis, looks, number_axis

_MOST = 6  # panels


@figure(
    "field_accuracy",
    title="Accuracy against receptive field",
    caption="The receptive field is the side of what one unit of the last local feature map can see, not clipped to "
    "the image; the dashed line is the side of the image, where all networks of a panel have the same. Published "
    "accuracies are as published and not measured here; bars at measured ones are one standard deviation over "
    "seeds.",
    needs="a counted receptive field, and a published accuracy or a short training, of the same network",
    place=66,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each kind of accuracy."""
    known = [(kind, _declared(kind.rows)) for kind in published(table)]
    seen = [(kind, _trained(kind.rows, frame)) for kind in trained(table)]
    kinds = [Accuracy(kind.title, kind.axis, _networks(rows)) for kind, rows in (*known, *seen)]
    found = worthwhile([kind for kind in kinds if len(kind.rows)])
    if not found:
        return None
    shown = found[:_MOST]
    drawing, axes = panels(len(shown), wide=max(len(k.rows) for k in shown) > CROWDED)
    look = looks(table["family"])
    points = [_panel(a, kind, look) for a, kind in zip(axes, shown, strict=True)]
    drawn = pd.concat([k.rows for k in shown])
    note = failed_note(drawing, absent(frame, ["cost", "accuracy"], drawn["network"]))
    notes = [protocol_note(shown), note, not_drawn(found, shown)]
    family_legend(drawing, drawn["family"], look, "\n".join(filter(None, notes)))
    for a, labelled in zip(axes, points, strict=True):
        place_labels(a, labelled)
    return drawing


def _declared(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with `field` and `image` in px, of the shape that was counted."""
    return rows.assign(field=rows["receptive_field"], image=rows["input_size"])


def _trained(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with `field` and `image` in px, of the shape that was trained where it was counted in that."""
    counted = frame[(frame["task"] == "accuracy") & (frame["measurement"] == "receptive_field")]
    own = counted.groupby(["run", "arch"])["median"].last()
    fields = own.reindex(pd.MultiIndex.from_frame(rows[["run", "network"]])).set_axis(rows.index)
    return rows.assign(field=fields.fillna(rows["receptive_field"]), image=rows["trained_size"])


def _networks(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a network: ways of running it change neither what it sees nor its accuracy."""
    rows = rows.assign(value_sd=rows["spread"], label=rows["network"])
    return rows[rows["field"] > 0].drop_duplicates(["network", "field", "value"])


def _panel(axes: Axes, kind: Accuracy, look: Mapping[str, Look]) -> list[Point]:
    """Draw one kind of accuracy, and return what is to be labelled."""
    points = draw_points(axes, kind.rows, "field", "value", look)
    reached, label = kind.rows["field"].tolist(), "Receptive field"
    if kind.rows["image"].nunique(dropna=False) == 1 and kind.rows["image"].iloc[0] > 0:
        side = float(kind.rows["image"].iloc[0])
        axes.axvline(side, color=MUTED, linewidth=1, linestyle="--", zorder=1)
        reached.append(side)
        label += f" (dashed: the image, {side:.0f} px)"
    log_axis(axes.xaxis, reached, label, "px")
    number_axis(axes.yaxis, kind.axis, "%")
    axes.margins(y=0.12)
    heading(axes, kind.title)
    return points
