"""What failed, named in the figure that it is missing from."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.comparison import STATUS_WORDS
from bench.analysis.frame import PENDING, SHAPE, VARIANT
from bench.report.style import drawable

_MOST = 8  # names behind one status
_LETTERS = 16  # of an inch
_WAY = [*SHAPE, *VARIANT]


def failed(frame: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """Return one row a job of these tasks that has a record and did not end well, its `arch` as `network`."""
    rows = frame[frame["task"].isin(tasks) & ~frame["status"].isin(["ok", PENDING])]
    return rows.drop_duplicates(["run", "job_id"], keep="last").rename(columns={"arch": "network"})


def unmeasured(table: pd.DataFrame, frame: pd.DataFrame, key: str, batch: int | None = None) -> pd.DataFrame:
    """Return the rows of the table that have no `key` since their timing failed, with the status as `why`.

    Args:
        table: of `compare_table`.
        frame: of `to_frame`.
        key: column of the table.
        batch: the only batch size that counts, where there is one.
    """
    jobs = failed(frame, ["infer"])
    jobs = jobs if batch is None else jobs[jobs["batch_size"] == batch]
    if jobs.empty:
        return table.iloc[:0].assign(why=None)
    reasons = jobs.drop_duplicates(_WAY, keep="last")[[*_WAY, "status"]].rename(columns={"status": "why"})
    return table[table[key].isna()].merge(reasons, on=_WAY)


def absent(frame: pd.DataFrame, tasks: Sequence[str], measured: Iterable[str]) -> list[tuple[str, str]]:
    """Return (status, network) of the networks that are not `measured` since a job of these tasks failed."""
    jobs = failed(frame, tasks)
    jobs = jobs[~jobs["network"].isin(set(measured))].drop_duplicates("network")
    return list(zip(jobs["status"], jobs["network"], strict=True))


def failed_note(drawing: Figure, found: Iterable[tuple[str, str]]) -> str:
    """Return lines for the foot of a figure that say what failed, from pairs of a status and a name.

    Behind each status stand eight names at most, and how many more there are.
    """
    by_status: defaultdict[str, list[str]] = defaultdict(list)
    for status, name in found:
        by_status[status].append(name)
    parts = [f"{STATUS_WORDS.get(status, status)}: {_listed(names)}" for status, names in by_status.items()]
    text = "Failed, so not drawn · " + " · ".join(parts) if parts else ""
    return textwrap.fill(text, width=int(drawing.get_figwidth() * _LETTERS))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST
    return ", ".join(map(drawable, names[:_MOST])) + (f" and {more} more" if more > 0 else "")
