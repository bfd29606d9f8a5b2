"""Choosing: of networks whose accuracy and costs are known, the most accurate within a budget, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.flags import flags_of
from bench.errors import BenchError, unknown_name
from bench.units import Better, exactly, quantity_in, show, significant

# What a budget may be of: its unit, and which direction is the cheap one.
COSTS: dict[str, tuple[str, Better]] = {
    "latency": ("s", "lower"),
    "throughput": ("1/s", "higher"),
    "memory": ("B", "lower"),
    "parameters": ("1", "lower"),
    "macs": ("MAC", "lower"),
    "energy": ("J", "lower"),
    "file_size": ("B", "lower"),
}

SLOW = 1.5  # times as long as others a process may take as a whole


@dataclass(frozen=True, slots=True)
class Budget:
    """What a network may cost at most; of a throughput, what it must come to at least."""

    quantity: str
    limit: float

    @classmethod
    def read(cls, quantity: str, text: str) -> Budget:
        """Return the budget of ``20ms``.

        Raises:
            BenchError: where it is no number above zero with a unit of the quantity.
        """
        option, tip = f"--{quantity.replace('_', '-')} {text}", f"such as {_EXAMPLES[quantity]}"
        try:
            limit = quantity_in(text, COSTS[quantity][0])
        except ValueError as error:
            raise BenchError(f"{option}: {error}", tip) from error
        if not (math.isfinite(limit) and limit > 0):
            raise BenchError(f"{option} is no finite number above zero", tip)
        return cls(quantity, limit)

    @classmethod
    def of_each(cls, texts: Mapping[str, str]) -> list[Budget]:
        """Return the budgets of quantities, each read from its text.

        Raises:
            BenchError: for a quantity of which there is no budget, or a text that is none.
        """
        for quantity in texts:
            if quantity not in COSTS:
                raise unknown_name("budget", quantity, COSTS, f"there are {', '.join(COSTS)}")
        return [cls.read(quantity, text) for quantity, text in texts.items()]

    @property
    def unit(self) -> str:
        """The unit of the limit."""
        return COSTS[self.quantity][0]

    @property
    def text(self) -> str:
        """Return ``latency ≤ 20 ms``."""
        sign = "≤" if COSTS[self.quantity][1] == "lower" else "≥"
        return f"{self.quantity.replace('_', ' ')} {sign} {exactly(self.limit, self.unit)}"

    def missed(self, value: float) -> str:
        """Return ``latency 50.0 ms, 2.50 times the budget`` of a cost; nothing where it is within, or is not known."""
        lower = COSTS[self.quantity][1] == "lower"
        factor = value / self.limit if lower else self.limit / value
        if not 1 < factor < math.inf:
            return ""
        by = significant(factor)
        how = f"{by} times the budget" if lower else f"short of the budget by a factor of {by}"
        return f"{self.quantity.replace('_', ' ')} {show(value, self.unit)}, {how}"

    def excess(self, values: pd.Series[float]) -> pd.Series[float]:
        """Return by what factor values miss the limit: above one they do."""
        return values / self.limit if COSTS[self.quantity][1] == "lower" else self.limit / values


def missed(row: pd.Series, budgets: Sequence[Budget]) -> str:
    """Return which budgets a network misses, and by how much."""
    return " and ".join(filter(None, (budget.missed(float(row[budget.quantity])) for budget in budgets)))


_EXAMPLES = {
    "latency": "20ms",
    "throughput": "500/s",
    "memory": "300MB",
    "parameters": "25M",
    "macs": "4GMAC",
    "energy": "50mJ",
    "file_size": "100MB",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer.

    Attributes:
        candidates: all networks, with `accuracy`, `accuracy_low`, `accuracy_high`, their costs, `excess` (of the budget
            that they miss most; at most one where they hold all), `holds` (`yes`, `open` where the interval of a cost
            lies on both sides of a limit, or a time of one process near it, `no`), and `on_front`.
        budgets: what was to be held.
        cost: the quantity that the front is of.
        best: the most accurate that holds all; None where none does.
        rivals: others that hold all, and whose accuracy the test images do not tell from that of the best; the cheapest
            first.
        open: those that are more accurate and may hold all.
        nearest: where none holds all, what misses by least; None where there is nothing.
        dearer: the next on the front beyond the budget.
    """

    candidates: pd.DataFrame
    budgets: tuple[Budget, ...]
    cost: str
    best: pd.Series | None
    rivals: pd.DataFrame
    open: pd.DataFrame
    nearest: pd.Series | None
    dearer: pd.Series | None

    def dismissal(self, position: int) -> str:
        """Return why a candidate was not chosen, in words; empty for the one that was."""
        table, (unit, better) = self.candidates, COSTS[self.cost]
        row = table.iloc[position]
        if self.best is not None and row.name == self.best.name:
            return ""
        if row["holds"] == "open":
            return why_open(row, self.budgets)
        if row["holds"] == "no" and not math.isfinite(row["excess"]):
            return "a cost that the budget is of is not known"
        if row["holds"] == "no":
            return missed(row, self.budgets)
        if row["on_front"] or math.isnan(row[self.cost]):
            return "less accurate"
        front = table[table["on_front"] & (table["accuracy"] >= row["accuracy"])].sort_values("accuracy")
        cheaper = front[self.cost].le if better == "lower" else front[self.cost].ge
        other = front[cheaper(row[self.cost])].iloc[0]
        name = f"{other['network']} at {other['input_size']} px"
        return f"{name} ({show(other[self.cost], unit)}) is as accurate or more"


