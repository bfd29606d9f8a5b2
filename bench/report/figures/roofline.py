"""The roofline: what networks attain of what the machine could do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.comparison import row_labels
from bench.analysis.roofline import ceilings
from bench.report.figures import figure
from bench.report.figures._failed import absent, failed_note
from bench.report.figures._panels import CROWDED, by_family, heading, not_drawn, panels
from bench.report.labels import Point, place_labels
from bench.report.style import MUTED, Look, family_legend, log_axis, looks
from bench.units import show

_MOST = 6  # panels
_KEYS = ["run", "device", "precision", "threads"]


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
    "matrix products to the right. Bytes suppose that each activation is written once and each weight read once.",
    needs="infer jobs with a step time, counted MACs and bytes of the same network, and the machine's ceilings",
    place=55,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a panel for each run, device, precision and count of threads that has ceilings."""
    found = list(_roofs(table, ceilings(frame)))
    if not found:
        return None
    shown = found[:_MOST]
    drawing, axes = panels(len(shown), wide=max(len(roof.rows) for roof in shown) > CROWDED)
    look = looks(table["family"])
    lines = [_panel(a, roof, look) for a, roof in zip(axes, shown, strict=True)]
    notes = [
        failed_note(
            drawing, absent(frame, ["infer", "cost"], table.loc[table["intensity"].notna(), "network"])
        )
    ]
    families = pd.concat([roof.rows["family"] for roof in shown])
    family_legend(drawing, families, look, "\n".join(filter(None, [*notes, not_drawn(found, shown)])))
    for a, roof, line in zip(axes, shown, lines, strict=True):
        places = zip(roof.rows["intensity"], roof.rows["attained"], row_labels(roof.rows), strict=True)
        place_labels(a, [Point(*place, radius=4) for place in places], [line])
    return drawing


def _roofs(table: pd.DataFrame, found: pd.DataFrame) -> Iterator[Roof]:
    """Yield each roof that rows are below; its height at a row is what the row attained over its share."""
    rows = table[(table["roofline_share"] > 0) & (table["intensity"] > 0)]
    rows = rows.assign(attained=rows["throughput"].astype(float) * rows["macs"].astype(float))
    by_key = {tuple(row[k] for k in _KEYS): row for row in found.to_dict("records")}
    several = rows["run"].nunique() > 1
    for key, part in rows.groupby(_KEYS, sort=False):
        run, device, precision, threads = key
        bare = (run, device, str(precision).removeprefix("amp_"), threads)
        roof = by_key.get(key) or by_key[bare]
        name = part["device_name"].iloc[0]
        words = [name if isinstance(name, str) else device, precision]
        words += [f"{threads:.0f} threads"] if device == "cpu" else []
        words += [run] if several else []
        yield Roof(", ".join(map(str, words)), roof["matmul_rate"], roof["copy_bandwidth"], part)


def _panel(axes: Axes, roof: Roof, look: Mapping[str, Look]) -> list[tuple[float, float]]:
    """Draw the roof and the points below it, and return the corners of the roof."""
    for style, part in by_family(roof.rows, look):
        axes.plot(
            part["intensity"], part["attained"],
            linestyle="", marker=style.marker, markersize=6.5, color=style.colour, zorder=3,
        )  # fmt: skip
    ridge = roof.peak / roof.bandwidth
    reached = [*roof.rows["intensity"], ridge]
    ceilings = f"roof: {show(roof.bandwidth, 'B/s')}, {show(roof.peak, 'MAC/s')}"
    log_axis(axes.xaxis, reached, f"Multiply-accumulates per byte moved; {ceilings}", "MAC/B")
    left, right = axes.get_xlim()
    corners = [(left, roof.at(left)), (ridge, roof.peak), (right, roof.peak)]
    axes.plot(*zip(*corners, strict=True), color=MUTED, linewidth=1.4, zorder=1)
    log_axis(axes.yaxis, [*roof.rows["attained"], roof.at(left), roof.peak], "Attained", "MAC/s")
    heading(axes, roof.title)
    return corners
