"""Accuracy against one cost, speed or the time of a training, and which networks none beats in both."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.accuracy import accuracy_table
from bench.analysis.comparison import row_labels
from bench.analysis.flags import flags_text
from bench.report.figures import figure
from bench.report.figures._labels import Labels, Point
from bench.report.figures._shared import (
    CROWDED,
    MOST,
    AccuracyKind,
    Looks,
    Part,
    absent,
    accuracies,
    accuracy_axis,
    by_family,
    by_machine,
    by_training,
    conditions,
    draw_front,
    draw_marks,
    draw_points,
    draw_scatter,
    failed_trainings,
    heading,
    in_doubt,
    reached,
    worthwhile,
)
from bench.report.figures._style import drawable, log_axis


@dataclass(frozen=True, slots=True)
class _Cost:
    """A column of the table that accuracy is set against."""

    key: str  # the column; its interval, where it has one, is in `_low` and `_high`
    unit: str  # of its numbers
    axis: str  # title of the axis
    better: Literal["lower", "higher"] = "lower"  # which direction is an improvement
    batch: bool = True  # whether it depends on the batch size of the row


_WIDE = 66  # letters below an axis that half a figure has room for
_THROUGHPUT = _Cost("throughput", "1", "Images per second", better="higher")
_LATENCY = _Cost("latency", "s", "Latency at batch 1", batch=False)
_TENSORS = _Cost("tensor_memory", "B", "Memory of tensors")
_PEAK = _Cost("peak_memory", "B", "Peak memory")
_ENERGY = _Cost("energy", "J", "Energy per image")


_FRONT = (
    "The line is the Pareto front of the largest group that compares, of one input size and tested or trained alike: "
    "by the values drawn, no network of it is both {} and more accurate than one on the line; where intervals overlap, "
    "that is not decided. Others are paler, and hollow ones are in doubt and on no line. "
)
_OWN_SHAPE = (
    "Accuracies are shown where the network was timed in the shape that it was trained in, or that they are published "
    "for. "
)


@figure(
    "latency_accuracy",
    title="Accuracy against latency",
    caption=f"Up and to the left is better. {_FRONT.format('faster')}Latency is of one image, each call waited for. "
    f"{_OWN_SHAPE}Bars are the 95 % interval of the latency and one standard deviation of the accuracy over seeds.",
    needs="a measured latency, and a published accuracy or a short training, of two networks or more at that size",
    place=5,
    charted=True,
)
def _latency_accuracy(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine and kind of accuracy."""
    return _draw(table, frame, [_LATENCY], wide=True)


