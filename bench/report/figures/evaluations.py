"""Evaluated networks: accuracy with intervals beside what is published, reliability, and accuracy under corruption."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from bench.analysis.evaluations import Evaluation, Evaluations, Robustness
from bench.facts.reproduction import Reproduction
from bench.plan.corruption import SEVERITIES
from bench.report.figures import figure
from bench.report.figures._shared import FIXED, accuracy_axis, grid, heading, name_rows, not_drawn
from bench.report.figures._style import (
    COLOURS,
    GRID,
    INK,
    MUTED,
    SURFACE,
    canvas,
    drawable,
    footnote,
    legend,
    number_axis,
    ticks_at,
)
from bench.units import percent

_PANELS = 6
_MOST = 40  # rows of a panel
_LINES = 6  # networks of a panel with lines
_MARKERS = ("o", "s", "^", "D", "v", "P")

# --- accuracy ---


@figure(
    "evaluated_accuracy",
    title="Accuracy of weights, measured and published",
    caption="Points are top-1 accuracies measured here, lines their 95 % interval by Wilson over the images, the best "
    "on top. Hollow diamonds are published accuracies of the same weights, which were not measured here; a part of the "
    "classes is not comparable with them and has none. Words say whether the published one is reproduced.",
    needs="networks evaluated on images",
    place=60,
)
def _accuracy(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each data set."""
    by_data: defaultdict[str, list[Reproduction]] = defaultdict(list)
    for one in Reproduction.of_each(Evaluations.of(frame)):
        if one.evaluation.top1.images:
            by_data[one.evaluation.data].append(one)
    if not by_data:
        return None
    shown = list(by_data.items())[:_PANELS]
    heights = [0.27 * min(len(rows), _MOST) + 1.1 for _, rows in shown]
    drawing = canvas(8.2, sum(heights) + 0.4)
    panels = drawing.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (data, rows) in zip(panels, shown, strict=True):
        _accuracy_panel(axes, rows)
        heading(axes, data)
        if len(rows) > _MOST:
            axes.set_title(f"{axes.get_title('left')} · the {_MOST} best of {len(rows)}")
    keys = {"measured": _key("o", COLOURS[0], COLOURS[0]), "published": _key("D", INK, SURFACE)}
    if not any(_is_comparable(one) for _, rows in shown for one in rows):
        del keys["published"]
    note = not_drawn(by_data, shown)
    legend(drawing, list(keys.values()), list(keys), [note], loc="outside lower left", ncols=2)
    return drawing


def _key(marker: str, colour: str, face: str) -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, color=colour, markerfacecolor=face)


def _is_comparable(one: Reproduction) -> bool:
    """Return whether what is published of a network stands beside its accuracy."""
    return one.published is not None and one.word != "not comparable"


def _accuracy_panel(axes: Axes, rows: Sequence[Reproduction]) -> None:
    ranked = sorted(rows, key=lambda one: -one.evaluation.top1.value)[:_MOST]
    for place, one in enumerate(ranked):
        share, (low, high) = one.evaluation.top1, one.evaluation.top1.interval
        axes.plot([low, high], [place, place], color=COLOURS[0], linewidth=1.5, zorder=2)
        axes.plot(share.value, place, "o", color=COLOURS[0], markersize=6, zorder=3)
        reached = high
        if one.published is not None and _is_comparable(one):
            axes.plot(
                one.published.top1, place, "D", color=INK, markerfacecolor="none", markersize=6, zorder=4
            )
            reached = max(high, one.published.top1)
        word = one.word + (f": {', or '.join(one.causes)}" if one.causes else "")
        text = f"{percent(share.value)}  {word}" if one.published else percent(share.value)
        axes.annotate(text, (reached, place), (9, 0), textcoords="offset points", va="center", fontsize=8)
    name_rows(axes, [drawable(one.evaluation.label, 40) for one in ranked])
    number_axis(axes.xaxis, "Top-1 accuracy", "%")
    _with_room(axes)


def _with_room(axes: Axes) -> None:
    """Leave room on the right for words behind points."""
    low, high = axes.get_xlim()
    width = max(high - low, 0.02)
    axes.set_xlim(max(0.0, low - 0.03 * width), high + 0.55 * width)
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in axes.get_xticks() if 0 <= tick <= 1]))


