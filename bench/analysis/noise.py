"""The noise of a machine, as `bench selftest` has measured it there."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from bench.analysis.selftest import Selftest, judge
from bench.records import environment
from bench.records.record import Record
from bench.records.store import RECORDS, Run, read_run
from bench.stats.verdicts import BAND

SELFTEST = "selftest"


def band_of(results: Path, run: Run, least: float = BAND) -> float:
    """Return the least effect that a comparison in `run` may call one, see `band_in`."""
    return band_in(results, _timed_in(run), least)


def band_in(results: Path, environments: Collection[str], least: float = BAND) -> float:
    """Return the least effect that a comparison may call one: at least `least`, and above the noise.

    The noise is that of the self-test in the same folder of results, where one was made in an equal environment.

    Args:
        results: the folder that holds runs.
        environments: keys of those that the comparison is made in, see `bench.records.environment.key`.
        least: a ratio less one.
    """
    tested = _selftest_in(results, environments)
    return max(least, tested.noise_floor) if tested and math.isfinite(tested.noise_floor) else least


def selftest_beside(results: Path, run: Run) -> Selftest | None:
    """Return what the self-test in a folder of results says of the machine that timed `run`.

    None where nothing was timed, or no self-test was made there in an equal environment.
    """
    return _selftest_in(results, _timed_in(run))


def _selftest_in(results: Path, environments: Collection[str]) -> Selftest | None:
    if not environments or not (results / SELFTEST / RECORDS).is_file():
        return None
    tested = read_run(results / SELFTEST)
    return judge(replace(tested, records=tuple(r for r in tested.records if _where(r) in environments)))


def _timed_in(run: Run) -> set[str]:
    """Return the environments in which a run timed anything."""
    return {_where(r) for r in run.records if r.job.task != "cost"}


def _where(record: Record) -> str:
    return environment.key(record.environment, record.job.devices)
