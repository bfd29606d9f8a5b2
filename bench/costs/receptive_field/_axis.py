"""One axis of a feature map: which pixels of the image its positions see, and how an operator changes that.

There are no borders, as if the image went on for ever: the field of ResNet-50's last block is 483 px whatever the size
of the image, and what is padded there, or comes round from the other end, is of no unit in the middle. What an operator
reads along an axis is a `Sampling`, and `resample` applies it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise, product
from math import gcd, lcm
from typing import Literal

# Sampling by factors that share no divisor, over and over, makes periods grow; no network comes near.
_LONGEST_PERIOD = 4096


_Span = tuple[float, float]  # the first and the last pixel, whole numbers but for what sees none
_NOTHING: _Span = (math.inf, -math.inf)


class NoRuleError(Exception):
    """What an operator does to the positions cannot be said; the message says why."""


@dataclass(frozen=True, slots=True)
class _LocalAxis:
    """Position i sees the pixels from ``low(i)`` to ``high(i)``, both included, and perhaps not all between.

    Attributes:
        pixels: of the image along this axis.
        shift: in pixels, for every ``len(lows)`` positions: ``low(i + len(lows)) == low(i) + shift``.
        lows: of the first positions; may lie outside the image.
        highs: of the first positions; may lie outside the image. Of a position that sees `_NOTHING`, such as one that
            nothing was written to, it lies below its `low`.
    """

    pixels: int
    shift: int
    lows: tuple[float, ...]
    highs: tuple[float, ...]

    @property
    def period(self) -> int:
        """The number of positions after which the pattern repeats."""
        return len(self.lows)

    @property
    def size(self) -> int:
        """The pixels from the first to the last that a position sees, of the one that sees most."""
        spans = zip(self.lows, self.highs, strict=True)
        return int(max((high - low + 1 for low, high in spans if low <= high), default=0))

    def span(self, positions: Iterable[int]) -> _Span:
        """Return the first and the last pixel that any of the positions sees."""
        period, shift, lows, highs = len(self.lows), self.shift, self.lows, self.highs
        laps = [divmod(p, period) for p in positions]
        if not laps:
            return _NOTHING
        return min(q * shift + lows[r] for q, r in laps), max(q * shift + highs[r] for q, r in laps)


@dataclass(frozen=True, slots=True)
class NonlocalAxis:
    """An axis along which the field has no size; `reason` names the operator that made it so."""

    reach: Literal["global", "unknown"]
    reason: str


Axis = _LocalAxis | NonlocalAxis


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which input positions an operator reads along an axis; borders are left out of account.

    Attributes:
        advance: in input positions, for every ``len(inputs)`` output positions.
        inputs: what each of the first output positions reads; of one that reads nothing, none.
    """

    advance: int
    inputs: tuple[tuple[int, ...], ...]


