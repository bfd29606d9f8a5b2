"""Where in a network its parameters, and the memory of its activations, are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bench.report._short_names import OWN
from bench.report.figures import figure
from bench.report.figures._layer_lists import layer_lists
from bench.report.figures._shared import grid, not_drawn
from bench.report.figures._style import COLOURS, drawable, legend, number_axis
from bench.units import percent, show

_MOST = 6  # networks
_COLUMNS = (("activation_bytes", "B", "Activations"), ("parameters", "1", "Parameters"))
_KINDS: Mapping[str, str] = {
    "convolution": COLOURS[0],
    "fully connected": COLOURS[1],
    "normalisation": COLOURS[2],
    "other": COLOURS[7],
}


@figure(
    "layers",
    title="Parameters and activations by layer",
    caption="What each layer writes for one image, and how many parameters it holds, in the order of the pass; layers "
    "that do neither are left out. The tallest is named with its share. Of each family its largest network is shown, "
    "and one's own, of at most six; scales are those of each network.",
    needs="cost jobs that list the layers",
    place=70,
    charted=True,
)
def _layers(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw a row of two panels for each network."""
    lists = layer_lists(frame)
    if not lists:
        return None
    rows = _listed(table, lists)
    shown = _largest(rows)
    drawing, panels = grid(2 * len(shown), 2, (5.4, 2.0), more=(0, 0.4))
    parts = [(row, *column) for row in shown.to_dict("records") for column in _COLUMNS]
    for axes, (row, key, unit, name) in zip(panels, parts, strict=True):
        _panel(axes, lists[row["run"], row["network"]], key, unit)
        axes.set_title(drawable(row["network"]))
        axes.set_xlabel("Layer")
        axes.set_ylabel(name)
    handles = [Line2D([], [], linestyle="", marker="s", color=colour) for colour in _KINDS.values()]
    note = not_drawn(rows, shown, "network", "")
    legend(drawing, handles, list(_KINDS), [note], loc="outside lower left", ncols=len(handles))
    return drawing


def _listed(table: pd.DataFrame, lists: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """Return a row of each network whose layers are listed."""
    listed = [key in lists for key in zip(table["run"], table["network"], strict=True)]
    return table[listed].drop_duplicates("network")


def _largest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the networks that are shown, in the table's order: one's own, and the largest of families."""
    rows = rows.sort_values("parameters", ascending=False, kind="stable")
    rank = rows.groupby("family", dropna=False).cumcount().where(rows["family"] != OWN, -1)
    return rows.loc[rank.sort_values(kind="stable").index].head(_MOST).sort_index()


def _panel(axes: Axes, layers: pd.DataFrame, key: str, unit: str) -> None:
    values, places = layers[key].to_numpy(dtype=np.float64), np.arange(1, len(layers) + 1)
    kinds = np.array([_kind(str(kind)) for kind in layers["kind"]])
    for kind, colour in _KINDS.items():
        # One path for all bars of a kind: each of its own takes ten times the bytes.
        bars = (kinds == kind) & (values > 0)
        heights = np.stack([np.zeros(bars.sum()), values[bars], np.full(bars.sum(), np.nan)], axis=1)
        axes.plot(
            np.repeat(places[bars], 3), heights.ravel(), color=colour, linewidth=min(8.0, 240 / len(layers)),
            solid_capstyle="butt", zorder=2,
        )  # fmt: skip
    number_axis(axes.yaxis, "", unit)
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.set_xlim(0.2, len(layers) + 0.8)
    axes.set_ylim(0, 1.28 * max(values.max(), 1.0))
    axes.grid(visible=False, axis="x")
    if values.max() > 0:
        _name_tallest(axes, layers, values, unit)


def _name_tallest(axes: Axes, layers: pd.DataFrame, values: np.ndarray, unit: str) -> None:
    at = int(values.argmax())
    share = percent(float(values[at] / values.sum()), 0)
    words = f"{drawable(layers['name'].iloc[at], 24)}, {show(values[at], unit)}, {share}"
    side = "left" if at < len(values) / 2 else "right"
    axes.annotate(
        words, (at + 1, values[at]), (0, 3), textcoords="offset points", ha=side, va="bottom", fontsize=7.5
    )


def _kind(kind: str) -> str:
    """Return the group of a layer's class."""
    name = kind.lower()
    groups = {"conv": "convolution", "linear": "fully connected", "norm": "normalisation"}
    return next((group for part, group in groups.items() if part in name), "other")
