"""The receptive field of every tensor of a network, from the stream of its operators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload

from bench.archs.returned import tensors_of
from bench.costs._arguments import Args, Kwargs
from bench.costs.receptive_field import _layout as layouts
from bench.costs.receptive_field import _rules as rules
from bench.costs.receptive_field._axis import Axis, NonlocalAxis, NoRuleError, constant, image_axis
from bench.costs.receptive_field._layout import FLAGS, Factor, Layout, Slice, channel_dim

_Pair = tuple[int | None, int | None]  # of rows and columns


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """What one position of a tensor sees of the image through all its channels; each of rows and columns.

    It is as if the image had no borders, and not what is left of it at the border of an image. Branches that were
    joined count as one: a slice that takes the channels of one of them again is still said to see what all see.

    Attributes:
        size: in pixels, of the largest unit; None where the axis is not local, as in the next two.
        stride: in pixels, from one unit to the next on average; less than 1 after upsampling.
        padding: in pixels, how far the first unit sees over the border of the image.
        reach: of the axes together; unknown where one is, else global where one is.
        reason: the operator that made it global, or that has no rule; empty where it is local.
    """

    size: _Pair
    stride: tuple[Fraction | None, Fraction | None]
    padding: _Pair
    reach: Literal["local", "global", "unknown"]
    reason: str


# Their results have a tensor's shape, or its memory, and nothing of its values.
_FRESH = frozenset(f"{kind}_like" for kind in ("zeros", "ones", "empty", "full", "rand", "randn", "randint"))
_FRESH |= {"new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided", "fill_", "zero_"}


class FieldTracker:
    """Follows all tensors that depend on the images; `note` must be called for every operator that is dispatched.

    The tensors are kept for as long as this is, as their identities name them; those of device meta hold nothing.
    """

    def __init__(self, images: Tensor) -> None:
        """Track `images` [B, C, H, W]."""
        batch, channels, height, width = images.shape
        rows, columns = (Factor(n, flag, 1) for n, flag in zip((height, width), FLAGS, strict=True))
        dims = (channel_dim(batch), channel_dim(channels), (rows,), (columns,))
        self._layouts = {id(images): Layout(dims, (image_axis(height), image_axis(width)))}
        self._kept: dict[int, Tensor] = {id(images): images}
        self._sharing: dict[int, list[Tensor]] = {}

    def follows(self, tensor: Tensor) -> bool:
        """Return whether a tensor depends on the images."""
        return id(tensor) in self._layouts

    def of(self, tensor: Tensor) -> ReceptiveField | None:
        """Return the field of a unit; None where it does not depend on the images, such as a parameter."""
        layout = self._layouts.get(id(tensor))
        return None if layout is None else _receptive_field(layout)

    def note(self, func: OpOverload, args: Args, kwargs: Kwargs | None, outputs: object) -> None:
        """Learn what an operator did; `outputs` is what it returned."""
        traits = _traits(func)
        if traits.returns_view and args:
            self._share([args[0], *tensors_of(outputs)])
        tracked = self._tracked(args, kwargs)
        if not tracked:
            return
        results = [outputs] if isinstance(outputs, Tensor) else list(tensors_of(outputs))
        if traits.writes and not results:
            results = [t for t in tensors_of(args) if id(t) in self._layouts]
        new = self._shortcut(traits, args, results, tracked)
        if new is None:
            op = rules.Operation(func, args, kwargs or {}, results, self._layouts, len(tracked))
            new = _by_rule(op, traits.rule, tracked)
        for tensor, layout in zip(results, new, strict=True):
            if traits.writes and layout is not self._layouts.get(id(tensor)):
                self._write(tensor, layout, func)
            self._keep(tensor, layout if tensor.numel() else None)

    def lose(self, reason: str, operands: Sequence[Tensor], outputs: object) -> None:
        """Learn that something ran which nothing is known of."""
        if tracked := self._tracked(tuple(operands), None):
            for tensor in tensors_of(outputs):
                self._keep(tensor, layouts.unknown(tracked, reason))

    def _tracked(self, args: Args, kwargs: Kwargs | None) -> list[Layout]:
        # Whatever has the identity of a tensor that is kept is that tensor.
        find, tracked = self._layouts.get, []
        for arg in (*args, *kwargs.values()) if kwargs else args:
            if (layout := find(id(arg))) is not None:
                tracked.append(layout)
            elif isinstance(arg, list | tuple):
                tracked += [part for a in arg if (part := find(id(a))) is not None]
        return tracked

    def _shortcut(
        self, traits: _Traits, args: Args, results: Sequence[Tensor], tracked: list[Layout]
    ) -> Sequence[Layout | None] | None:
        """Return the layout of each result where no rule is needed, which is most often; else None."""
        if traits.fresh:
            return [None] * len(results)
        if layouts.any_nonlocal(tracked) and traits.rule is not rules.copy:
            return [layouts.join_nonlocal(tracked)] * len(results)
        if traits.pointwise and len(tracked) == 1 and args:
            layout = self._layouts.get(id(args[0]))
            if layout and args[0].shape == results[0].shape:
                return [layout] * len(results)
        return None

    def _keep(self, tensor: Tensor, layout: Layout | None) -> None:
        self._kept[id(tensor)] = tensor
        if layout is None:
            self._layouts.pop(id(tensor), None)
        else:
            self._layouts[id(tensor)] = layout

    def _share(self, tensors: Sequence[Tensor]) -> None:
        for tensor in tensors:
            self._kept[id(tensor)] = tensor
        sharing = self._sharing.setdefault(tensors[0].untyped_storage()._cdata, [tensors[0]])
        sharing += tensors[1:]

    def _write(self, tensor: Tensor, layout: Layout | None, func: OpOverload) -> None:
        """Let the tensor that the memory belongs to, and the other views of it, see what is written to one of them."""
        sharing = self._sharing.get(tensor.untyped_storage()._cdata)
        if sharing is None:
            return
        whole, *views = sharing
        if tensor is not whole:
            self._keep(whole, self._rewritten(whole, tensor, layout, func))
        after = layout if tensor is whole else self._layouts.get(id(whole))
        for view in views:
            if view is not tensor and _overlap(view, tensor):
                self._keep(view, after and _viewed(after, whole, view, func))

    def _rewritten(
        self, whole: Tensor, part: Tensor, layout: Layout | None, func: OpOverload
    ) -> Layout | None:
        """Return the layout of a tensor of whose memory a part was written to."""
        before, at = self._layouts.get(id(whole)), _place(whole, part)
        if layout is None:  # constants
            return before if whole.numel() > part.numel() else None
        try:
            if layout.dims is None:
                return layout if before is None else layouts.join_nonlocal([before, layout])
            if at is None:
                return _reshaped(layout, part, whole)
            dims = tuple(() if d is None else layout.dims[d] for d in at.dims)
            return layouts.write(before, Layout(dims, layout.axes), at.slices, str(func))
        except NoRuleError as error:
            return layouts.unknown([layout] if before is None else [before, layout], f"{func} {error}")


def _viewed(layout: Layout, whole: Tensor, view: Tensor, func: OpOverload) -> Layout:
    """Return the layout of a view of a tensor."""
    if layout.dims is None:
        return layout
    try:
        at = _place(whole, view)
        return _reshaped(layout, whole, view) if at is None else _sliced(layout, at, view.dim(), str(func))
    except NoRuleError as error:
        return layouts.unknown([layout], f"{func} {error}")


def _sliced(layout: Layout, at: _Part, ndim: int, name: str) -> Layout:
    for d, part in enumerate(at.slices):
        layout = layouts.slice_dim(layout, d, part, name)
    dims = {view: layout.known_dims()[d] for d, view in enumerate(at.dims) if view is not None}
    return Layout(tuple(dims.get(d, ()) for d in range(ndim)), layout.axes)


def _reshaped(layout: Layout, tensor: Tensor, other: Tensor) -> Layout:
    """Return the layout of the same elements in another shape."""
    if tensor.numel() != other.numel() or not (tensor.is_contiguous() and other.is_contiguous()):
        raise NoRuleError("writes to memory that is viewed in another way")
    return layouts.reshape(layout, other.shape)


# --- which part of one tensor's memory another tensor is: what slicing, selecting and permuting make of it ---


class _Part(NamedTuple):
    """Where a tensor lies in another one.

    Attributes:
        slices: of each dimension of the whole.
        dims: the dimension of the part along each of them; None where it takes a single place there.
    """

    slices: tuple[Slice, ...]
    dims: tuple[int | None, ...]


def _place(whole: Tensor, part: Tensor) -> _Part | None:
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
    return _Part(slices, tuple(None if d < 0 else d for d in dims))


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of the same memory may share elements."""
    (a, b), (c, d) = _extent(one), _extent(other)
    return a <= d and c <= b


