"""What the answers of a choice and of a race have in common."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Protocol

import pandas as pd

from bench.analysis.choosing import COSTS, Choice
from bench.analysis.flags import flags_of
from bench.io import JsonObject, finite_json
from bench.report.document import Document
from bench.report.tables.cells import EMPTY, Cell, Fields, Head, View, view_of
from bench.stats.intervals import binomial_interval
from bench.units import percent, show, significant

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


class _Accuracies(Protocol):
    """What networks are chosen by: a kind of accuracy, where it comes from, and of how many images it is."""

    @property
    def accuracy(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def images(self) -> int: ...


def at_most(chance: float) -> str:
    """Return a chance as it is told: what is below a thousandth as that."""
    return "under 0.1 %" if chance < 0.001 else f"at most {percent(min(1.0, chance))}"


def described(row: Row, choice: Choice, by: _Accuracies) -> str:
    """Return ``timm:x at 224 px (top-1 90.1 %, 89.8 – 90.3; 1,200 images/s)``."""
    low, high = binomial_interval(row["accuracy"] * by.images, by.images)
    accuracy = f"{by.accuracy} {percent(row['accuracy'])}, {100 * low:.1f} – {100 * high:.1f}"
    costs = dict.fromkeys([choice.cost, *(b.quantity for b in choice.budgets)])
    known = [show(row[cost], COSTS[cost][0]) + " parameters" * (cost == "parameters") for cost in costs]
    return f"{row['network']} at {row['input_size']} px ({'; '.join([accuracy, *known])})"


def nearest_sentence(choice: Choice, by: _Accuracies) -> str:
    """Return which network comes nearest to the budget, and by what factor it misses it."""
    assert choice.nearest is not None
    excess = choice.nearest["excess"]
    miss = f", which misses it by a factor of {significant(excess)}" if 1 < excess < math.inf else ""
    return f"The nearest is {described(choice.nearest, choice, by)}{miss}."


def rivals_sentences(choice: Choice, by: _Accuracies) -> list[str]:
    """Return a sentence on those that are not told apart from the best, where there are any."""
    if not (rivals := len(choice.rivals)):
        return []
    others = "Another is" if rivals == 1 else f"{rivals} others are"
    first = "it is" if rivals == 1 else "the cheapest of them is"
    cheapest = described(choice.rivals.iloc[0], choice, by)
    return [f"{others} not distinguishable from it by {by.images:,} images: {first} {cheapest}."]


def dearer_sentences(choice: Choice, by: _Accuracies) -> list[str]:
    """Return a sentence on what lies beyond the budget, where there is any."""
    if choice.dearer is None:
        return []
    factor = significant(choice.dearer["excess"])
    return [f"Beyond the budget, by a factor of {factor}: {described(choice.dearer, choice, by)}."]


def answer_document(
    view: View, answer: list[str], values: JsonObject, remarks: Sequence[str], explained: list[str]
) -> Document:
    """Return an answer: sentences, the table, what is to be known of it, and why networks were not chosen."""
    every = {"answer": answer, **values, "remarks": [*remarks], "explained": explained}
    return Document(view, above=answer, remarks=remarks, notes=explained, values=every)


def answer_json(choice: Choice, columns: Sequence[str]) -> JsonObject:
    """Return what was chosen as plain values, of each network these columns; what is not known is None."""

    def plain(rows: pd.DataFrame) -> object:
        return finite_json(rows[list(columns)].to_dict("records"))

    def one(row: Row | None) -> object:
        return None if row is None else finite_json(row[list(columns)].to_dict())

    return {
        "budgets": [{"quantity": b.quantity, "limit": b.limit, "unit": b.unit} for b in choice.budgets],
        "candidates": len(choice.candidates),
        "best": one(choice.best),
        "not_told_apart": plain(choice.rivals),
        "open": plain(choice.open),
        "nearest": one(choice.nearest),
        "dearer": one(choice.dearer),
        "front": plain(choice.candidates[choice.candidates["on_front"]]),
    }


def answer_view(
    choice: Choice, by: _Accuracies, front: Mapping[Hashable, str], more: Fields[Row] = (), *, takes: bool
) -> View:
    """Return the networks that matter, the most accurate first, with what is said of each.

    `front` is what is said of rows that are on the front, `more` are further columns before what is said, and `takes`
    is whether one is to be taken, and not the front alone to be told.
    """
    table, words = choice.candidates, dict(front)
    words |= dict.fromkeys(choice.rivals.index[:MOST_RIVALS], "not distinguishable")
    words |= dict.fromkeys(choice.open.index, "may hold")
    best = choice.best if takes else None
    ones = ((choice.dearer, "beyond the budget"), (choice.nearest, "nearest"), (best, "take it"))
    words |= {row.name: word for row, word in ones if row is not None}
    rows = table[table.index.isin(list(words))].sort_values("accuracy", ascending=False, kind="stable")
    fields: Fields[Row] = [
        (Head("Network"), lambda row: str(row["network"])),
        (
            Head(f"{by.accuracy.capitalize()}, {by.origin}", "%", numeric=True, keep=2),
            lambda row: f"{100 * row['accuracy']:.1f}",
        ),
        (Head("Input", "px", numeric=True), lambda row: str(row["input_size"])),
        *(
            (Head(TITLES[cost], numeric=True, keep=1 + (cost == choice.cost)), partial(_cost_cell, cost))
            for cost in COSTS
            if rows[cost].notna().any()
        ),
        *more,
        (Head("Verdict", keep=3), lambda row: words[row.name]),
    ]
    return view_of((row for _, row in rows.iterrows()), fields)


def _cost_cell(cost: str, row: Row) -> Cell:
    """Show a cost of a row, with its interval and its doubts."""
    if math.isnan(row[cost]):
        return EMPTY
    unit, low, high = COSTS[cost][0], *(row.get(f"{cost}_{end}", math.nan) for end in ("low", "high"))
    note = "" if math.isnan(low) else f"{show(low, unit)} – {show(high, unit)}"
    return Cell(show(row[cost], unit), note, flags=flags_of(row.to_dict(), cost))


def may_be_better(choice: Choice, by: _Accuracies, why: Callable[[Row], str]) -> list[str]:
    """Return sentences on networks that may be the better choice: one a reason, and of many how many more there are."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    best = choice.open.sort_values("accuracy", ascending=False, kind="stable").iloc[:MOST_NAMED]
    for _, row in best.iterrows():
        by_reason[why(row)].append(described(row, choice, by))
    said = [
        f"{', '.join(of)} may be better: {'of each, ' * (len(of) > 1)}{reason}."
        for reason, of in by_reason.items()
    ]
    more = len(choice.open) - MOST_NAMED
    return [*said[:-1], f"{said[-1]} So may {more:,} more."] if more > 0 else said
