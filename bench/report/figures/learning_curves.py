"""Learning curves: the error on the test images and on the training images after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.curves import by_epoch
from bench.report.figures import figure
from bench.report.figures._lines import Curve, Group, draw_pairs, training_curves, whole_numbers
from bench.report.figures._panels import spans
from bench.report.figures._rows import ended_trainings, failed_trainings, most_accurate
from bench.report.figures.style import family_name, log_axis, looks, number_axis
from bench.stats.samples import mean


@figure(
    "learning_curves",
    title="Learning curves",
    caption="Top-1 error after each epoch: the mean over the seeds that ended well, in a band from the least to the "
    "largest of them. Left, on the test images; right, on the training images as they are trained on, augmented, "
    "while the weights still change. What was looked at only once has no curve. Where there are many networks, each "
    "family has a panel, with the others grey behind it; of more than 40 the most accurate of each family are drawn.",
    needs="short trainings that ended well, with their accuracy by epoch",
    place=60,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw the trainings of each data set, recipe and count of epochs apart, test beside training."""
    pairs = []
    for name, rows in ended_trainings(table, frame, ["top1", "train_error"]):
        test, train = (
            training_curves(rows[rows["measurement"] == m], _curve) for m in ("top1", "train_error")
        )
        if any(len(curve.x) > 1 for curve in (*test, *train)):  # one point is no curve
            test, train = ([curve for curve in some if len(curve.x) > 1] for some in (test, train))
        errors = [error for curve in (*test, *train) for error in (*curve.low, *curve.high)]
        last = max((curve.x[-1] for curve in (*test, *train)), default=1)
        left, right = (_axes(f"Top-1 {of} error", errors, last) for of in ("test", "training"))
        pairs.append((Group(name, test, left), Group(name, train, right)))
    return draw_pairs(pairs, looks(table["family"]), failed_trainings(frame), most_accurate(table))


def _curve(label: str, rows: pd.DataFrame) -> Curve | None:
    """Return the error by epoch of the seeds of one network, None where no epoch was tested."""
    first, epochs = rows.iloc[0], by_epoch(rows["detail"])
    if not epochs:
        return None
    if first["measurement"] == "top1":
        epochs = [(number, [1 - accuracy for accuracy in values]) for number, values in epochs]
    numbers, errors = zip(*epochs, strict=True)
    low, high = [min(e) for e in errors], [max(e) for e in errors]
    return Curve(label, family_name(first["family"]), numbers, [mean(e) for e in errors], low, high)


def _axes(label: str, errors: Sequence[float], last: float) -> Callable[[Axes], None]:
    """Return what sets up the axes of a group of `last` epochs; a wide range of errors is logarithmic."""

    def setup(axes: Axes) -> None:
        whole_numbers(axes, "Epoch")
        room = 0.05 * max(1.0, last - 1)
        axes.set_xlim(1 - room, last + room)  # also where only the last epoch was tested
        low, high = min(errors), max(errors)
        if low > 0 and spans(errors) > 8:
            log_axis(axes.yaxis, errors, label, "%")
        else:
            room = 0.05 * (high - low or high or 1.0)
            number_axis(axes.yaxis, label, "%")
            axes.set_ylim(low - room, high + room)

    return setup
