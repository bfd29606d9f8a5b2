"""Tables as CSV, with unrounded numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.report.tables._view import Column

_SUFFIX = {"": "", "1": "", "%": "", "1/s": "_images_per_s"}


def with_units(table: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Return all columns of a table for a file: numbers raw and unrounded, the unit in the name (`latency_s`)."""
    units: dict[str, str] = {}
    for column in columns:
        units |= {column.key: column.unit, **column.raw}
    names = {key: key + _SUFFIX.get(unit, f"_{unit}") for key, unit in units.items()}
    return table.reindex(columns=list(units)).rename(columns=names)


def csv_text(table: pd.DataFrame) -> str:
    """Return a frame as CSV, gaps empty; whole numbers stay so beside what is missing: 2015, not 2015.0."""
    return table.apply(_integers).to_csv(index=False, lineterminator="\n")


def _integers(values: pd.Series) -> pd.Series:
    numbers = values.dropna() if values.dtype.kind == "f" else values.iloc[:0]
    if numbers.empty or not (numbers % 1 == 0).all() or not (numbers.abs() < 2**53).all():
        return values
    return values.astype("Int64")
