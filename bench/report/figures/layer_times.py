"""Where the time of networks goes: an icicle by module, time against multiply-accumulates, and two networks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.layer_differences import Difference, foremost, layer_differences
from bench.analysis.layers import Layer, LayerTable
from bench.report.figures import figure
from bench.report.figures._labels import Labels, Point, place_labels
from bench.report.figures._shared import grid, not_drawn
from bench.report.figures._style import (
    COLOURS,
    GRID,
    INK,
    MUTED,
    SURFACE,
    drawable,
    footnote,
    legend,
    log_axis,
    number_axis,
    ticks_at,
)
from bench.units import percent, significant

_MOST = 4  # networks
_MOST_LAYERS = 14  # of two networks side by side
_WIDE = 9.0  # inches, in which three columns of a legend fit
_LETTER = 0.0085  # of the width of a panel that a letter takes

# Shares of the roofline, from dark to light: what is far below it stands out.
_SHARES = ((0.1, "#8c2d04"), (0.25, "#d94801"), (0.5, "#fd8d3c"), (math.inf, "#fdd0a2"))
_UNKNOWN, _MODULE = "#b4bcc6", GRID


def _colour(share: float) -> str:
    return next((colour for limit, colour in _SHARES if share < limit), _UNKNOWN)


def _legend_of_shares(drawing: Figure, layers: Iterable[Layer], note: str) -> None:
    """Say what the colours mean that some layers have."""
    limits = ["0 %", *(percent(limit, 0) for limit, _ in _SHARES[:-1])]
    texts = [f"{low} to {high} of the roofline" for low, high in pairwise(limits)]
    texts += [f"{limits[-1]} and more", "not known, or several layers"]
    colours = [*(colour for _, colour in _SHARES), _UNKNOWN]
    drawn = {_colour(layer.roofline_share) for layer in layers}
    named = {text: colour for text, colour in zip(texts, colours, strict=True) if colour in drawn}
    columns = 3 if drawing.get_figwidth() > _WIDE else 2
    square: dict[str, Any] = {"linestyle": "", "marker": "s", "markersize": 9}
    handles = [Line2D([], [], color=colour, **square) for colour in named.values()]
    legend(drawing, handles, [*named], [note], loc="outside lower left", ncols=columns)


def _title(table: LayerTable) -> str:
    what = "training step" if table.training else "forward"
    how = f"batch {table.how['batch_size']:.0f}, {table.how['precision']}, {table.how['device']}"
    return f"{drawable(table.arch)}, {what}, {how}: {table.time}"


@figure(
    "layer_icicle",
    title="Time by module",
    caption="How long each layer takes, as a width, in the order of the calls; above each the modules that it is in. "
    "The darker, the further it is from what bounds it: the machine's rate of matrix products, its bandwidth, or "
    "launching. What is empty, to the right, lies between layers.",
    needs="jobs of the task layers",
    place=71,
)
def _icicles(_table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each network whose layers were timed."""
    every = LayerTable.in_frame(frame)
    if not every:
        return None
    tables = every[:_MOST]
    drawing, panels = grid(len(tables), 1, (10.8, 3.1), more=(0, 0.5))
    for axes, table in zip(panels, tables, strict=True):
        _icicle(axes, table)
    layers = (layer for table in tables for layer in table.layers)
    _legend_of_shares(drawing, layers, not_drawn(every, tables, "network"))
    return drawing


