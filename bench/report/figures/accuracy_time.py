"""Accuracy against the time a training took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.accuracy import accuracy_table
from bench.analysis.comparison import row_labels
from bench.analysis.flags import flags_text
from bench.report.figures import figure
from bench.report.figures._panels import (
    Labels,
    Looks,
    accuracy_axis,
    draw_front,
    draw_points,
    draw_scatter,
    heading,
)
from bench.report.figures._rows import (
    by_training,
    conditions,
    doubt_note,
    failed_note,
    failed_trainings,
    in_doubt,
    worthwhile,
)
from bench.report.figures.style import drawable, log_axis


@dataclass(frozen=True, slots=True)
class _Panel:
    """Conditions of training, the machine, and one row a network."""

    title: str
    machine: str
    rows: pd.DataFrame


@figure(
    "accuracy_time",
    title="Accuracy against training time",
    caption="Up and to the left is better: top-1 accuracy on the test images after the last epoch, against the time of "
    "all epochs without loading and testing. The line is the Pareto front: no network shown was trained both in less "
    "time and to a higher accuracy than one on it. Points are means over the seeds that ended well, bars one standard "
    "deviation of the accuracy; times are their medians. Hollow points are in doubt and on no line.",
    needs="short trainings that ended well, with their time",
    place=62,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine, data set, recipe and count of epochs; where some compare networks, only those."""

    def notes(drawing: Figure, shown: Sequence[_Panel]) -> list[str]:
        doubts = doubt_note([panel.rows for panel in shown], "train_time", "accuracy")
        return [doubts, failed_note(drawing, failed_trainings(frame))]

    return draw_scatter(table, worthwhile(_panels(_timed(frame))), _panel, notes)


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `accuracy_table` that have a time, with its flags and how the trainings ran."""
    settings = ["run", "series", "device_name", "memory_format", "backend", "threads"]
    trained = frame[(frame["task"] == "accuracy") & (frame["status"] == "ok")]
    rows = accuracy_table(frame)
    rows = rows[(rows["train_time"] > 0) & rows["accuracy"].notna()]
    rows = rows.merge(trained[settings].drop_duplicates(["run", "series"]), on=["run", "series"])
    timed = frame[(frame["task"] == "accuracy") & (frame["measurement"] == "train_time")]
    flags = timed.groupby(["run", "series"])["flags"].agg(flags_text)
    rows = rows.merge(flags.rename("train_time_flags").reset_index(), on=["run", "series"], how="left")
    return rows.fillna({"memory_format": "contiguous", "backend": "eager"})  # what goes without saying


def _panels(rows: pd.DataFrame) -> Iterator[_Panel]:
    machines = rows["device_name"].where(rows["device_name"].notna(), rows["device"]).fillna("")
    for title, same in by_training(rows):
        for machine, part in same.groupby(machines[same.index], sort=False):
            yield _Panel(title, str(machine), part.assign(label=row_labels(part)))


def _panel(axes: Axes, panel: _Panel, look: Looks) -> Labels:
    """Draw one group, and return what is to be labelled and the line that is in the way."""
    rows = panel.rows
    points = draw_points(axes, rows, "train_time", "accuracy", look)
    _, lines = draw_front(
        axes, rows, "train_time", "accuracy", doubtful=in_doubt(rows, "train_time", "accuracy")
    )
    words = ("Training time", panel.machine, conditions(rows))
    log_axis(axes.xaxis, rows["train_time"].tolist(), drawable(", ".join(filter(None, words)), 80), "s")
    accuracy_axis(axes, "Top-1 accuracy")
    heading(axes, panel.title)
    return Labels(points, lines)
