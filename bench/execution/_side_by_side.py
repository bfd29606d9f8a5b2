"""Jobs that run side by side: those that count, and trainings that leave cores to others."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

from bench.plan.expand import Planned
from bench.plan.task import TASKS
from bench.records.record import Record


def at_once(planned: Planned, most: int) -> int:
    """Return how many such jobs may run side by side where `most` can."""
    return 1 if planned.status is not None else TASKS.get(planned.job.task).at_once(planned.job, most)


def side_by_side(
    jobs: Sequence[Planned],
    count: int,
    run: Callable[[Planned], Record],
    *,
    begin: Callable[[Planned], None],
    cancelled: Event,
    cancel: Callable[[], None],
) -> Generator[Record]:
    """Yield records as they come of jobs that run so many at once.

    Args:
        jobs: what to run.
        count: how many at once.
        run: runs one, in a thread of its own.
        begin: is told each job that begins.
        cancelled: set where no further job is to begin.
        cancel: ends those that run; called on Ctrl-C, and where the records are no longer wanted.
    """
    waiting, running = list(jobs), set[Future[Record]]()
    took: dict[str, float] = {}
    with ThreadPoolExecutor(count) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < count and not cancelled.is_set():
                    planned = waiting.pop(_next(waiting, took))
                    took.setdefault(planned.job.arch, math.inf)
                    begin(planned)
                    running.add(pool.submit(run, planned))
                try:
                    ended, running = wait(running, return_when=FIRST_COMPLETED)
                except KeyboardInterrupt:
                    waiting.clear()
                    cancel()
                else:
                    for record in [future.result() for future in ended]:
                        took[record.job.arch] = record.duration_s
                        yield beside(record) if count > 1 else record
        finally:
            if running:
                cancel()


def _next(waiting: Sequence[Planned], took: Mapping[str, float]) -> int:
    """Return which job to begin: the first of a network that has not begun, then one of that which takes longest.

    A long job that begins last would leave all cores but one idle.
    """
    seconds = [took.get(planned.job.arch, math.nan) for planned in waiting]
    new = [i for i, s in enumerate(seconds) if math.isnan(s)]
    return new[0] if new else seconds.index(max(seconds))


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
