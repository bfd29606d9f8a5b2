"""The roofline: what share a network attains of what the machine could do at the network's operational intensity.

A network that does `intensity` multiply-accumulates for each byte it moves cannot go faster than
min(peak, intensity x bandwidth), where peak is the machine's rate of matrix products and bandwidth that of its memory.
Source: Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from bench.analysis.flags import Row
from bench.analysis.keys import CEILING, Key, Rows, key_of, plain_rows
from bench.stats.samples import Floats

# Bytes of one number, by precision: of activations and of weights. Counts are of single precision, 4 bytes.
_COUNTED = 4
_ACTIVATION_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "amp_bf16": 2, "amp_fp16": 2}
WEIGHT_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "amp_bf16": 4, "amp_fp16": 4}

_CEILINGS = ("matmul_rate", "copy_bandwidth")
_PARTS = ("macs", "activation_bytes", "parameter_bytes", "batch_size", "throughput")


def machine_rows(frame: pd.DataFrame) -> Rows:
    """Return those rows of the frame that are of the machine's ceilings."""
    columns = (*CEILING, "task", "measurement", "median", "flags")
    return plain_rows(frame[frame["task"] == "ceiling"], columns)


def best_ceilings(rows: Iterable[Row]) -> list[Row]:
    """Return those rows of the frame that are a machine's ceilings: of each the process that reached the most.

    A ceiling is what can be reached at best, and a process that is slow as a whole, such as by seven times, would set
    it too low for all others.
    """
    rows = [row for row in rows if row["task"] == "ceiling" and row["measurement"] in _CEILINGS]
    key = (*CEILING, "measurement")
    best: defaultdict[Key, float] = defaultdict(lambda: -math.inf)
    for row in rows:
        best[key_of(row, key)] = max(best[key_of(row, key)], row["median"])
    return [row for row in rows if row["median"] == best[key_of(row, key)]]


def rooflines(rows: Sequence[Row], machine: Iterable[Row]) -> tuple[Floats, Floats]:
    """Return for each row its intensity (MAC/B) and its share of the roofline (fraction).

    `intensity` is of the batch that `throughput` is of: macs x batch over activation_bytes x batch +
    parameter_bytes, with bytes as they are in the row's precision. It supposes that each activation is
    written once and each weight read once; a cache makes less of it, reading back makes more.
    The share is the MAC/s attained over min(peak, intensity x bandwidth). Both are NaN where a part is
    missing; a row in autocast is held against the ceiling of its 16-bit type where autocast has none of its own.

    Args:
        rows: of the comparison, with `throughput` (1/s), `batch_size`, `macs`, `activation_bytes` and
            `parameter_bytes` (of fp32), run, device, precision and threads.
        machine: rows of the frame, with the ceilings.
    """
    numbers = np.array([key_of(row, _PARTS) for row in rows], dtype=float).reshape(-1, len(_PARTS))
    macs, activations, weights, batch, throughput = numbers.T
    precisions = [str(row.get("precision")) for row in rows]
    sizes = [(_ACTIVATION_BYTES.get(p, math.nan), WEIGHT_BYTES.get(p, math.nan)) for p in precisions]
    of_activation, of_weight = np.array(sizes, dtype=float).reshape(-1, 2).T / _COUNTED
    peak, bandwidth = np.array(ceilings_of(rows, machine), dtype=float).reshape(-1, 2).T
    with np.errstate(divide="ignore", invalid="ignore"):
        intensity = macs * batch / (activations * of_activation * batch + weights * of_weight)
        return intensity, throughput * macs / np.minimum(peak, intensity * bandwidth)


def ceilings_of(rows: Iterable[Row], machine: Iterable[Row]) -> list[tuple[float, float]]:
    """Return for each row the peak (MAC/s) and the bandwidth (B/s) it is held against, NaN where they are not known.

    Args:
        rows: with the columns of `bench.analysis.keys.CEILING`.
        machine: rows of the frame, with the ceilings.
    """
    by_key: defaultdict[Key, dict[str, float]] = defaultdict(dict)
    for best in best_ceilings(machine):
        by_key[key_of(best, CEILING)][best["measurement"]] = best["median"]
    found = []
    for row in rows:
        run, device, precision, threads = key = key_of(row, CEILING)
        bare = (run, device, str(precision).removeprefix("amp_"), threads)
        own = by_key.get(key) or by_key.get(bare) or {}
        found.append((own.get("matmul_rate", math.nan), own.get("copy_bandwidth", math.nan)))
    return found
