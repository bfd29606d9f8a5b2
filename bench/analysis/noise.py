"""The noise of a machine, as `bench selftest` has measured it there."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from bench.analysis.selftest import Selftest, judge
from bench.records import environment
from bench.records.record import Record
from bench.records.store import RECORDS, Run, read_run
from bench.stats.verdicts import BAND

SELFTEST = "selftest"


def band_of(results: Path, run: Run, least: float = BAND) -> float:
    """Return the least effect that a comparison in `run` may call one: at least `least`, and above the noise.

    The noise is that of the self-test in the same folder of results, see `selftest_beside`.
    """
    tested = selftest_beside(results, run)
    return max(least, tested.noise_floor) if tested and math.isfinite(tested.noise_floor) else least


def selftest_beside(results: Path, run: Run) -> Selftest | None:
    """Return what the self-test in a folder of results says of the machine that timed `run`.

    None where nothing was timed, or no self-test was made there in an equal environment.
    """
    here = {_where(r) for r in run.records if r.job.task != "cost"}
    if not here or not (results / SELFTEST / RECORDS).is_file():
        return None
    tested = read_run(results / SELFTEST)
    return judge(replace(tested, records=tuple(r for r in tested.records if _where(r) in here)))


def _where(record: Record) -> str:
    return environment.key(record.environment, record.job.devices)
