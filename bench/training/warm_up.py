"""A step before the first one: what a GPU loads and chooses at the first use of a kernel is no part of a training."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable

import torch

from bench.training.batches import Batches
from bench.training.learner import Learner


def pays(device: torch.device) -> bool:
    """Return whether a warm-up saves the first epoch anything: on a CPU, there is nothing to load."""
    return device.type == "cuda"


def warm_up(learner: Learner, batches: Batches, tests: Batches, now: Callable[[], float]) -> float:
    """Do steps with batches of each size that an epoch has, and look at test images; return the seconds it took.

    Nothing is left of it: weights, running statistics, averages, the optimiser and chance are what they were.

    Args:
        learner: its network is compiled already, where it is to be.
        batches: of the training images.
        tests: of the test images.
        now: seconds since some moment, once the device has done all that it was asked.
    """
    start = now()
    kept = copy.deepcopy(learner.state())
    how, chance = learner.how, torch.Generator()
    last = batches.trained % batches.size
    learner.model.train()
    with contextlib.closing(batches.shuffled(how, torch.Generator(), chance)) as epoch:
        images, labels = next(epoch)
    for size in sorted({len(labels), last or len(labels)}, reverse=True):
        for _ in range(learner.recipe.ema_every):
            learner.step(images[:size], labels[:size], 1.0)
    learner.model.eval()
    with contextlib.closing(tests.in_order()) as epoch, learner.tested_weights():
        learner.answers(next(epoch)[0])
    learner.optimiser.zero_grad(set_to_none=True)
    learner.restore(kept)
    return now() - start
