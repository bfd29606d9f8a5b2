"""Labels beside points, placed so that none lies upon another: greedy, by size in print, the same every time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from bench.report.style import MUTED, drawable, freeze, renderer

Floats = npt.NDArray[np.float64]

_SIZE = 8.0
_GAP = 3.0  # pt between a marker and its label
_PAD = 1.0  # pt around a label that stay free
_LEADER = 6.0  # pt from which a line leads to a label
_REACH = 90.0  # pt that a label may be away from its point, with a line leading to it
_ANGLES = np.radians([0, 180, 90, 270, 45, 135, 315, 225, 22.5, 157.5, 337.5, 202.5, 67.5, 112.5, 292.5, 247.5])
_STEPS = np.concatenate([[0.0], np.geomspace(3.0, _REACH, 18)])


@dataclass(frozen=True, slots=True)
class Point:
    """A point in data coordinates, the radius of its marker in pt, and what is written beside it."""

    x: float
    y: float
    text: str
    radius: float = 3.0


def place_labels(axes: Axes, points: Sequence[Point], line: Sequence[tuple[float, float]] = ()) -> int:
    """Write the labels of points beside them, nearest first, with a thin line where one is farther off.

    A label lies within the axes, on no other label and, as far as there is room, on no marker and not on `line`.
    Call it when all else is drawn: it settles the layout of the figure.

    Args:
        axes: where the points are.
        points: what to label.
        line: corners, in data coordinates, of a line that is drawn through the points.

    Returns:
        how many labels found no room and were left out.
    """
    figure = axes.get_figure(root=True)
    if figure is None or not points:
        return 0
    freeze(figure)
    board = _Board(
        centres=_in_print(axes, figure, [(p.x, p.y) for p in points]),
        sizes=np.array([_measure(figure, p.text) for p in points]) + 2 * _PAD,
        radii=np.array([p.radius for p in points]),
        bounds=np.array(axes.get_window_extent().extents) * 72 / figure.dpi,
        spots=_along(_in_print(axes, figure, line)),
    )
    for i in board.crowded_first():
        board.place(i)
    for i, box in sorted(board.placed.items()):
        _write(axes, points[i], board.centres[i], box)
    return len(points) - len(board.placed)


def _in_print(axes: Axes, figure: Figure, places: Sequence[tuple[float, float]]) -> Floats:
    """Return places in data coordinates as [n, 2] in pt from the lower left of the figure."""
    data = np.array(places, dtype=np.float64).reshape(-1, 2)
    return np.asarray(axes.transData.transform(data), dtype=np.float64) * 72 / figure.dpi


def _along(corners: Floats, every: float = 3.0) -> Floats:
    """Return spots [n, 2] along the line through corners, `every` so many pt."""
    spots = [corners[:0]]
    for start, end in zip(corners[:-1], corners[1:], strict=True):
        count = max(2, math.ceil(math.dist(start, end) / every))
        spots.append(np.linspace(start, end, count))
    return np.concatenate(spots)


def _measure(figure: Figure, text: str) -> tuple[float, float]:
    """Return width and height of a label in pt."""
    probe = Text(0, 0, drawable(text), fontsize=_SIZE, figure=figure)
    extent = probe.get_window_extent(renderer(figure))
    return extent.width * 72 / figure.dpi, extent.height * 72 / figure.dpi


@dataclass(slots=True)
class _Board:
    """One panel in pt: what is to be labelled, what is in the way, and the boxes taken so far."""

    centres: Floats  # [n, 2]
    sizes: Floats  # [n, 2]
    radii: Floats  # [n]
    bounds: Floats  # left, bottom, right, top
    spots: Floats  # [m, 2] of lines
    placed: dict[int, Floats] = field(default_factory=dict)

    def crowded_first(self) -> list[int]:
        """Return the order of placing: points with most neighbours within a label's reach first."""
        near = np.abs(self.centres[:, None] - self.centres[None]) < 1.5 * self.sizes.mean(axis=0)
        neighbours = near.all(axis=2).sum(axis=1)
        x, y = self.centres.T
        return sorted(range(len(x)), key=lambda i: (-neighbours[i], x[i], -y[i], i))

    def place(self, i: int) -> None:
        """Take the cheapest free box for a label, and the line that leads to it; nothing where all are taken."""
        boxes, steps = _candidates(self.centres[i], self.sizes[i], self.radii[i])
        taken = np.array(list(self.placed.values())).reshape(-1, 4)
        inside = ((boxes[:, :2] >= self.bounds[:2]) & (boxes[:, 2:] <= self.bounds[2:])).all(axis=1)
        free = inside & ~_overlaps(boxes, taken).any(axis=1)
        if not free.any():
            return
        cost = np.where(free, self._cost(i, boxes, steps, taken), np.inf)
        box = boxes[np.argmin(cost)]
        self.placed[i] = box
        if _apart(self.centres[i], box) > self.radii[i] + _GAP + _LEADER:
            leader = _along(np.stack([self.centres[i], np.clip(self.centres[i], box[:2], box[2:])]))
            self.spots = np.concatenate([self.spots, leader])

    def _cost(self, i: int, boxes: Floats, steps: Floats, taken: Floats) -> Floats:
        """Return what each box costs: its distance, and most of all what it would cover."""
        cores = np.minimum(self.radii, 4.0)[:, None]
        markers = np.hstack([self.centres - cores, self.centres + cores])
        balls = np.hstack([self.centres - 0.7 * self.radii[:, None], self.centres + 0.7 * self.radii[:, None]])
        lines = np.hstack([self.spots, self.spots])
        cost = steps + 0.15 * np.tile(np.arange(len(_ANGLES)), len(_STEPS))
        cost += 40 * _overlaps(boxes, markers).sum(axis=1) + 4 * _overlaps(boxes, balls).sum(axis=1)
        cost += 25 * _overlaps(boxes, lines).any(axis=1)
        return np.asarray(cost + 60 * _line_hits(self.centres[i], boxes, steps, taken))


