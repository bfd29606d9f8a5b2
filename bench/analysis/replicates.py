"""Replicates: what several processes measured of one thing, as one number with the process as the unit.

A number over several processes is noisy where its interval over them is wide; what each process's own samples are like
is no doubt about it. Any other flag of one of its processes is the number's. A time of one process alone is flagged as
such.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.flags import Row
from bench.analysis.frame import TIMED
from bench.analysis.keys import WAY, Key, key_of
from bench.plan.job import unnumbered
from bench.records.flags import NOISY, joined_flags
from bench.stats.intervals import Interval, percentile, summarise
from bench.stats.samples import finite

_SAME = (*WAY, "task", "batch_size", "measurement")

SHARES = {"p90": 0.9, "p99": 0.99}  # the median is the latency itself
PERCENTILES = tuple(f"latency_{name}{end}" for name in SHARES for end in ("", "_low", "_high", "_needed"))


def pooled(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with one row for all processes of a timed measurement, where the last of them stood.

    `network` is its `arch`, and `label` has no number of a process. `n` counts processes, `samples` are their medians,
    in order. `median` is theirs; of a time it has the interval `low` to `high` over processes (see
    `bench.stats.intervals.Interval.over_processes`), of other quantities that of independent samples, or the range
    where there are fewer than six. `flags` are those of all processes, each once, `noisy` where the interval of a time
    is wide, and `one_process`. A time of a job without a number of its process has the interval of its samples, which
    hang together (`bench.stats.intervals.Interval.within_one`).
    """
    frame = frame.rename(columns={"arch": "network"}).reset_index(drop=True)
    timed = frame["task"].isin(TIMED) & frame["measurement"].notna()
    numbered = frame["replicate"].notna()
    many = timed & numbered
    kept = _joined(frame, many) if many.any() else frame
    alone = frame.index[timed & ~numbered & (frame["unit"] == "s")]
    intervals = [Interval.within_one(samples) for samples in frame.loc[alone, "samples"]]
    flags = [(*map(str, own), "one_process") for own in frame.loc[alone, "flags"]]
    ends = {"low": [i.low for i in intervals], "high": [i.high for i in intervals]}
    return _with(kept, alone, {**ends, "flags": flags})


def _joined(frame: pd.DataFrame, many: pd.Series[bool]) -> pd.DataFrame:
    """Return the frame with one row for all rows of a quantity among `many`."""
    rows = frame[many]
    group = rows.groupby(list(_SAME), sort=False, dropna=False).ngroup().to_numpy()
    order = np.lexsort((rows["replicate"].to_numpy(), group))
    # Positions of each, process by process.
    groups = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    medians, units, raised = (rows[name].to_numpy() for name in ("median", "unit", "flags"))
    samples = [tuple(medians[places].tolist()) for places in groups]
    summary = summarise(samples)
    columns: dict[str, list[Any]] = {
        name: getattr(summary, name).tolist() for name in ("n", "median", "low", "high", "mean", "sd")
    }
    columns |= {"samples": samples, "flags": []}
    for i, (places, values) in enumerate(zip(groups, samples, strict=True)):
        is_time, wide = units[places[0]] == "s", False
        if is_time and len(finite(values)) > 1 and min(values) > 0:
            interval = Interval.over_processes(values)
            ends = (interval.estimate, interval.low, interval.high)
            columns["median"][i], columns["low"][i], columns["high"][i] = ends
            wide = interval.high - interval.low > 2 * NOISY * interval.estimate
        several = is_time and len(places) > 1
        flags = joined_flags(raised[places].tolist(), several=several, wide=wide)
        columns["flags"].append((*flags, *(["one_process"] * (is_time and not several))))
    last = rows.index[[places.max() for places in groups]]
    columns["label"] = [unnumbered(label) for label in frame.loc[last, "label"]]
    return _with(frame.drop(index=rows.index.difference(last)), last, columns)


def _with(frame: pd.DataFrame, index: pd.Index[Any], columns: dict[str, list[Any]]) -> pd.DataFrame:
    """Return the frame with other values in some rows."""
    frame = frame.copy()
    for name, values in columns.items():
        frame.loc[index, name] = pd.Series(values, index=index, dtype=frame[name].dtype)
    return frame


def percentiles(latencies: Iterable[Row], keys: Sequence[str]) -> dict[Key, dict[str, float]]:
    """Return the columns of `PERCENTILES` of each network and way of running it.

    Each is the median over processes of a process's own percentile, with its interval over processes; of one process
    alone it is that of its samples (see `bench.stats.intervals.percentile`). Where samples cannot carry it, it
    is NaN, and `latency_p99_needed` says how many of each process could. `latencies` are the rows of the frame that
    are a latency at batch 1, one a process.
    """
    by_way: defaultdict[Key, dict[object, Sequence[float]]] = defaultdict(dict)
    for row in sorted(latencies, key=lambda row: (row["replicate"] is None, row["replicate"])):
        by_way[key_of(row, keys)][row["replicate"]] = row["samples"]
    return {
        way: dict(zip(PERCENTILES, _percentiles([*own.values()]), strict=True)) for way, own in by_way.items()
    }


def _percentiles(samples: Sequence[Sequence[float]]) -> Iterator[float]:
    for one in (percentile(samples, share) for share in SHARES.values()):
        interval = one.interval
        yield from (interval.estimate, interval.low, interval.high) if interval else (math.nan,) * 3
        yield math.nan if interval else float(one.needed)
