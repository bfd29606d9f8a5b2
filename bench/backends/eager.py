"""Eager: torch runs operation by operation, as written."""

from __future__ import annotations

from torch import Tensor, nn

from bench.backends import BACKENDS, Backend, Runnable
from bench.plan.job import Job


def _prepare(model: nn.Module, images: Tensor, job: Job) -> Runnable:  # noqa: ARG001 (one signature for all)
    return Runnable(lambda: model(images), held=lambda: [*model.parameters(), *model.buffers(), images])


BACKENDS.add(
    "eager", Backend("torch as it is, operation by operation", _prepare, for_training=lambda model: model)
)