@cache
def window(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Sampling:
    """Return what convolution and pooling read; with a kernel of 1 slicing, padding (of all modes) and rolling."""
    return Sampling(stride, (tuple(range(-padding, kernel * dilation - padding, dilation)),))


UNCHANGED = window(1)


@cache
def transposed_window(kernel: int, stride: int, padding: int, dilation: int) -> Sampling:
    """Return what transposed convolution reads: i writes to j where ``i * stride - padding + k * dilation == j``."""
    sums = ([j + padding - k * dilation for k in range(kernel)] for j in range(stride))
    return Sampling(1, tuple(tuple(s // stride for s in row if s % stride == 0) for row in sums))


def written(start: int, step: int) -> Sampling:
    """Return what positions hold when every `step`-th is written to, from `start` on; around those it goes on alike."""
    return transposed_window(1, step, -start, 1)


def listed(positions: Sequence[int], before: int) -> Sampling:
    """Return what is read at these of `before` positions; equal steps may go round, from the last to the first."""
    middle, half = len(positions) // 2, before // 2
    steps = {(b - a + half) % before - half for a, b in pairwise(positions)} or {1}
    if len(steps) == 1:
        (step,) = steps
        return window(1, step, middle * step - positions[middle])
    _check_period(len(positions))
    return Sampling(before, tuple((p,) for p in positions))


@cache
def adaptive_bins(before: int, after: int) -> Sampling:
    """Return what adaptive pooling of `before` positions to `after` reads; with more after, nearest neighbours."""
    common = gcd(before, after)
    bins = (range(j * before // after, -(-(j + 1) * before // after)) for j in range(after // common))
    return Sampling(before // common, tuple(map(tuple, bins)))


@cache
def interpolation(scale: int, offset: int, unit: int, neighbours: int) -> Sampling:
    """Return what a sample at ``(scale * j + offset) / unit`` reads: its neighbours, or itself if it is whole."""
    common, inputs = gcd(scale, unit), []
    for j in range(unit // common):
        below, rest = divmod(scale * j + offset, unit)
        inputs.append(tuple(range(below - neighbours + 1, below + neighbours + 1)) if rest else (below,))
    return Sampling(scale // common, tuple(inputs))


def nested_index(indices: Sequence[tuple[int, int]]) -> Sampling:
    """Return what nested indices read, counted as one; of each its size and its step, the outermost first."""
    (_, advance), *inner = indices
    positions = product(*([i * step for i in range(size)] for size, step in inner))
    return Sampling(advance, tuple((sum(p),) for p in positions))


def image_axis(pixels: int) -> _LocalAxis:
    """Return an axis of the image itself, on which each position sees one pixel."""
    return _LocalAxis(pixels, 1, (0,), (0,))


@lru_cache(maxsize=1 << 14)
def resample(axis: Axis, sampling: Sampling) -> Axis:
    """Return what the positions see that an operator makes of those of `axis`.

    Raises:
        NoRuleError: if the pattern is too long.
    """
    if isinstance(axis, NonlocalAxis):
        return axis
    laps = axis.period // gcd(axis.period, sampling.advance)
    _check_period(len(sampling.inputs) * laps)
    shifts = (lap * sampling.advance for lap in range(laps))
    spans = [axis.span([i + shift for i in row]) for shift in shifts for row in sampling.inputs]
    return _shortest(axis.pixels, axis.shift * sampling.advance * laps // axis.period, spans)


@lru_cache(maxsize=1 << 14)
def union(one: Axis, other: Axis, reason: str) -> Axis:
    """Return what sees both, position by position; what is global stays so.

    Only axes that advance together have a union of one size, unless one stands still and sees everything.

    Raises:
        NoRuleError: if the pattern is too long.
    """
    if isinstance(one, NonlocalAxis) or isinstance(other, NonlocalAxis):
        return nonlocal_union((one, other))
    if one.shift * other.period != other.shift * one.period:
        if any(a.shift == 0 and _covers(a, *a.span([0])) for a in (one, other)):
            return NonlocalAxis("global", f"{reason}: broadcasts what has seen everything")
        return NonlocalAxis("unknown", f"{reason}: joins maps of different stride")
    return _position_by_position(one, other, lambda a, b: (min(a[0], b[0]), max(a[1], b[1])))


def overlay(one: Axis, other: Axis) -> Axis:
    """Return what is seen where positions of one are overwritten by those of the other that see anything."""
    if isinstance(one, NonlocalAxis) or isinstance(other, NonlocalAxis):
        return nonlocal_union((one, other))
    if one.shift * other.period != other.shift * one.period:
        return NonlocalAxis("unknown", "writes a map of different stride into another")
    return _position_by_position(one, other, lambda a, b: a if b == _NOTHING else b)


def _position_by_position(
    one: _LocalAxis, other: _LocalAxis, both: Callable[[_Span, _Span], _Span]
) -> _LocalAxis:
    period = lcm(one.period, other.period)
    _check_period(period)
    spans = [both(one.span([j]), other.span([j])) for j in range(period)]
    return _shortest(one.pixels, one.shift * period // one.period, spans)


def nonlocal_union(axes: Iterable[Axis]) -> NonlocalAxis:
    """Return what sees all of these, one of which at least is not local: what is global stays so."""
    candidates = [a for a in axes if isinstance(a, NonlocalAxis)]
    return next((a for a in candidates if a.reach == "global"), candidates[0])


def constant(axis: Axis) -> Axis:
    """Return the axis on which every position sees what the first one saw: a single position, broadcast."""
    if isinstance(axis, NonlocalAxis):
        return axis
    return _LocalAxis(axis.pixels, 0, axis.lows[:1], axis.highs[:1])


def gather(axis: Axis, positions: Iterable[int], reason: str) -> Axis:
    """Return the axis on which every position sees all these `positions`: global if they see the image."""
    if isinstance(axis, NonlocalAxis):
        return NonlocalAxis("global", reason) if axis.reach == "unknown" else axis
    low, high = axis.span(positions)
    if _covers(axis, low, high):
        return NonlocalAxis("global", reason)
    return _LocalAxis(axis.pixels, 0, (low,), (high,))


def _covers(axis: _LocalAxis, low: float, high: float) -> bool:
    # Rounding down in strided layers may leave out pixels at the far border, always fewer than the stride.
    stride = max(1, -(-abs(axis.shift) // axis.period))
    return low <= 0 and high >= axis.pixels - stride


def _check_period(period: int) -> None:
    if period > _LONGEST_PERIOD:
        raise NoRuleError("makes a pattern of sampling that is too long to follow")


def _shortest(pixels: int, shift: int, spans: list[_Span]) -> _LocalAxis:
    """Return the axis of these spans, with the shortest period that says the same."""
    whole = len(spans)
    for period in (d for d in range(1, whole + 1) if whole % d == 0 and shift * d % whole == 0):
        step = shift * period // whole
        pairs = zip(spans, spans[period:], strict=False)
        if all(b == (a[0] + step, a[1] + step) for a, b in pairs):
            break
    first = spans[:period]
    return _LocalAxis(pixels, step, tuple(low for low, _ in first), tuple(high for _, high in first))
