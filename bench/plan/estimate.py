"""How long a plan will take: from records of the same jobs where there are some, else by the tasks' rules of thumb.

A rule of thumb is a guess for a laptop, and what an H100 took.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from statistics import median

from bench.plan.expand import Planned
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.plan.task import TASKS

_GUESS_ENERGY_S = 2.0  # of the pass for energy on a GPU, besides; few laptops let their counter be read
_GUESS_COMPILE_S = 18.0  # of compiling a network, besides

# The longest that the largest batch is looked for; on a GPU the job's own limit holds.
SEARCH_S = {"cpu": 120.0}
_GUESS_SEARCH_S = {**SEARCH_S, "cuda": 15.0}

_Estimate = Callable[[Planned], float]


def estimator(history: Iterable[tuple[Job, float]]) -> _Estimate:
    """Return a function that gives the seconds of a planned job.

    Of the jobs that have run, with their seconds, those count that are most alike; a training counts by the epoch.
    """
    by_likeness: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for job, seconds in history:
        if job.task not in TASKS:  # of another version
            continue
        for likeness in _likenesses(job):
            by_likeness[likeness].append(seconds / job.settings.length)

    def estimate(planned: Planned) -> float:
        if planned.status is not None:
            return 0.0
        for likeness in _likenesses(planned.job):
            if likeness in by_likeness:
                return median(by_likeness[likeness]) * planned.job.settings.length
        return min(TASKS.get(planned.job.task).estimate(planned.job, planned.images), planned.timeout_s)

    return estimate


def _likenesses(job: Job) -> list[tuple[str, ...]]:
    """Return what a job is filed under, the closest first."""
    likeness = job.settings.likeness
    close = [(job.id,), (job.task, job.arch, *likeness), (job.task, *likeness)]
    return close if TASKS.get(job.task).trained else [*close, (job.task,)]


def called_s(job: Job[Timed], guess_s: Mapping[str, float]) -> float:
    """Return the seconds of a job that times calls of a network; `guess_s` is without energy, compiling and search."""
    search_s = _GUESS_SEARCH_S[job.device_kind] if job.settings.batch_size == "max" else 0.0
    energy_s = _GUESS_ENERGY_S if job.settings.energy_s is None else job.settings.energy_s
    on_gpu_s = energy_s * (job.device_kind == "cuda")
    return guess_s[job.device_kind] + search_s + on_gpu_s + compile_s(job.settings.backend)


def compile_s(backend: str | None) -> float:
    """Return the seconds that a backend takes to compile a network, besides."""
    return _GUESS_COMPILE_S if (backend or "").startswith("compiled") else 0.0
