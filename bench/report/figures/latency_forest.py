"""Latency of one image with its interval, sorted."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.report.figures import figure
from bench.report.figures._bars import Bars, draw_bars

_LATENCY = Bars("latency", "s", "Latency at batch 1", lower_is_better=True, batch=1, points=True)


@figure(
    "latency_forest",
    title="Latency of a single image",
    caption="A synchronised forward pass at batch 1, fastest on top; colours and markers are families. Points are "
    "medians, lines and numbers in brackets their 95 % interval, over processes where there are several (of one with "
    "fewer than six samples their range). "
    "Intervals that overlap decide nothing. What failed is named below.",
    needs="infer jobs at batch size 1",
    place=30,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine."""
    return draw_bars(table, frame, _LATENCY)
