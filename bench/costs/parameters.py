"""Parameters: how many there are, and their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from bench.costs import Subject, cost
from bench.records.record import Measurement, count


@cost("parameters")
def parameters(subject: Subject) -> Iterator[Measurement]:
    """Count the parameters; one that two modules share counts once.

    `parameters` includes frozen ones (the detail counts the trainable ones) and those of quantised layers, and leaves
    out buffers, such as the running statistics of batch norm. `parameter_bytes` is for the precision that the network
    is built in.
    """
    model = subject.model
    every = [*model.parameters(), *packed(model)]  # torch leaves out duplicates by default
    buffers = list(model.buffers())
    yield count(
        "parameters",
        sum(p.numel() for p in every),
        trainable=sum(p.numel() for p in every if p.requires_grad),
        buffers=sum(b.numel() for b in buffers),
    )
    yield count(
        "parameter_bytes",
        sum(p.numel() * p.element_size() for p in every),
        buffer_bytes=sum(b.numel() * b.element_size() for b in buffers),
    )


def packed(model: nn.Module) -> list[Tensor]:
    """Return weights and biases of quantised layers, which torch keeps in an object of its own, not as parameters."""
    layers: list[Any] = [
        m for m in model.modules() if isinstance(getattr(m, "_packed_params", None), torch.ScriptObject)
    ]
    return [tensor for layer in layers for tensor in layer._weight_bias() if tensor is not None]
