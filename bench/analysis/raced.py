"""What a race has come to: of every network what is known or expected of it, and the choice that follows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.choosing import COSTS, Budget, Choice, answer, held
from bench.analysis.racing import MISSED, Race, Standing
from bench.io import finite_json

# What is measured, in the order in which a front is of it; all other costs are counted.
RACED = ("latency", "throughput", "memory", "energy")
End = Literal["decided", "time", "unbegun", "cancelled"]  # unbegun: no process began, as the time was over


@dataclass(frozen=True, slots=True)
class Raced:
    """A race, how it ended, and what is chosen.

    Attributes:
        choice: of all networks: beside what `bench.analysis.choosing.choose` has, its table has `state` (`measured`,
            `never`, `failed`, or `over` for what was counted to be over a budget), `counted`, `processes`, of each
            raced cost ``COST_expected_low`` and ``COST_expected_high`` (of 95 %; NaN where too few were measured),
            `front_chance` and `budget_chance` (at most, of what was never measured), `certain` (on the front beyond
            doubt), and `reason` (of a failure).
        standing: how far it came; None where nothing was measured.
        end: why it ended.
        disturbed: how many of the times were slowed down by other work on the machine.
    """

    choice: Choice
    standing: Standing | None
    end: End
    disturbed: int = 0

    @property
    def never(self) -> int:
        """How many were never measured."""
        return int((self.choice.candidates["state"] == "never").sum())

    @property
    def uncounted(self) -> int:
        """How many of these were not even counted."""
        table = self.choice.candidates
        return int(((table["state"] == "never") & ~table["counted"]).sum())

    @property
    def budget_decided(self) -> bool:
        """Whether the choice is certain: nothing that was measured is open, and hardly anything else may be better."""
        sure = self.standing is not None and self.standing.budget_chance <= MISSED
        return sure and self.choice.best is not None and self.choice.open.empty

    @property
    def front_decided(self) -> bool:
        """Whether all of the front is certain but for what is expected to be missed."""
        standing = self.standing
        return (
            standing is not None
            and standing.front_found
            and bool((standing.possible == standing.certain).all())
        )

    @classmethod
    def of(
        cls,
        race: Race,
        table: pd.DataFrame,
        *,
        entered: Sequence[int],
        quantities: Sequence[str],
        budgets: Sequence[Budget],
        images: int,
        reasons: Mapping[int, str],
        end: End,
        disturbed: int = 0,
    ) -> Raced:
        """Return what a race has come to.

        Args:
            race: with all that was measured.
            table: all networks: `network`, `accuracy`, `input_size`, and the counted costs.
            entered: rows of those that raced, in the order of the race.
            quantities: of its costs.
            budgets: that were to be held.
            images: how many the accuracies are of.
            reasons: of failures, by entrant.
            end: why it ended.
            disturbed: how many of the times were slowed down by other work.
        """
        table, rows = table.reset_index(drop=True), np.asarray(entered, dtype=np.intp)
        standing = race.standing() if race.begun else None
        table["state"] = np.where(over_counts(table, budgets), "over", "never")
        table["counted"], table["processes"], table["reason"] = table["macs"].notna(), 0, ""
        table["certain"], table["front_chance"], table["budget_chance"] = False, 0.0, 0.0
        for entrant, reason in reasons.items():
            table.loc[rows[entrant], ["state", "reason"]] = ["failed", reason]
        ends = ("low", "high", "expected_low", "expected_high")
        for column in (*COSTS, *(f"{quantity}_{end}" for quantity in RACED for end in ends)):
            if column not in table:
                table[column] = math.nan
        if standing is not None:
            _fill(table, rows, standing, quantities)
        table["holds"], table["excess"] = held(table, budgets)
        table["on_front"] = False
        if standing is not None:
            lost = table.loc[rows, "state"].isin(["failed", "over"])
            table.loc[rows, "holds"] = np.where(lost, "no", standing.holds)
            table.loc[rows, "on_front"] = standing.front
        known = table[table["state"].isin(["measured", "over"])]
        choice = answer(known, budgets, quantities[0], images)
        return cls(replace(choice, candidates=table), standing, end, disturbed)

    def drawn(self, known_as: str, answer: Sequence[str], why: Sequence[str]) -> dict[str, object]:
        """Return what a report of a race is made of, as plain values that a run keeps.

        Args:
            known_as: what the accuracies are, such as ``Top-1, published``.
            answer: what it came to, in sentences.
            why: of each network why it was not chosen, in words.
        """
        choice, cost = self.choice, self.choice.cost
        limits = [budget.limit for budget in choice.budgets if budget.quantity == cost]
        keys = ["network", "input_size", "accuracy", "state", "on_front", "certain", "holds", "processes"]
        keys += ["front_chance", "budget_chance"]
        ends = [cost, *(f"{cost}_{end}" for end in ("low", "high", "expected_low", "expected_high"))]
        rows = choice.candidates[[*keys, *ends]].rename(columns={c: c.replace(cost, "cost", 1) for c in ends})
        best = choice.best if choice.budgets else None
        return {
            "answer": list(answer),
            "accuracy": known_as,
            "cost": cost,
            "limit": limits[0] if limits else None,
            "best": None if best is None else best["network"],
            "best_input_size": None if best is None else int(best["input_size"]),
            "networks": finite_json(rows.assign(why=list(why)).to_dict("records")),
        }


def _fill(table: pd.DataFrame, rows: Any, standing: Standing, quantities: Sequence[str]) -> None:
    """Fill in what was measured of those that raced, and what is expected of the others."""
    measured = standing.measured
    table.loc[rows[measured], "state"] = "measured"
    table.loc[rows, "processes"] = np.max([cost.processes for cost in standing.costs], axis=0)
    table.loc[rows, "certain"] = standing.certain
    chances = {"front_chance": standing.front_chances, "budget_chance": standing.budget_chances}
    for column, each in chances.items():
        table.loc[rows, column] = each if standing.enough else np.ceil(each)
    for quantity, cost, posterior in zip(quantities, standing.costs, standing.posteriors, strict=True):
        exact = bool((cost.low[measured] == cost.high[measured]).all())
        ends = {} if exact else {"_low": cost.low, "_high": cost.high}
        for end, values in {"": cost.value, **ends}.items():
            column = quantity + _turned(quantity, end)
            table.loc[rows[measured], column] = _natural_cost(quantity, values[measured])
        if not standing.enough:
            continue
        low, high = posterior.interval()
        waiting = standing.waiting
        for end, values in {"_low": low, "_high": high}.items():
            column = f"{quantity}_expected{_turned(quantity, end)}"
            table.loc[rows[waiting], column] = _natural_cost(quantity, values[waiting])


def over_counts(table: pd.DataFrame, budgets: Sequence[Budget]) -> npt.NDArray[np.bool_]:
    """Return a mask of the networks that are over a budget of counts, by its column; what is not known is over none."""
    over = np.zeros(len(table), dtype=np.bool_)
    for budget in budgets:
        if budget.quantity not in RACED:
            over |= (budget.excess(table[budget.quantity]) > 1).to_numpy()
    return over


def log_cost(quantity: str, value: float) -> float:
    """Return what is raced: the logarithm of a cost, of a throughput that of the time of an image."""
    return math.log(value) if COSTS[quantity][1] == "lower" else -math.log(value)


def _natural_cost(quantity: str, logs: Any) -> Any:
    """Return costs as they are shown, of what is raced."""
    return np.exp(logs if COSTS[quantity][1] == "lower" else -logs)


def _turned(quantity: str, end: str) -> str:
    """Return the end of an interval that the lower end of what is raced becomes: of a throughput the other one."""
    if COSTS[quantity][1] == "lower":
        return end
    return {"_low": "_high", "_high": "_low"}.get(end, end)
