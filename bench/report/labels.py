"""Labels beside points and at the ends of curves, placed by their size in print so that none lies upon another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import Affine2D, Transform

from bench.report.board import MANY, Board, Floats, along, spread
from bench.report.style import MUTED, drawable, freeze, renderer

_SIZE = 8.0
_LINE = 1.2 * _SIZE
_NOTE = 7.0
_PAD = 1.0  # pt around a label that stay free


@dataclass(frozen=True, slots=True)
class Point:
    """A point to label.

    Attributes:
        x: in data coordinates, like y.
        y: alike.
        text: what is written beside it.
        radius: of its marker in pt.
        halo: of a pale ball around it in pt.
        first: whether it is labelled before others.
        spread: half the length of the upright bar through it, in data coordinates; NaN or 0 for none.
    """

    x: float
    y: float
    text: str
    radius: float = 3.0
    halo: float = 0.0
    first: bool = False
    spread: float = 0.0


Line = Sequence[tuple[float, float]]


def place_labels(axes: Axes, points: Sequence[Point], lines: Sequence[Line] = (), unnamed: Line = ()) -> int:
    """Write the labels of points beside them, with a thin line where one is farther off or could be mistaken.

    A label lies within the axes, on no other label and, as far as there is room, on no marker and no line. How many
    found no room is said in a corner. Call it when all else is drawn: it settles the layout of the figure.

    Args:
        axes: where the points are.
        points: what to label.
        lines: that are drawn there, each by its corners in data coordinates.
        unnamed: where markers without a label are, in data coordinates.

    Returns:
        how many labels found no room and were left out.
    """
    figure = _figure(axes)
    if not points:
        return 0
    freeze(figure)
    names = [drawable(p.text) for p in points]
    lines = [*lines, *([(p.x, p.y - p.spread), (p.x, p.y + p.spread)] for p in points if p.spread > 0)]
    board = Board(
        centres=_in_print(axes, figure, [(p.x, p.y) for p in points]),
        sizes=_measure(figure, names) + 2 * _PAD,
        radii=np.array([p.radius for p in points]),
        halos=np.array([p.halo for p in points]),
        bounds=np.array(axes.get_window_extent().extents) * 72 / figure.dpi,
        spots=np.concatenate([np.zeros((0, 2)), *(along(_in_print(axes, figure, line)) for line in lines)]),
        first=np.array([p.first for p in points]),
        unnamed=_in_print(axes, figure, unnamed),
    )
    corner = board.quiet_corner(_measure(figure, [_note(len(points))], _NOTE)[0] + 4 * _PAD)
    if len(points) <= MANY:
        board.solve()
    if len(board.placed) < len(points):  # of many some surely find no room
        board.kept = corner[None]
        board.solve()
    if missing := len(points) - len(board.placed):
        _write(axes, _note(missing), (corner[:2] + corner[2:]) / 2, size=_NOTE, kind="note")
    for i, box in sorted(board.placed.items()):
        _write(axes, names[i], (box[:2] + box[2:]) / 2)
    _lead(axes, [board.leaders[i] for i in sorted(board.leaders)])
    return missing


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str]]) -> int:
    """Write names to the right of where curves end, moved apart up and down where they are too close.

    Room is made by widening the axis; its ticks still end where the curves do. Of crowded names every second, third and
    so on is written, and how many are not is said in the lower left corner. Call it when all else is drawn: it
    settles the layout of the figure.

    Args:
        axes: where the curves are.
        ends: last place, last value and name of each curve, in data coordinates.

    Returns:
        how many names found no room.
    """
    figure = _figure(axes)
    if not ends:
        return 0
    freeze(figure)
    room = int(axes.get_window_extent().height * 72 / figure.dpi / _LINE)
    wanted, ends = len(ends), sorted(ends, key=lambda end: end[1])[:: math.ceil(len(ends) / room)]
    ends = [(x, y, drawable(text)) for x, y, text in ends]
    _widen(axes, figure, _measure(figure, [text for _, _, text in ends])[:, 0].max() + 20)
    places = _in_print(axes, figure, [(x, y) for x, y, _ in ends])
    bottom, top = (v * 72 / figure.dpi for v in axes.get_window_extent().intervaly)
    heights = spread(places[:, 1], _LINE, bottom + _LINE / 2, top - _LINE / 2)
    starts, names = places + np.array([4.0, 0.0]), np.column_stack([places[:, 0] + 14.0, heights])
    for (_, _, text), name in zip(ends, names, strict=True):
        _write(axes, text, name, anchor="left")
    moved = np.abs(heights - places[:, 1]) > 2
    _lead(axes, np.stack([starts, names - np.array([1.5, 0.0])], axis=1)[moved])
    if missing := wanted - len(ends):
        corner = np.array([axes.get_window_extent().x0 * 72 / figure.dpi + 4, bottom + 7])
        _write(axes, _note(missing), corner, anchor="left", size=_NOTE, kind="note")
    return missing


def _note(count: int) -> str:
    return f"{count} label{'' if count == 1 else 's'} left out for want of room; the table has all"


def _in_print(axes: Axes, figure: Figure, places: Line) -> Floats:
    """Return places in data coordinates as [n, 2] in pt from the lower left of the figure."""
    data = np.array(places, dtype=np.float64).reshape(-1, 2)
    return np.asarray(axes.transData.transform(data), dtype=np.float64) * 72 / figure.dpi


def _measure(figure: Figure, texts: Sequence[str], size: float = _SIZE) -> Floats:
    """Return width and height [n, 2] of labels in pt."""
    measure, font = renderer(figure).get_text_width_height_descent, FontProperties(size=size)
    # As matplotlib lays out one line: at least as high as `lp`. A Text of its own takes four times as long.
    least = measure("lp", font, False)[1]
    found = [measure(text, font, False)[:2] for text in texts]
    return np.array([(width, max(height, least)) for width, height in found]) * 72 / figure.dpi


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
    place: Floats,
    *,
    anchor: Literal["left", "center"] = "center",
    size: float = _SIZE,
    kind: str = "network",
) -> None:
    """Write a label at a place in pt from the lower left of the figure; its kind tells it from other texts."""
    axes.text(
        float(place[0]),
        float(place[1]),
        text,
        transform=_print_scale(axes),
        fontsize=size,
        ha=anchor,
        va="center",
        zorder=6,
        label=kind,
    )


def _lead(axes: Axes, lines: Sequence[Floats] | Floats) -> None:
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
