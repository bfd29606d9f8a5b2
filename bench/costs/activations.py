"""Activations: what a forward pass writes, and a training keeps for its backward pass."""

from __future__ import annotations

from collections.abc import Iterator

from bench.costs import Subject, cost
from bench.records.record import Measurement, count


@cost("activations")
def activations(subject: Subject) -> Iterator[Measurement]:
    """Count `activations` and `activation_bytes` of one image.

    `activations` is the number of elements that convolutions and matrix products write, as He et al. and fvcore
    count them; `activation_bytes` is of all that layers, and the functions called between them, write: not what
    works in place, nor views, nor what a layer of torch.nn writes within itself.
    """
    trace = subject.trace
    if trace.failure is not None:
        return
    calls = list(trace.root.walk())
    elements = sum(c.matrix_activations for c in calls)
    yield count("activations", elements, images=1, of="convolutions and matrix products")
    total = sum(c.activation_bytes for c in calls)
    yield count("activation_bytes", total, "B", images=1, of="layers and functions, not in place")
