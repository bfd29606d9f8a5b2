"""Replicates: what several processes measured of one thing, with the process as the unit."""

from __future__ import annotations

import pandas as pd

from bench.stats.samples import summarise

_SAME = (
    *("run", "task", "network", "input_size", "in_channels", "num_classes", "batch_size", "measurement"),
    *("device", "precision", "memory_format", "backend", "cudnn_benchmark", "threads"),
)


def pooled(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with one row for all replicates of a timed measurement, where the last of them stood.

    Its `median` is that of the processes' medians, `low` and `high` are their interval (their range where there
    are fewer than six), `n` counts processes; `samples` are the processes' medians, in order.

    Args:
        frame: of `bench.analysis.frame.to_frame`, with the column `network`.
    """
    many = frame["replicate"].notna() & frame["measurement"].notna()
    if not many.any():
        return frame
    groups = frame[many].groupby(list(_SAME), sort=False, dropna=False)
    last, medians = [], []
    for _, rows in groups:
        last.append(rows.index[-1])
        medians.append(tuple(rows.sort_values("replicate", kind="stable")["median"].tolist()))
    kept = frame.drop(index=frame.index[many].difference(pd.Index(last)))
    summary = summarise(medians)
    for name in ("n", "median", "low", "high", "mean", "sd"):
        kept.loc[last, name] = getattr(summary, name)
    kept.loc[last, "samples"] = pd.Series(medians, index=last, dtype=object)
    return kept