def _icicle(axes: Axes, table: LayerTable) -> None:
    timed = [layer for layer in table.layers if layer.kind not in ("group", "inner")]
    groups = [layer for layer in table.layers if layer.kind in ("group", "inner")]
    levels = max((len(layer.path) for layer in timed), default=1)
    whole = max(table.network.estimate, math.fsum(layer.time.estimate for layer in table.layers))
    spans, at = [], 0.0  # of each layer: beginning, seconds, path
    for layer in [*timed, *groups]:
        spans.append((at, layer.time.estimate, layer.path or (layer.name,)))
        at += layer.time.estimate
    by_level = {level: list(_modules(spans, level)) for level in range(1, levels + 1)}
    modules = {0: [(0.0, at, table.arch)], **by_level}
    for level, boxes in modules.items():
        for start, seconds, _ in boxes:
            _box(axes, start, level, seconds, _MODULE)
    for (start, seconds, path), layer in zip(spans, [*timed, *groups], strict=True):
        _box(axes, start, len(path), seconds, _colour(layer.roofline_share))
    for level, boxes in modules.items():
        for start, seconds, name in boxes:
            _name(axes, name.rpartition(".")[2] if level else name, (start, seconds), level, whole)
    axes.set_xlim(0, whole)
    axes.set_ylim(levels + 1, 0)
    axes.grid(visible=False)
    number_axis(axes.xaxis, "Time", "s")
    ticks_at(axes.yaxis, [level + 0.5 for level in range(levels + 1)], [str(n) for n in range(levels + 1)])
    axes.set_ylabel("Depth")
    axes.set_title(_title(table))


def _box(axes: Axes, start: float, level: int, seconds: float, colour: str) -> None:
    axes.broken_barh([(start, seconds)], (level, 1), facecolor=colour, edgecolor=SURFACE, linewidth=0.4)


def _modules(
    spans: Sequence[tuple[float, float, tuple[str, ...]]], level: int
) -> Iterator[tuple[float, float, str]]:
    """Yield beginning, seconds and name of what stands side by side at a level: a module's layers together."""
    for name, members in groupby(spans, key=lambda span: next(iter(span[2][level - 1 :]), None)):
        if name is not None:
            inside = list(members)
            yield inside[0][0], math.fsum(seconds for _, seconds, _ in inside), name


def _name(axes: Axes, name: str, span: tuple[float, float], level: int, whole: float) -> None:
    """Frame the box of a module, and write its name in it where it fits; `span` is its beginning and its seconds."""
    own, (start, seconds) = drawable(name, 24), span
    axes.broken_barh([span], (level, 1), facecolor="none", edgecolor=SURFACE, linewidth=0.8)
    if len(own) * _LETTER * whole < seconds:
        place = (start + seconds / 2, level + 0.5)
        text = axes.text(*place, own, ha="center", va="center", fontsize=7.5, color=INK)
        text.set_bbox({"facecolor": SURFACE, "alpha": 0.75, "edgecolor": "none", "pad": 0.8})


