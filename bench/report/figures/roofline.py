"""The roofline: what networks attain of what the machine could do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.comparison import row_labels
from bench.analysis.keys import CEILING
from bench.analysis.roofline import ceilings, ceilings_of
from bench.report.figures import figure
from bench.report.figures._panels import (
    Labels,
    Looks,
    by_family,
    draw_corners,
    draw_marks,
    draw_scatter,
    heading,
)
from bench.report.figures._rows import absent, doubt_note, failed_note, in_doubt
from bench.report.figures.labels import Point
from bench.report.figures.style import SURFACE, log_axis
from bench.units import show


@dataclass(frozen=True, slots=True)
class Roof:
    """A machine in one precision: `peak` (MAC/s), `bandwidth` (B/s), and the rows that ran below it."""

    title: str
    peak: float
    bandwidth: float
    rows: pd.DataFrame

    def at(self, intensity: float) -> float:
        """Return the most MAC/s at an intensity in MAC/B."""
        return min(self.peak, intensity * self.bandwidth)


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
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each run, device, precision and count of threads that has ceilings."""
    measured = table.loc[table["intensity"].notna(), "network"]

    def notes(drawing: Figure, shown: Sequence[Roof]) -> list[str]:
        doubts = doubt_note([roof.rows for roof in shown], "throughput", "macs")
        return [doubts, failed_note(drawing, absent(frame, ["infer", "cost"], measured))]

    return draw_scatter(table, list(_roofs(table, frame)), _panel, notes)


def _roofs(table: pd.DataFrame, frame: pd.DataFrame) -> Iterator[Roof]:
    """Yield each roof that rows are below."""
    peak, bandwidth = ceilings_of(table, ceilings(frame))
    rows = table.assign(
        attained=table["throughput"].astype(float) * table["macs"].astype(float),
        peak=peak,
        bandwidth=bandwidth,
    )
    rows = rows[(rows["roofline_share"] > 0) & (rows["intensity"] > 0)]
    several = rows["run"].nunique() > 1
    for (run, device, precision, threads), part in rows.groupby(CEILING, sort=False):
        first = part.iloc[0]
        name = first["device_name"]
        words = [name if isinstance(name, str) else device, precision]
        words += [f"{threads:.0f} threads"] if device == "cpu" else []
        words += [run] if several else []
        yield Roof(", ".join(map(str, words)), float(first["peak"]), float(first["bandwidth"]), part)


def _panel(axes: Axes, roof: Roof, look: Looks) -> Labels:
    """Draw the roof and the points below it, and return what is to be labelled."""
    rows = roof.rows
    for style, part in by_family(rows, look):
        for hollow, some in part.groupby(in_doubt(part, "throughput", "macs")):
            face = SURFACE if hollow else style.colour
            draw_marks(axes, some, "intensity", "attained", style, size=6.5, markerfacecolor=face)
    ridge = roof.peak / roof.bandwidth
    ceiling = f"roof: {show(roof.bandwidth, 'B/s')}, {show(roof.peak, 'MAC/s')}"
    label = f"Multiply-accumulates per byte moved; {ceiling}"
    log_axis(axes.xaxis, [*rows["intensity"], ridge], label, "MAC/B")
    left, right = axes.get_xlim()
    lines = draw_corners(axes, [(left, roof.at(left)), (ridge, roof.peak), (right, roof.peak)], 1.4)
    log_axis(axes.yaxis, [*rows["attained"], roof.at(left), roof.peak], "Attained", "MAC/s")
    heading(axes, roof.title)
    places = zip(rows["intensity"], rows["attained"], row_labels(rows), strict=True)
    return Labels([Point(*place, radius=4) for place in places], lines)
