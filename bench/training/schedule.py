"""The learning rate of every step, as a recipe's schedule says."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.plan.schedules import Cosine, Plateau, Schedule, Steps


def rate(step: int, steps: int, schedule: Schedule, errors: Sequence[float] = ()) -> float:
    """Return the learning rate of `step` (from 0) of `steps`, as a share of the peak.

    Triangle and cosine are read at (step + 1) / (steps + 1), so that the first and the last step learn something too.

    Args:
        step: of the whole training.
        steps: likewise.
        schedule: which of them.
        errors: the validation error after each epoch so far; only a plateau looks at them.
    """
    if isinstance(schedule, Plateau):
        return schedule.factor ** lowered(errors, schedule.patience)
    if isinstance(schedule, Steps):
        return schedule.factor ** sum(step >= share * steps for share in schedule.at)
    time = (step + 1) / (steps + 1)
    if time < schedule.warm_up:
        start = 0.0 if isinstance(schedule, Cosine) else schedule.start
        return start + (1 - start) * time / schedule.warm_up
    left = (1 - time) / (1 - schedule.warm_up)
    if isinstance(schedule, Cosine):
        left = (1 - math.cos(math.pi * left)) / 2
    return schedule.final + (1 - schedule.final) * left


def lowered(errors: Sequence[float], patience: int) -> int:
    """Return how often a rate was lowered that is lowered after more than `patience` epochs without a new least error.

    The count starts anew each time, as in torch's `ReduceLROnPlateau` with a threshold of zero.
    """
    best, waited, times = math.inf, 0, 0
    for error in errors:
        waited = 0 if error < best else waited + 1
        best = min(best, error)
        if waited > patience:
            times, waited = times + 1, 0
    return times
