"""Published facts of a network, and the answer of a choice."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence

import pandas as pd

from bench.analysis.choosing import COSTS, Choice
from bench.errors import unknown_name
from bench.facts import SETS
from bench.facts.candidates import Candidates, called
from bench.io import finite_json
from bench.report._choice import MOST_RIVALS, TITLES, Row, cost_cell, described, may_be_better
from bench.report.document import Document
from bench.report.tables.cells import Fields, Head, View, view_of
from bench.report.tables.formats import Terminal
from bench.units import percent, show, significant


def network_tables(accuracies: pd.DataFrame, speeds: pd.DataFrame) -> Iterator[Terminal]:
    """Yield the published accuracies of networks' weights and their published speeds, each as a table."""
    weights = accuracies.pivot_table(
        index=["weights", "input_size"], columns="set", values="top1"
    ).reset_index()
    fields: Fields[Row] = [
        (Head("Weights"), lambda row: str(row["weights"])),
        (Head("Input", "px", numeric=True), lambda row: str(row["input_size"])),
        *((Head(f"Top-1, {name}", numeric=True), _share(name)) for name in SETS if name in weights),
    ]
    if len(weights):
        yield Terminal(view_of((row for _, row in weights.iterrows()), fields), "Published accuracies")
    whose: Fields[Row] = [(Head("Network"), lambda row: str(row["network"]))]
    timed: Fields[Row] = [
        *(whose if speeds["network"].nunique() > 1 else ()),
        (Head("Machine"), lambda row: str(row["machine"])),
        (Head("Input", "px", numeric=True), lambda row: str(row["input_size"])),
        (Head("Batch", numeric=True, keep=0), lambda row: f"{row['batch_size']:,}"),
        (Head("Throughput", numeric=True), lambda row: show(row["throughput"], "1/s")),
        (Head("Source"), lambda row: str(row["source"])),
    ]
    if len(speeds):
        yield Terminal(
            view_of((row for _, row in speeds.iterrows()), timed),
            "Published speeds: single runs, without spread",
        )


def _share(name: str) -> Callable[[Row], str]:
    return lambda row: percent(row[name], 2)


def choice_document(choice: Choice, candidates: Candidates, explain: Sequence[str]) -> Document:
    """Return the answer: sentences, the table, what is to be known of it, and why a network was not chosen.

    Raises:
        UnknownNameError: for a pattern of `explain` that no candidate matches.
    """
    answer, explained = _sentences(choice, candidates), _explained(choice, explain)
    return Document(
        _table(choice, candidates),
        above=answer,
        remarks=candidates.remarks,
        notes=explained,
        values={
            "answer": answer,
            **_json(choice),
            "remarks": list(candidates.remarks),
            "explained": explained,
        },
    )


def _json(choice: Choice) -> dict[str, object]:
    """Return the answer as plain values; what is not known is None."""

    def plain(rows: pd.DataFrame) -> object:
        return finite_json(rows[_columns(choice)].to_dict("records"))

    def one(row: Row | None) -> object:
        return None if row is None else finite_json(row[_columns(choice)].to_dict())

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


def _columns(choice: Choice) -> list[str]:
    table = choice.candidates
    ends = [f"{cost}_{end}" for cost in COSTS for end in ("low", "high") if f"{cost}_{end}" in table]
    return ["network", "accuracy", "input_size", *COSTS, *ends, "holds", "on_front"]


_ON_BOTH_SIDES = "the interval of its cost lies on both sides of the budget"


def _sentences(choice: Choice, candidates: Candidates) -> list[str]:
    """Return the answer: what to take, what is not told apart from it, what may be better, what more would buy."""

    def words(row: Row) -> str:
        return described(row, choice, candidates.accuracy, candidates.images)

    every, budget = len(choice.candidates), " and ".join(b.text for b in choice.budgets)
    if choice.best is None:
        assert choice.nearest is not None
        excess = choice.nearest["excess"]
        miss = f", which misses it by a factor of {significant(excess)}" if 1 < excess < math.inf else ""
        certain = f" for certain, and {len(choice.open):,} may have" if len(choice.open) else ""
        return [f"None of {every:,} has {budget}{certain}. The nearest is {words(choice.nearest)}{miss}."]
    held = int((choice.candidates["holds"] == "yes").sum())
    of = f"the {held:,} of {every:,} that have {budget}" if choice.budgets else f"{every:,}"
    said = [f"Take {words(choice.best)}: the most accurate of {of}."]
    if rivals := len(choice.rivals):
        others = "Another is" if rivals == 1 else f"{rivals} others are"
        first = "it is" if rivals == 1 else "the cheapest of them is"
        cheapest = f"{first} {words(choice.rivals.iloc[0])}"
        said.append(f"{others} not distinguishable from it by {candidates.images:,} images: {cheapest}.")
    said += may_be_better(choice.open, words, lambda _: _ON_BOTH_SIDES)
    if choice.dearer is not None:
        said.append(
            f"Beyond the budget, by a factor of {significant(choice.dearer['excess'])}: {words(choice.dearer)}."
        )
    return said


def _table(choice: Choice, candidates: Candidates) -> View:
    """Return the networks that matter, the most accurate first, with what is said of each."""
    table = choice.candidates
    words: dict[Hashable, str] = dict.fromkeys(
        table.index[table["on_front"] & (table["holds"] == "yes")], "on the front"
    )
    words |= dict.fromkeys(choice.rivals.index[:MOST_RIVALS], "not distinguishable")
    words |= dict.fromkeys(choice.open.index, "may hold")
    ones = ((choice.dearer, "beyond the budget"), (choice.nearest, "nearest"), (choice.best, "take it"))
    words |= {row.name: word for row, word in ones if row is not None}
    rows = table[table.index.isin(list(words))].sort_values("accuracy", ascending=False, kind="stable")
    costs = [cost for cost in COSTS if rows[cost].notna().any()]
    fields: Fields[Row] = [
        (Head("Network"), lambda row: str(row["network"])),
        (
            Head(f"{candidates.accuracy.capitalize()}, {candidates.origin}", "%", numeric=True, keep=2),
            lambda row: f"{100 * row['accuracy']:.1f}",
        ),
        (Head("Input", "px", numeric=True), lambda row: str(row["input_size"])),
        *(
            (Head(TITLES[cost], numeric=True, keep=1 + (cost == choice.cost)), cost_cell(cost))
            for cost in costs
        ),
        (Head("Verdict", keep=3), lambda row: words[row.name]),
    ]
    return view_of((row for _, row in rows.iterrows()), fields)


def _explained(choice: Choice, patterns: Sequence[str]) -> list[str]:
    """Return a line for each network that a pattern names: why it was not chosen.

    Raises:
        UnknownNameError: for a pattern that no candidate matches.
    """
    if not patterns:
        return []
    names, sizes = choice.candidates["network"], choice.candidates["input_size"]
    lines = []
    for pattern in patterns:
        rows = [*itertools.compress(range(len(names)), called(names, pattern))]
        if not rows:
            raise unknown_name("candidate", pattern, names, "it has no accuracy, or no cost there")
        lines += [f"{names[row]} at {sizes[row]} px: {choice.dismissal(row) or 'chosen'}" for row in rows]
    return lines
