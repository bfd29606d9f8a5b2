"""Where in a tensor the image's positions are, however it is viewed, and how they move and meet.

A tensor's dimension is a product of `Factor`s, the outermost first, as in ``[B, C, H / 2, 2, W / 2, 2]`` merged in
any way. Most are channels, which say nothing of position; others count along the rows or columns of the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd, prod
from typing import NamedTuple

from bench.costs._fields.lines import Axis, Digits, Ended, NoRuleError, Reads, Window, through

ROWS, COLUMNS = 1, 2
BITS = (ROWS, COLUMNS)


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


Dim = tuple[Factor, ...]
Dims = tuple[Dim, ...]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What the units of a tensor see.

    The position along an axis is the sum over its factors of index times step; `axes` says what it sees.

    Attributes:
        dims: one for each dimension; those of size 1 are empty, or count along an axis. None where it no longer
            matters: both axes have ended.
        axes: rows and columns.
    """

    dims: Dims | None
    axes: tuple[Axis, Axis]

    def places(self) -> Dims:
        """Return `dims`, which must be there."""
        if self.dims is None:
            raise NoRuleError("the order of the positions is lost")
        return self.dims

    def where(self, bit: int) -> dict[int, Dim]:
        """Return the factors that count along an axis to more than one, by dimension."""
        found = {
            d: tuple(f for f in dim if f.axes & bit and f.size > 1) for d, dim in enumerate(self.places())
        }
        return {d: factors for d, factors in found.items() if factors}

    def at(self, dim: int, factors: Dim) -> State:
        """Return the state with the factors of one dimension replaced."""
        dims = list(self.places())
        dims[dim] = factors
        return State(tuple(dims), self.axes)


def channels(size: int) -> Dim:
    """Return a dimension that says nothing of position."""
    return (Factor(size),) if size > 1 else ()


def is_channels(dim: Dim) -> bool:
    """Return whether a dimension says nothing of position."""
    return not any(f.axes for f in dim)


