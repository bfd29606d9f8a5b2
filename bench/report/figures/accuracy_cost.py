"""Accuracy against latency, memory and energy, and which networks none beats in both."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.report.figures import figure
from bench.report.figures._fronts import Cost, draw_fronts

_LATENCY = Cost("latency", "s", "Latency at batch 1", batch=False)
_TENSORS = Cost("tensor_memory", "B", "Memory of tensors")
_PEAK = Cost("peak_memory", "B", "Peak memory")
_ENERGY = Cost("energy", "J", "Energy per image")


@figure(
    "accuracy_cost",
    title="Accuracy against latency, memory and energy",
    caption="Up and to the left is better. The line is the Pareto front: no network shown is both cheaper and more "
    "accurate than one on it; those behind it are paler, and hollow ones are in doubt. Latency is of one image, memory "
    "and energy of the largest batch that was timed; memory is of the tensors alive at once where these were counted, "
    "else the process's peak. Accuracies of short trainings are shown where the network was timed in the shape it was "
    "trained in. Bars are the 95 % interval of the latency and one standard deviation of the accuracy over seeds.",
    needs="a measured latency, memory or energy, and a published accuracy or a short training, of the same "
    "network",
    place=25,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each machine, kind of accuracy and cost."""
    memory = _TENSORS if table["tensor_memory"].notna().any() else _PEAK
    return draw_fronts(table, frame, (_LATENCY, memory, _ENERGY))
