"""Short trainings over seeds: mean, spread and how many of those planned ended well."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.plan.task import Quantity, summarised
from bench.records.record import finite as finite_json
from bench.registry import natural
from bench.stats.intervals import mean_interval
from bench.stats.samples import finite, mean, median, sd

_SEEDS = tuple(quantity for _, _, quantity in summarised("seeds"))
COLUMNS = (
    *(
        "run",
        "network",
        "family",
        "series",
        "input_size",
        "in_channels",
        "num_classes",
        "device",
        "precision",
        "dataset",
        "recipe",
        "epochs",
    ),
    *(column for quantity in _SEEDS for column in (quantity.name, *quantity.ends)),
    *("n_ok", "n_planned", "diverged"),
    *("top5_accuracy", "train_time", "test_images", "parameters", "macs"),
    *("target", "n_reached", "time_to_accuracy"),
)


def accuracy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a series of trainings that differ only in their seed, most shared conditions first.

    A training that diverged or failed stays in `n_planned`; mean, sd and Student's interval are of those that
    ended well. Rows are ordered by how many networks were trained under the same conditions (data set,
    recipe, epochs), then by name.

    Columns: `accuracy` and `top5_accuracy` (means, as fractions), `accuracy_sd`, `accuracy_low`, `accuracy_high`,
        `n_ok`, `n_planned`, `diverged` (counts of trainings), `train_time` (s, median), `test_images`,
        `parameters` and `macs` (MAC) of the network as it was trained, and what was asked; where there was a `target`
        (fraction), `n_reached` counts the trainings that reached it, and `time_to_accuracy` (s) is the median, in which
        a training that missed it or diverged took for ever: infinite where fewer than half reached it.
    """
    trainings: defaultdict[tuple[str, str], list[_Row]] = defaultdict(list)
    for row in frame.loc[frame["task"] == "accuracy", _NEEDED].to_dict("records"):
        trainings[row["run"], row["series"]].append(row)
    table = pd.DataFrame([_row(rows) for rows in trainings.values()], columns=list(COLUMNS))
    table["shared"] = table.groupby(["dataset", "recipe", "epochs"], dropna=False)["network"].transform(
        "nunique"
    )
    rank = {name: place for place, name in enumerate(sorted(set(table["network"]), key=natural))}
    table["rank"] = table["network"].map(rank)
    order = ["shared", "epochs", "dataset", "recipe", "rank", "run"]
    table = table.sort_values(order, ascending=[False, False, True, True, True, True], kind="stable")
    return table.drop(columns=["shared", "rank"]).reset_index(drop=True)


_Row = dict[Hashable, Any]

_SHAPE = ("input_size", "in_channels", "num_classes")
_ASKED = ("run", "family", "series", *_SHAPE, "device", "precision", "dataset", "recipe", "epochs")
_NEEDED = [*_ASKED, "arch", "job_id", "status", "measurement", "median", "detail"]


def _row(rows: Sequence[_Row]) -> dict[str, Any]:
    """Return the row of one series from all measurements of its trainings."""
    states = {row["job_id"]: row["status"] for row in rows}
    return {
        **{key: rows[0][key] for key in _ASKED},
        "network": rows[0]["arch"],
        **{column: value for quantity in _SEEDS for column, value in _spread(rows, quantity)},
        "n_ok": len(_seen(rows, "top1")),
        "n_planned": len(states),
        "diverged": list(states.values()).count("diverged"),
        "top5_accuracy": mean(_seen(rows, "top5")),
        "train_time": median(_seen(rows, "train_time")),
        "test_images": _test_images(rows),
        "parameters": median(_seen(rows, "parameters")),
        "macs": median(_seen(rows, "macs")),
        **_reached(rows, states),
    }


def _spread(rows: Sequence[_Row], quantity: Quantity) -> Iterator[tuple[str, float]]:
    """Yield the mean over the trainings that ended well, its standard deviation and its interval, by column."""
    values = _seen(rows, quantity.source)
    low, high = mean_interval(values)
    if quantity.is_share:  # no share lies beyond
        low, high = np.clip((low, high), 0.0, 1.0).tolist()
    yield from zip((quantity.name, *quantity.ends), (mean(values), sd(values), low, high), strict=True)


def _reached(rows: Sequence[_Row], states: Mapping[str, str]) -> dict[str, float]:
    """Return the target, how many trainings reached it, and their median time, of all that were tried."""
    seen = {r["job_id"]: r for r in rows if r["measurement"] == "time_to_accuracy" and r["status"] == "ok"}
    if not seen:
        return {"target": math.nan, "n_reached": math.nan, "time_to_accuracy": math.nan}
    times = [math.inf if math.isnan(r["median"]) else float(r["median"]) for r in seen.values()]
    times += [math.inf for job, state in states.items() if state == "diverged" and job not in seen]
    target = next((r["detail"].get("target") for r in seen.values()), None)
    return {
        "target": math.nan if target is None else float(target),
        "n_reached": float(sum(map(math.isfinite, times))),
        "time_to_accuracy": _middle(times),
    }


def _middle(times: Sequence[float]) -> float:
    """Return the median; between a number and an infinity it is infinite."""
    ordered, half = sorted(times), len(times) // 2
    return ordered[half] if len(times) % 2 else (ordered[half - 1] + ordered[half]) / 2


def to_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of `accuracy_table` as plain values; what is not a number is None."""
    rows = table.drop(columns="series").to_dict("records")
    plain: list[dict[str, Any]] = finite_json(rows)
    return plain


def _seen(rows: Sequence[_Row], measurement: str) -> list[float]:
    """Return the finite values of the trainings that ended well, one each."""
    ended = {
        r["job_id"]: r["median"] for r in rows if r["measurement"] == measurement and r["status"] == "ok"
    }
    return finite(list(ended.values()))


def _test_images(rows: Sequence[_Row]) -> float:
    counts = [row["detail"].get("n") for row in rows if row["measurement"] == "top1"]
    return next((float(n) for n in counts if isinstance(n, int | float)), math.nan)