@figure(
    "throughput_accuracy",
    title="Accuracy against throughput",
    caption=f"Up and to the right is better. {_FRONT.format('faster')}Throughput is of the forward pass, at the "
    f"largest batch that was timed. {_OWN_SHAPE}Bars are the 95 % interval of the throughput and one standard "
    "deviation of the accuracy over seeds.",
    needs="a measured throughput, and a published accuracy or a short training, of two networks or more at that size",
    place=6,
    charted=True,
)
def _throughput_accuracy(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine and kind of accuracy."""
    return _draw(table, frame, [_THROUGHPUT], wide=True)


@figure(
    "accuracy_cost",
    title="Accuracy against memory and energy",
    caption=f"Up and to the left is better. {_FRONT.format('cheaper')}Memory and energy are of the largest batch that "
    "was timed; memory is of the tensors alive at once where these were counted, else the process's peak. "
    f"{_OWN_SHAPE}Bars are one standard deviation of the accuracy over seeds.",
    needs="a measured memory or energy, and a published accuracy or a short training, of two networks or more at "
    "that size",
    place=25,
    charted=True,
)
def _accuracy_cost(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine, kind of accuracy and cost."""
    memory = _TENSORS if table["tensor_memory"].notna().any() else _PEAK
    return _draw(table, frame, (memory, _ENERGY))


def _draw(
    table: pd.DataFrame, frame: pd.DataFrame, costs: Sequence[_Cost], *, wide: bool = False
) -> Figure | None:
    """Draw a panel for each machine, kind of accuracy and cost; the first six, or three crowded ones."""
    parts = list(_parts(table, costs))
    crowded = any(len(rows) > CROWDED for rows, _ in parts)
    measured = table.loc[table[[cost.key for cost in costs]].notna().any(axis=1), "network"]
    failed, most = absent(frame, ["infer"], measured), MOST // 2 if crowded else MOST
    return draw_scatter(
        table, parts, doubts=("cost", "value"), failed=failed, most=most, wide=wide or crowded
    )


def _parts(table: pd.DataFrame, costs: Sequence[_Cost]) -> Iterator[Part]:
    """Yield the panels of each machine, those of one kind of accuracy beside each other."""
    for machine, rows in by_machine(table):
        some = [
            (cost, kind)
            for cost in costs
            for kind in worthwhile(
                accuracies(rows[rows[cost.key] > 0], most=1), partial(_with_cost, cost.key)
            )
        ]
        titles = list(dict.fromkeys(kind.title for _, kind in some))
        for cost, kind in sorted(some, key=lambda one: titles.index(one[1].title)):
            yield kind.rows, partial(_panel, machine, cost, kind)


def _with_cost(key: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose cost was measured in the shape of their accuracy, with that, its flags and its interval.

    They are `cost`, `cost_flags`, `low` and `high`, which are NaN where it has none.
    """
    rows = rows[rows[key] > 0]
    ends = {end: rows.get(f"{key}_{end}", math.nan) for end in ("low", "high")}
    return rows.assign(cost=rows[key], cost_flags=rows.get(f"{key}_flags", ""), **ends)


def _panel(machine: str, cost: _Cost, kind: AccuracyKind, axes: Axes, look: Looks) -> Labels:
    """Draw one panel, of rows with `cost`, `low`, `high`, `value` and `spread`; return what is to be labelled."""
    rows = kind.rows
    doubtful = in_doubt(rows, "cost", "value")
    front, lines = draw_front(
        axes, rows, "cost", "value", doubtful=doubtful, better=cost.better, batch=cost.batch
    )
    named = _named(rows, cost) | front
    points: list[Point] = []
    for part, on_front, hollow in (
        (front, True, False),
        (~front & ~doubtful, False, False),
        (doubtful, False, True),
    ):
        for style, some in by_family(rows[part], look):
            draw_marks(
                axes, some, "cost", "value", style, size=7 if on_front else 5.5,
                xerr=np.abs([some["cost"] - some["low"], some["high"] - some["cost"]]), yerr=some["spread"],
                hollow=hollow, alpha=1.0 if on_front or hollow else 0.5,
            )  # fmt: skip
            labels = some.loc[named[some.index], ["cost", "value", "label", "spread"]].itertuples(index=False)
            points += [Point(x, y, text, 4.5, first=on_front, spread=spread) for x, y, text, spread in labels]
    ends = rows[["low", "high"]].to_numpy(dtype=np.float64).ravel()
    log_axis(axes.xaxis, reached(rows["cost"], ends, logarithmic=True), "", cost.unit)
    accuracy_axis(axes, kind.axis)
    heading(axes, kind.title)
    words = (cost.axis, machine, conditions(rows, batch=cost.batch))
    axes.set_xlabel(textwrap.fill(drawable(", ".join(word for word in words if word), 80), _WIDE))
    bars = rows[["low", "high", "value"]].dropna().itertuples(index=False)
    unnamed = [(x, y) for x, y in rows.loc[~named, ["cost", "value"]].itertuples(index=False)]
    return Labels(points, [*lines, *([(low, y), (high, y)] for low, high, y in bars)], unnamed)


def _named(rows: pd.DataFrame, cost: _Cost) -> pd.Series[bool]:
    """Return which points are named: all of a few, else of each network that with the best cost."""
    if len(rows) <= CROWDED:
        return pd.Series(True, rows.index)
    costs = rows.groupby(["run", "network"], dropna=False)["cost"]
    best = costs.idxmin() if cost.better == "lower" else costs.idxmax()
    return pd.Series(rows.index.isin(best), rows.index)


# --- trainings ---


@figure(
    "accuracy_time",
    title="Accuracy against training time",
    caption="Up and to the left is better: top-1 accuracy on the test images after the last epoch, against the time of "
    "all epochs without loading and testing. The line is the Pareto front: by the values drawn, no network was trained "
    "both in less time and to a higher accuracy than one on it; where bars overlap, that is not decided. Points are "
    "means over the seeds that ended well, bars one standard deviation of the accuracy; times are their medians. "
    "Hollow points are in doubt and on no line.",
    needs="short trainings of two networks or more that ended well, with their time",
    place=62,
)
def _accuracy_time(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine, data set, recipe and count of epochs; where some compare networks, only those."""
    parts = [(kind.rows, partial(_time_panel, kind)) for kind in worthwhile(_by_conditions(_timed(frame)))]
    return draw_scatter(table, parts, doubts=("train_time", "accuracy"), failed=failed_trainings(frame))


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


def _by_conditions(rows: pd.DataFrame) -> Iterator[AccuracyKind]:
    """Yield the rows of each way to train and `machine`, one a network."""
    machines = rows["device_name"].where(rows["device_name"].notna(), rows["device"]).fillna("")
    for title, same in by_training(rows):
        for machine, part in same.groupby(machines[same.index], sort=False):
            labelled = part.assign(label=row_labels(part), machine=str(machine))
            yield AccuracyKind(title, "Top-1 accuracy", labelled)


def _time_panel(kind: AccuracyKind, axes: Axes, look: Looks) -> Labels:
    rows = kind.rows
    points = draw_points(axes, rows, "train_time", "accuracy", look)
    _, lines = draw_front(
        axes, rows, "train_time", "accuracy", doubtful=in_doubt(rows, "train_time", "accuracy")
    )
    words = ("Training time", rows["machine"].iloc[0], conditions(rows))
    log_axis(axes.xaxis, rows["train_time"].tolist(), drawable(", ".join(filter(None, words)), 80), "s")
    accuracy_axis(axes, kind.axis)
    heading(axes, kind.title)
    return Labels(points, lines)
