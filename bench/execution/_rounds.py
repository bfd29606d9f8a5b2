"""Rounds: which times need one more process, from what the processes so far have given.

A time varies from process to process, so that each is measured in several, one a round. After the rounds that the
experiment asks for, more go where the doubt is: to times whose interval is wide, and to neighbours whose order is open.
What further rounds may cost is decided from stored durations alone, so that a run which is asked for again begins none.
Source: Kalibera and Jones, Rigorous benchmarking in reasonable time, ISMM 2013.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from bench.plan.expand import Planned
from bench.plan.settings import Processes, Timed
from bench.records.record import Record

if TYPE_CHECKING:
    from bench.stats.intervals import Interval

_ALIKE = 0.02  # times this near to one another need no order


@dataclass(slots=True)
class _Row:
    """One time, and the processes that it was measured in.

    Attributes:
        planned: the job in one of its processes.
        times: a process's median each, in s.
        spent_s: what each process took, in s.
        further_s: those of them that the experiment did not ask for, together.
        next: number of the next process.
    """

    planned: Planned
    times: list[float] = field(default_factory=list)
    spent_s: list[float] = field(default_factory=list)
    further_s: float = 0.0
    next: int = 0

    @property
    def processes(self) -> Processes:
        """Return how many there may be."""
        return self.planned.processes or Processes()

    def take(self, record: Record) -> None:
        """Take what a process gave; one that failed counts among the processes all the same."""
        settings = record.job.settings
        assert isinstance(settings, Timed)
        number = settings.replicate or 0
        self.next = max(self.next, number + 1)
        self.spent_s.append(record.duration_s)
        self.further_s += record.duration_s if number >= self.processes.least else 0.0
        quantity = "latency" if settings.batch_size == 1 else "step_time"
        measured = record.measurement(quantity)
        if record.status == "ok" and measured is not None and measured.samples:
            self.times.append(median(measured.samples))


def rows_of(plan: Sequence[Planned], records: Mapping[str, Record]) -> list[_Row]:
    """Return the times of a plan that are measured in several processes, with the records of their jobs."""
    rows: dict[str, _Row] = {}
    for planned in plan:
        if planned.processes is not None and planned.is_timed:
            rows.setdefault(planned.job.series(), _Row(planned))
    for record in records.values() if rows else ():
        row = rows.get(record.job.series())
        if row is not None and "replicate" in record.job.settings.content:
            row.take(record)
    return list(rows.values())


def further_round(rows: Sequence[_Row]) -> list[Planned]:
    """Return the next process of each time that is in doubt, in an order of its own, as far as what is granted lasts.

    Every time grants some seconds to all; what further rounds took before is taken off.
    """
    left = sum(row.processes.grant_s for row in rows) - sum(row.further_s for row in rows)
    chosen = []
    for row in sorted(_doubtful(rows), key=lambda row: median(row.spent_s)):  # the cheap ones first
        cost = median(row.spent_s)  # the first process may have prepared what the others load
        if cost <= left:
            left -= cost
            chosen.append(row.planned.in_process(row.next))
    random.Random(" ".join(p.job.id for p in chosen)).shuffle(chosen)
    return chosen


def _doubtful(rows: Sequence[_Row]) -> list[_Row]:
    """Return the rows whose interval is wide, or overlaps that of the next one although the two are not alike."""
    if not any(len(row.times) > 1 for row in rows):
        return []
    from bench.stats.intervals import Interval

    known = {i: Interval.over_processes(row.times) for i, row in enumerate(rows) if len(row.times) > 1}
    halves = {i: (one.high - one.low) / 2 / one.estimate for i, one in known.items()}
    doubtful = {i for i, half in halves.items() if half > rows[i].processes.within}
    for one, other in _neighbours(rows, known):
        apart = known[other].estimate / known[one].estimate - 1
        if apart > _ALIKE and known[one].high >= known[other].low:
            doubtful |= {one, other}
    return [rows[i] for i in sorted(doubtful) if rows[i].next < rows[i].processes.most]


def _neighbours(rows: Sequence[_Row], known: Mapping[int, Interval]) -> Iterator[tuple[int, int]]:
    """Yield rows that follow one another in time among those that were run alike, the quicker one first."""
    alike: dict[str, list[int]] = {}
    for i in known:
        job = rows[i].planned.job
        settings = {k: v for k, v in job.settings.content.items() if k != "replicate"}
        alike.setdefault(f"{job.task} {sorted(settings.items())}", []).append(i)
    for group in alike.values():
        yield from itertools.pairwise(sorted(group, key=lambda i: known[i].estimate))
