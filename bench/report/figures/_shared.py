"""What several figures share: the rows that they are drawn of, their panels, and labelled points in them."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.analysis.choosing import pareto_front
from bench.analysis.comparison import STATUS_WORDS, row_labels
from bench.analysis.flags import doubts_of
from bench.analysis.frame import PENDING
from bench.analysis.keys import PUBLISHED, WAY, published_keys
from bench.analysis.shapes import as_published, as_trained
from bench.errors import listed
from bench.plan.task import INPUT
from bench.records.flags import spoken
from bench.report.figures._labels import Labels, Line, Point, place_labels
from bench.report.figures._style import (
    MUTED,
    SURFACE,
    Look,
    canvas,
    drawable,
    family_legend,
    family_name,
    looks,
    number_axis,
    ticks_at,
)

# --- accuracies ---


@dataclass(frozen=True, slots=True)
class AccuracyKind:
    """One kind of accuracy: rows of the table with `value` (a fraction) and `spread` (its sd, or NaN).

    Those of published ones have a `protocol` as well, how the images were tested.
    """

    title: str
    axis: str
    rows: pd.DataFrame


def accuracies(table: pd.DataFrame, most: int = len(PUBLISHED)) -> list[AccuracyKind]:
    """Return each kind of accuracy that the table has, published first; neither tasks nor trainings are mixed.

    A published one stands against what was counted and timed in the shape that it is of; rows of another have none.
    """
    return [*published(table[as_published(table)], most), *trained(table)]


def published(table: pd.DataFrame, most: int = len(PUBLISHED)) -> Iterator[AccuracyKind]:
    """Yield the published accuracies of each count of classes, at most so many, see `published_keys`."""
    for classes, rows in table.groupby("published_classes", dropna=False):
        for key in published_keys(rows)[:most]:
            known = rows[rows[key].notna()]
            name, count = f"Top-{key[-1]}", _count(", {:.0f} classes", classes)
            protocol = known.get("published_protocol", None)
            known = known.assign(value=known[key], spread=math.nan, protocol=protocol)
            yield AccuracyKind(f"{name} as published{count}", f"{name} accuracy", known)


def protocols(rows: pd.DataFrame) -> list[str]:
    """Return of each published accuracy how its images were tested; empty texts where all are the same, or measured."""
    ways = rows["protocol"].fillna("unknown").tolist() if "protocol" in rows else []
    return ways if len(set(ways)) > 1 else [""] * len(rows)


def _protocol_note(parts: Iterable[pd.DataFrame]) -> str:
    """Return a line for the foot of a figure with accuracies that were tested in several ways; else nothing."""
    ways = ", ".join(map(drawable, dict.fromkeys(way for rows in parts for way in protocols(rows) if way)))
    note = f"Published accuracies were tested in several ways ({ways}) and do not compare across these"
    return note if ways else ""


_TIMED = ("latency", "throughput", "peak_memory", "tensor_memory", "energy")


def trained(table: pd.DataFrame) -> Iterator[AccuracyKind]:
    """Yield the measured accuracies of each data set, recipe and count of epochs.

    An accuracy stands against the cost of the shape that was trained; what was timed in another shape is missing.
    """
    for name, rows in by_training(table[table["accuracy"].notna()]):
        in_shape = as_trained(rows)
        own = rows.assign(
            value=rows["accuracy"],
            spread=rows["accuracy_sd"],
            value_flags=rows["accuracy_flags"],
            parameters=rows["trained_parameters"],
            macs=rows["trained_macs"],
            **{key: rows[key].where(in_shape) for key in _TIMED},
        )
        yield AccuracyKind(f"Top-1 on {name}", "Top-1 accuracy", own)


def worthwhile(
    kinds: Iterable[AccuracyKind], of: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows
) -> list[AccuracyKind]:
    """Return the kinds whose rows, as `of` makes them, compare two networks: a mark alone says what the table does."""
    made = (replace(kind, rows=of(kind.rows)) for kind in kinds)
    return [kind for kind in made if kind.rows["network"].nunique() > 1]


def in_doubt(rows: pd.DataFrame, *columns: str) -> pd.Series[bool]:
    """Return which rows have a number in these columns that is in doubt: drawn hollow, and on no front."""
    return pd.Series([bool(doubts) for doubts in _doubts(rows, columns)], rows.index, dtype=bool)


def _doubts(rows: pd.DataFrame, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the doubts of each row in some columns."""
    flags = rows[[name for column in columns if (name := f"{column}_flags") in rows]]
    for row in flags.to_dict("records"):
        yield [flag for column in columns for flag in doubts_of(row, column)]


