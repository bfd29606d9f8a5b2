"""Activations: what a forward pass writes, and a training keeps for its backward pass."""

from __future__ import annotations

from collections.abc import Iterator

from bench.costs import Subject, cost
from bench.records.record import Measurement, count


@cost("activations")
def activations(subject: Subject) -> Iterator[Measurement]:
    """Count `activations` and `activation_bytes` of one image, and `matrix_activations`.

    `activations` is the number of elements that layers, and the functions called between them, write; not what works
    in place, nor views, nor what a layer of torch.nn writes within itself. `matrix_activations` is of convolutions
    and matrix products alone, as fvcore and timm count them.
    """
    trace = subject.trace
    if trace.failure is not None:
        return
    calls = list(trace.root.walk())
    what = "layers and functions, not in place"
    yield count("activations", sum(c.activations for c in calls), images=1, of=what)
    yield count("activation_bytes", sum(c.activation_bytes for c in calls), images=1, of=what)
    matrix = sum(c.matrix_activations for c in calls)
    yield count("matrix_activations", matrix, images=1, of="convolutions and matrix products")
