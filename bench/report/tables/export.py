"""Records for other programs: every measurement as CSV or Parquet, and the columns of timm's result files."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.analysis.frame import to_frame
from bench.analysis.keys import VARIANT
from bench.io import finite_json
from bench.records.store import Run
from bench.report.tables._csv import csv_text

_WAYS = ("run", "device_name", *VARIANT)


def measurements_csv(frame: pd.DataFrame) -> str:
    """Return one row a measurement with plain values only; the raw samples are in the store."""
    flat = frame.drop(columns=["samples", "detail", "series", "outputs", "evaluation"])
    return csv_text(flat.assign(flags=[";".join(map(str, flags)) for flags in frame["flags"]]))


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


def _timm_frame(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of timm's benchmark files, one row a network and way of running it, fastest first.

    Names and units are timm's: images/s, ms, 10^9 multiply-accumulates, 10^6 activations and 10^6 parameters. Speeds
    are at the largest batch, medians and not means; nothing is rounded. What timm keeps in the name of its file
    (device, precision, ...) is not in its columns: `variants` names what would be lost.
    """
    speed, trained = table["throughput"], table["train_throughput"]
    sizes = table["input_size"]
    frame = pd.DataFrame(
        {
            "model": [n.removeprefix("timm:").removeprefix("torchvision:") for n in table["network"]],
            "infer_img_size": sizes,
            "infer_samples_per_sec": speed,
            "infer_step_time": 1e3 * table["batch_size"] / speed,
            "infer_batch_size": table["batch_size"],
            "infer_gmacs": table["macs"] / 1e9,
            "infer_macts": table["matrix_activations"] / 1e6,
            "param_count": table["parameters"] / 1e6,
            "train_samples_per_sec": trained,
            "train_step_time": 1e3 * table["train_batch_size"] / trained,
            "train_batch_size": table["train_batch_size"],
            "train_img_size": sizes.where(trained.notna()),
        }
    )
    known = frame[["infer_samples_per_sec", "train_samples_per_sec", "param_count"]].notna().any(axis=1)
    order = ["infer_samples_per_sec", "train_samples_per_sec"]
    return frame[known].sort_values(order, ascending=False, kind="stable").reset_index(drop=True)


def timm_csv(table: pd.DataFrame) -> str:
    """Return `_timm_frame` as CSV; training columns are left out where no training step was timed."""
    frame = _timm_frame(table)
    keep = [c for c in map(str, frame) if not c.startswith("train_") or frame[c].notna().any()]
    return csv_text(frame[keep])


def variants(table: pd.DataFrame) -> list[str]:
    """Return in which settings rows of one network and size differ, which timm's columns do not tell apart."""
    table = table[table["throughput"].notna() | table["train_throughput"].notna()]
    rows = table.groupby(["network", "input_size"])
    return [c for c in _WAYS if len(table) and rows[c].nunique().max() > 1]
