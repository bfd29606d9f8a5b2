"""The roofline: what networks attain of what the machine could do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.comparison import row_labels
from bench.analysis.keys import CEILING, plain_rows
from bench.analysis.roofline import ceilings_of, machine_rows
from bench.report.figures import figure
from bench.report.figures._labels import Labels, Point
from bench.report.figures._shared import (
    Looks,
    Part,
    absent,
    by_family,
    draw_corners,
    draw_marks,
    draw_scatter,
    heading,
    in_doubt,
)
from bench.report.figures._style import log_axis
from bench.units import show


@figure(
    "roofline",
    title="Roofline",
    caption="Multiply-accumulates a second attained by the forward pass at the largest batch that was timed, against "
    "those a byte moved. The roof is what this machine could do: its own copy bandwidth to the left, its own rate of "
    "matrix products to the right. Bytes suppose that each activation is written once and each weight read once. "
    "Hollow points are in doubt.",
    needs="infer jobs with a step time, counted MACs and bytes of the same network, and the machine's ceilings",
    place=55,
)
def _roofline(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each run, device, precision and count of threads that has ceilings."""
    measured = table.loc[table["intensity"].notna(), "network"]
    failed = absent(frame, ["infer", "cost"], measured)
    return draw_scatter(table, list(_roofs(table, frame)), doubts=("throughput", "macs"), failed=failed)


def _roofs(table: pd.DataFrame, frame: pd.DataFrame) -> Iterator[Part]:
    """Yield the rows below each roof: that of a machine in one precision."""
    ceilings = ceilings_of(plain_rows(table, CEILING), machine_rows(frame))
    rows = table.assign(
        attained=table["throughput"].astype(float) * table["macs"].astype(float),
        peak=[peak for peak, _ in ceilings],
        bandwidth=[bandwidth for _, bandwidth in ceilings],
    )
    rows = rows[(rows["roofline_share"] > 0) & (rows["intensity"] > 0)]
    several = rows["run"].nunique() > 1
    for (run, device, precision, threads), part in rows.groupby(CEILING, sort=False):
        first = part.iloc[0]
        name = first["device_name"]
        words = [name if isinstance(name, str) else device, precision]
        words += [f"{threads:.0f} threads"] if device == "cpu" else []
        words += [run] if several else []
        yield part, partial(_panel, ", ".join(map(str, words)), part)


def _panel(title: str, rows: pd.DataFrame, axes: Axes, look: Looks) -> Labels:
    """Draw the roof and the points below it, and return what is to be labelled."""
    peak, bandwidth = (float(rows[key].iloc[0]) for key in ("peak", "bandwidth"))  # MAC/s, B/s
    for style, part in by_family(rows, look):
        for hollow, some in part.groupby(in_doubt(part, "throughput", "macs")):
            draw_marks(axes, some, "intensity", "attained", style, size=6.5, hollow=bool(hollow), yerr=None)
    ridge = peak / bandwidth
    ceiling = f"roof: {show(bandwidth, 'B/s')}, {show(peak, 'MAC/s')}"
    label = f"Multiply-accumulates per byte moved; {ceiling}"
    log_axis(axes.xaxis, [*rows["intensity"], ridge], label, "MAC/B")
    left, right = axes.get_xlim()
    start = min(peak, left * bandwidth)
    lines = draw_corners(axes, [(left, start), (ridge, peak), (right, peak)], 1.4)
    log_axis(axes.yaxis, [*rows["attained"], start, peak], "Attained", "MAC/s")
    heading(axes, title)
    places = zip(rows["intensity"], rows["attained"], row_labels(rows), strict=True)
    return Labels([Point(*place, radius=4) for place in places], lines)