def _doubt_note(parts: Iterable[pd.DataFrame], *columns: str) -> str:
    """Return a line for the foot of a figure that says why points are hollow; nothing where none is."""
    flags = dict.fromkeys(flag for part in parts for doubts in _doubts(part, columns) for flag in doubts)
    return f"Hollow points are in doubt: {drawable(spoken(*flags), 200)}" if flags else ""


# --- machines and conditions ---

_CONDITIONS = ("precision", "memory_format", "backend")
_USUAL = ("contiguous", "eager")


def by_machine(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each machine under its name, labelled by what tells them apart there.

    Rows that ran on none are left out.
    """
    ran = table[table["device"].notna()]
    names = ran["device_name"].where(ran["device_name"].notna(), ran["device"])
    return [(str(name), rows.assign(label=row_labels(rows))) for name, rows in ran.groupby(names, sort=False)]


def conditions(rows: pd.DataFrame, batch: bool = False) -> str:
    """Return the settings that all rows share, such as ``bf16, batch 64``; usual ones go without saying."""
    shared = [str(rows[key].iloc[0]) for key in _CONDITIONS if rows[key].nunique(dropna=False) == 1]
    shared = [setting for setting in shared if setting not in _USUAL]
    if batch:
        low, high = rows["batch_size"].min(), rows["batch_size"].max()
        shared.append(f"batch {low:.0f}" if low == high else f"batches {low:.0f} to {high:.0f}")
    return ", ".join(shared)


def _count(text: str, count: Any) -> str:
    """Return the text with its number, or nothing where that is not known."""
    return "" if math.isnan(count) else text.format(count)


# --- what failed ---

_MOST_FAILED = 8  # names behind one status
_LETTERS = 16  # of an inch


def failed(frame: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """Return one row a job of these tasks that has a record and did not end well, its `arch` as `network`."""
    rows = frame[frame["task"].isin(tasks) & ~frame["status"].isin(["ok", PENDING])]
    return rows.drop_duplicates(["run", "job_id"], keep="last").rename(columns={"arch": "network"})


def unmeasured(table: pd.DataFrame, frame: pd.DataFrame, key: str, batch: int | None = None) -> pd.DataFrame:
    """Return the rows of the table that have no `key` since their timing failed, with the status as `why`.

    `batch` is the only batch size that counts, where there is one.
    """
    jobs = failed(frame, ["infer"])
    jobs = jobs if batch is None else jobs[jobs["batch_size"] == batch]
    if jobs.empty:
        return table.iloc[:0].assign(why=None)
    reasons = jobs.drop_duplicates(WAY, keep="last")[[*WAY, "status"]].rename(columns={"status": "why"})
    return table[table[key].isna()].merge(reasons, on=WAY)


def absent(frame: pd.DataFrame, tasks: Sequence[str], measured: Iterable[str]) -> list[tuple[str, str]]:
    """Return (status, network) of the networks that are not `measured` since a job of these tasks failed."""
    jobs = failed(frame, tasks)
    jobs = jobs[~jobs["network"].isin(set(measured))].drop_duplicates("network")
    return list(zip(jobs["status"], jobs["network"], strict=True))


def failed_note(drawing: Figure, names: Iterable[tuple[str, str]]) -> str:
    """Return lines for the foot of a figure that say what failed, from pairs of a status and a name.

    Behind each status stand eight names at most, and how many more there are.
    """
    by_status: defaultdict[str, list[str]] = defaultdict(list)
    for status, name in names:
        by_status[status].append(name)
    parts = [
        f"{STATUS_WORDS.get(status, status)}: {listed(map(drawable, some), _MOST_FAILED)}"
        for status, some in by_status.items()
    ]
    text = "Failed, so not drawn · " + " · ".join(parts) if parts else ""
    return textwrap.fill(text, width=int(drawing.get_figwidth() * _LETTERS))


# --- trainings ---


def by_training(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each data set, recipe and count of epochs, such as ``cifar10, 8 epochs, std v1``.

    Recipes of one network alone are compared with each other.
    """
    recipe = table["recipe"]
    if recipe.nunique() > 1 and table["network" if "network" in table else "arch"].nunique() == 1:
        recipe = recipe.map(lambda _: None)
    for (dataset, name, epochs), rows in table.groupby(["dataset", recipe, "epochs"], dropna=False):
        length = _count("{:.0f} epoch" if epochs == 1 else "{:.0f} epochs", epochs)
        yield ", ".join(word for word in (dataset, length, name) if isinstance(word, str) and word), rows


def failed_trainings(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (status, network) of the networks of which no training ended well, since one failed."""
    ended = frame[(frame["task"] == "accuracy") & (frame["status"] == "ok")]
    return absent(frame, ["accuracy"], ended["arch"])


# --- panels ---

CROWDED = 18  # points of a panel, above which it is made wide
MOST = 6  # panels of a figure
Looks = Mapping[str, Look]
_Layout = tuple[Literal["constrained", "compressed"], float, float]
FIXED: _Layout = ("compressed", 0.12, 0.1)  # for panels of a fixed shape side by side


def grid(
    count: int,
    columns: int,
    size: tuple[float, float],
    layout: _Layout | None = None,
    *,
    more: tuple[float, float] = (0.0, 0.0),
) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels in rows of so many columns at most.

    `size` is the width and height of a panel in inches, and `more` that of what stands beside and below all of them;
    `layout` is matplotlib's engine and its padding in inches, by default that of `canvas`.
    """
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    drawing = canvas(size[0] * columns + more[0], size[1] * rows + more[1])
    if layout is not None:
        drawing.set_layout_engine(layout[0], w_pad=layout[1], h_pad=layout[2])
    cells = drawing.add_gridspec(rows, columns)
    places = [cells[divmod(i, columns)] for i in range(count)]
    if layout != FIXED and columns > 1:  # the last is as wide as its row has room
        row, column = divmod(count - 1, columns)
        places[-1] = cells[row, column:]
    return drawing, [drawing.add_subplot(place) for place in places]


def panels(count: int, *, wide: bool = False, height: float = 4.6) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels, two beside each other, or where they are `wide` one below the other."""
    size = (9.8, height * 1.3) if wide else (8.2 if count == 1 else 5.4, height)
    return grid(
        count, 1 if wide else 2, size, ("constrained", 0.1, 0.08)
    )  # titles keep clear of other panels


def heading(axes: Axes, title: str, limit: int = 54) -> None:
    """Set the title of a panel; data sets and machines have names from outside."""
    axes.set_title(drawable(title, limit))


def not_drawn(parts: Sized, shown: Sized, what: str = "panel", told: str = "the table has all") -> str:
    """Return a line for the foot of a figure that says how many parts were left out, nothing where none was."""
    more = len(parts) - len(shown)
    left_out = f"{more:,} more {what}{'' if more == 1 else 's'} not drawn"
    return "; ".join(filter(None, [left_out, told])) if more else ""


def spans(values: Sequence[float]) -> float:
    """Return how many times the largest value is the smallest positive one."""
    positive = [v for v in values if v > 0]
    return max(positive) / min(positive) if positive else 1.0


def reached(values: Iterable[float], ends: Iterable[float], *, logarithmic: bool) -> list[float]:
    """Return values with the ends of their intervals, which widen a range up to its own size on either side.

    A number that is hardly known must not press all others together; its bar runs out of the panel.
    """
    known = [v for v in values if math.isfinite(v) and (v > 0 or not logarithmic)]
    if not known:
        return []
    low, high = min(known), max(known)
    if logarithmic:
        room = high / low if high > low else 3.0
        least, most = low / room, high * room
    else:
        room = high - low or abs(high) / 2 or 1.0
        least, most = low - room, high + room
    return [*known, *(min(max(end, least), most) for end in ends if not math.isnan(end))]


def by_family(rows: pd.DataFrame, look: Looks) -> Iterator[tuple[Look, pd.DataFrame]]:
    """Yield the rows of each family with its look."""
    for family, part in rows.groupby(rows["family"].map(family_name), sort=False):
        yield look[str(family)], part


Part = tuple[pd.DataFrame, Callable[[Axes, Looks], Labels]]
"""The rows of a panel, each a point, and what draws them and returns what is to be labelled."""


def draw_scatter(
    table: pd.DataFrame,
    parts: Sequence[Part],
    *,
    doubts: Sequence[str] = (),
    failed: Sequence[tuple[str, str]] = (),
    most: int = MOST,
    wide: bool | None = None,
    more: Callable[[Figure], None] | None = None,
) -> Figure | None:
    """Draw a panel of labelled points for each part, above a legend of the families with notes; None without parts.

    Args:
        table: of `compare_table`, which gives families their looks.
        parts: one a panel.
        doubts: columns of the parts' rows whose doubts are told at the foot of the figure.
        failed: pairs of a status and a name that are told there, too.
        most: panels; how many are left out is said.
        wide: whether panels stand below each other; by default where one is crowded.
        more: adds to the figure below its legend.
    """
    if not parts:
        return None
    shown, look = parts[:most], looks(table["family"])
    rows = [some for some, _ in shown]
    crowded = max(map(len, rows)) > CROWDED
    drawing, axes = panels(len(shown), wide=crowded if wide is None else wide)
    labels = [draw(a, look) for a, (_, draw) in zip(axes, shown, strict=True)]
    notes = [_protocol_note(rows), _doubt_note(rows, *doubts), failed_note(drawing, failed)]
    families = pd.concat([some["family"] for some in rows])
    family_legend(drawing, families, look, [*notes, not_drawn(parts, shown)])
    if more is not None:
        more(drawing)
    for a, one in zip(axes, labels, strict=True):
        place_labels(a, one)
    return drawing


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a panel, the first on top, at its left."""
    ticks_at(axes.yaxis, range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def draw_cells(axes: Axes, colours: Sequence[Any], names: Sequence[str], **edges: Any) -> None:
    """Draw a square of cells of these colours, row by row, with the names of both sides; a cell is 1 wide.

    Squares, not an image: a page that fetches nothing shows no image of an SVG.
    """
    corners, count = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]), len(names)
    squares = [corners + np.array([column, row]) for row, column in np.ndindex(count, count)]
    axes.add_collection(PolyCollection(squares, facecolors=colours, **edges))
    axes.set_xlim(0, count)
    axes.set_ylim(count, 0)
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        ticks_at(axis, [i + 0.5 for i in range(count)], names)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def accuracy_axis(axes: Axes, label: str) -> None:
    """Make the upright axis one of accuracies, with room above and below."""
    number_axis(axes.yaxis, label, "%")
    axes.margins(y=0.12)


def whole_numbers(axes: Axes, label: str) -> None:
    """Label the x axis of counts."""
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))


