"""Runs narrowed by conditions, so that all that is made of them afterwards speaks of the same jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from bench.analysis.comparison import compare_table
from bench.analysis.frame import SHAPE, VARIANT, named, to_frame
from bench.analysis.where import Condition, parse
from bench.errors import ConfigError, unknown_name
from bench.records.store import Run

_TIMED = ("infer", "train_step")


def narrow_runs(runs: Sequence[Run], conditions: Sequence[str]) -> list[Run]:
    """Return the runs with only those jobs that every condition chooses, planned ones included.

    A condition on columns of the frame chooses jobs: ``task == 'infer'``, ``batch_size >= 8``. One on columns of the
    comparison chooses its rows, and with them their jobs: ``macs < 1e9``. Jobs that a condition asks of a setting
    that they do not have stay with what they belong to: counts with their network, ceilings with their run.

    Raises:
        ConfigError: for a condition that cannot be read.
        UnknownNameError: for a column that is in neither table.
    """
    for condition in map(parse, conditions):
        runs = _narrow(runs, condition)
    return list(runs)


def _narrow(runs: Sequence[Run], condition: Condition) -> list[Run]:
    frame = to_frame(runs)
    jobs = frame.assign(network=frame["arch"])
    if all(column in jobs.columns for column in condition.columns):
        rows = _by_job(jobs, condition)
    else:
        rows = _by_network(jobs, compare_table(frame), condition)
    chosen = jobs.loc[rows | _ceilings(jobs, rows)].groupby("run")["job_id"].agg(set).to_dict()
    return [_kept(run, chosen.get(name, set())) for name, run in named(runs)]


def _kept(run: Run, chosen: set[str]) -> Run:
    """Return a run with the chosen jobs alone."""
    records = tuple(r for r in run.records if r.job.id in chosen)
    return replace(run, records=records, planned=tuple(j for j in run.planned if j.id in chosen))


Rows = np.ndarray[tuple[int], np.dtype[np.bool_]]


def _by_job(jobs: pd.DataFrame, condition: Condition) -> Rows:
    """Return which rows a condition holds for, with the counts that it does not ask, of their networks."""
    known = condition.known(jobs)
    holds = known.to_numpy(dtype=bool, na_value=False)
    of_chosen = _keys(jobs, ["run", "network"]).isin(_keys(jobs[holds], ["run", "network"]))
    return np.asarray(holds | ((jobs["task"] == "cost").to_numpy() & known.isna() & of_chosen))


def _ceilings(jobs: pd.DataFrame, rows: Rows) -> Rows:
    """Return the rows of the machine's own ceilings, where anything of their run stays."""
    there = jobs["run"].isin(jobs.loc[rows, "run"])
    return np.asarray(((jobs["task"] == "ceiling") & there).to_numpy())


def _by_network(jobs: pd.DataFrame, table: pd.DataFrame, condition: Condition) -> Rows:
    """Return the rows of the jobs that are behind those rows of the comparison that a condition holds for."""
    _check(condition, list(jobs.columns), list(table.columns))
    table = table[condition.holds(table)]
    ways = [*SHAPE, *VARIANT]
    same_way = _keys(jobs, ways).isin(_keys(table, ways))
    same_network = _keys(jobs, ["run", "network"]).isin(_keys(table, ["run", "network"]))
    return np.where(jobs["task"].isin(_TIMED), same_way, same_network)


def _keys(table: pd.DataFrame, columns: list[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(table[columns].astype(object))


def _check(condition: Condition, of_jobs: Sequence[str], of_rows: Sequence[str]) -> None:
    """Check that the comparison has all columns of a condition.

    Raises:
        UnknownNameError: for a column that neither table has.
        ConfigError: where each has a part of them.
    """
    for column in condition.columns:
        if column not in {*of_jobs, *of_rows}:
            raise unknown_name("column", column, {*of_jobs, *of_rows}, "values of text stand in quotes")
        if column not in of_rows:
            other = next(c for c in condition.columns if c not in of_jobs)
            raise ConfigError(
                f"condition {condition.text!r}: `{column}` is of jobs and `{other}` of networks",
                "ask for each in a condition of its own: --where ... --where ...",
            )
