"""Short trainings over seeds: mean, spread and how many of those planned ended well."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from bench.analysis.statistics import mean, mean_interval, median, sd

COLUMNS = (
    *("run", "network", "family", "series", "input_size", "device", "precision", "dataset", "recipe", "epochs"),
    *("accuracy", "accuracy_sd", "accuracy_low", "accuracy_high", "n_ok", "n_planned", "diverged"),
    *("top5_accuracy", "train_time", "test_images"),
)


def accuracy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a series of trainings that differ only in their seed, most shared conditions first.

    A training that diverged or failed stays in `n_planned`; mean, sd and Student's interval are of those that
    ended well. Rows are ordered by how many networks were trained under the same conditions (data set,
    recipe, epochs), then by name.

    Columns: `accuracy` and `top5_accuracy` (means, as fractions), `accuracy_sd`, `accuracy_low`, `accuracy_high`,
        `n_ok`, `n_planned`, `diverged` (counts of trainings), `train_time` (s, median), `test_images`, and what was asked.
    """
    trainings = frame[frame["task"] == "accuracy"]
    rows = [_row(group) for _, group in trainings.groupby(["run", "series"], sort=False)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    conditions = ["dataset", "recipe", "epochs"]
    table["shared"] = table.groupby(conditions, dropna=False)["network"].transform("nunique")
    order = ["shared", "epochs", "dataset", "recipe", "network", "run"]
    table = table.sort_values(order, ascending=[False, False, True, True, True, True], kind="stable")
    return table.drop(columns="shared").reset_index(drop=True)


def _row(group: pd.DataFrame) -> dict[str, Any]:
    first = group.iloc[0]
    jobs = group.drop_duplicates("job_id", keep="last")
    top1 = _seen(group, "top1")
    low, high = mean_interval(top1)
    asked = ("run", "family", "series", "input_size", "device", "precision", "dataset", "recipe", "epochs")
    return {
        **{key: first[key] for key in asked},
        "network": first["arch"],
        "accuracy": mean(top1),
        "accuracy_sd": sd(top1),
        "accuracy_low": low,
        "accuracy_high": high,
        "n_ok": len(top1),
        "n_planned": len(jobs),
        "diverged": int((jobs["status"] == "diverged").sum()),
        "top5_accuracy": mean(_seen(group, "top5")),
        "train_time": median(_seen(group, "train_time")),
        "test_images": _test_images(group),
    }


def _seen(group: pd.DataFrame, measurement: str) -> list[float]:
    """Return the finite values of the trainings that ended well, one each."""
    rows = group[(group["measurement"] == measurement) & (group["status"] == "ok")]
    values = rows.drop_duplicates("job_id", keep="last")["median"]
    return [float(v) for v in values if math.isfinite(v)]


def _test_images(group: pd.DataFrame) -> float:
    counts = [d.get("n") for d in group.loc[group["measurement"] == "top1", "detail"]]
    return next((float(n) for n in counts if isinstance(n, int | float)), math.nan)