def _apart(centre: Floats, box: Floats) -> float:
    return math.dist(np.clip(centre, box[:2], box[2:]), centre)


def _candidates(centre: Floats, size: Floats, radius: float) -> tuple[Floats, Floats]:
    """Return boxes [n, 4] around a point, by rising distance, and their distances [n] in pt."""
    steps, angles = (grid.ravel() for grid in np.meshgrid(_STEPS, _ANGLES, indexing="ij"))
    away = (radius + _GAP + steps)[:, None] + size / 2
    middle = centre + away * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.hstack([middle - size / 2, middle + size / 2]), steps


def _overlaps(boxes: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    """Return which boxes [n, 4] overlap which others [m, 4], as [n, m]."""
    a, b = boxes[:, None], others[None]
    return np.asarray(((a[..., :2] < b[..., 2:]) & (b[..., :2] < a[..., 2:])).all(axis=2))


def _line_hits(centre: Floats, boxes: Floats, steps: Floats, placed: Floats) -> Floats:
    """Return how many placed labels the line from a point to each box runs through."""
    ends = np.clip(centre, boxes[:, :2], boxes[:, 2:])
    along = np.linspace(0.1, 0.9, 9)[:, None, None]
    spots = centre + along * (ends - centre)
    inside = (spots[:, :, None] > placed[:, :2]) & (spots[:, :, None] < placed[:, 2:])
    return np.asarray(inside.all(axis=3).any(axis=0).sum(axis=1) * (steps > _LEADER), dtype=np.float64)


def _write(axes: Axes, point: Point, centre: Floats, box: Floats, anchor: str = "center") -> Annotation:
    """Write a label into its box, with a line to its point where the two are apart."""
    offset = (box[:2] + box[2:]) / 2 - centre
    far = _apart(centre, box) > point.radius + _GAP + _LEADER
    line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": point.radius}
    return axes.annotate(
        drawable(point.text),
        (point.x, point.y),
        xytext=(float(offset[0]), float(offset[1])),
        textcoords="offset points",
        fontsize=_SIZE,
        ha=anchor,
        va="center",
        arrowprops=line if far else None,
        zorder=6,
    )


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str]]) -> None:
    """Write names to the right of where curves end, moved apart up and down where they are too close.

    Room is made by widening the axis; its ticks still end where the curves do. Call it when all else is drawn: it
    settles the layout of the figure.

    Args:
        axes: where the curves are.
        ends: last place, last value and name of each curve, in data coordinates.
    """
    figure = axes.get_figure(root=True)
    if figure is None or not ends:
        return
    freeze(figure)
    _widen(axes, figure, max(_measure(figure, text)[0] for _, _, text in ends) + 16)
    places = _in_print(axes, figure, [(x, y) for x, y, _ in ends])
    bottom, top = (v * 72 / figure.dpi for v in axes.get_window_extent().intervaly)
    heights = _spread(places[:, 1], _SIZE * 1.2, bottom, top)
    for (x, y, text), place, height in zip(ends, places, heights, strict=True):
        offset = np.array([12.0, height - place[1]])
        point = Point(x, y, text, 2.0)
        box = np.concatenate([place + offset, place + offset])
        _write(axes, point, place, box, anchor="left")


def _widen(axes: Axes, figure: Figure, room: float) -> None:
    """Leave so many pt free to the right of the data, without ticks."""
    width = axes.get_window_extent().width * 72 / figure.dpi
    ends = np.array(axes.transScale.transform(np.column_stack([axes.dataLim.intervalx, axes.dataLim.intervaly])))
    low, high = ends[:, 0]
    right = axes.transScale.inverted().transform((low + (high - low) * width / max(width - room, width / 3), ends[0, 1]))
    ticks = [t for t in axes.get_xticks() if axes.dataLim.x0 <= t <= axes.dataLim.x1]
    axes.set_xlim(right=float(right[0]))
    axes.set_xticks(ticks)


def _spread(wanted: Floats, gap: float, bottom: float, top: float) -> Floats:
    """Return heights near the wanted ones, in their order, at least `gap` apart and between bottom and top."""
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    # Least squares under an order: pool neighbours that are too close into blocks around their middle.
    blocks: list[tuple[float, int]] = []
    for value in wanted[order] - steps:
        total, count = float(value), 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            before, many = blocks.pop()
            total, count = total + before, count + many
        blocks.append((total, count))
    level = np.concatenate([np.full(count, total / count) for total, count in blocks])
    heights = np.empty_like(wanted)
    heights[order] = np.clip(level, bottom, max(bottom, top - steps[-1])) + steps
    return heights
