"""Short trainings over seeds: mean, spread and how many of those planned ended well."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis._counts import counts_of
from bench.analysis.flags import Row, flags_text
from bench.analysis.keys import Key, Rows, grouped, key_of, plain_rows
from bench.analysis.plausibility import READ, doubt
from bench.io import finite_json
from bench.plan.task import INPUT, TAUGHT, Quantity, summarised
from bench.registry import natural
from bench.stats.intervals import mean_interval
from bench.stats.samples import finite, mean, median, median_with_misses, sd

_SETTINGS = ("family", "series", *INPUT, "device", "precision", *TAUGHT)
_SEEDS = tuple(quantity for _, _, quantity in summarised("seeds"))
_SUMMARIES = tuple(
    column for quantity in _SEEDS for column in (quantity.name, *quantity.ends, f"{quantity.name}_flags")
)
_COLUMNS = (
    *("run", "network", *_SETTINGS, *_SUMMARIES),
    *("n_ok", "n_planned", "diverged"),
    *("top5_accuracy", "train_time", "test_images", "parameters", "macs"),
    *("target", "n_reached", "time_to_accuracy"),
)
TRAININGS = (*READ, "series", *TAUGHT)
"""Columns of the frame that the rows of `trained` have."""


def accuracy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a series of trainings that differ only in their seed, most shared conditions first.

    A training that diverged or failed stays in `n_planned`; mean, sd and Student's interval are of those that
    ended well. Rows are ordered by how many networks were trained under the same conditions (data set,
    recipe, epochs), then by name.

    Columns: `accuracy` and `top5_accuracy` (means, as fractions), `accuracy_sd`, `accuracy_low`, `accuracy_high`,
        `accuracy_flags` (of all trainings that ended well), `n_ok`, `n_planned`, `diverged` (counts of trainings),
        `train_time` (s, median), `test_images`, `parameters` and `macs` (MAC) of the network as it was trained, and
        its settings; where there was a `target` (fraction), `n_reached` counts the trainings that reached it, and
        `time_to_accuracy` (s) is the median, in which a training that missed it or diverged took for ever: infinite
        where fewer than half reached it.
    """
    rows = plain_rows(frame[frame["task"] == "accuracy"].rename(columns={"arch": "network"}), TRAININGS)
    doubt(rows, counts_of(rows))
    table = pd.DataFrame(trained(rows), columns=list(_COLUMNS))
    return table.astype(dict.fromkeys((*INPUT, "epochs"), float)) if rows else table


def trained(rows: Iterable[Row]) -> Rows:
    """Return the rows of `accuracy_table`, of rows of the frame that have their doubts."""
    of_trainings = (row for row in rows if row["task"] == "accuracy")
    series = grouped(of_trainings, lambda row: (row["run"], row["series"]))
    table = [_row(some) for some in series.values()]
    shared: defaultdict[Key, set[str]] = defaultdict(set)
    for one in table:
        shared[key_of(one, TAUGHT)].add(one["network"])

    def place(one: Row) -> Key:
        told = ((one[name] is None, one[name]) for name in ("dataset", "recipe"))  # the unknown last
        several = len(shared[key_of(one, TAUGHT)])
        return (-several, -(one["epochs"] or 0), *told, natural(one["network"]), one["run"])

    return sorted(table, key=place)


def _row(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the row of one series from all measurements of its trainings."""
    states = {row["job_id"]: row["status"] for row in rows}
    images = (row["detail"].get("n") for row in rows if row["measurement"] == "top1")
    return {
        **{key: rows[0][key] for key in ("run", "network", *_SETTINGS)},
        **{column: value for quantity in _SEEDS for column, value in _spread(rows, quantity)},
        "n_ok": len(_values(rows, "top1")),
        "n_planned": len(states),
        "diverged": list(states.values()).count("diverged"),
        "top5_accuracy": mean(_values(rows, "top5")),
        "train_time": median(_values(rows, "train_time")),
        "test_images": next((float(n) for n in images if isinstance(n, int | float)), math.nan),
        "parameters": median(_values(rows, "parameters")),
        "macs": median(_values(rows, "macs")),
        **_reached(rows, states),
    }


def _spread(rows: Sequence[Row], quantity: Quantity) -> Iterator[tuple[str, float | str]]:
    """Yield the mean over the trainings that ended well, its deviation, its interval and its flags, by column."""
    values = _values(rows, quantity.source)
    low, high = mean_interval(values)
    if quantity.is_share:  # no share lies beyond
        low, high = np.clip((low, high), 0.0, 1.0).tolist()
    yield from zip((quantity.name, *quantity.ends), (mean(values), sd(values), low, high), strict=True)
    ended = [row for row in rows if row["measurement"] == quantity.source and row["status"] == "ok"]
    yield f"{quantity.name}_flags", flags_text(row["flags"] for row in ended)


def _reached(rows: Sequence[Row], states: Mapping[str, str]) -> dict[str, float]:
    """Return the target, how many trainings reached it, and their median time, of all that were tried."""
    timed = {r["job_id"]: r for r in rows if r["measurement"] == "time_to_accuracy" and r["status"] == "ok"}
    if not timed:
        return {"target": math.nan, "n_reached": math.nan, "time_to_accuracy": math.nan}
    times = [math.inf if math.isnan(r["median"]) else float(r["median"]) for r in timed.values()]
    times += [math.inf for job, state in states.items() if state == "diverged" and job not in timed]
    target = next((r["detail"].get("target") for r in timed.values()), None)
    return {
        "target": math.nan if target is None else float(target),
        "n_reached": float(sum(map(math.isfinite, times))),
        "time_to_accuracy": median_with_misses(times),
    }


def to_json(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return the rows of `accuracy_table` as plain values; what is not a number is None."""
    flags = [f"{quantity.name}_flags" for quantity in _SEEDS]
    rows = table.drop(columns=["series", *flags]).to_dict("records")
    return [finite_json(row) for row in rows]


def _values(rows: Sequence[Row], measurement: str) -> list[float]:
    """Return the finite values of the trainings that ended well, one each."""
    ended = {
        r["job_id"]: r["median"] for r in rows if r["measurement"] == measurement and r["status"] == "ok"
    }
    return finite(list(ended.values()))
