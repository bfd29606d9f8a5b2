"""Labels beside points and at the ends of curves, placed by their size in print so that none lies upon another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import Affine2D, Transform

from bench.report.figures._style import MUTED, drawable, freeze, renderer

_Floats = npt.NDArray[np.float64]

_SIZE = 8.0
_LINE = 1.2 * _SIZE
_NOTE = 7.0
_PAD = 1.0  # pt around a label that stay free


@dataclass(frozen=True, slots=True)
class Point:
    """A point to label."""

    x: float  # place in data coordinates
    y: float  # place in data coordinates
    text: str  # what is written beside it
    radius: float = 3.0  # of its marker in pt
    halo: float = 0.0  # of a pale ball around it in pt
    first: bool = False  # whether it is labelled before others
    # half the length of the upright bar through it, in data coordinates; NaN or 0 for none
    spread: float = 0.0


Line = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Labels:
    """What is labelled in a panel, and what is in the way."""

    points: Sequence[Point]
    lines: Sequence[Line] = ()  # that are drawn there, each by its corners in data coordinates
    unnamed: Line = ()  # where markers without a label are, in data coordinates


def place_labels(axes: Axes, labels: Labels) -> None:
    """Write the labels of points beside them, with a thin line where one is farther off or could be mistaken.

    A label lies within the axes, on no other label and, as far as there is room, on no marker and no line. Of very many
    some find no room, and how many is said in a corner. Call it when all else is drawn: it settles the layout of the
    figure.
    """
    figure, points = _figure(axes), labels.points
    if not points:
        return
    freeze(figure)
    names = [drawable(p.text) for p in points]
    bars = ([(p.x, p.y - p.spread), (p.x, p.y + p.spread)] for p in points if p.spread > 0)
    lines = [_along(_in_print(axes, figure, line)) for line in (*labels.lines, *bars)]
    layout = _LabelLayout(
        centres=_in_print(axes, figure, [(p.x, p.y) for p in points]),
        sizes=_measure(figure, names) + 2 * _PAD,
        radii=np.array([p.radius for p in points]),
        halos=np.array([p.halo for p in points]),
        bounds=np.array(axes.get_window_extent().extents) * 72 / figure.dpi,
        on_lines=np.concatenate([np.zeros((0, 2)), *lines]),
        first=np.array([p.first for p in points]),
        unnamed=_in_print(axes, figure, labels.unnamed),
    )
    if len(points) <= _MANY:
        layout.solve()
        layout.insist()
    corner = layout.quiet_corner(_measure(figure, [_note(len(points))], _NOTE)[0] + 4 * _PAD)
    if len(layout.placed) < len(points):  # of many some surely find no room
        layout.reserved = corner[None]
        layout.solve()
    if missing := len(points) - len(layout.placed):
        _write(axes, _note(missing), (corner[:2] + corner[2:]) / 2, size=_NOTE, kind="note")
    for i, box in sorted(layout.placed.items()):
        _write(axes, names[i], (box[:2] + box[2:]) / 2)
    _lead(axes, [layout.leaders[i] for i in sorted(layout.leaders)])


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str]]) -> None:
    """Write names to the right of where curves end, moved apart up and down where they are too close.

    Room is made by widening the axis; its ticks still end where the curves do. Of crowded names every second, third
    and so on is written, and how many are not is said in the lower left corner. Call it when all else is drawn: it
    settles the layout of the figure. `ends` are the last place, last value and name of each curve, in data
    coordinates.
    """
    figure = _figure(axes)
    if not ends:
        return
    freeze(figure)
    room = int(axes.get_window_extent().height * 72 / figure.dpi / _LINE)
    count, ends = len(ends), sorted(ends, key=lambda end: end[1])[:: math.ceil(len(ends) / room)]
    ends = [(x, y, drawable(text)) for x, y, text in ends]
    _widen(axes, figure, _measure(figure, [text for _, _, text in ends])[:, 0].max() + 20)
    places = _in_print(axes, figure, [(x, y) for x, y, _ in ends])
    bottom, top = (v * 72 / figure.dpi for v in axes.get_window_extent().intervaly)
    heights = _spread(places[:, 1], _LINE, bottom + _LINE / 2, top - _LINE / 2)
    starts, names = places + np.array([4.0, 0.0]), np.column_stack([places[:, 0] + 14.0, heights])
    for (_, _, text), name in zip(ends, names, strict=True):
        _write(axes, text, name, anchor="left")
    moved = np.abs(heights - places[:, 1]) > 2
    _lead(axes, np.stack([starts, names - np.array([1.5, 0.0])], axis=1)[moved])
    if missing := count - len(ends):
        corner = np.array([axes.get_window_extent().x0 * 72 / figure.dpi + 4, bottom + 7])
        _write(axes, _note(missing), corner, anchor="left", size=_NOTE, kind="note")


def _note(count: int) -> str:
    return f"{count} label{'' if count == 1 else 's'} left out for want of room; the table has all"


def _in_print(axes: Axes, figure: Figure, places: Line) -> _Floats:
    """Return places in data coordinates as [n, 2] in pt from the lower left of the figure."""
    data = np.array(places, dtype=np.float64).reshape(-1, 2)
    return np.asarray(axes.transData.transform(data), dtype=np.float64) * 72 / figure.dpi


def _measure(figure: Figure, texts: Sequence[str], size: float = _SIZE) -> _Floats:
    """Return width and height [n, 2] of labels in pt."""
    measure, font = renderer(figure).get_text_width_height_descent, FontProperties(size=size)
    # As matplotlib lays out one line: at least as high as `lp`. A Text of its own takes four times as long.
    least = measure("lp", font, False)[1]
    sizes = [measure(text, font, False)[:2] for text in texts]
    return np.array([(width, max(height, least)) for width, height in sizes]) * 72 / figure.dpi


def _widen(axes: Axes, figure: Figure, room: float) -> None:
    """Leave so many pt free to the right of the data, without ticks."""
    low, high = axes.dataLim.intervalx
    ticks = [t for t in axes.get_xticks() if low <= t <= high]
    left = axes.get_xlim()[0]
    width = axes.get_window_extent().width * 72 / figure.dpi
    scale = axes.xaxis.get_transform()
    start, end = scale.transform(np.array([left, high]))
    right = start + (end - start) * width / max(width - room, width / 3)
    axes.set_xlim(left, float(scale.inverted().transform(np.array([right]))[0]))
    axes.set_xticks(ticks)


def _write(
    axes: Axes,
    text: str,
    place: _Floats,
    *,
    anchor: Literal["left", "center"] = "center",
    size: float = _SIZE,
    kind: str = "network",
) -> None:
    """Write a label at a place in pt from the lower left of the figure; its kind tells it from other texts."""
    axes.text(
        float(place[0]), float(place[1]), text,
        transform=_print_scale(axes), fontsize=size, ha=anchor, va="center", zorder=6, label=kind,
    )  # fmt: skip


def _lead(axes: Axes, lines: Sequence[_Floats] | _Floats) -> None:
    """Draw the lines that lead to labels, through places in pt from the lower left of the figure."""
    segments = [np.asarray(line)[[0, -1]] for line in lines]
    axes.add_collection(
        LineCollection(segments, transform=_print_scale(axes), colors=MUTED, linewidths=0.6, zorder=1.5),
        autolim=False,
    )


def _print_scale(axes: Axes) -> Transform:
    return Affine2D().scale(1 / 72) + _figure(axes).dpi_scale_trans


def _figure(axes: Axes) -> Figure:
    figure = axes.figure
    assert isinstance(figure, Figure), "panels of sub-figures have other places in print"
    return figure


# --- where labels go: geometry alone, in pt, with the same outcome every time ---

_GAP = 3.0  # pt between a marker and its label
_LEADER = 6.0  # pt of a further distance from which a line leads to a label
_REACH = 60.0  # pt of the largest one
_ANGLES = np.radians(
    [0, 180, 90, 270, 45, 135, 315, 225, 22.5, 157.5, 337.5, 202.5, 67.5, 112.5, 292.5, 247.5]
)
_STEPS: _Floats = np.array([0.0, *np.geomspace(4.0, _REACH, 9).tolist()])
# Of equal places the first angle is preferred.
_PREFERENCE: _Floats = np.tile(np.arange(len(_ANGLES), dtype=np.float64), len(_STEPS)) * 0.15
_FARTHEST = 4.0  # times the usual distances, for labels that found no other room
_MANY = 60  # labels, from which the first outcome is taken as it comes

# What a box costs, in pt of distance that it is worth to go to avoid it.
_ON_MARKER, _ON_BALL, _ON_LINE, _LED, _LED_PAST, _NEARER_TO_ANOTHER, _LEFT_OUT = 40, 15, 25, 6, 30, 20, 90
_LED_ACROSS = _LEFT_OUT  # a line through another label: rather no label


@dataclass(slots=True)
class _LabelLayout:
    """The labels of one panel: what is to be labelled, what is in the way, and the boxes taken so far."""

    centres: _Floats  # of the points, [n, 2]
    sizes: _Floats  # width and height of the labels, [n, 2]
    radii: _Floats  # of the markers, [n]; a label keeps clear of them
    # of pale balls around the points, [n]; a label may lie on one where there is no better place
    halos: _Floats
    bounds: _Floats  # left, bottom, right and top of the panel
    on_lines: _Floats  # places along the lines drawn through the panel, [m, 2]
    first: npt.NDArray[np.bool_]  # which points are labelled before all others, [n]
    # boxes that stay free of labels, [k, 4]
    reserved: _Floats = field(default_factory=lambda: np.zeros((0, 4)))
    # places of markers without a label, [u, 2]
    unnamed: _Floats = field(default_factory=lambda: np.zeros((0, 2)))
    # boxes (left, bottom, right, top) of the labels that found room
    placed: dict[int, _Floats] = field(default_factory=dict)
    leaders: dict[int, _Floats] = field(default_factory=dict)  # places along the lines that lead to labels

    def quiet_corner(self, size: _Floats) -> _Floats:
        """Return the box of that size in the corner of the panel that covers least, of equal ones the lower right."""
        (left, bottom, right, top), (width, height) = self.bounds, size
        corners = itertools.product((bottom, top - height), (right - width, left))
        boxes = np.array([(x, y, x + width, y + height) for y, x in corners])
        covered = np.concatenate([self.centres, self.unnamed, self.on_lines])
        return np.asarray(boxes[np.argmin(overlaps(boxes, np.hstack([covered, covered])).sum(axis=1))])

    def solve(self) -> None:
        """Place all labels greedily in a few orders, each gone through twice, and keep the cheapest outcome."""
        outcomes = []
        for order in self._orders():
            self.placed, self.leaders = {}, {}
            total = sum(self._place(i) for i in order)
            if len(order) <= _MANY:
                total = sum(self._place(i) for i in order)
            outcomes.append((total, self.placed, self.leaders))
        _, self.placed, self.leaders = min(outcomes, key=lambda outcome: outcome[0])

    def insist(self) -> None:
        """Place the labels that were left out, farther off and whatever they cross, but on no other label."""
        for i in range(len(self.centres)):
            if i not in self.placed:
                self._place(i, worst=math.inf, reach=_FARTHEST)

    def _orders(self) -> list[list[int]]:
        """Return orders of placing: crowded points first, then by place; only the first of many points."""
        near = np.abs(self.centres[:, None] - self.centres[None]) < 1.5 * self.sizes.mean(axis=0)
        x, y = self.centres.T
        keys = [-near.all(axis=2).sum(axis=1), -y, x, -x]
        orders = [np.lexsort((-y, x, key, ~self.first)).tolist() for key in keys]
        return orders if len(x) <= _MANY else orders[:1]

    def _place(self, i: int, worst: float = _LEFT_OUT, reach: float = 1.0) -> float:
        """Take the cheapest free box for a label, and the line that leads to it, and return what it costs.

        A label whose every place would cover or cross more than is `worst` is left out; its distances are `reach`
        times the usual ones.
        """
        self.placed.pop(i, None)
        self.leaders.pop(i, None)
        boxes, steps = _candidates(self.centres[i], self.sizes[i], self.radii[i], reach)
        preference = _PREFERENCE
        if len(self.centres) > _MANY:  # no room for long lines, and no time to look for it
            boxes, steps, preference = (a[: len(a) // 2] for a in (boxes, steps, preference))
        taken = np.concatenate([self.reserved, *(box[None] for box in self.placed.values())])
        inside = ((boxes[:, :2] >= self.bounds[:2]) & (boxes[:, 2:] <= self.bounds[2:])).all(axis=1)
        free = inside & ~overlaps(boxes, taken).any(axis=1)
        if not free.any():
            return _LEFT_OUT
        boxes, steps, preference = boxes[free], steps[free], preference[free]
        led = self._needs_leader(i, boxes, steps)
        cost = self._cost(i, boxes, taken, led) + steps + preference
        best = int(np.argmin(cost))
        if cost[best] > worst:
            return _LEFT_OUT
        box = self.placed[i] = boxes[best]
        if led[best]:
            self.leaders[i] = _along(self._leader(i, box))
        return float(cost[best])

    def _leader(self, i: int, box: _Floats) -> _Floats:
        """Return the ends [2, 2] of the line from the edge of a marker to the nearest spot of a box."""
        start, end = self.centres[i], np.clip(self.centres[i], box[:2], box[2:])
        length = math.dist(start, end) or 1.0
        return np.stack([start + (end - start) * min(1.0, self.radii[i] / length), end])

    def _needs_leader(self, i: int, boxes: _Floats, steps: _Floats) -> npt.NDArray[np.bool_]:
        """Return for which boxes a line must lead to the label: far ones, and those nearer to another point."""
        far = steps > _LEADER + max(0.0, self.halos[i] - self.radii[i])
        return np.asarray(far | self._nearer(i, boxes))

    def _nearer(self, i: int, boxes: _Floats) -> npt.NDArray[np.bool_]:
        away = _distances(boxes, self.centres)
        return np.asarray((away < away[:, [i]] - 1e-9).any(axis=1))

    def _cost(self, i: int, boxes: _Floats, taken: _Floats, led: npt.NDArray[np.bool_]) -> _Floats:
        """Return what each box costs beyond its distance: what it covers, and what its line runs through."""
        markers = np.hstack([self.centres - self.radii[:, None], self.centres + self.radii[:, None]])
        halves = 0.95 * self.halos[:, None]
        balls = np.hstack([self.centres - halves, self.centres + halves])
        leaders = np.concatenate([self.on_lines[:0], *self.leaders.values()])
        cost = _ON_MARKER * overlaps(boxes, markers).sum(axis=1)
        cost += _ON_BALL * overlaps(boxes, balls).sum(axis=1)
        cost += _ON_MARKER * overlaps(boxes, np.hstack([self.unnamed, self.unnamed])).sum(axis=1)
        cost += _ON_LINE * overlaps(boxes, np.hstack([self.on_lines, self.on_lines])).any(axis=1)
        cost += _LED_ACROSS * overlaps(boxes, np.hstack([leaders, leaders])).any(axis=1)
        cost += _NEARER_TO_ANOTHER * self._nearer(i, boxes)
        passed = _crossed(self.centres[i], boxes[led], np.delete(markers, i, axis=0))
        cost[led] += _LED + _LED_PAST * passed + _LED_ACROSS * _crossed(self.centres[i], boxes[led], taken)
        return np.asarray(cost, dtype=np.float64)


def _candidates(centre: _Floats, size: _Floats, radius: float, reach: float) -> tuple[_Floats, _Floats]:
    """Return boxes [n, 4] around a point, by rising distance, and their distances [n]."""
    steps, angles = (grid.ravel() for grid in np.meshgrid(reach * _STEPS, _ANGLES, indexing="ij"))
    away = (radius + _GAP + steps)[:, None] + size / 2
    middle = centre + away * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.hstack([middle - size / 2, middle + size / 2]), steps


def _along(corners: _Floats, every: float = 3.0) -> _Floats:
    """Return places [n, 2] along the line through corners [m, 2], one `every` so many pt."""
    places = [corners[:0]]
    for start, end in itertools.pairwise(corners):
        places.append(np.linspace(start, end, max(2, math.ceil(math.dist(start, end) / every))))
    return np.concatenate(places)


def overlaps(boxes: _Floats, others: _Floats) -> npt.NDArray[np.bool_]:
    """Return which boxes [n, 4] overlap which others [m, 4], as [n, m]; edges that touch do not."""
    (left, bottom, right, top), (west, south, east, north) = boxes.T[..., None], others.T
    return np.asarray((left < east) & (west < right) & (bottom < north) & (south < top))


def _distances(boxes: _Floats, points: _Floats) -> _Floats:
    """Return how far boxes [n, 4] are from points [m, 2], as [n, m]; 0 inside."""
    beyond = np.maximum(boxes[:, None, :2] - points, points - boxes[:, None, 2:])
    return np.asarray(np.hypot(*np.moveaxis(np.maximum(beyond, 0.0), 2, 0)))


def _crossed(centre: _Floats, boxes: _Floats, others: _Floats) -> npt.NDArray[np.int64]:
    """Return how many other boxes the line from a point to each box runs through."""
    ends = np.clip(centre, boxes[:, :2], boxes[:, 2:])
    places = centre + np.linspace(0.1, 0.9, 10)[:, None, None] * (ends - centre)
    x, y = np.moveaxis(places[:, :, None], 3, 0)
    west, south, east, north = others.T
    inside = (x > west) & (x < east) & (y > south) & (y < north)
    return np.asarray(inside.any(axis=0).sum(axis=1))


def _spread(heights: _Floats, gap: float, bottom: float, top: float) -> _Floats:
    """Return the heights moved as little as possible, in their order, at least `gap` apart, from bottom to top.

    Neighbours that are too close are pooled into blocks around their middle: least squares under an order.
    """
    order = np.argsort(heights, kind="stable")
    steps = gap * np.arange(len(heights))
    blocks: list[tuple[float, int]] = []
    for value in heights[order] - steps:
        total, count = float(value), 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            before, many = blocks.pop()
            total, count = total + before, count + many
        blocks.append((total, count))
    levels = np.concatenate([np.full(count, total / count) for total, count in blocks])
    moved = np.empty_like(heights)
    moved[order] = np.clip(levels, bottom, max(bottom, top - steps[-1])) + steps
    return moved
