"""Parameters: how many there are, and their bytes."""

from __future__ import annotations

from collections.abc import Iterator

from bench.costs import Subject, cost
from bench.costs._arguments import parameters_of
from bench.records.record import Measurement, count


@cost("parameters")
def parameters(subject: Subject) -> Iterator[Measurement]:
    """Count the parameters; one that two modules share counts once.

    `parameters` includes frozen ones (the detail counts the trainable ones) and those of quantised layers, and leaves
    out buffers, such as the running statistics of batch norm. `parameter_bytes` is for the precision that the network
    is built in.
    """
    model = subject.model
    every = parameters_of(model)
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
