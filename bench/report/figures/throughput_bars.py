"""Throughput at the largest batch, sorted."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.report.figures import figure
from bench.report.figures._bars import Bars, draw_bars


@figure(
    "throughput_bars",
    title="Throughput",
    caption="Forward passes at the largest batch that was timed, without synchronisation between them, fastest on "
    "top; colours are families. Values are the batch over the median step, whiskers its 95 % interval. "
    "What failed is named below.",
    needs="infer jobs with a step time",
    place=40,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine."""
    return draw_bars(table, frame, Bars("throughput", "1", "Images per second", lower_is_better=False))
