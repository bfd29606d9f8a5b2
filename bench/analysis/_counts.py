"""Counts of networks, which no process and no seed changes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.analysis.keys import SHAPE, keys_of
from bench.plan.task import summarised

COUNTS = tuple(quantity.name for _, _, quantity in summarised("shape"))


# Networks of the user's: in a file, in a module or folder, or a file themselves.
_USERS = r"\.py:|^(?!torchvision:|timm:|pattern:)[^(]*:|\.(?:pt2?|pth|torchscript|ts)\s*(?:\(|$)"


def counts_of(frame: pd.DataFrame, names: Sequence[str] = COUNTS) -> pd.DataFrame:
    """Return one row a run, network and shape with its counts as columns, NaN for what was not counted.

    What a run has not counted is taken from another run of the same network and shape, where all agree. Networks in
    files are left alone: another run may have met another version.
    """
    rows = frame[frame["measurement"].isin(names)]
    counts = zip(keys_of(rows, SHAPE), rows["measurement"], strict=True)
    counted = dict(zip(counts, rows["median"].tolist(), strict=True))  # of several the last
    table = frame[SHAPE].drop_duplicates(ignore_index=True)
    keys = keys_of(table, SHAPE)
    for name in names:
        table[name] = np.array([counted.get((key, name), math.nan) for key in keys], dtype=float)
    if table["run"].nunique() < 2:  # there is no other run to take a count from
        return table
    own = ~table["network"].str.contains(_USERS, regex=True)
    columns = list(names)
    groups = table[own].groupby([key for key in SHAPE if key != "run"], dropna=False)[columns]
    several, first = groups.transform("nunique"), groups.transform("first")
    table.loc[own, columns] = table.loc[own, columns].where(several != 1, first)
    return table


def wide(rows: pd.DataFrame, keys: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Return one row for each key, in their order, with the last medians of the named measurements as columns."""
    keys = list(keys)
    places = rows.groupby(keys, dropna=False, sort=False).ngroup().to_numpy()
    table = rows[keys].drop_duplicates(ignore_index=True)
    for name in names:
        here = (rows["measurement"] == name).to_numpy()
        medians = np.full(len(table), np.nan)
        medians[places[here]] = rows["median"].to_numpy()[here]  # of those with equal keys the last
        table[name] = medians
    return table
