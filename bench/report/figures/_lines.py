"""Curves with their names at their ends; many of them in a panel for each family, the others grey behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.report.figures._panels import grid, heading
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
    panels = [panel for group in groups for panel in _panels(group)]
    if not panels:
        return None
    columns = min(len(panels), 2)
    drawing, lines = grid(math.ceil(len(panels) / columns), columns, height=3.6)
    axes = [a for line in lines for a in line]
    for a, (group, title, curves) in zip(axes, panels, strict=False):
        _behind(a, [c for c in group.curves if c not in curves])
        _curves(a, curves, look)
        group.setup(a)
        heading(a, title)
    for empty in axes[len(panels) :]:
        empty.remove()
    for a, (_, _, curves) in zip(axes, panels, strict=False):
        label_ends(a, [(c.x[-1], c.y[-1], c.label) for c in curves])
    return drawing


def _panels(group: Group) -> list[tuple[Group, str, list[Curve]]]:
    if len(group.curves) <= _ONE_PANEL:
        return [(group, group.title, list(group.curves))] if group.curves else []
    families = dict.fromkeys(c.family for c in group.curves)
    return [(group, f"{f} · {group.title}", [c for c in group.curves if c.family == f]) for f in families]


def _behind(axes: Axes, curves: Sequence[Curve]) -> None:
    for curve in curves:
        axes.plot(curve.x, curve.y, color=GRID, linewidth=1, zorder=1)


def _curves(axes: Axes, curves: Sequence[Curve], look: Mapping[str, Look]) -> None:
    seen: dict[str, int] = {}
    for curve in curves:
        nth = seen[curve.family] = seen.get(curve.family, -1) + 1
        style = look[family_name(curve.family)]
        axes.plot(curve.x, curve.y, color=style.colour, linestyle=_DASHES[nth % len(_DASHES)], zorder=3)
        axes.plot(curve.x[-1:], curve.y[-1:], color=style.colour, marker=style.marker, markersize=5, zorder=4)
        if curve.low:
            axes.fill_between(curve.x, curve.low, curve.high, color=style.colour, alpha=0.15, linewidth=0, zorder=2)


def whole_numbers(axes: Axes, label: str) -> None:
    """Label the x axis of counts."""
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
