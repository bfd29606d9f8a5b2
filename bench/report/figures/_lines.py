"""Curves with their names at their ends; many of them in a panel for each family, the others grey behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.report.figures._panels import Looks, heading, not_drawn, panels
from bench.report.figures._rows import by_seeds, failed_note
from bench.report.figures.labels import label_ends
from bench.report.figures.style import GRID, family_name, footnote

_ONE_PANEL = 8  # curves
_PANELS = 16  # of a figure
_MANY = 40  # curves of a group
_DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True, slots=True)
class Curve:
    """The curve of one network: places, values, and the band between `low` and `high` where it has one."""

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


_Panel = tuple[Group, str, list[Curve]]


def training_curves(rows: pd.DataFrame, curve: Callable[[str, pd.DataFrame], Curve | None]) -> list[Curve]:
    """Return the curve of each network's trainings that differ in their seed alone, of those that have one."""
    return [one for label, seeds in by_seeds(rows) if (one := curve(label, seeds))]


def draw_lines(groups: Sequence[Group], look: Looks, failed: Sequence[tuple[str, str]] = ()) -> Figure | None:
    """Draw each group in one panel, or where it has many curves in one for each family.

    Pairs of a status and a name that `failed` are named below the panels.
    """
    return _draw([panel for group in groups for panel in _split(group)], look, failed)


def draw_pairs(
    pairs: Sequence[tuple[Group, Group]],
    look: Looks,
    failed: Sequence[tuple[str, str]] = (),
    ranking: Sequence[str] = (),
) -> Figure | None:
    """Draw the panels of two groups beside each other; where one of the two lacks curves, those of the other last.

    Of more than 40 curves of a group that of each family is drawn whose network stands first in the `ranking`, with
    the others grey behind.
    """
    split = [(_split(left, ranking), _split(right, ranking)) for left, right in pairs]
    beside = [panel for two in split if _match(*two) for pair in zip(*two, strict=True) for panel in pair]
    alone = [panel for two in split if not _match(*two) for one in two for panel in one]
    return _draw([*beside, *alone], look, failed)


def _match(left: Sequence[_Panel], right: Sequence[_Panel]) -> bool:
    return [title for _, title, _ in left] == [title for _, title, _ in right]


def _draw(parts: Sequence[_Panel], look: Looks, failed: Sequence[tuple[str, str]] = ()) -> Figure | None:
    if not parts:
        return None
    shown = parts[:_PANELS]
    drawing, axes = panels(len(shown), height=3.6)
    for a, (group, title, curves) in zip(axes, shown, strict=True):
        names = {c.label for c in curves}
        _behind(a, [c for c in group.curves if c.label not in names])
        _curves(a, curves, look)
        group.setup(a)
        heading(a, title)
    footnote(drawing, [failed_note(drawing, failed), not_drawn(parts, shown)])
    for a, (_, _, curves) in zip(axes, shown, strict=True):
        label_ends(a, [(c.x[-1], c.y[-1], c.label) for c in curves])
    return drawing


def _split(group: Group, ranking: Sequence[str] = ()) -> list[_Panel]:
    """Return the panels of a group; families of one network share a panel."""
    curves = list(group.curves)
    if ranking and len(curves) > _MANY:
        return [(group, f"{group.title} · best of families", _first_of_families(curves, ranking))]
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


def _first_of_families(curves: Sequence[Curve], ranking: Sequence[str]) -> list[Curve]:
    places = {name: place for place, name in enumerate(ranking)}
    ordered = sorted(curves, key=lambda c: places.get(c.label.split(" · ")[0], len(places)))
    first = {c.family: c for c in reversed(ordered)}
    return [c for c in ordered if first[c.family] is c][:_ONE_PANEL]


def _behind(axes: Axes, curves: Sequence[Curve]) -> None:
    """Draw curves in grey, by few of their points: hundreds of them would make a page heavy."""
    if not curves:
        return
    lines = [np.column_stack([c.x, c.y])[_spread(len(c.x))] for c in curves]
    axes.add_collection(LineCollection(lines, colors=GRID, linewidths=1, zorder=1))


def _spread(count: int) -> list[int]:
    """Return the places of the first, the last and evenly of others, sixteen at most."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, 16))})


def _curves(axes: Axes, curves: Sequence[Curve], look: Looks) -> None:
    """Draw curves in the colour of their family, those of one colour with different dashes."""
    drawn: Counter[str] = Counter()
    bands, colours = [], []
    for curve in curves:
        style = look[family_name(curve.family)]
        dashes = _DASHES[drawn[style.colour] % len(_DASHES)]
        drawn[style.colour] += 1
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
