"""How long a plan will take.

From records of the same jobs on this machine where there are some; else from what they took on a reference machine
(`durations.csv`, of the committed runs), as much longer as matrix products take here, and in proportion to what others
took here; else, in proportion again, by the tasks' rules of thumb, which know how many multiply-accumulates a call has.
"""

from __future__ import annotations

import csv
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from statistics import median
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from bench.plan.card import ArchCard
from bench.plan.expand import Planned
from bench.plan.job import Job
from bench.plan.settings import UNPREPARED, Timed
from bench.plan.task import TASKS, UNKNOWN, Work

_T = TypeVar("_T")

_GUESS_ENERGY_S = 2.0  # of the pass for energy on a GPU, besides; few laptops let their counter be read
_GUESS_COMPILE_S = 18.0  # of compiling a network, besides
_GUESS_LOAD_S = 2.0  # of loading what an earlier process has compiled
_USUAL_TIMING_S = 3.5  # of warming up and sampling, which the tasks' guesses include
_USUAL_MACS = 5e8  # of an image, where a network's are not known beforehand
# Multiply-accumulates a second, of a convolutional network on two cores, and a card.
_RATE = {"cpu": 8e10, "cuda": 2e13}

# The longest that the largest batch is looked for; on a GPU the job's own limit holds.
SEARCH_S = {"cpu": 120.0}
_GUESS_SEARCH_S = {**SEARCH_S, "cuda": 15.0}

_Estimate = Callable[[Planned], float]
_Likeness = tuple[str, ...]


class Past(NamedTuple):
    """A job that has run on this machine, its seconds, and how much it had to do, as far as its record tells."""

    job: Job
    card: ArchCard
    seconds: float
    work: Work = UNKNOWN


@dataclass(slots=True)
class _Taken:
    """What jobs were expected to take, and took: by the second, and not by the job.

    Jobs of a moment say how fast a machine begins, and little of how fast it computes.

    Attributes:
        believed_s: seconds for which they count as if what was expected had been right.
    """

    expected_s: float = 0.0
    took_s: float = 0.0
    believed_s: float = 10.0

    def add(self, expected_s: float, took_s: float) -> None:
        """Take what one job took."""
        self.expected_s += expected_s
        self.took_s += took_s

    @property
    def ratio(self) -> float:
        """By how much longer they took than was expected."""
        return (self.took_s + self.believed_s) / (self.expected_s + self.believed_s)


def estimator(history: Iterable[Past], rates: Mapping[str, float] = MappingProxyType({})) -> _Estimate:
    """Return a function that gives the seconds of a planned job.

    `rates` are of this machine, as `Catalog.rates`. Of the jobs that have run here those count that are most alike; a
    training counts by the epoch. A job of another network takes what the rule of thumb says, in proportion to what it
    says of those; so does a training on the same images, where it is known how much both compute, else as long.
    """
    slower = {
        kind: there / here
        for kind, here in rates.items()
        if (there := _reference().get(f"{kind} {_RATE_OF}"))
    }

    def by_rule(job: Job, card: ArchCard, work: Work) -> float:
        return _slower(job, _by_rule(job, card, work), slower)

    def of_reference(job: Job) -> float | None:
        there = _reference().get(_filed(job))
        return None if there is None else _slower(job, there, slower)

    by_likeness: dict[_Likeness, list[float]] = defaultdict(list)
    trainings: dict[_Likeness, list[tuple[float, float | None]]] = defaultdict(list)
    alike: dict[_Likeness, _Taken] = defaultdict(_Taken)
    paces: dict[str, _Taken] = defaultdict(_Taken)
    for job, card, seconds, work in history:
        if job.task not in TASKS:  # of another version
            continue
        an_epoch = seconds / job.settings.length
        for likeness in _same(job):
            by_likeness[likeness].append(an_epoch)
        for likeness in _alike(job):
            if _is_trained(job):
                trainings[likeness].append((an_epoch, work.macs))
            else:
                alike[likeness].add(by_rule(job, card, work), seconds)
        if (there := of_reference(job)) is not None:
            paces[job.task].add(there * job.settings.length, seconds)
    here = {likeness: median(seconds) for likeness, seconds in by_likeness.items()}

    known: dict[tuple[object, ...], float | None] = {}

    def to_rule(planned: Planned, likeness: _Likeness) -> float | None:
        """Return by how much an epoch of other networks took longer here than their whole training by the rule."""
        job, work = planned.job, planned.work
        key = (likeness, job.input_size, job.settings.length, work.images, work.tests)
        if key not in known:  # once, and not for each of many networks and seeds
            ratios = [
                an_epoch / by_rule(job, planned.card, replace(work, macs=macs))
                for an_epoch, macs in trainings[likeness]
                if macs is not None
            ]
            known[key] = median(ratios) if ratios else None
        return known[key]

    def of_others(planned: Planned) -> float | None:
        """Return the seconds of an epoch, from those of other networks on the same images."""
        (likeness,) = _alike(planned.job)
        if likeness not in trainings:
            return None
        if planned.work.macs is not None and (ratio := to_rule(planned, likeness)) is not None:
            return ratio * by_rule(planned.job, planned.card, planned.work)
        return median(an_epoch for an_epoch, _ in trainings[likeness])

    def estimate(planned: Planned) -> float:
        job = planned.job
        if planned.status is not None:
            return 0.0
        an_epoch, there = next((here[same] for same in _same(job) if same in here), None), of_reference(job)
        if an_epoch is None and there is not None:
            an_epoch = there * paces[job.task].ratio
        if an_epoch is None and _is_trained(job):
            an_epoch = of_others(planned)
        if an_epoch is not None:
            return an_epoch * job.settings.length
        ratio = next((alike[one].ratio for one in _alike(job) if one in alike), 1.0)
        return min(by_rule(job, planned.card, planned.work) * ratio, planned.timeout_s)

    return estimate


