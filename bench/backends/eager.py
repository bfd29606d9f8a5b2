"""Eager: torch runs operation by operation, as written."""

from __future__ import annotations

from torch import Tensor, nn

from bench.backends import BACKENDS, Backend, Call
from bench.plan.job import Job


def _prepare(model: nn.Module, images: Tensor, job: Job) -> Call:  # noqa: ARG001 (one signature for all)
    return lambda: model(images)


def _unsupported(job: Job) -> str | None:  # noqa: ARG001
    return None


BACKENDS.add("eager", Backend("torch as it is, operation by operation", _prepare, _unsupported))
