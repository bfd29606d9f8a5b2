"""Pareto fronts: what no other network beats in both cost and value."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd


def pareto_front(
    frame: pd.DataFrame, cost: str, value: str, cost_better: Literal["lower", "higher"] = "lower"
) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows that no other row dominates.

    A row dominates another if it is at least as good in both columns and better in one; equal rows stand side by
    side. A row where either number is missing is not on the front.

    Args:
        frame: one row a candidate.
        cost: column that should be low, or high if `cost_better` says so.
        value: column that should be high.
        cost_better: which direction of `cost` is an improvement.
    """
    costs = frame[cost].to_numpy(dtype=np.float64) * (1 if cost_better == "lower" else -1)
    values = frame[value].to_numpy(dtype=np.float64)
    front = np.zeros(len(frame), dtype=np.bool_)
    best, best_cost = -np.inf, np.inf
    for row in np.lexsort((-values, costs)):  # cheapest first, of equal cost the most valuable first
        if np.isnan(costs[row]) or np.isnan(values[row]):
            continue
        if values[row] > best or (values[row] == best and costs[row] == best_cost):
            best, best_cost = values[row], costs[row]
            front[row] = True
    return front
