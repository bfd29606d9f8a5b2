"""Accuracy against latency, memory and energy, and which networks none beats in both."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.report.figures import figure
from bench.report.figures._fronts import Cost, draw_fronts

_COSTS = (
    Cost("latency", "s", "Latency at batch 1", batch=False),
    Cost("peak_memory", "B", "Peak memory"),
    Cost("energy", "J", "Energy per image"),
)


@figure(
    "accuracy_cost",
    title="Accuracy against latency, memory and energy",
    caption="Up and to the left is better. The line is the Pareto front: no network shown is both cheaper and more "
    "accurate than one on it; those behind it are paler. Latency is of one image, peak memory and energy of the "
    "largest batch that was timed; accuracies of short trainings are shown where the network was timed in the shape "
    "it was trained in. Bars are the 95 % interval of the latency and one standard deviation of the accuracy "
    "over seeds.",
    needs="a measured latency, peak memory or energy, and a published accuracy or a short training, of the same "
    "network",
    place=25,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine, kind of accuracy and cost."""
    return draw_fronts(table, frame, _COSTS)
