"""Accuracy against the time a training took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.accuracy import accuracy_table
from bench.analysis.comparison import row_labels
from bench.analysis.pareto import pareto_front
from bench.report.figures import figure
from bench.report.figures._failed import failed_note
from bench.report.figures._fronts import steps
from bench.report.figures._panels import (
    CROWDED,
    by_training,
    conditions,
    doubt_note,
    heading,
    in_doubt,
    not_drawn,
    panels,
)
from bench.report.figures._points import draw_points
from bench.report.figures._trainings import failed_trainings
from bench.report.labels import Line, Point, place_labels
from bench.report.style import MUTED, Look, drawable, family_legend, log_axis, looks, number_axis

_MOST = 6  # panels


@figure(
    "accuracy_time",
    title="Accuracy against training time",
    caption="Up and to the left is better: top-1 accuracy on the test images after the last epoch, against the time of "
    "all epochs without loading and testing. The line is the Pareto front: no network shown was trained both in less "
    "time and to a higher accuracy than one on it. Points are means over the seeds that ended well, bars one standard "
    "deviation of the accuracy; times are their medians. Hollow points have a time that is in doubt.",
    needs="short trainings that ended well, with their time",
    place=62,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine, data set, recipe and count of epochs."""
    found = list(_groups(frame))
    if not found:
        return None
    shown = found[:_MOST]
    drawing, axes = panels(len(shown), wide=max(len(rows) for _, _, rows in shown) > CROWDED)
    look = looks(table["family"])
    labelled = []
    for a, (title, machine, rows) in zip(axes, shown, strict=True):
        labelled.append(_panel(a, rows, look))
        heading(a, title)
        a.set_xlabel(drawable(", ".join(w for w in ("Training time", machine, conditions(rows)) if w), 80))
    drawn = pd.concat([rows for _, _, rows in shown])
    doubt = doubt_note([rows for _, _, rows in shown], "train_time")
    notes = [doubt, failed_note(drawing, failed_trainings(frame)), not_drawn(found, shown)]
    family_legend(drawing, drawn["family"], look, "\n".join(filter(None, notes)))
    for a, (points, line) in zip(axes, labelled, strict=True):
        place_labels(a, points, [line] if line else [])
    return drawing


def _groups(frame: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield conditions of training, machine, and one row a network; where some compare two or more, only those."""
    asked = ["run", "series", "device_name", "memory_format", "backend", "threads"]
    trained = frame[(frame["task"] == "accuracy") & (frame["status"] == "ok")]
    rows = accuracy_table(frame)
    rows = rows[(rows["train_time"] > 0) & rows["accuracy"].notna()]
    rows = rows.merge(trained[asked].drop_duplicates(["run", "series"]), on=["run", "series"])
    timed = frame[(frame["task"] == "accuracy") & (frame["measurement"] == "train_time")]
    flags = timed.groupby(["run", "series"])["flags"].agg(lambda some: ";".join(dict.fromkeys(chain(*some))))
    rows = rows.merge(flags.rename("train_time_flags").reset_index(), on=["run", "series"], how="left")
    rows = rows.fillna({"memory_format": "contiguous", "backend": "eager"})  # what goes without saying
    machines = rows["device_name"].where(rows["device_name"].notna(), rows["device"]).fillna("")
    groups = [
        (title, str(machine), part)
        for title, same in by_training(rows)
        for machine, part in same.groupby(machines[same.index], sort=False)
    ]
    comparing = [group for group in groups if group[2]["network"].nunique() > 1]
    for title, machine, part in comparing or groups:
        yield title, machine, part.assign(label=row_labels(part))


def _panel(axes: Axes, rows: pd.DataFrame, look: Mapping[str, Look]) -> tuple[list[Point], Line]:
    """Draw one group, and return what is to be labelled and the line that is in the way."""
    points = draw_points(axes, rows, "train_time", "accuracy", look)
    sound = rows[~in_doubt(rows, "train_time")]
    best = sound[pareto_front(sound, "train_time", "accuracy")].sort_values("train_time")
    times, reached = best["train_time"].tolist(), best["accuracy"].tolist()
    line = steps(times, reached, "lower")
    if line:
        axes.plot(*zip(*line, strict=True), color=MUTED, linewidth=1, zorder=1)
    log_axis(axes.xaxis, rows["train_time"].tolist(), "", "s")
    number_axis(axes.yaxis, "Top-1 accuracy", "%")
    axes.margins(y=0.12)
    return points, line
