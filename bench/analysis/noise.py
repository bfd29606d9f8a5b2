"""The noise of a machine, as `bench selftest` has measured it there."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from bench.analysis.selftest import judge
from bench.records import environment
from bench.records.store import RECORDS, Run, read_run
from bench.stats.verdicts import BAND

SELFTEST = "selftest"


def band_of(results: Path, run: Run, least: float = BAND) -> float:
    """Return the least effect that a comparison in `run` may call one: at least `least`, and above the noise.

    The noise is that of the newest self-test in the same folder of results, where one was made in an equal
    environment.
    """
    if not run.records or not (results / SELFTEST / RECORDS).is_file():
        return least
    here = {environment.key(r.environment, r.job.devices) for r in run.records}
    tested = read_run(results / SELFTEST)
    alike = [r for r in tested.records if environment.key(r.environment, r.job.devices) in here]
    found = judge(replace(tested, records=tuple(alike)))
    return max(least, found.noise_floor) if found and math.isfinite(found.noise_floor) else least
