"""The receptive field of every tensor of a network, from the stream of its operators.

`RULES` holds one small function for each operator that is not elementwise; torch tags those that are. A rule that
does not apply raises `NoRuleError`, and the field is then unknown, with the operator's name: never a wrong number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from bench.costs._fields import mixing, sampling, views  # noqa: F401 (they register their rules)
from bench.costs._fields.calls import RULES, Call, Operator, Rule, tensors
from bench.costs._fields.lines import Axis, Ended, Line, NoRuleError, held, image
from bench.costs._fields.meeting import all_merged, ended, flat, lost, unknown
from bench.costs._fields.places import BITS, Factor, State, channels, is_channels


@dataclass(frozen=True, slots=True)
class Field:
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

    size: tuple[int | None, int | None]
    stride: tuple[Fraction | None, Fraction | None]
    padding: tuple[int | None, int | None]
    reach: Literal["local", "global", "unknown"]
    reason: str


# Their results have a tensor's shape, or its memory, and nothing of its values.
_FRESH = frozenset(f"{kind}_like" for kind in ("zeros", "ones", "empty", "full", "rand", "randn", "randint"))
_FRESH |= {"new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided", "fill_", "zero_"}


class Fields:
    """The fields of all tensors that depend on the images; to be told of every operator as it is dispatched.

    The tensors are kept for as long as this is, as their identities name them; those of device meta hold nothing.
    """

    def __init__(self, images: Tensor) -> None:
        """Track `images` [B, C, H, W]."""
        dims = (channels(images.shape[0]), channels(images.shape[1]))
        rows, columns = (Factor(n, bit, 1) for n, bit in zip(images.shape[2:], BITS, strict=True))
        axes = (image(images.shape[2]), image(images.shape[3]))
        self._states = {id(images): State((*dims, (rows,), (columns,)), axes)}
        self._kept: dict[int, Tensor] = {id(images): images}
        self._sharing: dict[int, list[Tensor]] = {}

    def of(self, tensor: Tensor) -> Field | None:
        """Return the field of a unit; None where it does not depend on the images, such as a parameter."""
        state = self._states.get(id(tensor))
        return None if state is None else _field(state)

    def note(
        self, func: Operator, args: Sequence[Any], kwargs: Mapping[str, Any] | None, outputs: Any
    ) -> None:
        """Learn what an operator did; `outputs` is what it returned."""
        traits = _traits(func)
        if traits.returns_view and args:
            self._share([args[0], *tensors(outputs)])
        tracked = self._tracked(args, kwargs)
        if not tracked:
            return
        results = [outputs] if isinstance(outputs, Tensor) else list(tensors(outputs))
        if traits.writes and not results:
            results = [t for t in tensors(args) if id(t) in self._states]
        found = self._shortcut(traits, args, results, tracked)
        if found is None:
            call = Call(func, args, kwargs or {}, results, self._states, len(tracked))
            found = _ruled(call, traits.rule, tracked)
        for tensor, state in zip(results, found, strict=True):
            if traits.writes and state is not self._states.get(id(tensor)):
                self._write(tensor, state, func)
            self._keep(tensor, state if tensor.numel() else None)

    def _tracked(self, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> list[State]:
        # Whatever has the identity of a tensor that is kept is that tensor.
        find, found = self._states.get, []
        for arg in (*args, *kwargs.values()) if kwargs else args:
            if (state := find(id(arg))) is not None:
                found.append(state)
            elif isinstance(arg, list | tuple):
                found += [s for a in arg if (s := find(id(a))) is not None]
        return found

    def _shortcut(
        self, traits: _Traits, args: Sequence[Any], results: Sequence[Tensor], tracked: list[State]
    ) -> Sequence[State | None] | None:
        """Return the state of each result where no rule is needed, which is most often; else None."""
        if traits.fresh:
            return [None] * len(results)
        if lost(tracked) and traits.rule is not mixing.copied:
            return [ended(tracked)] * len(results)
        if traits.pointwise and len(tracked) == 1 and args:
            state = self._states.get(id(args[0]))
            if state and args[0].shape == results[0].shape:
                return [state] * len(results)
        return None

    def _keep(self, tensor: Tensor, state: State | None) -> None:
        self._kept[id(tensor)] = tensor
        if state is None:
            self._states.pop(id(tensor), None)
        else:
            self._states[id(tensor)] = state

    def _share(self, tensors: Sequence[Any]) -> None:
        for tensor in tensors:
            self._kept[id(tensor)] = tensor
        sharing = self._sharing.setdefault(tensors[0].untyped_storage()._cdata, [tensors[0]])
        sharing += tensors[1:]

    def _write(self, tensor: Tensor, state: State | None, func: Operator) -> None:
        """Let the other tensors of the same memory see what is written to one of them."""
        for other in self._sharing.get(tensor.untyped_storage()._cdata, ()):
            if other is tensor or not _overlap(tensor, other):
                continue
            before = self._states.get(id(other)) if other.numel() > tensor.numel() else None
            if state is None:
                self._keep(other, before)
                continue
            try:
                seen = _resized_to(state, tensor.shape, other.shape)
                seen = seen if before is None else all_merged([before, seen], str(func))
            except NoRuleError as error:
                seen = unknown([state], f"{func} {error}")
            self._keep(other, seen)


class _Traits(NamedTuple):
    """What there is to know of an operator before it is called."""

    rule: Rule | None
    pointwise: bool
    fresh: bool
    writes: bool  # to an operand
    returns_view: bool  # of its first operand


@cache
def _traits(func: Operator) -> _Traits:
    schema = func._schema
    writes = any(a.alias_info is not None and a.alias_info.is_write for a in schema.arguments)
    returns_view = any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
    pointwise = torch.Tag.pointwise in func.tags
    rule = mixing.elementwise if pointwise else RULES.get(func.overloadpacket)
    fresh = func.namespace == "aten" and func.overloadpacket.__name__ in _FRESH
    return _Traits(rule, rule is mixing.elementwise, fresh, writes, returns_view)


def _ruled(call: Call, rule: Rule | None, tracked: list[State]) -> Sequence[State | None]:
    """Return the state of each result by the operator's rule; unknown where that does not apply."""
    try:
        found = _followed(call, rule)
    except NoRuleError as error:
        return [unknown(tracked, f"{call.func} {error}")] * len(call.outputs)
    if isinstance(found, list):
        return found
    side = unknown(tracked, f"{call.func}: a side result") if len(call.outputs) > 1 else found
    return [found if r.shape == call.outputs[0].shape else side for r in call.outputs]


