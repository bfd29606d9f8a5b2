"""Published facts of a network, and the answer of a choice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from bench.analysis.choosing import COSTS, Choice, why_open
from bench.errors import unknown_name
from bench.facts import SETS
from bench.facts.candidates import Candidates, called
from bench.report._choice import (
    Row,
    answer_document,
    answer_json,
    answer_view,
    dearer_sentences,
    described,
    may_be_better,
    nearest_sentence,
    rivals_sentences,
)
from bench.report.document import Document
from bench.report.tables.cells import Fields, Head, view_of
from bench.report.tables.formats import Terminal
from bench.units import percent, show


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
    table = choice.candidates
    ends = [f"{cost}_{end}" for cost in COSTS for end in ("low", "high") if f"{cost}_{end}" in table]
    columns = ["network", "accuracy", "input_size", *COSTS, *ends, "holds", "on_front"]
    on_front = table.index[table["on_front"] & (table["holds"] == "yes")]
    return answer_document(
        answer_view(choice, candidates, dict.fromkeys(on_front, "on the front"), takes=True),
        _sentences(choice, candidates),
        answer_json(choice, columns),
        candidates.remarks,
        _explained(choice, explain),
    )


def _sentences(choice: Choice, candidates: Candidates) -> list[str]:
    """Return the answer: what to take, what is not told apart from it, what may be better, what more would buy."""
    every, budget = len(choice.candidates), " and ".join(b.text for b in choice.budgets)
    if choice.best is None:
        certain = f" for certain, and {len(choice.open):,} may have" if len(choice.open) else ""
        near = choice.nearest
        why = []
        if near is not None and near["holds"] == "open":
            why = [f"That is open: {why_open(near, choice.budgets)}."]
        return [f"None of {every:,} has {budget}{certain}. {nearest_sentence(choice, candidates)}", *why]
    held = int((choice.candidates["holds"] == "yes").sum())
    of = f"the {held:,} of {every:,} that have {budget}" if choice.budgets else f"{every:,}"
    return [
        f"Take {described(choice.best, choice, candidates)}: the most accurate of {of}.",
        *rivals_sentences(choice, candidates),
        *may_be_better(choice, candidates, lambda row: why_open(row, choice.budgets)),
        *dearer_sentences(choice, candidates),
    ]


def _explained(choice: Choice, patterns: Sequence[str]) -> list[str]:
    """Return a line for each network that a pattern names: why it was not chosen.

    Raises:
        UnknownNameError: for a pattern that no candidate matches.
    """
    names, sizes = choice.candidates["network"], choice.candidates["input_size"]
    lines = []
    for pattern in patterns:
        rows = [*itertools.compress(range(len(names)), called(names, pattern))]
        if not rows:
            raise unknown_name("candidate", pattern, names, "it has no accuracy, or no cost there")
        lines += [f"{names[row]} at {sizes[row]} px: {choice.dismissal(row) or 'chosen'}" for row in rows]
    return lines
