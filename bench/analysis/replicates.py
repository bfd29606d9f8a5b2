"""Replicates: what several processes measured of one thing, with the process as the unit."""

from __future__ import annotations

import math

import pandas as pd

from bench.analysis.frame import SHAPE, VARIANT
from bench.records.flags import NOISY, OF_SAMPLES
from bench.stats.intervals import process_interval, within_interval
from bench.stats.samples import finite, summarise

_SAME = (*SHAPE, *VARIANT, "task", "batch_size", "measurement")


def pooled(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with one row for all replicates of a timed measurement, where the last of them stood.

    `n` counts processes, `samples` are their medians, in order. `median` is theirs; of a time it has the interval
    `low` to `high` over processes (`bench.stats.intervals.process_interval`), of other quantities that of independent
    samples, or the range where there are fewer than six. `flags` are the doubts of any of the processes, and `noisy`
    where the interval over them is wide; what a process's samples alone give rise to is no doubt here. A time that was
    measured in one process alone has the interval of its samples, which hang together
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
    groups = frame[many].groupby(list(_SAME), sort=False, dropna=False)
    last, medians, flags = [], [], []
    for _, rows in groups:
        last.append(rows.index[-1])
        flags.append(
            [flag for each in rows["flags"] for flag in each if flag not in OF_SAMPLES or len(rows) == 1]
        )
        medians.append(tuple(rows.sort_values("replicate", kind="stable")["median"].tolist()))
    kept = frame.drop(index=frame.index[many].difference(pd.Index(last)))
    summary = summarise(medians)
    for name in ("n", "median", "low", "high", "mean", "sd"):
        kept.loc[last, name] = getattr(summary, name)
    for at, one, doubts in zip(last, medians, flags, strict=True):
        if kept.loc[at, "unit"] == "s" and len(finite(one)) > 1 and min(one) > 0:
            interval = process_interval(one)
            kept.loc[at, ["median", "low", "high"]] = (interval.estimate, interval.low, interval.high)
            if interval.high - interval.low > 2 * NOISY * interval.estimate:
                doubts.append("noisy")
    kept.loc[last, "samples"] = pd.Series(medians, index=last, dtype=object)
    kept.loc[last, "flags"] = pd.Series([tuple(dict.fromkeys(f)) for f in flags], index=last, dtype=object)
    return kept
