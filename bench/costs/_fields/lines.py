"""The arithmetic of one image axis: which pixels the positions along it see, and how an operator changes that.

A `Line` says it without borders, as if the image went on for ever: the field of ResNet-50's last block is 483 px
whatever the size of the image. Where it cannot be said so, the axis has `Ended`: in everything, or in doubt.
The operators that read along an axis are listed once, as `Window`, `Spread`, `Bins`, `Points` and `Digits`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, lcm, prod
from typing import Literal

# Sampling by factors that share no divisor, over and over, makes periods grow; no network comes near.
LONGEST_PERIOD = 4096


@dataclass(frozen=True, slots=True)
class Line:
    """What position i sees: the pixels from ``low(i)`` to ``high(i)``, both included, and perhaps not all between.

    Attributes:
        pixels: of the image along this axis.
        shift: in pixels, for every ``len(lows)`` positions: ``low(i + len(lows)) == low(i) + shift``.
        lows: of the first positions; may lie outside the image.
        highs: likewise.
    """

    pixels: int
    shift: int
    lows: tuple[int, ...]
    highs: tuple[int, ...]

    @property
    def period(self) -> int:
        """The number of positions after which the pattern repeats."""
        return len(self.lows)

    def span(self, positions: Iterable[int]) -> tuple[int, int]:
        """Return the first and the last pixel that any of the positions sees; there must be one."""
        period, shift, lows, highs = len(self.lows), self.shift, self.lows, self.highs
        laps = [divmod(p, period) for p in positions]
        return min(q * shift + lows[r] for q, r in laps), max(q * shift + highs[r] for q, r in laps)


@dataclass(frozen=True, slots=True)
class Ended:
    """An axis along which the field has no size: it is global, or unknown; `reason` names the operator."""

    reach: Literal["global", "unknown"]
    reason: str


Axis = Line | Ended


class NoRuleError(Exception):
    """What an operator does to the positions cannot be said; the message says why."""


@dataclass(frozen=True, slots=True)
class Window:
    """Convolution, pooling, and with a kernel of 1 slicing, padding (of all modes) and rolling: inner positions."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def period(self) -> int:
        return 1

    @property
    def advance(self) -> int:
        return self.stride

    def at(self, j: int) -> Sequence[int]:
        start = j * self.stride - self.padding
        return range(start, start + self.kernel * self.dilation, self.dilation)


