"""Curves with their names at their ends; many of them in a panel for each family, the others grey behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.report.figures._panels import heading, left_out, panels
from bench.report.labels import label_ends
from bench.report.style import GRID, Look, family_name

_ONE_PANEL = 8  # curves
_DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True, slots=True)
class Curve:
    """One network: places, values, and the band between `low` and `high` where it has one."""

    label: str
    family: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Curves that share their axes, and a title; `setup` makes the axes of a panel."""

    title: str
    curves: Sequence[Curve]
    setup: Callable[[Axes], None]


def draw_lines(groups: Sequence[Group], look: Mapping[str, Look]) -> Figure | None:
    """Draw each group in one panel, or where it has many curves in one for each family."""
    shown = [panel for group in groups for panel in _split(group)]
    if not shown:
        return None
    drawing, axes = panels(len(shown), height=3.6)
    for a, (group, title, curves) in zip(axes, shown, strict=True):
        names = {c.label for c in curves}
        _behind(a, [c for c in group.curves if c.label not in names])
        _curves(a, curves, look)
        group.setup(a)
        heading(a, title)
    for a, (_, _, curves) in zip(axes, shown, strict=True):
        left_out(a, label_ends(a, [(c.x[-1], c.y[-1], c.label) for c in curves]), "left")
    return drawing


def _split(group: Group) -> list[tuple[Group, str, list[Curve]]]:
    """Return the panels of a group; families of one network share a panel."""
    curves = list(group.curves)
    if len(curves) <= _ONE_PANEL:
        return [(group, group.title, curves)] if curves else []
    sizes = Counter(c.family for c in curves)
    alone = [c for c in curves if sizes[c.family] == 1]
    shared = [alone[i : i + _ONE_PANEL] for i in range(0, len(alone), _ONE_PANEL)]
    families = [[c for c in curves if c.family == f] for f, size in sizes.items() if size > 1]
    return [
        *((group, f"{one[0].family} · {group.title}", one) for one in families),
        *((group, f"others · {group.title}", some) for some in shared),
    ]


def _behind(axes: Axes, curves: Sequence[Curve]) -> None:
    if not curves:
        return
    lines = [np.column_stack([c.x, c.y]) for c in curves]
    axes.add_collection(LineCollection(lines, colors=GRID, linewidths=1, zorder=1))


def _curves(axes: Axes, curves: Sequence[Curve], look: Mapping[str, Look]) -> None:
    """Draw curves in the colour of their family, those of one colour with different dashes."""
    seen: Counter[str] = Counter()
    bands, colours = [], []
    for curve in curves:
        style = look[family_name(curve.family)]
        dashes = _DASHES[seen[style.colour] % len(_DASHES)]
        seen[style.colour] += 1
        axes.plot(
            curve.x, curve.y, color=style.colour, linestyle=dashes, marker=style.marker, markersize=5,
            markevery=[len(curve.x) - 1], zorder=3,
        )  # fmt: skip
        if curve.low:
            edge = np.column_stack([[*curve.x, *curve.x[::-1]], [*curve.low, *curve.high[::-1]]])
            bands.append(edge)
            colours.append(style.colour)
    axes.add_collection(PolyCollection(bands, facecolors=colours, alpha=0.15, linewidth=0, zorder=2))


def whole_numbers(axes: Axes, label: str) -> None:
    """Label the x axis of counts."""
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
