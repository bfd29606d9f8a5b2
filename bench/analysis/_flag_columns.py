"""The flags of a comparison's quantities, beside them."""

from __future__ import annotations

from collections import defaultdict
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
    asked = {tuple(source.columns): keys_of(table, source.columns) for source in _SOURCES.values()}
    kept = {tuple(source.keys): keys_of(frame, source.keys) for source in _SOURCES.values()}
    places: defaultdict[tuple[object, object], list[int]] = defaultdict(list)
    for place, quantity in enumerate(zip(frame["task"].tolist(), frame["measurement"].tolist(), strict=True)):
        places[quantity].append(place)
    flags, batches = frame["flags"].tolist(), frame["batch_size"].tolist()
    columns = {}
    for column, source in _SOURCES.items():
        keys = kept[tuple(source.keys)]
        texts = {  # of equal keys the last, as the number is
            keys[place]: flags_text([flags[place]])
            for place in places[source.task, source.quantity.source]
            if source.quantity.summary != "image" or batches[place] == 1
        }
        columns[f"{column}_flags"] = [texts.get(key, "") for key in asked[tuple(source.columns)]]
    return table.assign(**columns)
