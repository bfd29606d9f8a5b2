"""Where labels go: boxes beside points, so that none lies upon another. Geometry alone, in pt, always the same."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_GAP = 3.0  # pt between a marker and its label
_LEADER = 6.0  # pt of a further distance from which a line leads to a label
_REACH = 60.0  # pt of the largest one
_ANGLES = np.radians(
    [0, 180, 90, 270, 45, 135, 315, 225, 22.5, 157.5, 337.5, 202.5, 67.5, 112.5, 292.5, 247.5]
)
_STEPS: Floats = np.array([0.0, *np.geomspace(4.0, _REACH, 9).tolist()])
_LIKED: Floats = (
    np.tile(np.arange(len(_ANGLES), dtype=np.float64), len(_STEPS)) * 0.15
)  # of equal places the first angle
MANY = 60  # labels, from which the first outcome is taken as it comes

# What a box costs, in pt of distance that it is worth to go to avoid it.
_ON_MARKER, _ON_BALL, _ON_LINE, _LED, _LED_PAST, _NEARER_TO_ANOTHER, _LEFT_OUT = 40, 15, 25, 6, 30, 20, 90
_LED_ACROSS = _LEFT_OUT  # a line through another label: rather no label


@dataclass(slots=True)
class Board:
    """One panel: what is to be labelled, what is in the way, and the boxes taken so far.

    Attributes:
        centres: of the points, [n, 2].
        sizes: width and height of the labels, [n, 2].
        radii: of the markers, [n]; a label keeps clear of them.
        halos: of pale balls around the points, [n]; a label may lie on one where there is no better place.
        bounds: left, bottom, right and top of the panel.
        spots: of lines drawn through the panel, [m, 2].
        first: which points are labelled before all others, [n].
        kept: boxes that stay free of labels, [k, 4].
        unnamed: places of markers without a label, [u, 2].
        placed: boxes (left, bottom, right, top) of the labels that found room.
        leaders: spots of the lines that lead to labels.
    """

    centres: Floats
    sizes: Floats
    radii: Floats
    halos: Floats
    bounds: Floats
    spots: Floats
    first: npt.NDArray[np.bool_]
    kept: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    unnamed: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    placed: dict[int, Floats] = field(default_factory=dict)
    leaders: dict[int, Floats] = field(default_factory=dict)

    def quiet_corner(self, size: Floats) -> Floats:
        """Return the box of that size in the corner of the panel that covers least, of equal ones the lower right."""
        (left, bottom, right, top), (width, height) = self.bounds, size
        corners = itertools.product((bottom, top - height), (right - width, left))
        boxes = np.array([(x, y, x + width, y + height) for y, x in corners])
        covered = np.concatenate([self.centres, self.unnamed, self.spots])
        return np.asarray(boxes[np.argmin(overlaps(boxes, np.hstack([covered, covered])).sum(axis=1))])

    def solve(self) -> None:
        """Place all labels greedily in a few orders, each gone through twice, and keep the cheapest outcome."""
        outcomes = []
        for order in self._orders():
            self.placed, self.leaders = {}, {}
            total = sum(self._place(i) for i in order)
            if len(order) <= MANY:
                total = sum(self._place(i) for i in order)
            outcomes.append((total, self.placed, self.leaders))
        _, self.placed, self.leaders = min(outcomes, key=lambda outcome: outcome[0])

    def _orders(self) -> list[list[int]]:
        """Return orders of placing: crowded points first, then by place; only the first of many points."""
        near = np.abs(self.centres[:, None] - self.centres[None]) < 1.5 * self.sizes.mean(axis=0)
        x, y = self.centres.T
        keys = [-near.all(axis=2).sum(axis=1), -y, x, -x]
        orders = [np.lexsort((-y, x, key, ~self.first)).tolist() for key in keys]
        return orders if len(x) <= MANY else orders[:1]

    def _place(self, i: int) -> float:
        """Take the cheapest free box for a label, and the line that leads to it, and return what it costs.

        A label whose every place would cover or cross too much is left out.
        """
        self.placed.pop(i, None)
        self.leaders.pop(i, None)
        boxes, steps = _candidates(self.centres[i], self.sizes[i], self.radii[i])
        liked = _LIKED
        if len(self.centres) > MANY:  # no room for long lines, and no time to look for it
            boxes, steps, liked = (a[: len(a) // 2] for a in (boxes, steps, liked))
        taken = np.concatenate([self.kept, *(box[None] for box in self.placed.values())])
        inside = ((boxes[:, :2] >= self.bounds[:2]) & (boxes[:, 2:] <= self.bounds[2:])).all(axis=1)
        free = inside & ~overlaps(boxes, taken).any(axis=1)
        if not free.any():
            return _LEFT_OUT
        boxes, steps, liked = boxes[free], steps[free], liked[free]
        led = self._led(i, boxes, steps)
        cost = self._cost(i, boxes, taken, led) + steps + liked
        best = int(np.argmin(cost))
        if cost[best] > _LEFT_OUT:
            return _LEFT_OUT
        box = self.placed[i] = boxes[best]
        if led[best]:
            self.leaders[i] = along(self._leader(i, box))
        return float(cost[best])

    def _leader(self, i: int, box: Floats) -> Floats:
        """Return the ends [2, 2] of the line from the edge of a marker to the nearest spot of a box."""
        start, end = self.centres[i], np.clip(self.centres[i], box[:2], box[2:])
        length = math.dist(start, end) or 1.0
        return np.stack([start + (end - start) * min(1.0, self.radii[i] / length), end])

    def _led(self, i: int, boxes: Floats, steps: Floats) -> npt.NDArray[np.bool_]:
        """Return for which boxes a line must lead to the label: far ones, and those nearer to another point."""
        far = steps > _LEADER + max(0.0, self.halos[i] - self.radii[i])
        return np.asarray(far | self._nearer(i, boxes))

    def _nearer(self, i: int, boxes: Floats) -> npt.NDArray[np.bool_]:
        away = distances(boxes, self.centres)
        return np.asarray((away < away[:, [i]] - 1e-9).any(axis=1))

    def _cost(self, i: int, boxes: Floats, taken: Floats, led: npt.NDArray[np.bool_]) -> Floats:
        """Return what each box costs beyond its distance: what it covers, and what its line runs through."""
        markers = np.hstack([self.centres - self.radii[:, None], self.centres + self.radii[:, None]])
        halves = 0.95 * self.halos[:, None]
        balls = np.hstack([self.centres - halves, self.centres + halves])
        leaders = np.concatenate([self.spots[:0], *self.leaders.values()])
        cost = _ON_MARKER * overlaps(boxes, markers).sum(axis=1) + _ON_BALL * overlaps(boxes, balls).sum(
            axis=1
        )
        cost += _ON_MARKER * overlaps(boxes, np.hstack([self.unnamed, self.unnamed])).sum(axis=1)
        cost += _ON_LINE * overlaps(boxes, np.hstack([self.spots, self.spots])).any(axis=1)
        cost += _LED_ACROSS * overlaps(boxes, np.hstack([leaders, leaders])).any(axis=1)
        cost += _NEARER_TO_ANOTHER * self._nearer(i, boxes)
        passed = _crossed(self.centres[i], boxes[led], np.delete(markers, i, axis=0))
        cost[led] += _LED + _LED_PAST * passed + _LED_ACROSS * _crossed(self.centres[i], boxes[led], taken)
        return np.asarray(cost, dtype=np.float64)


def _candidates(centre: Floats, size: Floats, radius: float) -> tuple[Floats, Floats]:
    """Return boxes [n, 4] around a point, by rising distance, and their distances [n]."""
    steps, angles = (grid.ravel() for grid in np.meshgrid(_STEPS, _ANGLES, indexing="ij"))
    away = (radius + _GAP + steps)[:, None] + size / 2
    middle = centre + away * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.hstack([middle - size / 2, middle + size / 2]), steps


def along(corners: Floats, every: float = 3.0) -> Floats:
    """Return spots [n, 2] along the line through corners [m, 2], one `every` so many pt."""
    spots = [corners[:0]]
    for start, end in itertools.pairwise(corners):
        spots.append(np.linspace(start, end, max(2, math.ceil(math.dist(start, end) / every))))
    return np.concatenate(spots)


def overlaps(boxes: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    """Return which boxes [n, 4] overlap which others [m, 4], as [n, m]; edges that touch do not."""
    (left, bottom, right, top), (west, south, east, north) = boxes.T[..., None], others.T
    return np.asarray((left < east) & (west < right) & (bottom < north) & (south < top))


def distances(boxes: Floats, points: Floats) -> Floats:
    """Return how far boxes [n, 4] are from points [m, 2], as [n, m]; 0 inside."""
    beyond = np.maximum(boxes[:, None, :2] - points, points - boxes[:, None, 2:])
    return np.asarray(np.hypot(*np.moveaxis(np.maximum(beyond, 0.0), 2, 0)))


def _crossed(centre: Floats, boxes: Floats, others: Floats) -> npt.NDArray[np.int64]:
    """Return how many other boxes the line from a point to each box runs through."""
    ends = np.clip(centre, boxes[:, :2], boxes[:, 2:])
    spots = centre + np.linspace(0.1, 0.9, 10)[:, None, None] * (ends - centre)
    x, y = np.moveaxis(spots[:, :, None], 3, 0)
    west, south, east, north = others.T
    inside = (x > west) & (x < east) & (y > south) & (y < north)
    return np.asarray(inside.any(axis=0).sum(axis=1))


def spread(wanted: Floats, gap: float, bottom: float, top: float) -> Floats:
    """Return heights nearest to the wanted ones, in their order, at least `gap` apart, from bottom to top.

    Neighbours that are too close are pooled into blocks around their middle: least squares under an order.
    """
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    blocks: list[tuple[float, int]] = []
    for value in wanted[order] - steps:
        total, count = float(value), 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            before, many = blocks.pop()
            total, count = total + before, count + many
        blocks.append((total, count))
    levels = np.concatenate([np.full(count, total / count) for total, count in blocks])
    heights = np.empty_like(wanted)
    heights[order] = np.clip(levels, bottom, max(bottom, top - steps[-1])) + steps
    return heights