@figure(
    "layer_scatter",
    title="Time against multiply-accumulates by layer",
    caption="Each layer that multiplies: its own time against what it does. The line is the machine's rate of matrix "
    "products: no layer can lie below it. Of layers at equal height those further to the left do less in the same "
    "time. Those that take longest are named.",
    needs="jobs of the task layers, and the machine's ceilings",
    place=72,
)
def _scatters(_table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each network whose layers were timed."""
    every = [t for t in LayerTable.in_frame(frame) if any(layer.macs for layer in t.layers)]
    if not every:
        return None
    tables = every[:_MOST]
    drawing, panels = grid(len(tables), 2, (5.6, 4.4), more=(0.8, 0.4))
    for axes, table in zip(panels, tables, strict=True):
        _scatter(axes, table)
    layers = (layer for table in tables for layer in _multiplying(table))
    _legend_of_shares(drawing, layers, not_drawn(every, tables, "network"))
    for axes, table in zip(panels, tables, strict=True):
        _name_slowest(axes, table)
    return drawing


_NAMED = 3  # layers of a panel


def _multiplying(table: LayerTable) -> list[Layer]:
    return [layer for layer in table.layers if layer.macs and layer.time.estimate > 0]


def _scatter(axes: Axes, table: LayerTable) -> None:
    layers = _multiplying(table)
    for layer in layers:
        axes.plot(
            [layer.macs], [layer.time.estimate], "o", markersize=6.0, markeredgecolor=MUTED, markeredgewidth=0.5,
            color=_colour(layer.roofline_share), zorder=3,
        )  # fmt: skip
    log_axis(axes.xaxis, [layer.macs for layer in layers], "Multiply-accumulates", "MAC")
    log_axis(axes.yaxis, [layer.time.estimate for layer in layers], "Time", "s")
    if math.isfinite(table.ceilings.rate):
        ends, height = axes.get_xlim(), axes.get_ylim()
        axes.plot(ends, [end / table.ceilings.rate for end in ends], color=MUTED, linewidth=1, zorder=1)
        axes.set_ylim(height)
    axes.set_title(_title(table))


def _name_slowest(axes: Axes, table: LayerTable) -> None:
    layers = sorted((x for x in table.layers if x.macs), key=lambda layer: -layer.time.estimate)
    places = [(layer.macs, layer.time.estimate) for layer in layers]
    named = zip(places[:_NAMED], layers, strict=False)
    points = [Point(*place, drawable(layer.name, 28), radius=4) for place, layer in named]
    place_labels(axes, Labels(points, unnamed=places[_NAMED:]))


@figure(
    "layer_differences",
    title="Two networks side by side",
    caption="The layers in which two networks differ most in time, aligned by class, shape, work and name; with the "
    "95 % interval of the difference over processes. Hollow are differences that are not certain (Welch, "
    "Holm-corrected), and all where there is one process; where there is no room for all, certain ones have it. To the "
    "right of the line the first network takes longer.",
    needs="jobs of the task layers of two networks, run alike",
    place=73,
)
def _differences(_table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each network against the first that was run alike."""
    every = list(_pairs(LayerTable.in_frame(frame)))
    if not every:
        return None
    pairs = every[:_MOST]
    drawing, panels = grid(len(pairs), 1, (10.0, 4.2), more=(0, 0.4))
    for axes, (of, against) in zip(panels, pairs, strict=True):
        _side_by_side(axes, of, against)
    shown = {id(table): table for pair in pairs for table in pair}.values()
    levelled = [
        f"{drawable(table.arch, 30)}: times of process {number}, off as a whole, are divided by {significant(by)}"
        for table in shown
        for number, by in table.levelled
    ]
    footnote(drawing, [not_drawn(every, pairs, "pair", ""), *levelled])
    return drawing


def _pairs(tables: Sequence[LayerTable]) -> Iterator[tuple[LayerTable, LayerTable]]:
    """Yield the first network that was run in a way beside each other one."""
    firsts: dict[tuple[object, ...], LayerTable] = {}
    for table in tables:
        way = (table.run, table.training, *map(str, table.how.values()))
        first = firsts.setdefault(way, table)
        if first is not table:
            yield first, table


def _side_by_side(axes: Axes, of: LayerTable, against: LayerTable) -> None:
    every = layer_differences(of, against)
    shown = foremost(every, _MOST_LAYERS)
    for place, difference in enumerate(shown):
        effect = difference.effect
        colour = COLOURS[1] if effect.estimate > 0 else COLOURS[0]
        face = colour if difference.certain else SURFACE
        if math.isfinite(effect.low):
            axes.hlines(place, effect.low, effect.high, color=colour, linewidth=1.4, zorder=2)
        axes.plot([effect.estimate], [place], "o", color=colour, markerfacecolor=face, zorder=3)
    axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
    number_axis(axes.xaxis, "Difference in time", "s")
    axes.set_ylim(len(shown) - 0.4, -0.6)
    ticks_at(axes.yaxis, list(range(len(shown))), [_pair_name(difference) for difference in shown])
    names = [drawable(table.arch, 30) for table in (of, against)]
    part = f", the {len(shown)} foremost of {len(every)}" if len(every) > len(shown) else ""
    axes.set_title(f"{names[0]} less {names[1]}{part}")


def _pair_name(difference: Difference) -> str:
    of, against = difference.of, difference.against
    names = [drawable(_own(layer), 28) if layer else "–" for layer in (of, against)]
    return names[0] if names[0] == names[1] else " | ".join(names)


def _own(layer: Layer) -> str:
    return layer.name if layer.kind != "functions" else f"{layer.name}, functions"
