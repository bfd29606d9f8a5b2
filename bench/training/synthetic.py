"""The step without its images: how fast the same training goes on one batch that lies on the device already.

What the training falls short of it is the share of reading, augmenting and moving images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch

from bench.training.augment import Augmentation
from bench.training.batches import Batch, Batches
from bench.training.learner import Learner

SHARE = 0.01  # of the training's steps are done once more
LEAST, MOST = 3, 200  # steps
ENOUGH = 10  # steps; fewer are a rough number


def synthetic_throughput(learner: Learner, batches: Batches, now: Callable[[], float]) -> dict[str, Any]:
    """Train on one batch again and again; return `synthetic_throughput` in images/s, `steps` and `batch_size`.

    Args:
        learner: that has trained on `batches`; its network learns on.
        batches: the first of them is used.
        now: seconds since some moment, once the device has done all that it was asked.
    """
    batch = next(iter(batches.in_order()))
    steps = max(LEAST, min(MOST, round(SHARE * learner.steps)))
    if steps >= ENOUGH or learner.compiled is not None:  # a short training has no time for it, and is warm
        _train(learner, batch, 1)
    start = now()
    _train(learner, batch, steps)
    size = len(batch[1])
    return {
        "synthetic_throughput": size * steps / (now() - start),
        "steps": steps,
        "batch_size": size,
    }


def _train(learner: Learner, batch: Batch, steps: int) -> None:
    learner.train(cast(Batches, _Constant(batch, steps)), 0)


class _Constant:
    """An epoch of one batch, `steps` times; the learner takes it for `Batches`."""

    def __init__(self, batch: Batch, steps: int) -> None:
        self.batch = batch
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def shuffled(self, how: Augmentation, order: torch.Generator, chance: torch.Generator) -> Iterator[Batch]:  # noqa: ARG002
        """Yield the batch without any work."""
        return (self.batch for _ in range(self.steps))
