"""Costs: what is counted, without a clock. Everything is for one image, and says so in its detail.

`COSTS` holds functions `(Subject) -> Iterator[Measurement]`. A new cost is one new file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn

from bench.archs import Arch
from bench.errors import UnsupportedError, reason
from bench.records.record import Measurement
from bench.registry import Registry

if TYPE_CHECKING:
    from bench.costs._trace import Trace


@dataclass(frozen=True)
class Subject:
    """A network to count, in evaluation mode, and the shape of one input [1, C, H, W].

    Attributes:
        model: its parameters without storage, or all of it on the CPU.
        shape: of the image.
        reason: why it has storage, where it was to have none.
    """

    model: nn.Module
    shape: tuple[int, int, int, int]
    reason: str | None = None

    @cached_property
    def trace(self) -> Trace:
        """What the pass of one image through the network leaves; run once."""
        from bench.costs._trace import trace

        return trace(self.model, self.shape, stored=self.reason is not None)


def prepare(
    arch: Arch,
    runs: bool = True,
    /,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    input_size: int | None = None,
) -> Subject:
    """Return the network to count, without storage; one that does not run without is built whole, on the CPU.

    Torch's random state is left as it was. Where it need not run (`runs`), it is always without storage.

    Raises:
        UnsupportedError: if it does not come in this size.
        InvalidModelError: if it is a network of the user's that cannot be built.
    """
    from bench.costs._storage import with_lazy_shapes, without_storage

    size = input_size or arch.card.input_size
    image = (1, in_channels or arch.card.in_channels, size, size)
    why = ""

    def build() -> nn.Module:
        model = arch.build(num_classes=num_classes, in_channels=in_channels, input_size=input_size)
        return with_lazy_shapes(model.eval(), image)

    with torch.random.fork_rng(devices=[]):
        if not runs:
            with without_storage():
                return Subject(build(), image)
        torch.manual_seed(0)  # where values decide what is computed, two commands count the same
        # The second place is for networks that compute with tensors while they are built.
        for place in (without_storage(), torch.device("meta")):
            try:
                with place:
                    model = _whole(build())
                subject = Subject(model, image)
                failure = subject.trace.failure
            except (Exception, SystemExit) as error:  # with storage, it will show whether the network stands
                failure = error
            if failure is None:
                return subject
            why = why or reason(failure)
        return Subject(_whole(build()), image, why)


def _whole(model: nn.Module) -> nn.Module:
    """Return a network whose parameters can be told.

    Raises:
        UnsupportedError: if they are constants among others, as torch.jit.freeze leaves them.
    """
    if isinstance(model, torch.jit.ScriptModule) and not any(True for _ in model.parameters()):
        constants = model.graph.findAllNodes("prim::Constant")  # type: ignore[attr-defined]
        if any(node.output().type().isSubtypeOf(torch._C.TensorType.get()) for node in constants):
            message = "its weights are constants of a graph, as torch.jit.freeze leaves them: they cannot be counted"
            raise UnsupportedError(
                message, "count the network as it was before it was frozen; it can be timed"
            )
    return model


_Cost = Callable[[Subject], Iterator[Measurement]]

COSTS: Registry[_Cost] = Registry("cost", "bench.costs")


def cost(name: str) -> Callable[[_Cost], _Cost]:
    """Register a cost under `name`."""
    return lambda function: COSTS.add(name, function)
