"""What a network takes from the training images before its first step: see `bench.archs`, method `initialise`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

IMAGES = 5000  # the first ones, in the data set's order, as they are


def initialise(
    model: nn.Module, first: Callable[[int], Tensor], device: torch.device, now: Callable[[], float]
) -> float | None:
    """Let a network that can initialise itself do so; return the seconds that it took, None for other networks.

    Args:
        model: on `device` already.
        first: returns so many of the training images [N, C, S, S], normalised and on `device`; or all, if they are
            fewer.
        device: where all of it happens.
        now: seconds since some moment, once the device has done all that it was asked.
    """
    own: Any = model
    if not callable(getattr(model, "initialise", None)):
        return None
    images = first(IMAGES)
    if device.type == "cuda":  # loads the kernels; the seconds are of their work
        with torch.random.fork_rng([device]):
            copy.deepcopy(own).initialise(images)
    start = now()
    own.initialise(images)
    return now() - start
