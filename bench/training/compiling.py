"""Compiling a training step, before the first one and apart from it."""

from __future__ import annotations

import time

import torch

from bench.backends import BACKENDS
from bench.errors import UnsupportedError
from bench.training.batches import Batches
from bench.training.learner import Learner

TRAINING_BACKENDS = ("eager", "compiled")


def compile_learner(learner: Learner, batches: Batches, backend: str) -> float | None:
    """Let the learner's steps of a whole batch run compiled; return the seconds that it took, None for eager.

    These are the first forward and backward pass, less a usual one. Nothing is learned meanwhile, and chance is as it
    was. Smaller last batches, and the test images, run eagerly.

    Raises:
        UnsupportedError: if the backend cannot train, or the network or the machine does not let it compile.
    """
    if backend not in TRAINING_BACKENDS:
        raise UnsupportedError(
            f"no training with backend {backend}", f"use one of {', '.join(TRAINING_BACKENDS)}"
        )
    batch = next(iter(batches.in_order()))
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