_RATE_OF = "matmul_rate"  # of the reference machine, beside the seconds of its jobs
_BEGIN_S = 0.3  # of a process that times, before its first call


def _slower(job: Job, there_s: float, paces: Mapping[str, float]) -> float:
    """Return the seconds of a job that took `there_s` on the reference machine.

    What is computed takes as much longer as matrix products do; the time that its timing is given is the same, and so
    is that of jobs that count, or measure the machine.
    """
    pace = paces.get(job.device_kind, 1.0)
    if _is_computed(job):
        return there_s * pace
    if not isinstance(job.settings, Timed):
        return there_s
    given_s = min(there_s, _BEGIN_S + job.settings.timing.warmup_s + job.settings.timing.limit_s)
    return given_s + (there_s - given_s) * pace


def _is_trained(job: Job) -> bool:
    return TASKS.get(job.task).trained


def _is_computed(job: Job) -> bool:
    """Return whether a network computes all the time that a job takes."""
    task = TASKS.get(job.task)
    return task.trained or task.weighted


def _by_rule(job: Job, card: ArchCard, work: Work) -> float:
    """Return the seconds of a job by the rule of thumb of its task."""
    if work.macs is None and (macs := card.published.get("macs")) and job.input_size:
        work = replace(work, macs=macs * (job.input_size / card.input_size) ** 2)
    return TASKS.get(job.task).estimate(job, work)


def wants_counts(planned: Planned) -> bool:
    """Return whether an estimate gets better if the multiply-accumulates of a job's network are counted.

    Nothing like it has run on a reference machine, and what it takes is what it computes.
    """
    job = planned.job
    if planned.status is not None or planned.work.macs is not None or not job.input_size:
        return False
    if not (_is_computed(job) or isinstance(job.settings, Timed)):
        return False
    # Of what is published their area tells what other images take, but for small ones, as trainings have them.
    if "macs" in planned.card.published and not _is_trained(job):
        return False
    return TASKS.get(job.task).has_network and _filed(job) not in _reference()


_FURTHER = 0.08  # of the planned processes of times, how much the further ones take where there is doubt

DRIFT_FROM = 4
"""Timed jobs at a place, from which one of the first is timed again at the end, to see how the machine drifts."""


