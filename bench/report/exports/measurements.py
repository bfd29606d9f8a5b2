"""Every measurement, one row each, as CSV or Parquet."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.analysis.frame import to_frame
from bench.io import finite_json
from bench.records.store import Run
from bench.report.exports import Results, export
from bench.report.tables._csv import csv_text


@export(
    "csv", about="every measurement, one row each, with raw samples, doubts and details as JSON; unrounded"
)
def _csv(results: Results) -> str:
    """Return `long_csv`."""
    return long_csv(results.runs)


@export("parquet", about="the same as Parquet: samples and doubts are lists")
def _parquet(results: Results) -> bytes:
    """Return `long_parquet`."""
    return long_parquet(results.runs)


def plain_measurements(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a measurement with plain values only; the raw samples are in the store."""
    flat = frame.drop(columns=["samples", "detail", "series", "outputs", "evaluation"])
    return flat.assign(flags=[";".join(map(str, flags)) for flags in frame["flags"]])


def measurements_csv(frame: pd.DataFrame) -> str:
    """Return `plain_measurements` as CSV."""
    return csv_text(plain_measurements(frame))


def long_csv(runs: Sequence[Run]) -> str:
    """Return one row a measurement, with raw samples, flags and detail as JSON; numbers unrounded, gaps empty."""
    frame = _plain(to_frame(runs))
    for column in ("samples", "flags"):
        frame[column] = [json.dumps(finite_json(v)) for v in frame[column]]
    return csv_text(frame)


def long_parquet(runs: Sequence[Run]) -> bytes:
    """Return the same as Parquet; samples are a list of float64, flags a list of text, detail is JSON."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = _plain(to_frame(runs))
    lists = {"samples": pa.list_(pa.float64()), "flags": pa.list_(pa.string())}
    numbers = {c: pa.float64() for c in frame.columns if frame[c].dtype.kind == "f"}
    types = {c: lists.get(c) or numbers.get(c) or pa.string() for c in frame.columns} | {"n": pa.int64()}
    columns = {c: pa.array(_values(frame[c]), type=t, from_pandas=True) for c, t in types.items()}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _values(column: pd.Series[Any]) -> list[Any]:
    """Return plain values; texts that are neither text nor missing, such as a setting, as text."""
    values = column.tolist()
    return [v if v is None or isinstance(v, str | float | int | list) else str(v) for v in values]


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with lists and texts in the place of tuples and mappings."""
    texts = [
        None if v is None else json.dumps(finite_json(dict(v)), ensure_ascii=False) for v in frame["detail"]
    ]
    columns: dict[str, list[Any]] = {
        "samples": [[float(s) for s in v] for v in frame["samples"]],
        "flags": [list(map(str, v)) for v in frame["flags"]],
        "detail": texts,
    }
    # Where outputs lie is of this machine; what was evaluated stands in the label and the detail.
    kept = frame.drop(columns=["outputs", "evaluation"])
    return kept.assign(**{k: pd.Series(v, dtype=object, index=frame.index) for k, v in columns.items()})