def _extent(tensor: Tensor) -> tuple[int, int]:
    """Return the first and the last place in its memory."""
    start = int(tensor.storage_offset())
    return start, start + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))


class _Traits(NamedTuple):
    """What there is to know of an operator before it is called."""

    rule: rules.Rule | None
    pointwise: bool
    fresh: bool
    writes: bool  # to an operand
    returns_view: bool  # of its first operand


@cache
def _traits(func: OpOverload) -> _Traits:
    schema = func._schema
    writes = any(a.alias_info is not None and a.alias_info.is_write for a in schema.arguments)
    returns_view = any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
    pointwise = torch.Tag.pointwise in func.tags
    rule = rules.elementwise if pointwise else rules.RULES.get(func.overloadpacket)
    fresh = func.namespace == "aten" and func.overloadpacket.__name__ in _FRESH
    return _Traits(rule, rule is rules.elementwise, fresh, writes, returns_view)


def _by_rule(op: rules.Operation, rule: rules.Rule | None, tracked: list[Layout]) -> Sequence[Layout | None]:
    """Return the layout of each result by the operator's rule; unknown where that does not apply."""
    try:
        first = _apply(op, rule)
    except NoRuleError as error:
        return [layouts.unknown(tracked, f"{op.func} {error}")] * len(op.outputs)
    if isinstance(first, list):
        return first
    side = layouts.unknown(tracked, f"{op.func}: a side result") if len(op.outputs) > 1 else first
    return [first if r.shape == op.shape else side for r in op.outputs]


