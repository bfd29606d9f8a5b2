"""How long a plan will take: from records of the same jobs where there are some, else by rule of thumb."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import median

from bench.plan.expand import Planned
from bench.plan.job import Job

# Seconds of a job whose like has never run, by kind of device: a guess for a laptop, and what an H100 took.
GUESS_S = {
    "cpu": {"cost": 2.0, "infer": 4.0, "train_step": 5.0, "versus": 10.0, "accuracy": 3.0, "ceiling": 3.0},
    "cuda": {"infer": 3.6, "train_step": 6.0, "versus": 10.0, "accuracy": 5.0, "ceiling": 5.0},
}
GUESS_ENERGY_S = 2.0  # of the pass for energy on a GPU, besides; few laptops let their counter be read
GUESS_COMPILE_S = 18.0  # of compiling a network, besides
GUESS_IMAGE_S = {"cpu": 5e-3, "cuda": 2.8e-5}  # of training on one image, besides: 1.4 s an epoch of CIFAR-10

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
    job, settings = planned.job, planned.job.settings
    kind = job.device.partition(":")[0]
    seconds = GUESS_S[kind][job.task] + planned.images * _epochs(job) * GUESS_IMAGE_S[kind]
    if kind == "cuda" and job.task in {"infer", "train_step"}:
        seconds += settings.get("energy_s", GUESS_ENERGY_S)
    return seconds + GUESS_COMPILE_S * str(settings.get("backend")).startswith("compiled")


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