# --- reliability ---


@figure(
    "reliability",
    title="Reliability of confidence",
    caption="Of the images of each of 15 bins of confidence, the share that was told right, with its 95 % interval by "
    "Wilson; the area of a point is the count of its images. Below the diagonal a network is too sure. The expected "
    "calibration error is beside what it would be by chance alone, were the network without fault.",
    needs="networks evaluated on images, with their answers stored",
    place=62,
)
def _reliability(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each network, those with the most images first."""
    known = [one for one in Evaluations.of(frame).plain if one.reliability.bins]
    if not known:
        return None
    shown = known[:_PANELS]
    drawing, panels = grid(len(shown), 3, (3.5, 4.1), FIXED)
    for axes, one in zip(panels, shown, strict=True):
        _reliability_panel(axes, one)
    footnote(drawing, [not_drawn(known, shown)])
    return drawing


def _reliability_panel(axes: Axes, one: Evaluation) -> None:
    made = one.reliability
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, zorder=1)
    most = max(each.images for each in made.bins)
    for each in made.bins:
        axes.plot([each.confidence] * 2, [each.low, each.high], color=COLOURS[0], linewidth=1, zorder=2)
    points = [(each.confidence, each.accuracy, 12 + 110 * each.images / most) for each in made.bins]
    across, up, areas = zip(*points, strict=True)
    axes.scatter(across, up, s=areas, color=COLOURS[0], alpha=0.85, linewidth=0, zorder=3)
    told = f"error {percent(made.error)}, by chance {percent(made.perfect)}\n{drawable(one.data, 40)}"
    number_axis(axes.xaxis, f"Confidence\n{told}", "%")
    number_axis(axes.yaxis, "Told right", "%")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    heading(axes, one.label, 27)


# --- corruption ---


@figure(
    "corruption_curves",
    title="Accuracy under corruption",
    caption="Top-1 accuracy by severity of each corruption, with its 95 % interval by Wilson; severity 0 is the clean "
    "image. Corruptions and severities are those of Hendrycks and Dietterich (2019), made on the fly, the same pixels "
    "for every network of one input size; frost is drawn, and differs from theirs.",
    needs="networks evaluated on corrupted images",
    place=64,
)
def _corruption(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each corruption."""
    known = Evaluations.of(frame).robustness()
    if not known:
        return None
    first = [one for one in known if one.data == known[0].data]
    shown = first[:_LINES]
    names = list(dict.fromkeys(name for one in shown for name in one.shares))
    columns = min(5, len(names))
    drawing, panels = grid(len(names), columns, (max(2.3, 4.6 / columns), 2.2), more=(0, 0.7))
    for axes, name in zip(panels, names, strict=True):
        _corruption_panel(axes, name, shown)
    high = max(axes.get_ylim()[1] for axes in panels)
    for at, axes in enumerate(panels):
        axes.set_ylim(0, high)
        axes.set_ylabel("Top-1 accuracy" if at % columns == 0 else "")
        axes.set_xlabel("Severity")
    keys = [Line2D([], [], marker=_MARKERS[i], color=COLOURS[i], markersize=5) for i in range(len(shown))]
    note, texts = not_drawn(known, shown, "network"), [one.network for one in shown]
    legend(drawing, keys, texts, [note], loc="outside lower left", ncols=min(3, len(keys)))
    return drawing


def _corruption_panel(axes: Axes, name: str, shown: Sequence[Robustness]) -> None:
    for i, one in enumerate(shown):
        shares = {0: one.clean, **by} if (by := one.shares.get(name)) else {}
        places, values = list(shares), [share.value for share in shares.values()]
        ends = np.array([share.interval for share in shares.values()]).reshape(-1, 2)
        axes.fill_between(places, ends[:, 0], ends[:, 1], color=COLOURS[i], alpha=0.15, linewidth=0)
        axes.plot(places, values, marker=_MARKERS[i], markersize=4, color=COLOURS[i], linewidth=1.3)
    axes.set_title(name.replace("_", " "), fontsize=9)
    accuracy_axis(axes, "")
    ticks_at(axes.xaxis, [0, *SEVERITIES], ["0", *map(str, SEVERITIES)])
    axes.grid(visible=True, color=GRID)
