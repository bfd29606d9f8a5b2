"""What engines make of a network: its time against its accuracy, with an arrow from eager to each."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.evaluations import Evaluation, Evaluations
from bench.analysis.keys import SHAPE
from bench.analysis.replicates import pooled
from bench.records.flags import doubts
from bench.report.figures import figure
from bench.report.figures._shared import grid, heading, not_drawn
from bench.report.figures._style import MUTED, Look, drawable, log_axis, looks

_PANELS = 6
_Way = tuple[str, str]  # backend and precision
_EAGER: _Way = ("eager", "fp32")


@dataclass(frozen=True, slots=True)
class _Point:
    """One engine of a network: its name, its time with the ends of its interval, and what is left of the answers."""

    name: str
    seconds: float
    low: float
    high: float
    left: float
    is_eager: bool
    is_doubted: bool


@dataclass(frozen=True, slots=True)
class _Panel:
    network: str
    axis: str
    points: Sequence[_Point]


@figure(
    "engines",
    title="What engines make of a network",
    caption="Up and to the left is better. Each arrow leads from eager in fp32 to the same network as an engine runs "
    "it: to the left it is faster, down it has lost accuracy. Times are of one image, with the 95 % interval over "
    "processes. Where no accuracy was measured, the height is the share of answers that equal eager's on noise, which "
    "says little of real images. Hollow points are in doubt.",
    needs="a network timed in eager and by another engine, with its accuracy or its agreement",
    place=27,
)
def _engines(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each network."""
    panels = list(_panels(frame))
    if not panels:
        return None
    shown = panels[:_PANELS]
    drawing, axes_of = grid(len(shown), 2, (4.6, 3.6))
    all_looks = looks(sorted({point.name for panel in shown for point in panel.points}))
    for axes, panel in zip(axes_of, shown, strict=True):
        _draw(axes, panel, all_looks)
    if more := not_drawn(panels, shown):
        axes_of[-1].set_xlabel(f"Latency at batch 1 · {more}")
    return drawing


def _panels(frame: pd.DataFrame) -> Iterator[_Panel]:
    rows, evaluations = pooled(frame), Evaluations.of(frame).plain
    ok = rows[(rows["status"] == "ok") & rows["measurement"].notna()]
    latency = ok[(ok["task"] == "infer") & (ok["measurement"] == "latency") & (ok["batch_size"] == 1)]
    for key, part in latency.groupby([*SHAPE, "device", "threads"], sort=False, dropna=False):
        ways = list(zip(part["backend"], part["precision"], strict=True))
        if _EAGER not in ways or len({backend for backend, _ in ways}) < 2:
            continue
        run, network = key[0], key[1]
        own = ok[(ok["run"] == run) & (ok["network"] == network)]
        top1 = _accuracies([one for one in evaluations if (one.run, one.network) == (run, network)])
        other = _by_way(own[(own["task"] == "infer") & (own["measurement"] == "other_answers")])
        alike = {_EAGER: 1.0} | {way: 1 - share for way, share in other.items()}
        left, axis = alike, "Answers like eager's (%)"
        if _EAGER in top1 and len(top1) > 1:
            left, axis = top1, "Top-1 accuracy (%)"
        points = [_point(row, left) for row in part.to_dict("records")]
        known = [point for point in points if math.isfinite(point.left)]
        if any(point.is_eager for point in known) and len(known) > 1:
            yield _Panel(str(network), axis, known)


def _accuracies(evaluations: Sequence[Evaluation]) -> dict[_Way, float]:
    """Return the accuracy of each way of running a network, on the last images on which there is one of eager."""
    by_images: defaultdict[str, dict[_Way, float]] = defaultdict(dict)
    for one in evaluations:
        way = str(one.conditions.get("backend")), str(one.conditions.get("precision"))
        by_images[one.data][way] = one.top1.value
    return next((ways for ways in reversed(by_images.values()) if _EAGER in ways), {})


def _by_way(rows: pd.DataFrame) -> dict[_Way, float]:
    ways = zip(rows["backend"], rows["precision"], strict=True)
    return dict(zip(ways, rows["median"].astype(float), strict=True))


def _point(row: Mapping[Hashable, Any], left: dict[_Way, float]) -> _Point:
    way = str(row["backend"]), str(row["precision"])
    doubted = bool(doubts(row["flags"]))
    seconds, low, high = (float(row[name]) for name in ("median", "low", "high"))
    return _Point(" ".join(way), seconds, low, high, left.get(way, math.nan), way == _EAGER, doubted)


def _draw(axes: Axes, panel: _Panel, all_looks: Mapping[str, Look]) -> None:
    eager = next(point for point in panel.points if point.is_eager)
    others = sorted((point for point in panel.points if not point.is_eager), key=lambda point: point.name)
    for point in [eager, *others]:
        colour, marker = all_looks[point.name].colour, all_looks[point.name].marker
        if not point.is_eager:
            arrow = {"arrowstyle": "->", "color": MUTED, "shrinkA": 4, "shrinkB": 5}
            tip, tail = (point.seconds, 100 * point.left), (eager.seconds, 100 * eager.left)
            axes.annotate("", xy=tip, xytext=tail, arrowprops=arrow)
        if math.isfinite(point.low):
            axes.plot([point.low, point.high], [100 * point.left] * 2, color=colour, linewidth=1)
        axes.plot(
            [point.seconds], [100 * point.left], linestyle="none", marker=marker, color=colour,
            markersize=7, markerfacecolor="none" if point.is_doubted else colour, label=drawable(point.name, 30),
        )  # fmt: skip
    log_axis(axes.xaxis, [point.seconds for point in panel.points], "Latency at batch 1", "s")
    axes.set_ylabel(panel.axis)
    axes.margins(y=0.15)
    low, high = axes.get_ylim()
    axes.set_ylim(low, min(high, 100 + 0.05 * (100 - low)))  # there is no share above 100 %
    heading(axes, drawable(panel.network, 46))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, frameon=False)
