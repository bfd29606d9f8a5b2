"""Latency of one image, sorted."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.report.figures import figure
from bench.report.figures._bars import Bars, draw_bars


@figure(
    "latency_bars",
    title="Latency of a single image",
    caption="A synchronised forward pass at batch 1, fastest on top; colours are families. Values are medians, "
    "whiskers their 95 % interval (the range where there are fewer than six samples). On a logarithmic axis values "
    "are points, as the length of a bar would mean nothing.",
    needs="infer jobs at batch size 1",
    place=30,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each machine."""
    return draw_bars(table, Bars("latency", "s", "Latency at batch 1", lower_is_better=True))