@dataclass(frozen=True, slots=True)
class Spread:
    """Transposed convolution: position j is written by all i with ``i * stride - padding + k * dilation == j``."""

    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def period(self) -> int:
        return self.stride

    @property
    def advance(self) -> int:
        return 1

    def at(self, j: int) -> Sequence[int]:
        sums = (j + self.padding - k * self.dilation for k in range(self.kernel))
        return [s // self.stride for s in sums if s % self.stride == 0]


@dataclass(frozen=True, slots=True)
class Bins:
    """Adaptive pooling of `before` positions to `after`; with more after, nearest neighbours."""

    before: int
    after: int

    @property
    def period(self) -> int:
        return self.after // gcd(self.before, self.after)

    @property
    def advance(self) -> int:
        return self.before // gcd(self.before, self.after)

    def at(self, j: int) -> Sequence[int]:
        return range(j * self.before // self.after, -(-(j + 1) * self.before // self.after))


@dataclass(frozen=True, slots=True)
class Points:
    """Interpolation at ``(scale * j + offset) / unit``: its neighbours on each side, or itself where it is whole."""

    scale: int
    offset: int
    unit: int
    neighbours: int

    @property
    def period(self) -> int:
        return self.unit // gcd(self.scale, self.unit)

    @property
    def advance(self) -> int:
        return self.scale // gcd(self.scale, self.unit)

    def at(self, j: int) -> Sequence[int]:
        below, rest = divmod(self.scale * j + self.offset, self.unit)
        return range(below - self.neighbours + 1, below + self.neighbours + 1) if rest else (below,)


@dataclass(frozen=True, slots=True)
class Digits:
    """Counting through nested indices as one, the outermost first: of each its size, and its step along the axis."""

    places: tuple[tuple[int, int], ...]

    @property
    def period(self) -> int:
        return prod(size for size, _ in self.places[1:])

    @property
    def advance(self) -> int:
        return self.places[0][1]

    def at(self, j: int) -> Sequence[int]:
        position = 0
        for size, step in self.places[:0:-1]:
            j, digit = divmod(j, size)
            position += digit * step
        return (position + j * self.places[0][1],)


# After `period` positions each reads the same pattern, `advance` positions further on.
Reads = Window | Spread | Bins | Points | Digits


def image(pixels: int) -> Line:
    """Return the axis of the image itself, on which each position sees one pixel."""
    return Line(pixels, 1, (0,), (0,))


@lru_cache(maxsize=1 << 14)
def through(axis: Axis, reads: Reads) -> Axis:
    """Return what position j sees that reads the positions ``reads.at(j)`` of `axis`.

    Raises:
        NoRuleError: if it may read nothing, or if the pattern is too long.
    """
    if isinstance(axis, Ended):
        return axis
    laps = axis.period // gcd(axis.period, reads.advance)
    period = reads.period * laps
    if period > LONGEST_PERIOD:
        raise NoRuleError("makes a pattern of sampling that is too long to follow")
    read = [reads.at(j) for j in range(period)]
    if not all(read):
        raise NoRuleError("leaves positions between its taps, which see nothing")
    spans = [axis.span(positions) for positions in read]
    return _shortest(axis.pixels, axis.shift * reads.advance * laps // axis.period, spans)


@lru_cache(maxsize=1 << 14)
def union(one: Axis, other: Axis, reason: str) -> Axis:
    """Return what sees both, position by position; what is global stays so.

    Only lines that advance together have a union of one size, unless one stands still and sees everything.

    Raises:
        NoRuleError: if the pattern is too long.
    """
    if isinstance(one, Ended) or isinstance(other, Ended):
        ended = [a for a in (one, other) if isinstance(a, Ended)]
        return next((a for a in ended if a.reach == "global"), ended[0])
    if one.shift * other.period != other.shift * one.period:
        if any(a.shift == 0 and _covers(a, *a.span([0])) for a in (one, other)):
            return Ended("global", f"{reason}: broadcasts what has seen everything")
        return Ended("unknown", f"{reason}: joins maps of different stride")
    period = lcm(one.period, other.period)
    if period > LONGEST_PERIOD:
        raise NoRuleError("makes a pattern of sampling that is too long to follow")
    both = [(one.span([j]), other.span([j])) for j in range(period)]
    spans = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in both]
    return _shortest(one.pixels, one.shift * period // one.period, spans)


def held(axis: Axis) -> Axis:
    """Return the axis on which every position sees what the first one saw: a single position, broadcast."""
    if isinstance(axis, Ended):
        return axis
    return Line(axis.pixels, 0, axis.lows[:1], axis.highs[:1])


def gathered(axis: Axis, positions: Iterable[int], reason: str) -> Axis:
    """Return the axis on which every position sees all these `positions`: global if they see the image."""
    if isinstance(axis, Ended):
        return Ended("global", reason) if axis.reach == "unknown" else axis
    low, high = axis.span(positions)
    if _covers(axis, low, high):
        return Ended("global", reason)
    return Line(axis.pixels, 0, (low,), (high,))


def _covers(line: Line, low: int, high: int) -> bool:
    # Rounding down in strided layers may leave out pixels at the far border, always fewer than the stride.
    stride = max(1, -(-abs(line.shift) // line.period))
    return low <= 0 and high >= line.pixels - stride


def _shortest(pixels: int, shift: int, spans: list[tuple[int, int]]) -> Line:
    """Return the line of these spans, with the shortest period that says the same."""
    whole = len(spans)
    for period in (d for d in range(1, whole + 1) if whole % d == 0 and shift * d % whole == 0):
        step = shift * period // whole
        pairs = zip(spans, spans[period:], strict=False)
        if all(b == (a[0] + step, a[1] + step) for a, b in pairs):
            break
    first = spans[:period]
    return Line(pixels, step, tuple(low for low, _ in first), tuple(high for _, high in first))
