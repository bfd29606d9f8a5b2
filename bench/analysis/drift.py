"""Drift: how the machine changed while a run went on, by its first timed job, which is timed again at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.records.record import Record
from bench.records.store import Run
from bench.stats.samples import median

QUANTITIES = ("step_time", "latency")


@dataclass(frozen=True, slots=True)
class Drift:
    """A job at the end of a run against its beginning: `ratio` is of the medians of `quantity`, above 1 is slower."""

    label: str
    quantity: str
    ratio: float


def drifts(run: Run) -> Iterator[Drift]:
    """Yield the drift of each invocation that timed enough jobs to have one."""
    first: dict[str, Record] = {}
    for record in run.records:
        if record.status != "ok":
            continue
        before = first.get(record.job.id)
        if record.role == "drift_control" and before is not None:
            yield from _between(before, record)
        else:
            first[record.job.id] = record


def _between(before: Record, after: Record) -> Iterator[Drift]:
    for name in QUANTITIES:
        one, other = before.measurement(name), after.measurement(name)
        if one is not None and other is not None:
            yield Drift(after.job.label(), name, median(other.samples) / median(one.samples))
            return