def _apply(op: rules.Operation, rule: rules.Rule | None) -> Layout | list[Layout] | None:
    """Apply a rule; one that fails on a form of call that it was not written for must not end the count.

    Raises:
        NoRuleError: if there is none, or it does not apply.
    """
    if rule is None:
        raise NoRuleError("has no rule")
    try:
        return rule(op)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise NoRuleError(f"cannot be followed: {error!r}") from error


@lru_cache(maxsize=1 << 12)
def _receptive_field(layout: Layout) -> ReceptiveField:
    try:
        layout = layouts.mix_among_channels(layout, range(len(layout.dims or ())), "channels")
    except NoRuleError as error:
        layout = layouts.unknown([layout], f"positions among the channels: {error}")
    if layout.dims is not None:
        for flag in FLAGS:
            axis = layout.axis(flag)
            if not layout.along(flag) and not isinstance(axis, NonlocalAxis):
                # A single position, left by select or by channels that were seen together, sees what the first saw.
                layout = layout.with_axis(flag, axis if axis.period == 1 else constant(axis))
    ends = [a for a in layout.axes if isinstance(a, NonlocalAxis)]
    end = next((a for a in ends if a.reach == "unknown"), ends[0] if ends else None)
    rows, columns = (_of_axis(axis) for axis in layout.axes)
    return ReceptiveField(
        size=(rows[0], columns[0]),
        stride=(rows[1], columns[1]),
        padding=(rows[2], columns[2]),
        reach=end.reach if end else "local",
        reason=end.reason if end else "",
    )


@lru_cache(maxsize=1 << 12)
def _of_axis(axis: Axis) -> tuple[int | None, Fraction | None, int | None]:
    """Return size, stride and padding."""
    if isinstance(axis, NonlocalAxis):
        return None, None, None
    first = next((int(low) for low in axis.lows if math.isfinite(low)), 0)
    return axis.size, Fraction(axis.shift, axis.period), -first