def draw_marks(
    axes: Axes,
    rows: pd.DataFrame,
    across: str,
    up: str,
    look: Look,
    *,
    size: float,
    hollow: bool = False,
    **errors: Any,
) -> None:
    """Draw the points of a family, column `up` against `across`.

    With `yerr` and other settings of matplotlib's `errorbar` they have bars. Filled ones have a pale edge, so that none
    hides in another of its colour.
    """
    style: dict[str, Any] = {"marker": look.marker, "markersize": size, "linestyle": "", "color": look.colour}
    face = {"markerfacecolor": SURFACE}
    style |= face if hollow else {"markeredgecolor": SURFACE, "markeredgewidth": 0.5}
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
            draw_marks(axes, part, across, up, style, size=6, hollow=hollow, yerr=part[f"{up}_sd"])
    places = zip(rows[across], rows[up], rows["label"], rows[f"{up}_sd"], strict=True)
    return [Point(x, y, text, radius=4, spread=spread) for x, y, text, spread in places]


def draw_corners(axes: Axes, corners: Line, width: float = 1) -> list[Line]:
    """Draw a line through corners, and return it as what is in the way of labels; nothing without any."""
    if not corners:
        return []
    axes.plot(*zip(*corners, strict=True), color=MUTED, linewidth=width, zorder=1)
    return [corners]


_ALIKE = (*INPUT, "protocol")


def _alike(rows: pd.DataFrame, batch: bool) -> pd.DataFrame:
    """Return the largest group of rows of one shape, and where it matters one batch, that were tested alike."""
    keys = [key for key in (*_ALIKE, *(["batch_size"] if batch else [])) if key in rows]
    groups = rows.groupby(keys, sort=False, dropna=False) if keys else [((), rows)]
    return max((part for _, part in groups), key=lambda part: part["network"].nunique(), default=rows)


def draw_front(
    axes: Axes,
    rows: pd.DataFrame,
    cost: str,
    value: str,
    *,
    doubtful: pd.Series[bool],
    better: Literal["lower", "higher"] = "lower",
    batch: bool = False,
) -> tuple[pd.Series[bool], list[Line]]:
    """Draw the Pareto front of the rows that compare and are not in doubt; return which are on it, and its line."""
    front, same = doubtful & False, _alike(rows[~doubtful], batch)
    front[same.index] = pareto_front(same, cost, value, cost_better=better)
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
