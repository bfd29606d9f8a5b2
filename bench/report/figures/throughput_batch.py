"""Throughput by batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.comparison import SHAPE, VARIANT, row_labels
from bench.report.figures import figure
from bench.report.figures._lines import Curve, Group, draw_lines
from bench.report.figures._panels import by_machine
from bench.report.style import family_name, log_axis, looks, ticks_at


@figure(
    "throughput_batch",
    title="Throughput by batch size",
    caption="Forward passes without synchronisation between them; bands are the 95 % interval. Where a curve is "
    "flat, a larger batch buys nothing. Where there are many networks, each family has a panel, with the others "
    "grey behind it.",
    needs="infer jobs of one network at two batch sizes or more",
    place=50,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw the networks of each machine apart."""
    rows = frame[(frame["task"] == "infer") & (frame["measurement"] == "step_time") & (frame["median"] > 0)]
    groups = []
    for name, part in by_machine(rows.rename(columns={"arch": "network"})):
        curves = _curves(part.dropna(subset=["batch_size"]))
        if curves:
            groups.append(Group(name, curves, _axes(curves)))
    return draw_lines(groups, looks(table["family"]))


def _curves(rows: pd.DataFrame) -> list[Curve]:
    """Return a curve for each network and way of running it that was timed at two batch sizes or more."""
    keys = [*SHAPE, *VARIANT]
    rows = rows.drop_duplicates([*keys, "batch_size"], keep="last").sort_values("batch_size", kind="stable")
    ways = rows.drop_duplicates(keys).sort_values(["year", "network"], kind="stable")
    parts = [part for _, part in ways.assign(label=row_labels(ways)).groupby(keys, dropna=False, sort=False)]
    matched = [rows.merge(part[[*keys, "label"]], on=keys, suffixes=("_job", "")) for part in parts]
    return [_curve(one) for one in matched if len(one) > 1]


def _curve(rows: pd.DataFrame) -> Curve:
    batches = rows["batch_size"]
    middle, low, high = ((batches / rows[key]).tolist() for key in ("median", "high", "low"))
    band = (low, high) if rows["low"].notna().all() else ((), ())
    return Curve(rows["label"].iloc[0], family_name(rows["family"].iloc[0]), batches.tolist(), middle, *band)


def _axes(curves: Sequence[Curve]) -> Callable[[Axes], None]:
    """Return what sets up the axes of all panels of a group."""
    batches = sorted({x for curve in curves for x in curve.x})
    rates = [y for curve in curves for y in curve.y]

    def setup(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        ticks_at(axes.xaxis, batches, [f"{b:.0f}" for b in batches])
        axes.set_xlabel("Batch size")
        log_axis(axes.yaxis, rates, "Images per second", "1")

    return setup
