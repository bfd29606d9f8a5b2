"""Replicates: what several processes measured of one thing, as one number with the process as the unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import pandas as pd

from bench.analysis.frame import SHAPE, VARIANT
from bench.records.flags import NOISY, joined_flags
from bench.stats.intervals import percentiles, process_interval, within_interval
from bench.stats.samples import finite, summarise

_SAME = (*SHAPE, *VARIANT, "task", "batch_size", "measurement")

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
PERCENTILES = tuple(f"latency_{name}{end}" for name in SHARES for end in ("", "_low", "_high", "_needed"))


def pooled(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with one row for all replicates of a timed measurement, where the last of them stood.

    `n` counts processes, `samples` are their medians, in order. `median` is theirs; of a time it has the interval
    `low` to `high` over processes (`bench.stats.intervals.process_interval`), of other quantities that of independent
    samples, or the range where there are fewer than six. Flags are joined by `bench.records.flags.joined_flags`. A
    time that was measured in one process alone has the interval of its samples, which hang together
    (`bench.stats.intervals.within_interval`).

    Args:
        frame: of `bench.analysis.frame.to_frame`, with the column `network`.
    """
    many = frame["replicate"].notna() & frame["measurement"].notna()
    alone = frame.index[frame["replicate"].isna() & (frame["unit"] == "s") & (frame["n"] > 1)]
    kept = _joined(frame, many) if many.any() else frame.copy()
    intervals = [within_interval(samples) for samples in kept.loc[alone, "samples"]]
    kept.loc[alone, ["low", "high"]] = [(interval.low, interval.high) for interval in intervals] or math.nan
    return kept


def _joined(frame: pd.DataFrame, many: pd.Series[bool]) -> pd.DataFrame:
    """Return the frame with one row for all rows of a quantity among `many`."""
    groups = [rows for _, rows in frame[many].groupby(list(_SAME), sort=False, dropna=False)]
    last = [rows.index[-1] for rows in groups]
    medians = [tuple(_in_order(rows)["median"].tolist()) for rows in groups]
    kept = frame.drop(index=frame.index[many].difference(pd.Index(last)))
    summary = summarise(medians)
    for name in ("n", "median", "low", "high", "mean", "sd"):
        kept.loc[last, name] = getattr(summary, name)
    flags = []
    for at, rows, values in zip(last, groups, medians, strict=True):
        wide = False
        if kept.loc[at, "unit"] == "s" and len(finite(values)) > 1 and min(values) > 0:
            interval = process_interval(values)
            kept.loc[at, ["median", "low", "high"]] = (interval.estimate, interval.low, interval.high)
            wide = interval.high - interval.low > 2 * NOISY * interval.estimate
        flags.append(joined_flags(rows["flags"], several=len(rows) > 1, wide=wide))
    kept.loc[last, "samples"] = pd.Series(medians, index=last, dtype=object)
    kept.loc[last, "flags"] = pd.Series(flags, index=last, dtype=object)
    return kept


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values("replicate", kind="stable")


def percentile_table(latencies: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return one row a network and way of running it with the columns of `PERCENTILES`.

    Samples stand process by process, so that what a process has in common counts as correlation. Where they cannot
    carry a percentile it is NaN, and `latency_p99_needed` says how many of such samples could.

    Args:
        latencies: the rows of the frame that are a latency at batch 1, one a process.
        keys: columns that tell the rows apart.
    """
    table = []
    for key, rows in latencies.groupby(list(keys), sort=False, dropna=False):
        samples = list(
            chain.from_iterable(_in_order(rows).drop_duplicates("replicate", keep="last")["samples"])
        )
        row = list(key)
        for one in percentiles(samples, tuple(SHARES.values())).values():
            interval = one.interval
            ends = (interval.estimate, interval.low, interval.high) if interval else (math.nan,) * 3
            row += [*ends, math.nan if interval else float(one.needed)]
        table.append(row)
    return pd.DataFrame(table, columns=[*keys, *PERCENTILES])
