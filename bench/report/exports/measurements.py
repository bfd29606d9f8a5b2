"""Every measurement, one row each, as CSV or Parquet."""

from __future__ import annotations

import pandas as pd

from bench.analysis.dictionary import parquet_schema, typed
from bench.records.line import json_text
from bench.report.exports import Results, export
from bench.report.tables._csv import csv_text


@export(
    "csv", about="every measurement, one row each, with raw samples, doubts and details as JSON; unrounded"
)
def _csv(results: Results) -> str:
    """Return the measurements with raw samples, flags and detail as JSON; numbers unrounded, gaps empty."""
    frame = results.frame
    return csv_text(_with_texts(frame, **{c: list(map(json_text, frame[c])) for c in ("samples", "flags")}))


@export("parquet", about="the same as Parquet: samples and doubts are lists")
def _parquet(results: Results) -> bytes:
    """Return `long_parquet`."""
    return long_parquet(results.frame)


def plain_measurements(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a measurement with plain values only; the raw samples are in the store."""
    flat = _with_texts(frame, flags=[";".join(map(str, flags)) for flags in frame["flags"]])
    return flat.drop(columns=["samples", "detail", "series"])


_OF_THIS_MACHINE = ["outputs", "evaluation"]  # where outputs lie; what was evaluated stands in the label too


def _with_texts(frame: pd.DataFrame, **columns: list[str]) -> pd.DataFrame:
    """Return the measurements for a file of text: some columns as text, times as they are in the records."""
    kept = typed(frame, "measurements").drop(columns=_OF_THIS_MACHINE)
    return kept.assign(started_at=frame["started_at"], **columns)


def long_parquet(frame: pd.DataFrame) -> bytes:
    """Return the measurements as Parquet, with the types of `bench.analysis.dictionary` whatever the rows hold."""
    kept = typed(frame, "measurements").drop(columns=_OF_THIS_MACHINE)
    kept.attrs = {}  # what runs keep of their races is no part of the table
    content: bytes = kept.to_parquet(index=False, schema=parquet_schema(kept, "measurements"))
    return content