def choose(candidates: pd.DataFrame, budgets: Sequence[Budget], images: int | None) -> Choice:
    """Return the most accurate network that holds all budgets.

    Which accuracies are told apart `told_apart` says.

    Args:
        candidates: a row a network: `network`, `accuracy` (a share), the costs, and for those that were measured in
            several processes their interval in ``COST_low`` and ``COST_high``; in ``COST_flags`` whether it was one.
        budgets: each of a column of the candidates.
        images: how many the accuracies are of; None where they have intervals of their own, in `accuracy_low` and
            `accuracy_high`.

    Raises:
        BenchError: where there is no candidate, or none has a number for a budget.
    """
    if candidates.empty:
        message = "there is no network with an accuracy and a cost to choose from"
        raise BenchError(message, "name others, or another --on")
    for budget in budgets:
        if candidates[budget.quantity].isna().all():
            message = f"no {budget.quantity} is known of any of these networks"
            raise BenchError(message, "leave that budget out")
    table = candidates.reset_index(drop=True)
    speeds = ("throughput", "latency")  # without a budget, the front is of the one that most networks have
    cost = budgets[0].quantity if budgets else max(speeds, key=lambda c: table[c].count())
    table["holds"], table["excess"] = held(table, budgets)
    table["on_front"] = pareto_front(table, cost, "accuracy", COSTS[cost][1])
    return answer(table, budgets, cost, images)


def answer(table: pd.DataFrame, budgets: Sequence[Budget], cost: str, images: int | None) -> Choice:
    """Return the choice from networks of which it is known what they hold; see `choose`.

    `table` has the candidates with `holds`, `excess` and `on_front`, numbered from 0; the front is of `cost`.
    """
    holding = table[table["holds"] == "yes"]
    cheap_first = COSTS[cost][1] == "lower"
    by_worth = holding.sort_values(["accuracy", cost], ascending=[False, cheap_first], kind="stable")
    best = by_worth.iloc[0] if len(by_worth) else None
    rivals = by_worth.iloc[1:]
    if best is not None:
        rivals = rivals[~told_apart(rivals, best, images)]
    least = 0.0 if best is None else best["accuracy"]
    beyond = table[table["on_front"] & (table["holds"] == "no") & (table["accuracy"] > least)]
    return Choice(
        candidates=table,
        budgets=tuple(budgets),
        cost=cost,
        best=best,
        rivals=rivals.sort_values(cost, ascending=cheap_first, kind="stable"),
        open=table[(table["holds"] == "open") & (table["accuracy"] > least)],
        nearest=None if best is not None or table.empty else _least(table),
        dearer=None if best is None or beyond.empty else _least(beyond),
    )