def _followed(call: Call, rule: Rule | None) -> State | list[State] | None:
    """Apply a rule; one that stumbles over a form of call that it was not written for must not end the count.

    Raises:
        NoRuleError: if there is none, or it does not apply.
    """
    if rule is None:
        raise NoRuleError("has no rule")
    try:
        return rule(call)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise NoRuleError(f"cannot be followed: {error!r}") from error


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of the same memory may share elements."""
    (a, b), (c, d) = (
        (
            t.storage_offset(),
            t.storage_offset() + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True)),
        )
        for t in (one, other)
    )
    return bool(a <= d and c <= b)


def _resized_to(state: State, shape: Sequence[int], other: Sequence[int]) -> State:
    """Return the state of a tensor of which another, with fewer channels at most, is a part."""
    if state.dims is None:
        return state
    if len(shape) != len(other):
        raise NoRuleError("writes to memory that is viewed in another way")
    dims = list(state.dims)
    for d, (n, m) in enumerate(zip(shape, other, strict=True)):
        if n != m and not is_channels(dims[d]):
            raise NoRuleError("writes to a part of the positions")
        dims[d] = channels(m) if n != m else dims[d]
    return State(tuple(dims), state.axes)


@lru_cache(maxsize=1 << 12)
def _field(state: State) -> Field:
    try:
        state = flat(state, range(len(state.dims or ())), "channels")
    except NoRuleError as error:
        state = unknown([state], f"positions among the channels: {error}")
    axes = state.axes
    if state.dims is not None:
        # A single position, left by select, sees what the first one saw.
        axes = tuple(a if state.where(b) else _first(a) for a, b in zip(axes, BITS, strict=True))  # type: ignore[assignment]
    lines = [a if isinstance(a, Line) else None for a in axes]
    ends = [a for a in axes if isinstance(a, Ended)]
    end = next((a for a in ends if a.reach == "unknown"), ends[0] if ends else None)
    sizes = _pair(
        line and max(b - a + 1 for a, b in zip(line.lows, line.highs, strict=True)) for line in lines
    )
    return Field(
        size=sizes,
        stride=_pair(line and Fraction(line.shift, line.period) for line in lines),
        padding=_pair(line and -line.lows[0] for line in lines),
        reach=end.reach if end else "local",
        reason=end.reason if end else "",
    )


def _first(axis: Axis) -> Axis:
    return axis if isinstance(axis, Ended) or axis.period == 1 else held(axis)


def _pair(values: Iterable[Any]) -> tuple[Any, Any]:
    first, second = values
    return first, second
