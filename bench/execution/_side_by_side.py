"""Jobs that run side by side: those that count, and trainings that leave cores to others."""

from __future__ import annotations

from bench.plan.expand import Planned
from bench.plan.task import TASKS
from bench.records.record import Record


def at_once(planned: Planned, most: int) -> int:
    """Return how many such jobs may run side by side where `most` can."""
    return 1 if planned.status is not None else TASKS.get(planned.job.task).at_once(planned.job, most)


_OF_THE_CLOCK = ("s", "1/s", "image/s")


def beside(record: Record) -> Record:
    """Return the record with a doubt about its times, where others were trained beside it."""
    if not TASKS.get(record.job.task).trained:
        return record
    doubted = (
        m.changed(flags=(*m.flags, "side_by_side")) if m.unit in _OF_THE_CLOCK else m
        for m in record.measurements
    )
    return record.changed(measurements=tuple(doubted))
