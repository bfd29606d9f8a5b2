"""Panels that several figures draw: grids of axes, and labelled points in the colour and marker of their family."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.pareto import pareto_front
from bench.report.figures._rows import P, in_doubt
from bench.report.figures.labels import Line, Point, place_labels
from bench.report.figures.style import (
    MUTED,
    SURFACE,
    Look,
    canvas,
    drawable,
    family_legend,
    family_name,
    looks,
    number_axis,
)

CROWDED = 18  # points of a panel, above which it is made wide
Looks = Mapping[str, Look]
Layout = tuple[Literal["constrained", "compressed"], float, float]
FIXED: Layout = ("compressed", 0.12, 0.1)  # for panels of a fixed shape side by side


def grid(
    width: float, height: float, columns: int, count: int, layout: Layout | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels in rows of so many columns.

    Args:
        width: of the figure in inches.
        height: of the figure in inches.
        columns: of panels.
        count: of panels.
        layout: matplotlib's layout engine, and its padding in inches across and down; by default that of `canvas`.
    """
    drawing = canvas(width, height)
    if layout is not None:
        drawing.set_layout_engine(layout[0], w_pad=layout[1], h_pad=layout[2])
    axes = list(drawing.subplots(math.ceil(count / columns), columns, squeeze=False).flat)
    for empty in axes[count:]:
        empty.remove()
    return drawing, axes[:count]


def panels(count: int, *, wide: bool = False, height: float = 4.6) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels, two beside each other, or where they are `wide` one below the other."""
    columns = 1 if wide or count == 1 else 2
    width = 9.8 if wide else (5.4 * 2 if columns == 2 else 8.2)
    height = math.ceil(count / columns) * height * (1.3 if wide else 1.0)
    return grid(
        width, height, columns, count, ("constrained", 0.1, 0.08)
    )  # titles keep clear of other panels


def heading(axes: Axes, title: str, limit: int = 54) -> None:
    """Set the title of a panel; data sets and machines have names from outside."""
    axes.set_title(drawable(title, limit))


def not_drawn(parts: Sequence[object], shown: Sequence[object]) -> str:
    """Return a line for the foot of a figure that says how many panels were left out, nothing where none was."""
    more = len(parts) - len(shown)
    return f"{more} more panel{'' if more == 1 else 's'} not drawn; the table has all" if more else ""


def spans(values: Sequence[float]) -> float:
    """Return how many times the largest value is the smallest positive one."""
    positive = [v for v in values if v > 0]
    return max(positive) / min(positive) if positive else 1.0


def by_family(rows: pd.DataFrame, look: Looks) -> Iterator[tuple[Look, pd.DataFrame]]:
    """Yield the rows of each family with its look."""
    for family, part in rows.groupby(rows["family"].map(family_name), sort=False):
        yield look[str(family)], part


@dataclass(frozen=True, slots=True)
class Labels:
    """What is labelled in a panel, and the lines and the markers without a label that are in the way."""

    points: Sequence[Point]
    lines: Sequence[Line] = ()
    unnamed: Line = ()


def draw_scatter(
    table: pd.DataFrame,
    parts: Sequence[P],
    draw: Callable[[Axes, P, Looks], Labels],
    notes: Callable[[Figure, Sequence[P]], Iterable[str]],
    *,
    most: int = 6,
    wide: bool | None = None,
    more: Callable[[Figure], None] | None = None,
) -> Figure | None:
    """Draw a panel of labelled points for each part, above a legend of the families with notes; None without parts.

    Args:
        table: of `compare_table`, which gives families their looks.
        parts: what the panels show.
        draw: draws one part, and returns what is to be labelled.
        notes: lines for the foot of the figure, of the parts that are shown; empty ones are left out.
        most: panels; how many are left out is said.
        wide: whether panels stand below each other; by default where one is crowded.
        more: adds to the figure below its legend.
    """
    if not parts:
        return None
    shown = parts[:most]
    crowded = max(len(part.rows) for part in shown) > CROWDED
    drawing, axes = panels(len(shown), wide=crowded if wide is None else wide)
    look = looks(table["family"])
    labels = [draw(a, part, look) for a, part in zip(axes, shown, strict=True)]
    families = pd.concat([part.rows["family"] for part in shown])
    family_legend(drawing, families, look, [*notes(drawing, shown), not_drawn(parts, shown)])
    if more is not None:
        more(drawing)
    for a, one in zip(axes, labels, strict=True):
        place_labels(a, one.points, one.lines, one.unnamed)
    return drawing


def accuracy_axis(axes: Axes, label: str) -> None:
    """Make the upright axis one of accuracies, with room above and below."""
    number_axis(axes.yaxis, label, "%")
    axes.margins(y=0.12)


def draw_marks(
    axes: Axes, rows: pd.DataFrame, across: str, up: str, look: Look, *, size: float, **errors: Any
) -> None:
    """Draw the points of a family, column `up` against `across`.

    With `yerr` and other settings of matplotlib's `errorbar` they have bars.
    """
    style: dict[str, Any] = {"marker": look.marker, "markersize": size, "linestyle": "", "color": look.colour}
    if errors:
        axes.errorbar(rows[across], rows[up], elinewidth=1, zorder=3, **style, **errors)
    else:
        axes.plot(rows[across], rows[up], zorder=3, **style)


def draw_points(axes: Axes, rows: pd.DataFrame, across: str, up: str, look: Looks) -> list[Point]:
    """Draw column `up` against `across`, with a standard deviation where `{up}_sd` has it; return what to label.

    Points with a number that is in doubt are hollow.
    """
    doubtful = in_doubt(rows, across, up)
    for hollow, some in ((False, rows[~doubtful]), (True, rows[doubtful])):
        for style, part in by_family(some, look):
            face = SURFACE if hollow else style.colour
            draw_marks(axes, part, across, up, style, size=6, yerr=part[f"{up}_sd"], markerfacecolor=face)
    places = zip(rows[across], rows[up], rows["label"], rows[f"{up}_sd"], strict=True)
    return [Point(x, y, text, radius=4, spread=spread) for x, y, text, spread in places]


def draw_corners(axes: Axes, corners: Line, width: float = 1) -> list[Line]:
    """Draw a line through corners, and return it as what is in the way of labels; nothing without any."""
    if not corners:
        return []
    axes.plot(*zip(*corners, strict=True), color=MUTED, linewidth=width, zorder=1)
    return [corners]


def draw_front(
    axes: Axes,
    rows: pd.DataFrame,
    cost: str,
    value: str,
    *,
    doubtful: pd.Series[bool],
    better: Literal["lower", "higher"] = "lower",
) -> tuple[pd.Series[bool], list[Line]]:
    """Draw the Pareto front of the rows that are not in doubt; return which are on it, and its line."""
    front = doubtful & False
    front[~doubtful] = pareto_front(rows[~doubtful], cost, value, cost_better=better)
    best = rows[front].sort_values(cost)
    return front, draw_corners(axes, steps(best[cost].tolist(), best[value].tolist(), better))


def steps(
    costs: Sequence[float], values: Sequence[float], better: Literal["lower", "higher"]
) -> list[tuple[float, float]]:
    """Return the corners of a front, whose costs rise: the best value to be had at a cost no worse than each."""
    points = list(zip(costs, values, strict=True))
    corners = points[:1]
    for (x_before, y_before), (x, y) in itertools.pairwise(points):
        corners += [(x, y_before) if better == "lower" else (x_before, y), (x, y)]
    return corners
