"""The flags of a comparison's quantities, beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from bench.analysis.flags import flags_text
from bench.analysis.keys import SHAPE, WAY, keys_of
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
"""The columns beside which `with_flags` adds one of flags."""


def with_flags(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column `<column>_flags` for each that has any: ``noisy;one_process``, or nothing.

    Those of trainings are in `bench.analysis.accuracy.accuracy_table`.
    """
    keys = {tuple(source.columns): keys_of(table, source.columns) for source in _SOURCES.values()}
    return table.assign(
        **{
            f"{column}_flags": _flags(keys[tuple(source.columns)], frame, source)
            for column, source in _SOURCES.items()
        }
    )


def _flags(keys: Sequence[tuple[object, ...]], frame: pd.DataFrame, source: _Source) -> list[str]:
    """Return the flags of a quantity for each of some keys of rows."""
    rows = frame[(frame["task"] == source.task) & (frame["measurement"] == source.quantity.source)]
    if source.quantity.summary == "image":
        rows = rows[rows["batch_size"] == 1]
    texts = [flags_text([flags]) for flags in rows["flags"]]
    flags = dict(
        zip(keys_of(rows, source.keys), texts, strict=True)
    )  # of equal keys the last, as the number is
    return [flags.get(key, "") for key in keys]
