"""The flags of a comparison's quantities, beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.analysis.flags import Row, flags_text
from bench.analysis.keys import SHAPE, WAY, Key, Rows, key_of
from bench.plan.task import Quantity, summarised


class _Source(NamedTuple):
    """Where a column comes from: task, quantity, and the keys of the frame and of the table that agree."""

    task: str
    quantity: Quantity
    keys: Sequence[str]
    columns: Sequence[str]


_KEYS: Mapping[str, Sequence[str]] = {"shape": SHAPE, "image": WAY}


_SOURCES: Mapping[str, _Source] = {
    quantity.name: _Source(
        name,
        quantity,
        _KEYS.get(str(quantity.summary), (*WAY, "batch_size")),
        _KEYS.get(str(quantity.summary), (*WAY, task.batch_column)),
    )
    for name, task, quantity in summarised("shape", "image", "rate", "batch")
    if quantity.has_flags
}


FLAGGED = tuple(_SOURCES)
"""The columns beside which `add_flags` adds one of flags."""


def add_flags(table: Rows, rows: Iterable[Row]) -> None:
    """Add a column `<column>_flags` to the comparison for each that has any: ``noisy;one_process``, or nothing.

    Those of trainings are in `bench.analysis.accuracy.accuracy_table`.
    """
    columns: defaultdict[Key, list[str]] = defaultdict(list)
    for column, source in _SOURCES.items():
        columns[source.task, source.quantity.source].append(column)
    texts: defaultdict[str, dict[Key, str]] = defaultdict(dict)
    for row in rows:
        for column in columns.get((row["task"], row["measurement"]), ()):
            source = _SOURCES[column]
            if source.quantity.summary != "image" or row["batch_size"] == 1:
                texts[column][key_of(row, source.keys)] = flags_text(
                    [row["flags"]]
                )  # the last, as the number is
    for one in table:
        for column, source in _SOURCES.items():
            one[f"{column}_flags"] = texts[column].get(key_of(one, source.columns), "")
