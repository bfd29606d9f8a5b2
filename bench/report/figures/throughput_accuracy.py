"""Accuracy against throughput, and which networks none beats in both."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.report.figures import figure
from bench.report.figures._fronts import Cost, draw_fronts


@figure(
    "throughput_accuracy",
    title="Accuracy against throughput",
    caption="Up and to the right is better. The line is the Pareto front: no network shown is both faster and more "
    "accurate than one on it; those behind it are paler. Throughput is of the forward pass, at the largest batch "
    "that was timed; accuracies of short trainings are shown where the network was timed in the shape it was trained "
    "in. Bars are the 95 % interval of the throughput and one standard deviation of the accuracy over "
    "seeds.",
    needs="a measured throughput, and a published accuracy or a short training, of the same network",
    place=20,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine and kind of accuracy."""
    return draw_fronts(table, frame, [Cost("throughput", "1", "Images per second", better="higher")])
