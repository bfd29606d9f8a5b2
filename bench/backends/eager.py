"""Eager: torch runs operation by operation, as written."""

from __future__ import annotations

from torch import Tensor, nn

from bench.backends import BACKENDS, Backend, Runnable, numbered
from bench.plan.job import Job


def _prepare(model: nn.Module, images: Tensor, job: Job) -> Runnable:  # noqa: ARG001 (one signature for all)
    return Runnable(numbered(model, images), held=lambda: [*model.parameters(), *model.buffers(), images])


def _unsupported(job: Job) -> str | None:
    if job.settings.given.get("precision") != "int8":
        return None
    return "torch multiplies no 8-bit integers by itself; name an engine, such as backend=onnx"


BACKENDS.add(
    "eager",
    Backend(
        "torch as it is, operation by operation",
        _prepare,
        _unsupported,
        for_training=lambda model: model,
        precisions=("fp32",),
    ),
)
