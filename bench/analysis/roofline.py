"""The roofline: what share a network attains of what the machine could do at the network's operational intensity.

A network that does `intensity` multiply-accumulates for each byte it moves cannot go faster than
min(peak, intensity x bandwidth), where peak is the machine's rate of matrix products and bandwidth that of its memory.
Source: Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bench.analysis._counts import wide
from bench.analysis.keys import CEILING

# Bytes of one number, by precision: of activations and of weights. Counts are of single precision, 4 bytes.
_COUNTED = 4
_ACTIVATION_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "amp_bf16": 2, "amp_fp16": 2}
WEIGHT_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "amp_bf16": 4, "amp_fp16": 4}

_CEILINGS = ("matmul_rate", "copy_bandwidth")


def _ceilings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the machine's ceilings: one row for each run, device, precision and count of threads.

    Columns: run, device, precision, threads, `matmul_rate` (MAC/s), `copy_bandwidth` (B/s).
    """
    return wide(best_ceilings(frame), CEILING, _CEILINGS).reset_index(drop=True)


def best_ceilings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return those rows of the frame that are a machine's ceilings: of each the process that reached the most.

    A ceiling is what can be reached at best, and a process that is slow as a whole, such as by seven times, would set
    it too low for all others.
    """
    rows = frame[(frame["task"] == "ceiling") & frame["measurement"].isin(_CEILINGS)]
    best = rows.groupby([*CEILING, "measurement"], dropna=False)["median"].transform("max")
    return rows[rows["median"] == best]


def add_roofline(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with `intensity` (MAC/B) and `roofline_share` (fraction) added, and its rows as they were.

    `intensity` is of the batch that `throughput` is of: macs x batch over activation_bytes x batch +
    parameter_bytes, with bytes as they are in the row's precision. It supposes that each activation is
    written once and each weight read once; a cache makes less of it, reading back makes more.
    `roofline_share` is the MAC/s attained over min(peak, intensity x bandwidth). Both are NaN where a part is
    missing; a row in autocast is held against the ceiling of its 16-bit type where autocast has none of its own.

    Args:
        table: of `bench.analysis.comparison.compare_table`, with `throughput` (1/s), `batch_size`, `macs`,
            `activation_bytes` and `parameter_bytes` (of fp32), run, device, precision and threads.
        frame: of `bench.analysis.frame.to_frame`, with the ceilings.
    """
    batch = table["batch_size"].astype(float)
    activations = table["activation_bytes"].astype(float) * _scale(table["precision"], _ACTIVATION_BYTES)
    weights = table["parameter_bytes"].astype(float) * _scale(table["precision"], WEIGHT_BYTES)
    intensity = table["macs"].astype(float) * batch / (activations * batch + weights)
    peak, bandwidth = ceilings_of(table, frame)
    attained = table["throughput"].astype(float) * table["macs"].astype(float)
    share: pd.Series = attained / np.minimum(peak, intensity * bandwidth)
    return table.assign(intensity=intensity, roofline_share=share)


def _scale(precisions: pd.Series, sizes: Mapping[str, int]) -> pd.Series:
    """Return for each row the bytes of a number in its precision over those it was counted with."""
    return precisions.map(lambda p: sizes.get(p, np.nan) / _COUNTED).astype(float)


def ceilings_of(table: pd.DataFrame, frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return for each row of the table the peak (MAC/s) and the bandwidth (B/s) it is held against.

    Args:
        table: with the columns of `bench.analysis.keys.CEILING`.
        frame: of `bench.analysis.frame.to_frame`, with the ceilings.
    """
    rows = _ceilings(frame).to_dict("records")
    by_key = {tuple(row[k] for k in CEILING): row for row in rows}
    values = []
    for key in table[CEILING].itertuples(index=False, name=None):
        run, device, precision, threads = key
        bare = (run, device, str(precision).removeprefix("amp_"), threads)
        row = by_key.get(key) or by_key.get(bare) or {}
        values.append([row.get(name, np.nan) for name in _CEILINGS])
    peak, bandwidth = np.array(values, dtype=float).reshape(len(table), 2).T
    return pd.Series(peak, index=table.index), pd.Series(bandwidth, index=table.index)
