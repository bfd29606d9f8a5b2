"""Learning curves: the error on the test images after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import zip_longest

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.statistics import mean
from bench.report.figures import figure
from bench.report.figures._lines import Curve, Group, draw_lines, whole_numbers
from bench.report.figures._panels import by_training, spans
from bench.report.style import family_name, log_axis, looks, number_axis


@figure(
    "learning_curves",
    title="Learning curves",
    caption="Top-1 error on the test images after each epoch: the mean over the seeds that ended well, in a band "
    "from the least to the largest of them. Where there are many networks, each family has a panel, with the "
    "others grey behind it.",
    needs="short trainings that ended well, with their accuracy by epoch",
    place=60,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw the trainings of each data set, recipe and count of epochs apart."""
    rows = frame[(frame["task"] == "accuracy") & (frame["measurement"] == "top1") & (frame["status"] == "ok")]
    place = {network: position for position, network in enumerate(table["network"])}
    groups = []
    ordered = rows.sort_values("arch", key=lambda names: names.map(place), kind="stable")
    for name, part in by_training(ordered):
        several = part["run"].nunique() > 1
        made = (_curve(one, several) for _, one in part.groupby(["run", "series"], sort=False))
        curves = [curve for curve in made if curve]
        groups.append(Group(name, curves, _axes(curves)))
    return draw_lines(groups, looks(table["family"]))


def _curve(rows: pd.DataFrame, several_runs: bool) -> Curve | None:
    """Return the curve of the seeds of one network, None where no epoch was tested."""
    first = rows.iloc[0]
    seeds = [_errors(detail.get("by_epoch")) for detail in rows["detail"]]
    by_epoch = [[e for e in epoch if not math.isnan(e)] for epoch in zip_longest(*seeds, fillvalue=math.nan)]
    tested = [(number, errors) for number, errors in enumerate(by_epoch, start=1) if errors]
    if not tested:
        return None
    label = f"{first['arch']} · {first['run']}" if several_runs else first["arch"]
    epochs, errors = zip(*tested, strict=True)
    low, high = [min(e) for e in errors], [max(e) for e in errors]
    return Curve(label, family_name(first["family"]), epochs, [mean(e) for e in errors], low, high)


def _errors(by_epoch: object) -> list[float]:
    """Return errors from the accuracies of each epoch; an epoch without one is NaN."""
    if not isinstance(by_epoch, list | tuple):
        return []
    return [1 - v if isinstance(v, int | float) else math.nan for v in by_epoch]


def _axes(curves: Sequence[Curve]) -> Callable[[Axes], None]:
    """Return what sets up the axes of all panels of a group; wide ranges of errors are logarithmic."""
    errors = [error for curve in curves for error in (*curve.low, *curve.high)]

    def setup(axes: Axes) -> None:
        whole_numbers(axes, "Epoch")
        if min(errors) > 0 and spans(errors) > 8:
            log_axis(axes.yaxis, errors, "Top-1 test error", "%")
        else:
            number_axis(axes.yaxis, "Top-1 test error", "%")

    return setup