def tidied(dims: Sequence[Dim], axes: Sequence[Axis]) -> State:
    """Return the state in its simplest terms: no positions on a global axis, no common divisor of steps."""
    axes = list(axes)
    for a, bit in enumerate(BITS):
        axis = axes[a]
        if isinstance(axis, Ended) and axis.reach == "global":
            dims = [tuple(_blind(f, bit) for f in dim) for dim in dims]
        steps = [f.step for dim in dims for f in dim if f.axes == bit]
        if (common := gcd(*steps)) > 1:
            axes[a] = through(axis, Window(1, common))
            dims = [tuple(f._replace(step=f.step // common) if f.axes == bit else f for f in d) for d in dims]
    over = all(isinstance(a, Ended) and a.reach == "global" for a in axes)
    return State(None if over else tuple(_merged(d) for d in dims), (axes[0], axes[1]))


def _blind(factor: Factor, bit: int) -> Factor:
    axes = factor.axes & ~bit
    return Factor(factor.size, axes, factor.step if axes == factor.axes else 0)


def _merged(factors: Sequence[Factor]) -> Dim:
    """Join neighbours that count on, such as H / 2 and 2."""
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


def viewed(state: State, shape: Sequence[int]) -> State:
    """Return the state of the tensor viewed in another shape."""
    return State(regrouped(state.places(), shape), state.axes)


def regrouped(old: Sequence[Dim], shape: Sequence[int]) -> Dims:
    """Return the dimensions of this shape that have the factors of the old ones, in their order."""
    left = list(_merged([f for dim in old for f in dim if f.size > 1]))[::-1]
    dims = []
    for size in shape:
        taken = []
        while size > 1:
            f = left.pop()
            if f.size > size and f.size % size == 0:
                inner = f.size // size
                left.append(Factor(inner, f.axes, f.step))
                f = Factor(size, f.axes, f.step * inner)
            elif size % f.size:
                raise NoRuleError("views positions in parts")
            taken.append(f)
            size //= f.size  # noqa: PLW2901 (what is still to be taken)
        dims.append(_merged(taken))
    return tuple(dims)


def permuted(state: State, order: Sequence[int]) -> State:
    """Return the state of the tensor with its dimensions in another order."""
    dims = state.places()
    return State(tuple(dims[d] for d in order), state.axes)


def settled(state: State, dim: int) -> State:
    """Return the state with a dimension that is one factor: channels, or positions of one axis alone.

    Such is ``[H, 2]`` after nearest-neighbour upsampling by expansion, which counts along the rows by halves.
    """
    factors = state.places()[dim]
    if not factors or (len(factors) == 1 and factors[0].step <= 1):
        return state
    if is_channels(factors):
        return state.at(dim, channels(prod(f.size for f in factors)))
    bit = factors[0].axes
    if bit not in BITS or any(f.axes not in {0, bit} for f in factors) or set(state.where(bit)) - {dim}:
        raise NoRuleError("reads along positions of both axes, or of a part of the map")
    axes = list(state.axes)
    axes[bit - 1] = through(axes[bit - 1], Digits(tuple((f.size, f.step) for f in factors)))
    return State(state.at(dim, (Factor(prod(f.size for f in factors), bit, 1),)).dims, (axes[0], axes[1]))


def read(state: State, dim: int, reads: Reads, size: int, default: int | None = None) -> State:
    """Return the state after an operator that reads along a dimension and leaves `size` positions there.

    A dimension of size 1 is taken for one of the axis `default`, if nothing else counts along that.
    """
    factors = state.places()[dim]
    if reads == Window(1) and size == prod(f.size for f in factors):
        return state
    state = settled(state, dim)
    factors = state.places()[dim]
    if not factors and default and not state.where(default):
        factors = (Factor(1, default, 1),)
    if is_channels(factors):
        return state.at(dim, channels(size))
    bit = factors[0].axes
    if bit not in BITS or not factors[0].step or set(state.where(bit)) - {dim}:
        raise NoRuleError("reads along positions of both axes, or of a part of the map")
    axes = list(state.axes)
    axes[bit - 1] = through(axes[bit - 1], reads)
    return State(state.at(dim, (Factor(size, bit, 1),)).dims, (axes[0], axes[1]))


def cut(state: State, dim: int, sizes: tuple[int, int, int], name: str, step: int = 1) -> State:
    """Return the state of a slice; `sizes` are that of the dimension, the start and the size of the slice."""
    whole, start, size = sizes
    factors = state.places()[dim]
    if size == whole:
        return state
    if is_channels(factors):
        return state.at(dim, channels(size))
    if any(isinstance(state.axes[b - 1], Ended) for b in BITS for f in factors if f.axes & b):
        raise NoRuleError("takes a part of a map that is not known")
    if len(factors) == 1 and factors[0].axes in BITS and factors[0].step:
        _, bit, one = factors[0]
        axes = list(state.axes)
        axes[bit - 1] = through(axes[bit - 1], Window(1, 1, -start * one))
        return tidied(state.at(dim, (Factor(size, bit, one * step),)).places(), axes)
    followed = all(f.step or not f.axes for f in factors)
    if followed and step == 1 and whole % size == 0 and start % size == 0:
        parts = _split(state, dim, whole // size)
        return joined(picked(parts, dim, start // size, keep=True), dim)
    return doubted(state, dim, size, f"{name} takes positions that are not followed")


def doubted(state: State, dim: int, size: int, reason: str) -> State:
    """Return the state where an operator reads along a dimension in a way that is not known.

    What reads all its positions later is still global.
    """
    factors = state.places()[dim]
    axes = [Ended("unknown", reason) if any(f.axes & b for f in factors) else state.axes[b - 1] for b in BITS]
    return State(state.at(dim, unordered(factors, size)).dims, (axes[0], axes[1]))


def unordered(factors: Dim, size: int) -> Dim:
    """Return a dimension of positions in an order that is not followed, such as patches behind a class token."""
    return (Factor(size, reduce(int.__or__, (f.axes for f in factors), 0), 0),)


def _split(state: State, dim: int, outer: int) -> State:
    """Return the state with a dimension split in two; no positions of other dimensions are touched."""
    dims = state.places()
    size = prod(f.size for f in dims[dim])
    parts = regrouped((dims[dim],), (outer, size // outer))
    return State((*dims[:dim], *parts, *dims[dim + 1 :]), state.axes)


def joined(state: State, dim: int) -> State:
    """Return the state with a dimension and the next one merged."""
    dims = state.places()
    return State((*dims[:dim], _merged(dims[dim] + dims[dim + 1]), *dims[dim + 2 :]), state.axes)


def picked(state: State, dim: int, index: int, *, keep: bool = False) -> State:
    """Return the state of one index of a dimension, which goes, or is kept with size 1."""
    dims, axes = state.places(), list(state.axes)
    for f in reversed(dims[dim]):
        index, digit = divmod(index, f.size)
        if f.axes and not f.step:
            raise NoRuleError("takes one of the positions in an order that is not followed")
        if f.axes and digit:
            axes[f.axes - 1] = through(axes[f.axes - 1], Window(1, 1, -digit * f.step))
    return tidied((*dims[:dim], *(((),) if keep else ()), *dims[dim + 1 :]), axes)
