"""Optimisers and the learning rate of every step, as a recipe says."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from bench.plan.recipe import Recipe, Schedule


def make_optimiser(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser for the parameters that are trained; the rate is set step by step."""
    trained = [p for p in parameters if p.requires_grad]
    # Fused: one call for all parameters; with many small ones, a call for each takes longer than the work.
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(
            trained,
            lr=recipe.learning_rate,
            betas=(recipe.momentum, 0.999),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    return torch.optim.SGD(
        trained,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def rate(step: int, steps: int, schedule: Schedule) -> float:
    """Return the learning rate of `step` (from 0) of `steps`, as a share of the peak.

    It is the triangle (0, 0), (warm_up, 1), (1, final), read at (step + 1) / (steps + 1), so that the first
    and the last step learn something too.
    """
    time = (step + 1) / (steps + 1)
    if time < schedule.warm_up:
        return time / schedule.warm_up
    return 1 - (1 - schedule.final) * (time - schedule.warm_up) / (1 - schedule.warm_up)
