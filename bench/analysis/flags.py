"""The flags of each number of the comparison: those of the row of the frame that it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import pandas as pd

from bench.analysis.keys import SHAPE, WAY
from bench.plan.task import Quantity, Task, summarised
from bench.records.flags import doubts


class _Source(NamedTuple):
    """Where a column comes from: task, quantity, and the keys of the frame and of the table that agree."""

    task: str
    quantity: Quantity
    keys: Sequence[str]
    columns: Sequence[str]


def _source(name: str, task: Task, quantity: Quantity) -> _Source:
    if quantity.summary == "shape":
        return _Source(name, quantity, SHAPE, SHAPE)
    if quantity.summary == "image":
        return _Source(name, quantity, WAY, WAY)
    return _Source(name, quantity, (*WAY, "batch_size"), (*WAY, task.batch_column))


_SOURCES: Mapping[str, _Source] = {
    quantity.name: _source(name, task, quantity)
    for name, task, quantity in summarised("shape", "image", "rate", "batch")
    if quantity.has_flags
}

FLAGS = tuple(f"{column}_flags" for column in _SOURCES)
"""The columns that `with_flags` adds."""


def with_flags(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column `<column>_flags` for each that has any: ``noisy;one_process``, or nothing.

    Those of trainings are in `bench.analysis.accuracy.accuracy_table`.

    Args:
        table: the comparison.
        frame: that it was made of, of `bench.analysis.plausibility.doubted`.
    """
    return table.assign(**{f"{column}_flags": _flags(table, frame, column) for column in _SOURCES})


def _flags(table: pd.DataFrame, frame: pd.DataFrame, column: str) -> list[str]:
    source = _SOURCES[column]
    rows = frame[(frame["task"] == source.task) & (frame["measurement"] == source.quantity.source)]
    if source.quantity.summary == "image":
        rows = rows[rows["batch_size"] == 1]
    texts = [flags_text([flags]) for flags in rows["flags"]]
    flags = dict(
        zip(_keys(rows, source.keys), texts, strict=True)
    )  # of equal keys the last, as the number is
    return [flags.get(key, "") for key in _keys(table, source.columns)]


def _keys(rows: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(_plain(rows[column]) for column in columns), strict=True)


def _plain(values: pd.Series[Any]) -> list[Any]:
    """Return values that equal each other where both are missing."""
    return values.astype(object).where(values.notna(), None).tolist()


def flags_text(flags: Iterable[Iterable[str]]) -> str:
    """Return the flags of some measurements as a cell has them, each once."""
    return ";".join(dict.fromkeys(map(str, chain.from_iterable(flags))))


def flags_of(row: Mapping[Any, Any], column: str) -> tuple[str, ...]:
    """Return the flags of a number of a row of the comparison."""
    text = row.get(f"{column}_flags")
    return tuple(text.split(";")) if isinstance(text, str) and text else ()


def doubts_of(row: Mapping[Any, Any], column: str) -> tuple[str, ...]:
    """Return those flags of a number of a row for which it is not called the best of others."""
    return doubts(flags_of(row, column))
