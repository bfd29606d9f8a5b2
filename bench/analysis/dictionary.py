"""The data dictionary of the frames that people get, and their dtypes.

Within `bench.analysis` numbers are float64, as statistics want them. A frame that people get has whole numbers as
`Int64`, times as times, texts as `string`, and nothing mixed, so that every program for tables reads it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.analysis import frame, layer_costs
from bench.analysis._comparison_columns import ENTRIES
from bench.analysis.ensembles import Ensemble
from bench.analysis.entry import Entry
from bench.analysis.versus import RATIOS
from bench.errors import unknown_name
from bench.records.line import Unread, json_text

if TYPE_CHECKING:
    import pyarrow as pa

FRAMES: Mapping[str, tuple[Entry, ...]] = {
    "measurements": frame.entries(),
    "comparison": ENTRIES,
    "ratios": RATIOS,
    "ensembles": Ensemble.entries(),
    "layers": layer_costs.ENTRIES,
}
"""What the columns of each frame hold: of `bench.load`, its `comparison`, `bench.compare`, `ensembles` and `show`."""


def dictionary(name: str | None = None) -> pd.DataFrame:
    """Return one row a column of a frame, or of all: `frame`, and the attributes of `bench.analysis.entry.Entry`.

    Raises:
        UnknownNameError: for a name that no frame has.
    """
    if name is not None and name not in FRAMES:
        raise unknown_name("frame", name, FRAMES, f"there are {', '.join(FRAMES)}")
    names = FRAMES if name is None else (name,)
    rows = [{"frame": one, **asdict(entry)} for one in names for entry in FRAMES[one]]
    return pd.DataFrame(rows).astype("string")


def typed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a table with the columns of the frame of a name, each with its dtype.

    Nothing is rounded: a column of whole numbers stays float64 where a number is none, such as a count of which two
    processes tell different ones.
    """
    if name == "measurements":
        table = table.assign(value=table["median"])
    return _with({e.column: _of_dtype(table[e.column], e) for e in FRAMES[name]}, table)


def untyped(table: pd.DataFrame, name: str = "measurements") -> pd.DataFrame:
    """Return a table as `bench.analysis` takes it, also one that was read back from a file: the inverse of `typed`."""
    entries = {entry.column: entry for entry in FRAMES[name]}
    kept = {str(column): table[column] for column in table if column != "value"}
    return _with({column: _plain(values, entries.get(column)) for column, values in kept.items()}, table)


def parquet_schema(table: pd.DataFrame, name: str) -> pa.Schema:
    """Return the types in a Parquet file of those columns of a frame that a table has, whatever its rows hold."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "Int64": pa.int64(),
        "float64": pa.float64(),
        "datetime64[ns, UTC]": pa.timestamp("ns", "UTC"),
    }
    entries = [entry for entry in FRAMES[name] if entry.column in table]
    return pa.schema([(e.column, pa.list_(types[e.each]) if e.each else types[e.dtype]) for e in entries])


def _with(columns: Mapping[str, pd.Series], table: pd.DataFrame) -> pd.DataFrame:
    made = pd.DataFrame(dict(columns), index=table.index)
    made.attrs = table.attrs
    return made


def _of_dtype(values: pd.Series, entry: Entry) -> pd.Series:
    if entry.each:
        return _tuples(values, entry)
    if entry.dtype == "string":
        return _texts(values)
    if entry.dtype == "datetime64[ns, UTC]":
        texts = _series(values.tolist(), values, object)
        return pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce").astype(
            "datetime64[ns, UTC]"
        )
    numbers = pd.to_numeric(values).astype("float64")
    return numbers.astype("Int64") if entry.dtype == "Int64" and _are_whole(numbers) else numbers


def _plain(values: pd.Series, entry: Entry | None) -> pd.Series:
    """Return a column of the long table as `bench.analysis` takes it."""
    if entry is None:
        return values
    if entry.each:
        return _tuples(values, entry)
    if entry.dtype in ("Int64", "float64"):
        return values.astype("int64" if entry.column == "n" else "float64")
    plain = values.astype(object).where(values.notna(), None).tolist()
    if entry.column == "detail":
        plain = [Unread(text.encode()) if isinstance(text, str) else text or {} for text in plain]
    return _series(plain, values, object)


def _series(values: Iterable[object], like: pd.Series, dtype: Any) -> pd.Series:
    return pd.Series(list(values), index=like.index, dtype=dtype)


def _texts(values: pd.Series) -> pd.Series:
    if pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty"):
        with contextlib.suppress(UnicodeEncodeError):  # of a name that is not UTF-8
            return values.astype("string")
    return _series(frame.encodable([_text(value) for value in values.tolist()]), values, "string")


def _text(value: object) -> str | None:
    """Return a text; plain values that are none, such as a detail, as JSON."""
    if value is None or isinstance(value, str):
        return value
    is_missing = value is pd.NA or (isinstance(value, float) and math.isnan(value))
    return None if is_missing else json_text(value)


def _are_whole(numbers: pd.Series) -> bool:
    known = numbers[numbers.notna()]
    return bool((known % 1 == 0).all() and (known.abs() < 2**53).all())


def _tuples(values: pd.Series, entry: Entry) -> pd.Series:
    make: Callable[[Any], object] = {"string": str, "Int64": int, "float64": float}[entry.each]
    kinds = (tuple, list, np.ndarray)
    parts = [tuple(map(make, value)) if isinstance(value, kinds) else None for value in values.tolist()]
    return _series(parts, values, object)
