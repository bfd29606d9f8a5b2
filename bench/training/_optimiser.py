"""What moves the weights: optimisers, the learning rate of every step, and the running average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.plan.recipe import Cosine, Plateau, Recipe, Schedule, Steps
from bench.training.config import check_trains

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)  # of batches, instances, groups, layers


def make_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser of the parameters that require gradients; `set_rate` sets the rate of each step.

    Raises:
        UnsupportedError: if there are none.
    """
    check_trains(model)
    groups = _parameter_groups(model, recipe)
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


def _parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the trained parameters in groups of one `weight_decay` and one `rate_factor`, for torch's optimisers.

    A bias is a parameter whose name ends in `bias`, and has the recipe's `bias_lr` as its factor; that of a
    normalisation has `norm_bias_lr` as a further factor, and its decay divided by the same. With `no_decay`, parameters
    of at most one dimension have none: biases, and the scales of normalisation.
    """
    norm_biases = {id(m.bias) for m in model.modules() if isinstance(m, _NORMS)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = 0.0 if recipe.no_decay and parameter.ndim <= 1 else recipe.weight_decay
            factor = recipe.bias_lr if name.rpartition(".")[2] == "bias" else 1.0
            if id(parameter) in norm_biases:
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


def rate(step: int, steps: int, schedule: Schedule, errors: Sequence[float] = ()) -> float:
    """Return the learning rate of `step` (from 0) of `steps`, as a share of the peak.

    Triangle and cosine are read at (step + 1) / (steps + 1), so that the first and the last step learn something too.
    Only a plateau looks at the validation errors after each epoch so far.
    """
    if isinstance(schedule, Plateau):
        return schedule.factor ** _lowered(errors, schedule.patience)
    if isinstance(schedule, Steps):
        return schedule.factor ** sum(step >= share * steps for share in schedule.at)
    time = (step + 1) / (steps + 1)
    if time < schedule.warm_up:
        start = 0.0 if isinstance(schedule, Cosine) else schedule.start
        return start + (1 - start) * time / schedule.warm_up
    left = (1 - time) / (1 - schedule.warm_up)
    if isinstance(schedule, Cosine):
        left = (1 - math.cos(math.pi * left)) / 2
    return schedule.final + (1 - schedule.final) * left


def _lowered(errors: Sequence[float], patience: int) -> int:
    """Return how often the rate has been lowered: each time more than `patience` epochs brought no new least error.

    The count of epochs starts anew each time, as in torch's `ReduceLROnPlateau` with a threshold of zero.
    """
    best, waited, times = math.inf, 0, 0
    for error in errors:
        waited = 0 if error < best else waited + 1
        best = min(best, error)
        if waited > patience:
            times, waited = times + 1, 0
    return times


class Average:
    """The exponential moving average of all floating-point tensors of a network, running statistics included.

    It is updated after every `every` steps, by the decay of so many.

    Other tensors, such as counters, are as they last were. The decay rises to `decay` as (1 + step) / (10 + step), so
    that the weights before the training are soon forgotten; TensorFlow's ExponentialMovingAverage does the same.
    Source: Polyak and Juditsky, SIAM J. Control Optim. 30(4), 1992; Tarvainen and Valpola, arXiv:1703.01780.

    With `lookahead`, the network takes over the average whenever that is updated, and the decay is the full one times
    the cube of the share of the training that is done.
    Source: Zhang et al., arXiv:1907.08610, in the form of Jordan, arXiv:2404.00498, section 3.4.
    """

    def __init__(self, model: nn.Module, decay: float, every: int = 1, *, lookahead: bool = False) -> None:
        self.decay = decay**every
        self.every = every
        self.lookahead = lookahead
        self.step = 0
        self.tensors = copies(model)

    @torch.no_grad()
    def update(self, model: nn.Module, done: float = 1.0) -> None:
        """Count a step, after which so much of the training is `done`, and update the average where that is due."""
        self.step += 1
        if self.step % self.every:
            return
        before = self.step // self.every - 1
        decay = self.decay * done**3 if self.lookahead else min(self.decay, (1 + before) / (10 + before))
        state = model.state_dict()
        own = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        floats = [name for name, tensor in own.items() if tensor.is_floating_point()]
        # One call for all tensors; with many small ones, a call for each takes longer than the work.
        averages, weights = [self.tensors[n] for n in floats], [own[n] for n in floats]
        torch._foreach_lerp_(averages, weights, 1 - decay)
        if self.lookahead:
            torch._foreach_copy_(weights, averages)
        if others := own.keys() - set(floats):
            torch._foreach_copy_([self.tensors[n] for n in others], [own[n] for n in others])
        self.tensors |= {name: copy.deepcopy(state[name]) for name in state.keys() - own.keys()}

    def restore(self, tensors: dict[str, Any]) -> None:
        """Take over what `tensors` was."""
        for name, value in tensors.items():
            if isinstance(value, Tensor):
                self.tensors[name].copy_(value)
            else:
                self.tensors[name] = value

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Give the network the averaged weights inside the block, and its own again after it."""
        last = copies(model)
        model.load_state_dict(self.tensors)
        try:
            yield
        finally:
            model.load_state_dict(last)


def copies(model: nn.Module) -> dict[str, Any]:
    """Return copies of a network's tensors by name, and of what else its modules have as extra state."""
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in model.state_dict().items()
    }
