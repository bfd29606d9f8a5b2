"""Which part of one tensor's memory another tensor is: what slicing, selecting and permuting make of it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from bench.costs.receptive_field._layout import Slice


class Place(NamedTuple):
    """Where a tensor lies in another one.

    Attributes:
        slices: of each dimension of the whole.
        dims: the dimension of the part along each of them; None where it takes a single place there.
    """

    slices: tuple[Slice, ...]
    dims: tuple[int | None, ...]


def place(whole: Tensor, part: Tensor) -> Place | None:
    """Return where `part` lies in `whole`, whose memory it shares; None where it is no slice of it.

    Both are told by their strides: the start along a dimension is a digit of the distance between the first elements.
    """
    distance = int(part.storage_offset() - whole.storage_offset())
    strides: tuple[int, ...] = whole.stride()
    outermost_first = sorted((d for d, n in enumerate(whole.shape) if n > 1), key=lambda d: -strides[d])
    starts, dims, steps = [0] * whole.dim(), [-1] * whole.dim(), [1] * whole.dim()
    for d in outermost_first:
        if not strides[d]:
            return None
        starts[d], distance = divmod(distance, strides[d])
    for d, (size, stride) in enumerate(zip(part.shape, part.stride(), strict=True)):
        if size > 1:
            along = next((w for w in outermost_first if strides[w] <= stride), None)
            if along is None or dims[along] >= 0 or stride % strides[along]:
                return None
            dims[along], steps[along] = d, stride // strides[along]
    sizes = [1 if d < 0 else part.shape[d] for d in dims]
    slices = tuple(map(Slice, whole.shape, starts, sizes, steps))
    if distance or any(s.start < 0 or s.stop > s.whole for s in slices):
        return None
    return Place(slices, tuple(None if d < 0 else d for d in dims))


def overlap(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of the same memory may share elements."""
    (a, b), (c, d) = _extent(one), _extent(other)
    return a <= d and c <= b


def _extent(tensor: Tensor) -> tuple[int, int]:
    """Return the first and the last place in its memory."""
    start = int(tensor.storage_offset())
    return start, start + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
