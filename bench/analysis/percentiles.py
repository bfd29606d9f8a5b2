"""Percentiles of the latency of one image, over the samples of all processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import pandas as pd

from bench.stats.intervals import percentiles

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
PERCENTILES = tuple(f"latency_{name}{end}" for name in SHARES for end in ("", "_low", "_high", "_needed"))


def percentile_table(latencies: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return one row a network and way of running it with the columns of `PERCENTILES`.

    Samples stand process by process, so that what a process has in common counts as correlation. Where they cannot
    carry a percentile it is NaN, and `latency_p99_needed` says how many of such samples could.

    Args:
        latencies: the rows of the frame that are a latency at batch 1, one a process.
        keys: columns that tell the rows apart.
    """
    found = []
    for key, rows in latencies.groupby(list(keys), sort=False, dropna=False):
        ordered = rows.sort_values("replicate", kind="stable").drop_duplicates("replicate", keep="last")
        samples = list(chain.from_iterable(ordered["samples"]))
        row = list(key)
        for one in percentiles(samples, tuple(SHARES.values())).values():
            interval = one.interval
            ends = (interval.estimate, interval.low, interval.high) if interval else (math.nan,) * 3
            row += [*ends, math.nan if interval else float(one.needed)]
        found.append(row)
    return pd.DataFrame(found, columns=[*keys, *PERCENTILES])