def _least(table: pd.DataFrame) -> pd.Series:
    """Return what misses its budgets by least."""
    return table.iloc[int(table["excess"].to_numpy().argmin())]


def held(
    table: pd.DataFrame, budgets: Sequence[Budget]
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float64]]:
    """Return of each network whether it holds all budgets, and by what factor it misses the one that it misses most.

    A time of one process, flagged `one_process`, says nothing of the next one, also where it has an interval of its
    samples: it decides where it is off the limit by more than `SLOW`.
    """
    verdicts, excess = np.zeros(len(table), dtype=int), np.zeros(len(table))
    for budget in budgets:
        values = table[budget.quantity]
        columns = (f"{budget.quantity}_{end}" for end in ("low", "high"))
        ends = [table[c].fillna(values) if c in table else values for c in columns]
        ratios = np.array([budget.excess(end).fillna(math.inf).to_numpy() for end in ends])
        slack = np.where(_of_one_process(table, budget.quantity), SLOW, 1.0)
        within, beyond = (ratios * slack <= 1).all(axis=0), (ratios / slack > 1).all(axis=0)
        verdicts = np.maximum(verdicts, np.select([within, beyond], [0, 2], 1))
        excess = np.maximum(excess, budget.excess(values).fillna(math.inf).to_numpy())
    return np.array(["yes", "open", "no"])[verdicts], excess


def _of_one_process(table: pd.DataFrame, quantity: str) -> list[bool]:
    """Return of each network whether a cost is a time of one process; what is published has no processes."""
    return ["one_process" in flags_of(row, quantity) for row in table.to_dict("records")]


def why_open(row: pd.Series, budgets: Sequence[Budget]) -> str:
    """Return why it is not known whether a network holds all budgets."""
    one = row.to_frame().T.infer_objects()
    alone = [b for b in budgets if _of_one_process(one, b.quantity)[0] and held(one, [b])[0][0] == "open"]
    if alone:
        return f"its {alone[0].quantity} is of one process, which decides nothing within {SLOW:g} times the budget"
    return "the interval of its cost lies on both sides of the budget"


def told_apart(others: pd.DataFrame, one: pd.Series, images: int | None) -> npt.NDArray[np.bool_]:
    """Return which accuracies differ for certain from that of one network.

    Of so many `images`, where the difference is beyond 1.96 of its standard errors, as if they were of different
    images: on the same images less may do, so that no two are told apart wrongly. Of accuracies with intervals of
    their own, where these do not overlap.
    """
    if images is None:
        above = others["accuracy_low"] > one["accuracy_high"]
        below = others["accuracy_high"] < one["accuracy_low"]
        return np.asarray(above | below)
    variance = others["accuracy"] * (1 - others["accuracy"]) + one["accuracy"] * (1 - one["accuracy"])
    apart = (one["accuracy"] - others["accuracy"]).abs() > 1.96 * np.sqrt(variance / images)
    return np.asarray(apart)


def pareto_front(
    frame: pd.DataFrame, cost: str, value: str, cost_better: Better = "lower"
) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows that no other row dominates.

    A row dominates another if it is at least as good in both columns and better in one; equal rows stand side by
    side. A row where either number is missing is not on the front. `cost` should be low, or high where `cost_better`
    says so; `value` high.
    """
    costs = frame[cost].to_numpy(dtype=np.float64) * (1 if cost_better == "lower" else -1)
    return front_of(costs, frame[value].to_numpy(dtype=np.float64))


def front_of(costs: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return a mask of what nothing else dominates, as of `pareto_front`; the lower a cost, the better."""
    front = np.zeros(len(costs), dtype=np.bool_)
    known = np.flatnonzero(~np.isnan(costs) & ~np.isnan(values))
    order = known[
        np.lexsort((-values[known], costs[known]))
    ]  # cheapest first, of equal cost the most valuable
    best, best_cost = -np.inf, np.inf
    for row, cost, value in zip(order.tolist(), costs[order].tolist(), values[order].tolist(), strict=True):
        if value > best or (value == best and cost == best_cost):
            best, best_cost = value, cost
            front[row] = True
    return front
