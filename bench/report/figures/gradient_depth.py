"""The norm of the gradient by depth, before the first and after the last step of a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.report.figures import figure
from bench.report.figures._lines import Curve, Group, draw_pairs, training_curves
from bench.report.figures._rows import ended_trainings, failed_trainings, most_accurate
from bench.report.figures.style import family_name, log_axis, looks, tick, ticks_at

_TICKS = {0.0: "last", 0.25: "25 %", 0.5: "50 %", 0.75: "75 %", 1.0: "first"}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_WHEN = {"gradient_norm_start": "before the first step", "gradient_norm_end": "after the last step"}


@figure(
    "gradient_depth",
    title="Norm of the gradient by depth",
    caption="Norm of the gradient of the loss by the weights of each convolution and linear layer, on one fixed "
    "batch of training images: left, before the first step; right, after the last. As the gradient goes, from the loss "
    "back to the image: a line that falls to the right is a gradient that vanishes on its way. Lines are geometric "
    "means over the seeds, in a band from the least to the largest; a layer whose gradient is zero has no point. "
    "Where there are many networks, each family has a panel, with the others grey behind it; of more than "
    "40 the most accurate of each family are drawn.",
    needs="short trainings that ended well, with the norms of their gradients by layer",
    place=64,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw the trainings of each data set, recipe and count of epochs apart, start beside end."""
    pairs = []
    for name, rows in ended_trainings(table, frame, list(_WHEN)):
        curves = {when: training_curves(rows[rows["measurement"] == when], _curve) for when in _WHEN}
        norms = [norm for some in curves.values() for curve in some for norm in (*curve.low, *curve.high)]
        start, end = (Group(name, some, _axes(_WHEN[when], norms)) for when, some in curves.items())
        pairs.append((start, end))
    return draw_pairs(pairs, looks(table["family"]), failed_trainings(frame), most_accurate(table))


def _curve(label: str, rows: pd.DataFrame) -> Curve | None:
    """Return the curve of the seeds of one network over the share of its layers, the last first; None without any."""
    seeds = [[norm for _, norm in reversed(detail.get("by_layer", ()))] for detail in rows["detail"]]
    layers = [[n for n in norms if n and math.isfinite(n) and n > 0] for norms in zip(*seeds, strict=False)]
    last = max(len(layers) - 1, 1)
    known = [(place / last, norms) for place, norms in enumerate(layers) if norms]
    if not known:
        return None
    places, norms = zip(*known, strict=True)
    middle = [float(np.exp(np.mean(np.log(n)))) for n in norms]
    family = family_name(rows["family"].iloc[0])
    return Curve(label, family, places, middle, [min(n) for n in norms], [max(n) for n in norms])


def _axes(when: str, norms: Sequence[float]) -> Callable[[Axes], None]:
    """Return what sets up the axes of all panels of a group."""

    def setup(axes: Axes) -> None:
        ticks_at(axes.xaxis, list(_TICKS), list(_TICKS.values()))
        axes.set_xlabel("Layers with weights, from the last back to the first")
        log_axis(axes.yaxis, norms, f"Norm of the gradient {when}", "1")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: power(v) if v < 1e-3 else tick(v, "1")))

    return setup


def power(value: float) -> str:
    """Return a small number as a power of ten: ``10⁻⁵``, ``2 × 10⁻⁵``."""
    digit, exponent = f"{value:.0e}".split("e")
    power = "10" + str(int(exponent)).translate(_RAISED)
    return power if digit == "1" else f"{digit} × {power}"
