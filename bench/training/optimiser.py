"""Optimisers, as a recipe says; `bench.training.schedule` gives the learning rate of every step."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bench.plan.recipe import Recipe

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)  # of batches, instances, groups, layers


def make_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser for the parameters that are trained; `set_rate` sets the rate step by step."""
    groups = parameter_groups(model, recipe)
    # Fused: one call for all parameters; with many small ones, a call for each takes longer than the work.
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, 0.999), fused=True)
    sgd = torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=True
    )
    if recipe.momentum:
        # torch would make them at the first step, and leave in them what lay there if fp16 overflows at that step.
        for parameter in (p for group in groups for p in group["params"]):
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the trained parameters in groups of one `weight_decay` and one `rate_factor`, biases apart if asked for.

    A bias is a parameter whose name ends in `bias`; one of normalisation has a rate of its own, and a decay that makes
    up for it. Without decay are those of at most one dimension: biases, and the scales of normalisation.
    """
    of_norms = {id(m.bias) for m in model.modules() if isinstance(m, NORMS)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = 0.0 if recipe.no_decay and parameter.ndim <= 1 else recipe.weight_decay
            factor = recipe.bias_lr if name.rpartition(".")[2] == "bias" else 1.0
            if id(parameter) in of_norms:
                factor, decay = factor * recipe.norm_bias_lr, decay / recipe.norm_bias_lr
            groups.setdefault((decay, factor), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "rate_factor": factor}
        for (decay, factor), parameters in groups.items()
    ]


def set_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group of parameters its multiple of `learning_rate`."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group["rate_factor"]
