"""How long a plan will take: from records of the same jobs where there are some, else by rule of thumb."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import median

from bench.plan.expand import Planned
from bench.plan.job import Job

# Seconds of a job whose like has never run: a guess for a laptop, and only that.
GUESS_S = {"cost": 2.0, "infer": 4.0, "train_step": 5.0, "versus": 10.0, "accuracy": 3.0, "ceiling": 3.0}
GUESS_IMAGE_S = {"cpu": 5e-3, "cuda": 2e-4}  # of training on one image, besides

Estimate = Callable[[Planned], float]


def estimator(history: Iterable[tuple[Job, float]]) -> Estimate:
    """Return a function that gives the seconds of a planned job.

    Args:
        history: jobs that have run, with their seconds; the more alike one is, the more it counts. A training counts
            by the epoch.
    """
    by_likeness: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for job, seconds in history:
        for likeness in _likenesses(job):
            by_likeness[likeness].append(seconds / _epochs(job))

    def estimate(planned: Planned) -> float:
        if planned.status is not None:
            return 0.0
        for likeness in _likenesses(planned.job):
            if likeness in by_likeness:
                return median(by_likeness[likeness]) * _epochs(planned.job)
        return min(_guess(planned), planned.timeout_s)

    return estimate


def _guess(planned: Planned) -> float:
    kind = planned.job.device.partition(":")[0]
    images = planned.images * _epochs(planned.job)
    return GUESS_S[planned.job.task] + images * GUESS_IMAGE_S.get(kind, GUESS_IMAGE_S["cpu"])


def _epochs(job: Job) -> int:
    """Return what the time of a training is in proportion to; other jobs have a time of their own."""
    return int(job.settings.get("epochs") or 1)


def _likenesses(job: Job) -> list[tuple[str, ...]]:
    """Return what a job is filed under, the closest first; trainings on other images tell nothing."""
    if job.task == "accuracy":
        images = tuple(str(job.settings.get(key, "")) for key in ("dataset", "train_images", "backend"))
        return [(job.id,), (job.task, job.arch, *images), (job.task, *images)]
    batch = str(job.settings.get("batch_size", ""))
    return [(job.id,), (job.task, job.arch, batch), (job.task, batch), (job.task,)]
