"""Where in a tensor the image's positions are, however it is viewed, and how they move, mix and join.

A tensor's dimension is a product of `Factor`s, the outermost first, as in ``[B, C, H / 2, 2, W / 2, 2]`` merged in
any way. Most are channels, which say nothing of position; others count along the rows or columns of the map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from math import gcd, prod
from typing import NamedTuple

from bench.costs.receptive_field._axis import (
    UNCHANGED,
    Axis,
    NonlocalAxis,
    NoRuleError,
    Sampling,
    constant,
    gather,
    listed,
    nested_index,
    nonlocal_union,
    overlay,
    resample,
    union,
    window,
    written,
)

# Flags of the axes, so that a factor can be of both.
ROWS, COLUMNS = 1, 2
FLAGS = (ROWS, COLUMNS)


class Factor(NamedTuple):
    """An index within a dimension.

    Attributes:
        size: the number of values it takes.
        axes: 0 for channels, `ROWS`, `COLUMNS`, or their sum for positions in an order that is not followed.
        step: in positions along the axis for each value; 0 for channels and where the order is not followed.
    """

    size: int
    axes: int = 0
    step: int = 0


_Dim = tuple[Factor, ...]
_Dims = tuple[_Dim, ...]


class Slice(NamedTuple):
    """A part of a dimension: every `step`-th of its `whole` places from `start` on, `size` of them."""

    whole: int
    start: int
    size: int
    step: int = 1

    @property
    def stop(self) -> int:
        """The place behind the last one."""
        return self.start + (self.size - 1) * self.step + 1

    @property
    def is_border(self) -> bool:
        """Whether nothing of it lies in the middle third."""
        return self.stop <= self.whole // 3 or self.start >= self.whole - self.whole // 3

    @property
    def leaves_border(self) -> bool:
        """Whether nothing of the middle third lies between it and the ends, but perhaps between its own places."""
        third = self.whole // 3
        return self.start - self.step < third and self.stop + self.step > self.whole - third


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """How the image's positions lie in a tensor, and what each sees.

    The position along an axis is the sum over its factors of index times step; `axes` says what it sees.

    Attributes:
        dims: one for each dimension; those of size 1 are empty, or count along an axis. None where it no longer
            matters: neither axis is local.
        axes: rows and columns.
    """

    dims: _Dims | None
    axes: tuple[Axis, Axis]

    def known_dims(self) -> _Dims:
        """Return `dims`, which must be there."""
        if self.dims is None:
            raise NoRuleError("the order of the positions is lost")
        return self.dims

    def axis(self, flag: int) -> Axis:
        """Return the axis of a flag."""
        return self.axes[flag - 1]

    def along(self, flag: int) -> dict[int, _Dim]:
        """Return the factors that count along an axis to more than one, by dimension."""
        factors = {
            d: tuple(f for f in dim if f.axes & flag and f.size > 1)
            for d, dim in enumerate(self.known_dims())
        }
        return {d: dim for d, dim in factors.items() if dim}

    def with_dim(self, index: int, *dims: _Dim) -> Layout:
        """Return the layout with one dimension replaced by these."""
        old = self.known_dims()
        return replace(self, dims=(*old[:index], *dims, *old[index + 1 :]))

    def with_factors(self, change: Callable[[Factor], Factor]) -> Layout:
        """Return the layout with each factor changed."""
        return replace(self, dims=tuple(tuple(change(f) for f in dim) for dim in self.known_dims()))

    def with_axis(self, flag: int, axis: Axis) -> Layout:
        """Return the layout with one axis replaced."""
        return replace(self, axes=(axis, self.axes[1]) if flag == ROWS else (self.axes[0], axis))

    def sampled(self, flag: int, sampling: Sampling) -> Layout:
        """Return the layout with one axis sampled."""
        return self.with_axis(flag, resample(self.axis(flag), sampling))


def channel_dim(size: int) -> _Dim:
    """Return a dimension that says nothing of position."""
    return (Factor(size),) if size > 1 else ()


def is_channels(dim: _Dim) -> bool:
    """Return whether a dimension says nothing of position."""
    return not any(f.axes for f in dim)


def _size_of(dim: Iterable[Factor]) -> int:
    """Return the size of a dimension."""
    return prod(f.size for f in dim)


def simplify(layout: Layout) -> Layout:
    """Return the layout in its simplest terms: no positions on a global axis, no common divisor of steps."""
    layout = _simplify_axis(_simplify_axis(layout, ROWS), COLUMNS)
    over = all(_is_global(a) for a in layout.axes)
    return replace(layout, dims=None if over else tuple(_merge(d) for d in layout.known_dims()))


def _simplify_axis(layout: Layout, flag: int) -> Layout:
    if _is_global(layout.axis(flag)):
        layout = layout.with_factors(lambda f: _without(f, flag))
    common = gcd(*(f.step for dim in layout.known_dims() for f in dim if f.axes == flag))
    if common <= 1:
        return layout
    layout = layout.with_factors(lambda f: f._replace(step=f.step // common) if f.axes == flag else f)
    return layout.sampled(flag, window(1, common))


def _is_global(axis: Axis) -> bool:
    return isinstance(axis, NonlocalAxis) and axis.reach == "global"


def _without(factor: Factor, flag: int) -> Factor:
    axes = factor.axes & ~flag
    return Factor(factor.size, axes, factor.step if axes == factor.axes else 0)


def _merge(factors: Sequence[Factor]) -> _Dim:
    """Merge neighbours that count on, such as H / 2 and 2."""
    merged: list[Factor] = []
    for f in factors:
        last = merged[-1] if merged else None
        if f.size == 1 and (not f.axes or last):
            continue
        if last and last.axes == f.axes and last.step == f.step * f.size:
            merged[-1] = Factor(last.size * f.size, f.axes, f.step)
        elif last and last.size == 1:
            merged[-1] = f
        else:
            merged.append(f)
    return tuple(merged)


# --- operators that move positions, or take some of them ---


def reshape(layout: Layout, shape: Sequence[int]) -> Layout:
    """Return the layout of the tensor viewed in another shape."""
    return Layout(regroup(layout.known_dims(), shape), layout.axes)


def regroup(dims: Sequence[_Dim], shape: Sequence[int]) -> _Dims:
    """Return the dimensions of this shape that have the factors of the old ones, in their order."""
    left = list(_merge([f for dim in dims for f in dim if f.size > 1]))[::-1]
    new = []
    for size in shape:
        factors = []
        while size > 1:
            f = left.pop()
            if f.size > size and f.size % size == 0:
                inner = f.size // size
                left.append(Factor(inner, f.axes, f.step))
                f = Factor(size, f.axes, f.step * inner)
            elif size % f.size:
                raise NoRuleError("views positions in parts")
            factors.append(f)
            size //= f.size  # noqa: PLW2901 (what is still to be filled)
        new.append(_merge(factors))
    return tuple(new)


def permute(layout: Layout, order: Sequence[int]) -> Layout:
    """Return the layout of the tensor with its dimensions in another order."""
    dims = layout.known_dims()
    return Layout(tuple(dims[d] for d in order), layout.axes)


def join_dims(layout: Layout, index: int) -> Layout:
    """Return the layout with a dimension and the next one merged."""
    dims = layout.known_dims()
    return Layout((*dims[:index], _merge(dims[index] + dims[index + 1]), *dims[index + 2 :]), layout.axes)


def one_factor(layout: Layout, index: int) -> Layout:
    """Return the layout with a dimension that is one factor: channels, or positions of one axis alone.

    Such is ``[H, 2]`` after nearest-neighbour upsampling by expansion, which counts along the rows by halves.
    """
    factors = layout.known_dims()[index]
    if not factors or (len(factors) == 1 and factors[0].step <= 1):
        return layout
    if is_channels(factors):
        return layout.with_dim(index, channel_dim(_size_of(factors)))
    flag = factors[0].axes
    if (
        flag not in FLAGS
        or any(f.axes not in {0, flag} or (f.axes and not f.step) for f in factors)
        or set(layout.along(flag)) - {index}
    ):
        raise NoRuleError("reads along positions of both axes, or of a part of the map")
    layout = layout.sampled(flag, nested_index([(f.size, f.step) for f in factors]))
    return layout.with_dim(index, (Factor(_size_of(factors), flag, 1),))


def sample_dim(
    layout: Layout, index: int, sampling: Sampling, size: int, default: int | None = None
) -> Layout:
    """Return the layout after an operator that reads along a dimension and leaves `size` positions there.

    A dimension of size 1 is taken for one of the axis `default`, if nothing else counts along that.
    """
    if sampling == UNCHANGED and size == _size_of(layout.known_dims()[index]):
        return layout
    layout = one_factor(layout, index)
    factors = layout.known_dims()[index]
    if not factors and default and not layout.along(default):
        factors = (Factor(1, default, 1),)
    if is_channels(factors):
        return layout.with_dim(index, channel_dim(size))
    flag = factors[0].axes
    if flag not in FLAGS or not factors[0].step or set(layout.along(flag)) - {index}:
        raise NoRuleError("reads along positions of both axes, or of a part of the map")
    return layout.sampled(flag, sampling).with_dim(index, (Factor(size, flag, 1),))


def slice_dim(layout: Layout, index: int, part: Slice, name: str) -> Layout:
    """Return the layout of a slice of one of its dimensions."""
    factors = layout.known_dims()[index]
    if part.size == part.whole:
        return layout
    if is_channels(factors):
        return layout.with_dim(index, channel_dim(part.size))
    if any(isinstance(layout.axis(b), NonlocalAxis) for b in FLAGS for f in factors if f.axes & b):
        raise NoRuleError("takes a part of a map that is not known")
    if len(factors) == 1 and factors[0].axes in FLAGS and factors[0].step:
        _, flag, one = factors[0]
        moved = layout.sampled(flag, window(1, 1, -part.start * one))
        return simplify(moved.with_dim(index, (Factor(part.size, flag, one * part.step),)))
    followed = all(f.step or not f.axes for f in factors)
    if followed and part.step == 1 and part.whole % part.size == 0 and part.start % part.size == 0:
        parts = layout.with_dim(index, *regroup((factors,), (part.whole // part.size, part.size)))
        return join_dims(select(parts, index, part.start // part.size, keep=True), index)
    if len(factors) > 1:
        with suppress(NoRuleError):
            return slice_dim(one_factor(layout, index), index, part, name)
    return mark_unknown(layout, index, part.size, f"{name} takes positions that are not followed")


def select(layout: Layout, index: int, value: int, *, keep: bool = False) -> Layout:
    """Return the layout of one value of a dimension, which goes, or is kept with size 1."""
    part = layout.with_dim(index, *(((),) if keep else ()))
    for f in reversed(layout.known_dims()[index]):
        value, digit = divmod(value, f.size)
        if f.axes and not f.step:
            raise NoRuleError("takes one of the positions in an order that is not followed")
        if f.axes and digit:
            part = part.sampled(f.axes, window(1, 1, -digit * f.step))
    return simplify(part)


def take(layout: Layout, index: int, positions: Sequence[int] | None, size: int) -> Layout:
    """Return the layout of some places of a dimension, `size` of them, in an order that is given or not known."""
    factors = layout.known_dims()[index]
    if is_channels(factors):
        return layout.with_dim(index, channel_dim(size))
    if positions:
        with suppress(NoRuleError):
            return sample_dim(layout, index, listed(positions, _size_of(factors)), size)
    if any(layout.along(flag).keys() - {index} for flag in FLAGS for f in factors if f.axes & flag):
        raise NoRuleError("takes a part of the positions in an order that is not followed")
    return layout.with_dim(index, unordered_dim(factors, size))


def write(below: Layout | None, part: Layout, slices: Sequence[Slice], name: str) -> Layout:
    """Return the layout of a tensor a slice of which is written to.

    The field is that of units in the middle: what is written at the border alone changes nothing, and around what is
    written to all but the border it goes on alike.

    Args:
        below: of the tensor before; None where it does not depend on the images.
        part: of what is written, with the dimensions of the whole.
        slices: where it is written, of each dimension.
        name: of the operator.

    Raises:
        NoRuleError: if it is neither at the border nor everywhere else, and sees other than what was there.
    """
    partial = [d for d, one in enumerate(slices) if one.size < one.whole]
    if part.dims is None or (below is not None and below.dims is None):
        return part if below is None or not partial else join_nonlocal([below, part])
    placed, along = part, {}
    for d in partial:
        one, flag = slices[d], _only_flag(placed, d)
        if flag:
            placed = placed.with_dim(d, (Factor(1, flag, 1),))
        if is_channels(placed.known_dims()[d]):
            placed = placed.with_dim(d, channel_dim(one.whole))
        else:
            placed = sample_dim(placed, d, written(one.start, one.step), one.whole)
            along[d] = one
    if below is None or (placed.dims, placed.axes) == (below.dims, below.axes):
        return placed
    if any(one.is_border for one in along.values()):
        return below
    if not all(one.leaves_border for one in along.values()):
        raise NoRuleError("writes to a part of the positions")
    spread = [d for d, one in along.items() if one.step > 1]
    if len(along) < len(partial) or len(spread) > 1:
        return join(below, placed, name)
    if not spread:
        return placed
    if placed.dims != below.dims:
        raise NoRuleError("writes to positions that are counted in another way")
    joined, (factor,) = join(below, placed, name), placed.known_dims()[spread[0]]
    return simplify(joined.with_axis(factor.axes, overlay(below.axis(factor.axes), placed.axis(factor.axes))))


def _only_flag(layout: Layout, index: int) -> int | None:
    """Return the axis of which a layout has one position, taken from it by select; None where it is of none or both."""
    dims = layout.known_dims()
    there = {f.axes & flag for dim in dims for f in dim for flag in FLAGS}
    gone = [flag for flag in FLAGS if flag not in there and _moves(layout.axis(flag))]
    return gone[0] if len(gone) == 1 and not dims[index] else None


def _moves(axis: Axis) -> bool:
    return not isinstance(axis, NonlocalAxis) and axis.shift != 0


def mark_unknown(layout: Layout, index: int, size: int, reason: str) -> Layout:
    """Return the layout where an operator reads along a dimension in a way that is not known.

    What reads all its positions later is still global.
    """
    factors = layout.known_dims()[index]
    for flag in FLAGS:
        if any(f.axes & flag for f in factors):
            layout = layout.with_axis(flag, NonlocalAxis("unknown", reason))
    return layout.with_dim(index, unordered_dim(factors, size))


def unordered_dim(factors: _Dim, size: int) -> _Dim:
    """Return a dimension of positions in an order that is not followed, such as patches behind a class token."""
    return (Factor(size, reduce(int.__or__, (f.axes for f in factors), 0), 0),)


# --- operators that mix positions, or join two tensors ---


def mix(layout: Layout, over: Sequence[int], reason: str) -> Layout:
    """Return the layout after an operator whose outputs see all of these dimensions, which keep their sizes."""
    dims = list(layout.known_dims())
    mixed = [f for d in over for f in dims[d] if f.axes]
    if not mixed:
        return layout
    for d in over:
        dims[d] = channel_dim(_size_of(dims[d]))
    rows, columns = (_mix_axis(layout.axis(flag), flag, mixed, dims, reason) for flag in FLAGS)
    return simplify(Layout(tuple(dims), (rows, columns)))


def _mix_axis(axis: Axis, flag: int, mixed: list[Factor], left: list[_Dim], reason: str) -> Axis:
    """Return the axis after the factors `mixed` are seen together; `left` are the dimensions that remain."""
    own = [f for f in mixed if f.axes & flag]
    if not own:
        return axis
    rest = [f for dim in left for f in dim if f.axes & flag and f.size > 1]
    if any(not f.step for f in own):
        if rest:
            raise NoRuleError("mixes a part of the positions")
        return NonlocalAxis("global", reason)
    if not rest:
        steps = [range(0, f.size * f.step, f.step) for f in own]
        return gather(axis, {sum(p) for p in product(*steps)}, reason)
    return reduce(lambda a, f: resample(a, window(f.size, 1, 0, f.step)), own, axis)


def mix_among_channels(layout: Layout, over: Iterable[int], reason: str) -> Layout:
    """Return the layout with positions that are among channels, as after space to depth, seen together.

    Only those of a dimension that holds channels too, and that are finer than those elsewhere: windows stay windows,
    also where heads are counted with them.
    """
    if layout.dims is None:
        return layout
    deep = [d for d in over if len(layout.dims[d]) > 1 and _holds_both(layout, d)]
    return mix(layout, deep, reason) if deep else layout


def _holds_both(layout: Layout, index: int) -> bool:
    factors = layout.known_dims()[index]
    flags = [flag for flag in FLAGS if any(f.axes & flag for f in factors)]
    has_channels = any(not f.axes for f in factors)
    return has_channels and bool(flags) and all(_is_finer(layout, index, flag) for flag in flags)


def _is_finer(layout: Layout, index: int, flag: int) -> bool:
    """Return whether the positions of a dimension along an axis lie between those of other dimensions."""
    along = layout.along(flag)
    own, others = along.pop(index, ()), [f.step for dim in along.values() for f in dim]
    return bool(others) and min((f.step for f in own), default=0) < min(others)


def broadcast(layout: Layout, shape: Sequence[int], to: Sequence[int]) -> Layout:
    """Return the layout of a tensor of one shape when it is broadcast to another."""
    if layout.dims is None or tuple(shape) == tuple(to):
        return layout
    dims = ((),) * (len(to) - len(shape)) + layout.dims
    old = (1,) * (len(to) - len(shape)) + tuple(shape)
    sizes = zip(dims, old, to, strict=True)
    return Layout(tuple(channel_dim(n) if o == 1 != n else d for d, o, n in sizes), layout.axes)


def join(one: Layout, other: Layout, reason: str) -> Layout:
    """Return the layout of what sees both, unit by unit; the shapes are the same.

    Where positions of one meet positions of the other, as in attention, some unit sees from end to end of those that
    meet: of the whole map, or of a window.
    """
    if one is other:
        return one
    if one.dims != other.dims:
        one, other = _without_pairs(one, other, f"{reason}: pairs of positions")
    if one.dims is None or other.dims is None:
        return join_nonlocal([one, other])
    if one.dims == other.dims:
        return _join_in_place(one, other, reason)
    sizes = [_common_sizes(a, b) for a, b in zip(one.dims, other.dims, strict=True)]
    one, other = (_parted(layout, sizes) for layout in (one, other))
    for flag in FLAGS:
        one, other = _counted_alike(one, other, flag)
    pairs = list(zip(one.known_dims(), other.known_dims(), strict=True))
    parts = iter([b if is_channels(a) and not is_channels(b) else a for a, b in pairs])
    dims = tuple(_merge([f for _ in own for f in next(parts)]) for own in sizes)
    rows, columns = (_join_axis(one, other, flag, reason) for flag in FLAGS)
    layout = simplify(Layout(dims, (rows, columns)))
    if layout.dims and any(a != b and not is_channels(a) and not is_channels(b) for a, b in pairs):
        raise NoRuleError("joins positions that are counted in different ways")
    return layout


def _common_sizes(one: _Dim, other: _Dim) -> list[int]:
    """Return the sizes of indices that a dimension has in both of two ways to count it, the outermost first."""
    if one == other or _size_of(one) == 1:
        return [_size_of(one)]
    left, right, sizes = [f.size for f in one][::-1], [f.size for f in other][::-1], []
    while left and right:
        a, b = left.pop(), right.pop()
        sizes.append(min(a, b))
        if max(a, b) % sizes[-1]:
            raise NoRuleError("joins positions that are counted in different ways")
        if a != b:
            (left if a > b else right).append(max(a, b) // sizes[-1])
    return sizes


def _parted(layout: Layout, sizes: Sequence[Sequence[int]]) -> Layout:
    """Return the layout with each dimension parted into indices of these sizes, those with one left as they are."""
    parts = zip(layout.known_dims(), sizes, strict=True)
    dims = [regroup((dim,), own) if len(own) > 1 else (dim,) for dim, own in parts]
    return Layout(tuple(dim for own in dims for dim in own), layout.axes)


def _counted_alike(one: Layout, other: Layout, flag: int) -> tuple[Layout, Layout]:
    """Return both, with the positions of an axis counted in the same way, if one counts them by what the other does."""
    here, there = one.along(flag), other.along(flag)
    if here == there or not here or not there:
        return one, other
    if here.keys() <= there.keys():
        return _recounted(one, there, flag), other
    return one, _recounted(other, here, flag)


def _recounted(layout: Layout, along: dict[int, _Dim], flag: int) -> Layout:
    """Return the layout with the positions along an axis counted as they are in another.

    So are those of windows, which all see the same, when they are joined to the positions within them.
    """
    dims, outermost_first = list(layout.known_dims()), sorted(along, key=lambda d: -along[d][0].step)
    indices, inside = [], _size_of([along[d][0] for d in along])
    for d in outermost_first:
        factor, own = along[d][0], tuple(f for f in dims[d] if f.axes & flag)
        inside //= factor.size
        steps = [f.step for f in own if f.size == factor.size and f.step]
        if len(along[d]) != 1 or factor.step != inside or len(steps) != len(own) or len(own) > 1:
            raise NoRuleError("joins positions that are counted in different ways")
        indices.append((factor.size, steps[0] if steps else 0))
        dims[d] = tuple(factor if f in own else f for f in dims[d]) if own else (factor,)
    if layout.along(flag).keys() - along.keys():
        raise NoRuleError("joins positions that are counted in different ways")
    return replace(layout, dims=tuple(dims)).sampled(flag, nested_index(indices))


def _without_pairs(one: Layout, other: Layout, reason: str) -> tuple[Layout, Layout]:
    """Return both, with the positions of an axis seen together where each has them in a dimension of its own."""
    for flag in FLAGS:
        if one.dims is not None and other.dims is not None:
            here, there = one.along(flag).keys(), other.along(flag).keys()
            if here - there and there - here:
                one, other = mix(one, sorted(here - there), reason), mix(other, sorted(there - here), reason)
    return one, other


def _join_in_place(one: Layout, other: Layout, reason: str) -> Layout:
    """Return the layout of what sees both, where the positions are in the same places."""
    rows, columns = (union(a, b, reason) for a, b in zip(one.axes, other.axes, strict=True))
    return one if (rows, columns) == one.axes else simplify(Layout(one.dims, (rows, columns)))


def _join_axis(one: Layout, other: Layout, flag: int, reason: str) -> Axis:
    a, b = one.axis(flag), other.axis(flag)
    here, there = one.along(flag), other.along(flag)
    if here == there or isinstance(a, NonlocalAxis) or isinstance(b, NonlocalAxis):
        return union(a, b, reason)
    if here and there:
        raise NoRuleError("joins positions that are counted in different ways")
    return union(a if here else constant(a), b if there else constant(b), reason)


def join_all(layouts: Iterable[Layout], reason: str) -> Layout:
    """Return the layout of what sees all of these, of which some may not be local."""
    return reduce(lambda a, b: join_nonlocal([a, b]) if any_nonlocal([a, b]) else join(a, b, reason), layouts)


def any_nonlocal(layouts: Iterable[Layout]) -> bool:
    """Return whether what sees all of these is local in neither axis, wherever the positions are."""
    return any(layout.dims is None for layout in layouts)


def join_nonlocal(layouts: Sequence[Layout]) -> Layout:
    """Return the layout of what sees all of these, one of which is local in neither axis."""
    if len(layouts) == 1:
        return layouts[0]
    rows, columns = (nonlocal_union(layout.axes[i] for layout in layouts) for i in (0, 1))
    return Layout(None, (rows, columns))


def unknown(layouts: Sequence[Layout], reason: str) -> Layout:
    """Return the layout of what an operator without a rule makes of these; it may turn rows into columns."""
    axes = [a for layout in layouts for a in layout.axes]
    if all(_is_global(a) for a in axes):
        return Layout(None, layouts[0].axes)
    doubts = (a for a in axes if isinstance(a, NonlocalAxis) and a.reach == "unknown")
    doubt = next(doubts, NonlocalAxis("unknown", reason))
    return Layout(None, (doubt, doubt))
