"""How long a plan will take.

From records of the same jobs on this machine where there are some; else from what they took on a reference machine
(`durations.csv`, of the committed runs), in proportion to what others took here; else by the tasks' rules of thumb.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from statistics import median

from bench.plan.expand import Planned
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.plan.task import TASKS

_GUESS_ENERGY_S = 2.0  # of the pass for energy on a GPU, besides; few laptops let their counter be read
_GUESS_COMPILE_S = 18.0  # of compiling a network, besides
_USUAL_TIMING_S = 3.5  # of warming up and sampling, which the tasks' guesses include

# The longest that the largest batch is looked for; on a GPU the job's own limit holds.
SEARCH_S = {"cpu": 120.0}
_GUESS_SEARCH_S = {**SEARCH_S, "cuda": 15.0}

_Estimate = Callable[[Planned], float]
_Likeness = tuple[str, ...]


def estimator(history: Iterable[tuple[Job, float]]) -> _Estimate:
    """Return a function that gives the seconds of a planned job.

    Of the jobs that have run here, with their seconds, those count that are most alike; a training counts by the epoch.
    """
    by_likeness: dict[_Likeness, list[float]] = defaultdict(list)
    ratios: dict[str, list[float]] = defaultdict(list)
    for job, seconds in history:
        if job.task not in TASKS:  # of another version
            continue
        an_epoch = seconds / job.settings.length
        for likeness in (*_same(job), *_alike(job)):
            by_likeness[likeness].append(an_epoch)
        if (there := _reference().get(_filed(job))) is not None:
            ratios[job.task].append(an_epoch / there)
    here = {likeness: median(seconds) for likeness, seconds in by_likeness.items()}

    def an_epoch_of(job: Job) -> float | None:
        same = (here[likeness] for likeness in _same(job) if likeness in here)
        there = _reference().get(_filed(job))
        alike = (here[likeness] for likeness in _alike(job) if likeness in here)
        known = next(same, None)
        if known is None and there is not None:
            known = there * median(ratios.get(job.task, [1.0]))
        return next(alike, None) if known is None else known

    def estimate(planned: Planned) -> float:
        if planned.status is not None:
            return 0.0
        known = an_epoch_of(planned.job)
        if known is not None:
            return known * planned.job.settings.length
        return min(TASKS.get(planned.job.task).estimate(planned.job, planned.images), planned.timeout_s)

    return estimate


def _same(job: Job) -> list[_Likeness]:
    """Return under what the seconds of the same job are filed, and of the same network in a job that is alike."""
    return [(job.id,), (job.task, job.arch, *job.settings.likeness)]


def _alike(job: Job) -> list[_Likeness]:
    """Return under what those of another network are filed, the closest first."""
    close = [(job.task, *job.settings.likeness)]
    return close if TASKS.get(job.task).trained else [*close, (job.task,)]


def _filed(job: Job) -> str:
    """Return under what name `durations.csv` has a job."""
    return " ".join((job.device_kind, job.task, job.arch, *job.settings.likeness))


@cache
def _reference() -> Mapping[str, float]:
    """Return the seconds of jobs on reference machines, of trainings by the epoch; `tests/benchmarks/durations.py`."""
    text = (files("bench.plan") / "durations.csv").read_text("utf-8")
    return {row["job"]: float(row["seconds"]) for row in csv.DictReader(text.splitlines())}


def called_s(job: Job[Timed], guess_s: Mapping[str, float]) -> float:
    """Return the seconds of a job that times calls of a network; `guess_s` is without energy, compiling and search."""
    timing = job.settings.timing
    search_s = _GUESS_SEARCH_S[job.device_kind] if job.settings.batch_size == "max" else 0.0
    energy_s = _GUESS_ENERGY_S if job.settings.energy_s is None else job.settings.energy_s
    on_gpu_s = energy_s * (job.device_kind == "cuda")
    shorter_s = timing.warmup_s + timing.limit_s - _USUAL_TIMING_S
    return guess_s[job.device_kind] + shorter_s + search_s + on_gpu_s + compile_s(job.settings.backend)


def compile_s(backend: str | None) -> float:
    """Return the seconds that a backend takes to compile a network, besides."""
    return 0.0 if backend in (None, "eager", "cuda_graph") else _GUESS_COMPILE_S
