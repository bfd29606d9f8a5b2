"""A running average of a network's weights, which is then tested in place of the last step's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The exponential moving average of all floating-point tensors of a network, running statistics included.

    Others, such as counters, are as they last were. The decay rises to `decay` as (1 + step) / (10 + step), so that
    the weights before the training are soon forgotten; TensorFlow's ExponentialMovingAverage does the same.
    Source: Polyak and Juditsky, SIAM J. Control Optim. 30(4), 1992; Tarvainen and Valpola, arXiv:1703.01780.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.step = 0
        self.tensors = _copies(model)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take a step's weights in."""
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        self.step += 1
        own = model.state_dict()
        floats = [name for name, tensor in own.items() if tensor.is_floating_point()]
        # One call for all tensors; with many small ones, a call for each takes longer than the work.
        torch._foreach_lerp_([self.tensors[n] for n in floats], [own[n] for n in floats], 1 - decay)
        for name in own.keys() - set(floats):
            self.tensors[name].copy_(own[name])

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Let the network have the averaged weights for a while."""
        last = _copies(model)
        model.load_state_dict(self.tensors)
        try:
            yield
        finally:
            model.load_state_dict(last)


def _copies(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
