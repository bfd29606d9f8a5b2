"""Which cells of the comparison have doubts: the flags of the measurements that they were made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.analysis.comparison import SHAPE, VARIANT

_COUNTED = tuple(SHAPE)
_TRAINED = ("run", "network", "dataset", "recipe", "epochs")


def _timed(prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Return (key of the frame, key of the comparison) that agree for a measurement at the largest batch."""
    return (*((k, k) for k in (*SHAPE, *VARIANT)), ("batch_size", f"{prefix}batch_size"))


_ONE_IMAGE = tuple((k, k) for k in (*SHAPE, *VARIANT))

# Task and measurement, the column it becomes, and what must agree in the frame and in the comparison.
_SOURCES: Mapping[tuple[str, str], tuple[str, Sequence[tuple[str, str]]]] = {
    **{
        ("cost", c): (c, [(k, k) for k in _COUNTED])
        for c in ("parameters", "macs", "activations", "receptive_field")
    },
    ("infer", "latency"): ("latency", _ONE_IMAGE),
    ("infer", "step_time"): ("throughput", _timed()),
    ("infer", "peak_memory"): ("peak_memory", _timed()),
    ("infer", "energy"): ("energy", _timed()),
    ("train_step", "step_time"): ("train_throughput", _timed("train_")),
    ("train_step", "peak_memory"): ("train_peak_memory", _timed("train_")),
    ("train_step", "energy"): ("train_energy", _timed("train_")),
    ("accuracy", "top1"): ("accuracy", [(k, k) for k in _TRAINED]),
}


def flags_of(table: pd.DataFrame, frame: pd.DataFrame) -> dict[tuple[int, str], tuple[str, ...]]:
    """Return the flags of cells, by (position of the row, column); cells without any are left out.

    Args:
        table: of `bench.analysis.comparison.compare_table`.
        frame: of `bench.analysis.frame.to_frame`, that the table was made of.
    """
    found: defaultdict[tuple[int, str], dict[str, None]] = defaultdict(dict)
    rows: defaultdict[tuple[str, str], list[tuple[int, dict[Any, Any]]]] = defaultdict(list)
    for position, row in enumerate(table.to_dict("records")):
        rows[row["run"], row["network"]].append((position, row))
    for seen in frame[frame["flags"].map(len) > 0].rename(columns={"arch": "network"}).to_dict("records"):
        column, keys = _SOURCES.get((seen["task"], seen["measurement"]), ("", ()))
        if not column or (column == "latency" and seen["batch_size"] != 1):
            continue
        for position, row in rows[seen["run"], seen["network"]]:
            if all(_same(seen[a], row[b]) for a, b in keys):
                found[position, column].update(dict.fromkeys(map(str, seen["flags"])))
    return {cell: tuple(flags) for cell, flags in found.items()}


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or (pd.isna(one) and pd.isna(other))
