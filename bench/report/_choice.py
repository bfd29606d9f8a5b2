"""What the answers of a choice and of a race have in common."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

import pandas as pd

from bench.analysis.choosing import COSTS, Choice
from bench.analysis.flags import flags_of
from bench.report.tables.cells import EMPTY, Cell
from bench.stats.intervals import binomial_interval
from bench.units import percent, show

MOST_NAMED = 3  # in a sentence
MOST_RIVALS = 5  # rows of the table; the sentence says how many there are


TITLES = {
    "latency": "Latency",
    "throughput": "Throughput",
    "memory": "Memory of tensors",
    "parameters": "Parameters",
    "macs": "MACs",
    "energy": "Energy of an image",
    "file_size": "File of weights",
}


Row = pd.Series  # of a table of candidates


def at_most(chance: float) -> str:
    """Return a chance as it is told: what is below a thousandth as that."""
    return "under 0.1 %" if chance < 0.001 else f"at most {percent(min(1.0, chance))}"


def described(row: Row, choice: Choice, word: str, images: int) -> str:
    """Return ``timm:x at 224 px (top-1 90.1 %, 89.8 – 90.3; 1.20 k/s)``, of an accuracy on so many images."""
    low, high = binomial_interval(row["accuracy"] * images, images)
    accuracy = f"{word} {percent(row['accuracy'])}, {100 * low:.1f} – {100 * high:.1f}"
    costs = dict.fromkeys([choice.cost, *(b.quantity for b in choice.budgets)])
    known = [show(row[cost], COSTS[cost][0]) + " parameters" * (cost == "parameters") for cost in costs]
    return f"{row['network']} at {row['input_size']} px ({'; '.join([accuracy, *known])})"


def cost_cell(cost: str) -> Callable[[Row], str | Cell]:
    """Return what shows a cost of a row, with its interval and its doubts."""
    unit = COSTS[cost][0]

    def cell(row: Row) -> Cell:
        if math.isnan(row[cost]):
            return EMPTY
        low, high = (row.get(f"{cost}_{end}", math.nan) for end in ("low", "high"))
        note = "" if math.isnan(low) else f"{show(low, unit)} – {show(high, unit)}"
        return Cell(show(row[cost], unit), note, flags=flags_of(row.to_dict(), cost))

    return cell


def may_be_better(open_: pd.DataFrame, words: Callable[[Row], str], why: Callable[[Row], str]) -> list[str]:
    """Return sentences on networks that may be the better choice: one a reason, and of many how many more there are.

    Args:
        open_: of the table of candidates.
        words: returns what a network is called.
        why: returns the reason.
    """
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for _, row in open_.sort_values("accuracy", ascending=False, kind="stable").iloc[:MOST_NAMED].iterrows():
        by_reason[why(row)].append(words(row))
    said = [
        f"{', '.join(of)} may be better: {'of each, ' * (len(of) > 1)}{reason}."
        for reason, of in by_reason.items()
    ]
    more = len(open_) - MOST_NAMED
    return [*said, f"So may {more:,} more."] if more > 0 else said
