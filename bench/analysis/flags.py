"""The flags of each number of the comparison: of the measurements that it was made of, all processes together.

A number over several processes is noisy where its interval over them is wide; what each process's own samples are like
is no doubt about it. Any other flag of one of its processes is the number's. A time of one process alone is flagged as
such.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from bench.analysis.frame import SHAPE, VARIANT
from bench.plan.task import Quantity, Task, summarised
from bench.records.flags import NOISY, doubts, joined_flags

_TRAINED = ("run", "network", "dataset", "recipe", "epochs")


class _Source(NamedTuple):
    """Where a column comes from: task, quantity, and the keys of the frame and of the table that agree."""

    task: str
    quantity: Quantity
    keys: Sequence[str]
    columns: Sequence[str]

    @property
    def timed(self) -> bool:
        return self.quantity.summary in ("image", "rate")


def _source(name: str, task: Task, quantity: Quantity) -> _Source:
    if quantity.summary == "shape":
        return _Source(name, quantity, SHAPE, SHAPE)
    if quantity.summary == "seeds":
        return _Source(name, quantity, _TRAINED, _TRAINED)
    ways = (*SHAPE, *VARIANT)
    if quantity.summary == "image":
        return _Source(name, quantity, ways, ways)
    return _Source(name, quantity, (*ways, "batch_size"), (*ways, task.batch_column))


_SOURCES: Mapping[str, _Source] = {
    quantity.name: _source(name, task, quantity)
    for name, task, quantity in summarised("shape", "image", "rate", "batch", "seeds")
    if not quantity.beside
}

FLAGS = tuple(f"{column}_flags" for column in _SOURCES)
"""The columns that `with_flags` adds."""


def with_flags(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column `<column>_flags` for each that has any: ``noisy;one_process``, or nothing.

    Args:
        table: the comparison.
        frame: that it was made of, with a row each process and the column `network`.
    """
    return table.assign(**{f"{column}_flags": _flags(table, frame, column) for column in _SOURCES})


def _flags(table: pd.DataFrame, frame: pd.DataFrame, column: str) -> list[str]:
    source = _SOURCES[column]
    rows = frame[(frame["task"] == source.task) & (frame["measurement"] == source.quantity.source)]
    if source.quantity.summary == "image":
        rows = rows[rows["batch_size"] == 1]
    flags: defaultdict[tuple[Any, ...], dict[str, None]] = defaultdict(dict)
    processes: defaultdict[tuple[Any, ...], set[Any]] = defaultdict(set)
    for key, raised, process in zip(
        _keys(rows, source.keys), rows["flags"], _plain(rows["replicate"]), strict=True
    ):
        flags[key].update(dict.fromkeys(map(str, raised)))
        processes[key].add(process)
    if not processes:
        return [""] * len(table)
    wide = _wide(table, column) if source.timed else [False] * len(table)
    texts = []
    for key, noisy in zip(_keys(table, source.columns), wide, strict=True):
        count = len(processes[key])
        several = source.timed and count > 1
        own = joined_flags([flags[key]], several=several, wide=several and noisy)
        texts.append(";".join([*own, *(["one_process"] if source.timed and count == 1 else [])]))
    return texts


def _wide(table: pd.DataFrame, column: str) -> list[bool]:
    half = (table[f"{column}_high"] - table[f"{column}_low"]) / 2
    return (half > NOISY * table[column]).tolist()


def _keys(rows: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(_plain(rows[column]) for column in columns), strict=True)


def _plain(values: pd.Series[Any]) -> list[Any]:
    """Return values that equal each other where both are missing."""
    return values.astype(object).where(values.notna(), None).tolist()


def flags_of(row: Mapping[Any, Any], column: str) -> tuple[str, ...]:
    """Return the flags of a number of a row of the comparison."""
    text = row.get(f"{column}_flags")
    return tuple(text.split(";")) if isinstance(text, str) and text else ()


def doubts_of(row: Mapping[Any, Any], column: str) -> tuple[str, ...]:
    """Return those flags of a number of a row for which it is not called the best of others."""
    return doubts(flags_of(row, column))
