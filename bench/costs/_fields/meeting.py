"""What units see that mix positions, or join two tensors; and what is left where an axis has ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import product
from math import prod

from bench.costs._fields.lines import Axis, Ended, NoRuleError, Window, gathered, held, through, union
from bench.costs._fields.places import (
    BITS,
    Dim,
    Factor,
    State,
    channels,
    is_channels,
    settled,
    tidied,
)


def mixed(state: State, over: Sequence[int], reason: str) -> State:
    """Return the state after an operator whose outputs see all of these dimensions, which keep their sizes."""
    dims = list(state.places())
    gone = [f for d in over for f in dims[d] if f.axes]
    if not gone:
        return state
    for d in over:
        dims[d] = channels(prod(f.size for f in dims[d]))
    axes = [_mixed_axis(state, bit, gone, dims, reason) for bit in BITS]
    return tidied(dims, axes)


def _mixed_axis(state: State, bit: int, gone: list[Factor], left: list[Dim], reason: str) -> Axis:
    axis = state.axes[bit - 1]
    mine = [f for f in gone if f.axes & bit]
    if not mine:
        return axis
    rest = [f for dim in left for f in dim if f.axes & bit and f.size > 1]
    loose = any(not f.step for f in mine)
    if loose and rest:
        raise NoRuleError("mixes a part of the positions")
    if loose:
        return Ended("global", reason)
    if not rest:
        steps = [range(0, f.size * f.step, f.step) for f in mine]
        return gathered(axis, {sum(p) for p in product(*steps)}, reason)
    return reduce(lambda a, f: through(a, Window(f.size, 1, 0, f.step)), mine, axis)


def flat(state: State, over: Iterable[int], reason: str) -> State:
    """Return the state with positions that are among channels, as after space to depth, seen together.

    Only those of a dimension that holds channels too, and whose axes count on elsewhere: windows stay windows.
    """
    if state.dims is None:
        return state
    deep = [d for d in over if _is_deep(state, d)]
    return mixed(state, deep, reason) if deep else state


def _is_deep(state: State, dim: int) -> bool:
    factors = state.places()[dim]
    bits = [b for b in BITS if any(f.axes & b for f in factors)]
    return (
        any(not f.axes for f in factors) and bool(bits) and all(state.where(b).keys() - {dim} for b in bits)
    )


def broadcast(state: State, shape: Sequence[int], to: Sequence[int]) -> State:
    """Return the state of a tensor of one shape when it is broadcast to another."""
    if state.dims is None or tuple(shape) == tuple(to):
        return state
    dims = ((),) * (len(to) - len(shape)) + state.places()
    old = (1,) * (len(to) - len(shape)) + tuple(shape)
    return State(
        tuple(channels(n) if o == 1 != n else d for d, o, n in zip(dims, old, to, strict=True)), state.axes
    )


def merged(one: State, other: State, reason: str) -> State:
    """Return the state of what sees both, unit by unit; the shapes are the same.

    Where positions of one meet all positions of the other, as in attention, some unit sees from end to end.
    """
    if one is other:
        return one
    if one.dims == other.dims:
        return _in_place(one, other, reason)
    if all(_pairs(one, other, bit) for bit in BITS):
        end = Ended("global", f"{reason}: pairs of positions")
        return State(None, (end, end))
    for d, (a, b) in enumerate(zip(one.places(), other.places(), strict=True)):
        if a != b and not is_channels(a) and not is_channels(b):
            one, other = settled(one, d), settled(other, d)
    pairs = list(zip(one.places(), other.places(), strict=True))
    dims = [b if is_channels(a) and not is_channels(b) else a for a, b in pairs]
    state = tidied(dims, [_meeting(one, other, bit, reason) for bit in BITS])
    if state.dims and any(a != b and not is_channels(a) and not is_channels(b) for a, b in pairs):
        raise NoRuleError("joins positions that are counted in different ways")
    return state


def _in_place(one: State, other: State, reason: str) -> State:
    """Return the state of what sees both, where the positions are in the same places."""
    axes = [union(a, b, reason) for a, b in zip(one.axes, other.axes, strict=True)]
    if axes == list(one.axes):
        return one
    return State(None, (axes[0], axes[1])) if one.dims is None else tidied(one.dims, axes)


def _meeting(one: State, other: State, bit: int, reason: str) -> Axis:
    if _pairs(one, other, bit):
        return Ended("global", f"{reason}: pairs of positions")
    a, b = one.axes[bit - 1], other.axes[bit - 1]
    here, there = one.where(bit), other.where(bit)
    if here == there or isinstance(a, Ended) or isinstance(b, Ended):
        return union(a, b, reason)
    if here and there:
        raise NoRuleError("joins positions that are counted in different ways")
    return union(a if here else held(a), b if there else held(b), reason)


def _pairs(one: State, other: State, bit: int) -> bool:
    """Return whether positions along an axis are in dimensions of their own on both sides."""
    here, there = one.where(bit).keys(), other.where(bit).keys()
    return bool(here - there and there - here)


def all_merged(states: Iterable[State], reason: str) -> State:
    """Return the state of what sees all of these, of which some may have ended."""
    return reduce(lambda a, b: ended([a, b]) if lost([a, b]) else merged(a, b, reason), states)


def lost(states: Iterable[State]) -> bool:
    """Return whether what sees all of these has ended in both axes, wherever the positions are."""
    return any(s.dims is None for s in states)


def ended(states: Sequence[State]) -> State:
    """Return the state of what sees all of these, one of which has ended in both axes."""
    if len(states) == 1:
        return states[0]
    rows, columns = ([s.axes[i] for s in states] for i in (0, 1))
    return State(None, (_end(rows), _end(columns)))


def unknown(states: Sequence[State], reason: str) -> State:
    """Return the state of what an operator without a rule makes of these; it may turn rows into columns."""
    axes = [a for s in states for a in s.axes]
    if all(isinstance(a, Ended) and a.reach == "global" for a in axes):
        return State(None, states[0].axes)
    doubt = next((a for a in axes if isinstance(a, Ended) and a.reach == "unknown"), Ended("unknown", reason))
    return State(None, (doubt, doubt))


def _end(axes: Sequence[Axis]) -> Ended:
    found = [a for a in axes if isinstance(a, Ended)]
    return next((a for a in found if a.reach == "global"), found[0])
