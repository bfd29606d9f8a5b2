"""What jobs took on this machine, as stored runs have it: plans and the time left of a run go by it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.errors import StoreError
from bench.io import JsonObject
from bench.plan.estimate import Past
from bench.plan.task import Work
from bench.records.machines import machine_of, machines_of
from bench.records.record import Record
from bench.records.store import RECORDS, sound_lines

_READ = 4  # runs that are looked at, the newest of them
_READ_BYTES = 16 << 20  # of the end of each: some thousands of records, which take some 0.1 s


def durations(folder: Path, records: Iterable[Record], environment: JsonObject) -> Iterator[Past]:
    """Yield the jobs that have run on this machine: of a run, and of the newest beside it.

    Args:
        folder: of the run.
        records: of the run.
        environment: of this machine, as records have it.
    """
    there = list(itertools.chain(records, records_beside(folder)))
    here = machines_of(there).get(machine_of(environment), ())
    yield from (Past(r.job, r.card, r.duration_s, _work(r)) for r in here if r.status == "ok")


def _work(record: Record) -> Work:
    """Return the images that were evaluated, and what the network computes of one, where it was counted."""
    counted, evaluated = record.measurement("macs"), record.measurement("top1")
    images = evaluated.detail.get("images") if evaluated else None
    return Work(images=images if isinstance(images, int) else 0, macs=counted.samples[0] if counted else None)


def records_beside(folder: Path) -> Iterator[Record]:
    """Yield the records of the newest runs beside one, of long runs the last."""
    others = sorted(folder.parent.glob(f"*/{RECORDS}"), key=_age)
    for run in [file.parent for file in others[:_READ]]:
        if run != folder:
            yield from _records(run)


def _age(file: Path) -> float:
    try:
        return -file.stat().st_mtime
    except OSError:  # gone by now, or not for us
        return 0.0


def _records(run: Path) -> list[Record]:
    """Return the records of a run; none of one that cannot be read, which whoever names it is told."""
    try:
        return [record for _, record in sound_lines(run / RECORDS, most_bytes=_READ_BYTES)]
    except (StoreError, OSError):
        return []
