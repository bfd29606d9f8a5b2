"""How long a plan will take: from records of the same jobs where there are some, else by rule of thumb."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import median

from bench.plan.expand import Planned
from bench.plan.job import Job

# Seconds of a job whose like has never run: a guess for a laptop, and only that.
GUESS_S = {"cost": 2.0, "infer": 4.0, "train_step": 5.0, "versus": 10.0, "accuracy": 30.0, "ceiling": 3.0}

Estimate = Callable[[Planned], float]


def estimator(history: Iterable[tuple[Job, float]]) -> Estimate:
    """Return a function that gives the seconds of a planned job.

    Args:
        history: jobs that have run, with their seconds; the more alike one is, the more it counts.
    """
    by_likeness: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for job, seconds in history:
        for likeness in _likenesses(job):
            by_likeness[likeness].append(seconds)

    def estimate(planned: Planned) -> float:
        if planned.status is not None:
            return 0.0
        for likeness in _likenesses(planned.job):
            if likeness in by_likeness:
                return median(by_likeness[likeness])
        return min(GUESS_S[planned.job.task], planned.timeout_s)

    return estimate


def _likenesses(job: Job) -> list[tuple[str, ...]]:
    """Return what a job is filed under, the closest first."""
    batch = str(job.settings.get("batch_size", ""))
    dataset = str(job.settings.get("dataset", ""))
    return [(job.id,), (job.task, job.arch, batch, dataset), (job.task, batch, dataset), (job.task,)]