def controlled(timed: Sequence[_T], seconds: Callable[[_T], float]) -> _T:
    """Return which of the jobs timed at a place is timed again: of the first ones the lower median by its seconds."""
    return sorted(timed[:DRIFT_FROM], key=seconds)[(DRIFT_FROM - 1) // 2]


def report_s(start_s: float, records: int) -> float:
    """Return the seconds of a report, from those that the program takes to begin: both are imports and Python's speed.

    So it was for the reports of 14 and of 155 records, beside `bench plan` of the same on one machine. Of very many
    jobs it is to plan them that takes long.
    """
    return min(start_s, _LONGEST_START_S) * (0.8 + 0.06 * math.sqrt(records))


_LONGEST_START_S = 10.0
_PRIOR_S = 2.0  # that estimates count as much as: a run of which less is done says little of how fast it goes


@dataclass(slots=True)
class _Pace(_Taken):
    """How jobs of a kind have gone in a run.

    Attributes:
        covered_s: while any of them ran, which is less where some run side by side.
        until_s: when the last of them ended.
    """

    believed_s: float = _PRIOR_S
    covered_s: float = 0.0
    until_s: float = 0.0

    def add_until(self, end_s: float, expected_s: float, took_s: float) -> None:
        """Take what one job took that has ended then."""
        self.add(expected_s, took_s)
        self.covered_s += max(0.0, end_s - max(end_s - took_s, self.until_s))
        self.until_s = end_s

    def beside(self, cores: float) -> float:
        """Return the time on the clock of a second of theirs, where so many are thought to run side by side."""
        return (self.covered_s + _PRIOR_S / cores) / (self.took_s + _PRIOR_S)


class Forecast:
    """How long the rest of a run takes: what is estimated of its jobs, and what those took that are done.

    Args:
        plan: the jobs.
        estimate: gives the seconds of a planned job, before any of them has run.
        cores: that jobs which need not be alone may have.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        plan: Iterable[Planned],
        estimate: _Estimate,
        *,
        cores: int = 1,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        plan = list(plan)
        self._pending = {p.job.id: (p.job, estimate(p)) for p in plan}
        self._timed = [p.job.id for p in plan if p.is_timed]
        self._controls = self._controlled()
        self._further_s = self.further_s(plan, estimate)
        self._cores, self._now = cores, now
        self._own: dict[_Likeness, list[float]] = defaultdict(list)
        self._whole_s: dict[str, float] = {}
        self._paces: dict[str, _Pace] = defaultdict(_Pace)
        self._whole = _Pace()
        self._begin_s: float | None = None

    def leave_out(self, jobs: Iterable[Job]) -> None:
        """Expect no more of jobs that need not run."""
        for job in jobs:
            self._pending.pop(job.id, None)
        self._controls = self._controlled()

    def _controlled(self) -> list[tuple[Job, float]]:
        """Return the jobs, one of which is timed once more at the end, with estimates; none where too few are timed."""
        timed = [self._pending[one] for one in self._timed if one in self._pending]
        return timed[:DRIFT_FROM] if len(timed) >= DRIFT_FROM else []

    def begin(self) -> None:
        """Begin to count, as the first job does."""
        if self._begin_s is None:
            self._begin_s = self._whole.until_s = self._now()

    def under_way(self, job: Job, whole_s: float) -> None:
        """Take what a job will take in all, as it has said itself of how far it has come."""
        self._whole_s[job.id] = whole_s

    def took(self, job: Job, seconds: float) -> None:
        """Take what a job took that has just ended; one that was not planned tells of those that are alike."""
        if not self._pending and any(job.id == one.id for one, _ in self._controls):
            self._controls = []
        elif job.id not in self._pending:
            self._further_s = max(0.0, self._further_s - seconds)
        _, expected_s = self._pending.pop(job.id, (job, seconds))
        self._own[_same(job)[1]].append(seconds / job.settings.length)
        for pace in (self._paces[job.task], self._whole):
            pace.add_until(self._now(), expected_s, seconds)

    def left_s(self) -> float:
        """Return the seconds until the last job ends."""
        left_s = self._further_s * self._whole.ratio
        for job, expected_s in (pending := list(self._pending.values())):  # another thread may ask
            left_s += self._seconds(job, expected_s) * self._beside(job)
        if self._controls:
            left_s += controlled([self._seconds(*one) for one in self._controls], float)
        if self._begin_s is None or not pending:
            return left_s
        whole_s = self._whole.covered_s + _PRIOR_S
        # Jobs have ends and beginnings between them, and those of several tasks may run side by side.
        between = (self._whole.until_s - self._begin_s + _PRIOR_S) / whole_s
        mixed = whole_s / (sum(pace.covered_s for pace in list(self._paces.values())) + _PRIOR_S)
        under_way_s = self._now() - self._whole.until_s
        return max(0.0, left_s * max(1.0, between) * min(1.0, mixed) - under_way_s)

    def _seconds(self, job: Job, expected_s: float) -> float:
        if job.id in self._whole_s:
            return self._whole_s[job.id]
        if own := self._own.get(_same(job)[1]):
            return median(own) * job.settings.length
        return expected_s * self._paces.get(job.task, self._whole).ratio

    def _beside(self, job: Job) -> float:
        """Return the time on the clock of a second of a job."""
        cores = max(1, TASKS.get(job.task).at_once(job, self._cores))
        return self._paces.get(job.task, _Pace()).beside(cores)

    @staticmethod
    def further_s(plan: Iterable[Planned], estimate: _Estimate) -> float:
        """Return the seconds of processes that a plan does not have yet: times in doubt are measured in some more."""
        open_ = (p for p in plan if p.processes is not None and p.processes.most > p.processes.least)
        return _FURTHER * sum(map(estimate, open_))


def _same(job: Job) -> list[_Likeness]:
    """Return under what the seconds of the same job are filed, and of the same network in a job that is alike."""
    return [(job.id,), (job.task, job.arch, *job.settings.likeness)]


def _alike(job: Job) -> list[_Likeness]:
    """Return under what those of another network are filed, the closest first."""
    close = [("alike", job.task, *job.settings.likeness)]
    return close if _is_trained(job) else [*close, ("alike", job.task)]


def _filed(job: Job) -> str:
    """Return under what name `durations.csv` has a job."""
    return " ".join((job.device_kind, job.task, job.arch, *job.settings.likeness))


@cache
def _reference() -> Mapping[str, float]:
    """Return the seconds of jobs on reference machines, of trainings by the epoch; `tests/benchmarks/durations.py`."""
    text = (files("bench.plan") / "durations.csv").read_text("utf-8")
    return {row["job"]: float(row["seconds"]) for row in csv.DictReader(text.splitlines())}


def called_s(
    job: Job[Timed], guess_s: Mapping[str, float], work: Work, forwards: float, *, shares: bool = False
) -> float:
    """Return the seconds of a job that times calls of a network.

    Args:
        job: that job.
        guess_s: by the kind of device, those of a small network, without energy, compiling and search.
        work: of the job.
        forwards: how many times as long as a forward pass the calls take together that no limit of time bounds.
        shares: whether what the first process of a series prepares is there for the others.
    """
    timing, batch = job.settings.timing, job.settings.batch_size
    images = batch if isinstance(batch, int) else 1
    calls_s = forwards * images * forward_s(job.device_kind, work)
    search_s = _GUESS_SEARCH_S[job.device_kind] if job.settings.batch_size == "max" else 0.0
    energy_s = _GUESS_ENERGY_S if job.settings.energy_s is None else job.settings.energy_s
    on_gpu_s = energy_s * (job.device_kind == "cuda")
    shorter_s = timing.warmup_s + timing.limit_s - _USUAL_TIMING_S
    at_least_s = guess_s[job.device_kind] + shorter_s + search_s + on_gpu_s
    return (
        at_least_s + calls_s + compile_s(job.settings.backend, later=shares and bool(job.settings.replicate))
    )


def forward_s(device_kind: str, work: Work) -> float:
    """Return the seconds of a forward pass on one image."""
    return (_USUAL_MACS if work.macs is None else work.macs) / _RATE[device_kind]


def compile_s(backend: str | None, *, later: bool = False) -> float:
    """Return the seconds that a backend takes to compile a network, besides, or in a later process to load it."""
    if backend in (None, *UNPREPARED):
        return 0.0
    return _GUESS_LOAD_S if later else _GUESS_COMPILE_S
