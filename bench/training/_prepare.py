"""What comes before the first step: initialising from images, compiling, warming up; it is in no epoch's time."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable

import torch
from torch import nn

from bench.backends import BACKENDS
from bench.errors import UnsupportedError
from bench.training._batches import Batches, Shape
from bench.training._learner import Learner
from bench.training.config import Splits

_INITIAL_IMAGES = 5000  # the first training images, in the data set's order, as they are
_TRAINING_BACKENDS = ("eager", "compiled")


def initialise(
    model: nn.Module, data: Splits, shape: Shape, device: torch.device, now: Callable[[], float]
) -> float | None:
    """Let a network that takes something from the training images do so, see `bench.archs`, method `initialise`.

    Returned are the seconds that it took on the device; None for a network without such a method.
    """
    if not callable(getattr(model, "initialise", None)):
        return None
    first = data.train.pick(torch.arange(min(_INITIAL_IMAGES, len(data.train))))
    images, _ = next(Batches(first, data.dataset, shape, len(first), device).in_order())
    if device.type == "cuda":  # loads the kernels; the seconds are of their work
        with torch.random.fork_rng([device]):
            copy.deepcopy(model).initialise(images)  # type: ignore[operator]
    start = now()
    model.initialise(images)  # type: ignore[operator]
    return now() - start


def compile_learner(learner: Learner, batches: Batches, backend: str) -> float | None:
    """Let the learner's steps of a whole batch run compiled; return the seconds that it took, None for eager.

    These are the first forward and backward pass, less a usual one. Nothing is learned meanwhile, and torch's
    generators are as they were. Smaller last batches, and the test images, run eagerly.

    Raises:
        UnsupportedError: if the backend cannot train, or the network or the machine does not let it compile.
    """
    if backend not in _TRAINING_BACKENDS:
        message = f"no training with backend {backend}"
        raise UnsupportedError(message, f"use one of {', '.join(_TRAINING_BACKENDS)}")
    batch = next(batches.in_order())
    if backend == "eager" or len(batch[1]) < learner.recipe.batch_size:
        return None

    from bench.backends.compiled import compile_now

    for_training = BACKENDS.get(backend).for_training
    assert for_training is not None
    compiled = for_training(learner.network)
    share = learner.group.share(*batch)

    def call() -> None:
        learner.scaler.scale(learner.loss(compiled, share.images, share.labels)[1]).backward()
        if learner.device.type == "cuda":
            torch.cuda.synchronize(learner.device)

    with learner.undisturbed():
        learner.model.train()
        first_s = compile_now(call, learner.device.type)
        start = time.perf_counter()
        call()
        usual_s = time.perf_counter() - start
    learner.compiled = compiled
    return max(0.0, first_s - usual_s)


def _needs_warm_up(device: torch.device) -> bool:
    """Return whether the first use of a kernel takes longer than the others: on a CPU, there is nothing to load."""
    return device.type == "cuda"


def warm_up(learner: Learner, batches: Batches, tests: Batches, now: Callable[[], float]) -> float | None:
    """Do steps with batches of each size that an epoch has, and look at test images.

    What a GPU loads and chooses at the first use of a kernel is then no part of the training. Nothing else is left of
    it: weights, running statistics, averages, the optimiser and all generators are what they were. Returned are the
    seconds that it took; None on a device that needs none.
    """
    if not _needs_warm_up(learner.device):
        return None
    start = now()
    state = copy.deepcopy(learner.state())
    last = batches.trained % batches.size
    learner.model.train()
    epoch = batches.shuffled(learner.augmentation, torch.Generator(), torch.Generator())
    with contextlib.closing(epoch):
        images, labels = next(epoch)
    for size in sorted({len(labels), last or len(labels)}, reverse=True):
        for _ in range(learner.recipe.ema_every):
            learner.step(images[:size], labels[:size], 1.0)
    learner.model.eval()
    with contextlib.closing(tests.in_order()) as epoch, learner.tested_weights():
        learner.answers(next(epoch)[0])
    learner.optimiser.zero_grad(set_to_none=True)
    learner.restore(state)
    return now() - start
