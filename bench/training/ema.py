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

    With `lookahead`, the network takes over the average whenever that is updated, and the decay is the full one times
    the cube of the share of the training that is done.
    Source: Zhang et al., arXiv:1907.08610, in the form of Jordan, arXiv:2404.00498, section 3.4.

    Args:
        model: that is averaged.
        decay: a step.
        every: steps from one update to the next, whose decay is that of so many steps.
        lookahead: see above.
    """

    def __init__(self, model: nn.Module, decay: float, every: int = 1, *, lookahead: bool = False) -> None:
        self.decay = decay**every
        self.every = every
        self.lookahead = lookahead
        self.step = 0
        self.tensors = _copies(model)

    @torch.no_grad()
    def update(self, model: nn.Module, done: float = 1.0) -> None:
        """Take a step's weights in, if it is their turn; `done` is the share of the training, with this step."""
        self.step += 1
        if self.step % self.every:
            return
        before = self.step // self.every - 1
        decay = self.decay * done**3 if self.lookahead else min(self.decay, (1 + before) / (10 + before))
        own = model.state_dict()
        floats = [name for name, tensor in own.items() if tensor.is_floating_point()]
        # One call for all tensors; with many small ones, a call for each takes longer than the work.
        averages, weights = [self.tensors[n] for n in floats], [own[n] for n in floats]
        torch._foreach_lerp_(averages, weights, 1 - decay)
        if self.lookahead:
            torch._foreach_copy_(weights, averages)
        if others := own.keys() - set(floats):
            torch._foreach_copy_([self.tensors[n] for n in others], [own[n] for n in others])

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
