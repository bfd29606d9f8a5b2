"""Backends: how a network is run. One file each; `BACKENDS` finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from bench.plan.job import Job
from bench.registry import Registry

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Backend:
    """How a network is run.

    Attributes:
        about: one line for `bench list`.
        prepare: `(model, images [B, C, H, W], job)` to a call that runs one forward pass.
        unsupported: `(job)` to the reason why it cannot, or None.
    """

    about: str
    prepare: Callable[[nn.Module, Tensor, Job], Call]
    unsupported: Callable[[Job], str | None]


BACKENDS: Registry[Backend] = Registry("backend", "bench.backends")
