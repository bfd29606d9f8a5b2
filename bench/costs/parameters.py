"""Parameters: how many there are, and their bytes."""

from __future__ import annotations

from collections.abc import Iterator

from bench.costs import Subject, cost
from bench.records.record import Measurement, count


@cost("parameters")
def parameters(subject: Subject) -> Iterator[Measurement]:
    """Count the parameters; one that two modules share counts once.

    `parameters` includes frozen ones (the detail counts the trainable ones) and leaves out buffers, such as
    the running statistics of batch norm. `parameter_bytes` is for the precision that the network is built in.
    """
    model = subject.model
    shared_once = list(model.parameters())  # torch leaves out duplicates by default
    buffers = list(model.buffers())
    yield count(
        "parameters",
        sum(p.numel() for p in shared_once),
        trainable=sum(p.numel() for p in shared_once if p.requires_grad),
        buffers=sum(b.numel() for b in buffers),
    )
    yield count(
        "parameter_bytes",
        sum(p.numel() * p.element_size() for p in shared_once),
        buffer_bytes=sum(b.numel() * b.element_size() for b in buffers),
    )
