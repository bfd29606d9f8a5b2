"""What jobs took on this machine, as stored runs have it: plans and the time left of a run go by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.errors import StoreError
from bench.io import JsonObject
from bench.plan.job import Job
from bench.records.machines import machine_of
from bench.records.record import Record
from bench.records.store import RECORDS, read_run

_READ = 4  # runs that are looked at, the newest of them; to read one takes some 0.1 s


def durations(folder: Path, environment: JsonObject) -> Iterator[tuple[Job, float]]:
    """Yield the jobs that have run on this machine, with their seconds: of a run, and of the newest beside it.

    Args:
        folder: of the run.
        environment: of this machine, as records have it.
    """
    others = sorted(folder.parent.glob(f"*/{RECORDS}"), key=_age)
    machine = machine_of(environment)
    for run in dict.fromkeys([folder, *(file.parent for file in others[:_READ])]):
        yield from (
            (r.job, r.duration_s)
            for r in _records(run)
            if r.status == "ok" and machine_of(r.environment) == machine
        )


def _age(file: Path) -> float:
    try:
        return -file.stat().st_mtime
    except OSError:  # gone by now, or not for us
        return 0.0


def _records(run: Path) -> tuple[Record, ...]:
    """Return the records of a run; none of one that cannot be read, which whoever names it is told."""
    try:
        return read_run(run).records if (run / RECORDS).is_file() else ()
    except (StoreError, OSError):
        return ()
