"""Curves: errors and gradients of trainings, and throughput by batch size, each with its name at its end.

Many of them stand in a panel for each family, with the others grey behind.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.analysis.comparison import row_labels
from bench.analysis.keys import VARIANT, WAY
from bench.analysis.replicates import pooled
from bench.analysis.trainings import by_epoch
from bench.report._short_names import OWN
from bench.report.figures import figure
from bench.report.figures._labels import label_ends
from bench.report.figures._shared import (
    Looks,
    by_machine,
    by_training,
    conditions,
    failed,
    failed_note,
    failed_trainings,
    heading,
    not_drawn,
    panels,
    spans,
    whole_numbers,
)
from bench.report.figures._style import (
    GRID,
    MARKERS,
    family_name,
    footnote,
    log_axis,
    looks,
    number_axis,
    tick,
    ticks_at,
)
from bench.stats.samples import mean

_ONE_PANEL = 8  # curves
_PANELS = 16  # of a figure
_MANY = 40  # curves of a group: of more, those of one way of running, or the best of each family
_DASHES = ("-", "--", "-.", ":")
_MARKED = 6  # points of a curve that have its marker


@dataclass(frozen=True, slots=True)
class _Curve:
    """The curve of one network: places, values, and the band between `low` and `high` where it has one."""

    label: str
    family: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class _Group:
    """Curves that share their axes, and a title; `setup` makes the axes of a panel, `fitted` ones to its own curves."""

    title: str
    curves: Sequence[_Curve]
    setup: Callable[[Axes], None]
    fitted: bool = False


_Panel = tuple[_Group, str, list[_Curve]]

# --- trainings ---


@figure(
    "learning_curves",
    title="Learning curves",
    caption="Top-1 error after each epoch: the mean over the seeds that ended well, in a band from the least to the "
    "largest of them. Left, on the test images; right, on the training images as they are trained on, augmented, "
    "while the weights still change. What was looked at only once has no curve. Where there are many networks, each "
    "family has a panel, with the others grey behind it; of more than 40 the most accurate of each family are drawn.",
    needs="short trainings that ended well, with their accuracy by epoch",
    place=60,
    charted=True,
)
def _learning_curves(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw the trainings of each data set, recipe and count of epochs apart, test beside training."""
    pairs = []
    for name, rows in _ended(table, frame, ["top1", "train_error"]):
        test, train = (
            _of_trainings(rows[rows["measurement"] == m], _errors) for m in ("top1", "train_error")
        )
        if any(len(curve.x) > 1 for curve in (*test, *train)):  # one point is no curve
            test, train = ([curve for curve in some if len(curve.x) > 1] for some in (test, train))
        errors = [error for curve in (*test, *train) for error in (*curve.low, *curve.high)]
        last = max((curve.x[-1] for curve in (*test, *train)), default=1)
        left, right = (partial(_error_axes, f"Top-1 {of} error", errors, last) for of in ("test", "training"))
        pairs.append((_Group(name, test, left), _Group(name, train, right)))
    return _draw_pairs(pairs, table, frame)


def _errors(label: str, rows: pd.DataFrame) -> _Curve | None:
    """Return the error by epoch of the seeds of one network, None where no epoch was tested."""
    first, epochs = rows.iloc[0], by_epoch(rows["detail"])
    if not epochs:
        return None
    if first["measurement"] == "top1":
        epochs = [(number, [1 - accuracy for accuracy in values]) for number, values in epochs]
    numbers, errors = zip(*epochs, strict=True)
    return _seeds(label, first["family"], numbers, errors, mean)


def _error_axes(label: str, errors: Sequence[float], last: float, axes: Axes) -> None:
    """Set up the axes of a panel of `last` epochs; a wide range of errors is logarithmic."""
    whole_numbers(axes, "Epoch")
    room = 0.05 * max(1.0, last - 1)
    axes.set_xlim(1 - room, last + room)  # also where only the last epoch was tested
    low, high = min(errors), max(errors)
    if low > 0 and spans(errors) > 8:
        log_axis(axes.yaxis, errors, label, "%")
    else:
        room = 0.05 * (high - low or high or 1.0)
        number_axis(axes.yaxis, label, "%")
        axes.set_ylim(low - room, high + room)


_TICKS = {0.0: "last", 0.25: "25 %", 0.5: "50 %", 0.75: "75 %", 1.0: "first"}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_WHEN = {"gradient_norm_start": "before the first step", "gradient_norm_end": "after the last step"}


@figure(
    "gradient_depth",
    title="Norm of the gradient by depth",
    caption="Norm of the gradient of the loss by the weights of each convolution and linear layer, on one fixed "
    "batch of training images: left, before the first step; right, after the last. As the gradient goes, from the loss "
    "back to the image: a line that falls to the right is a gradient that vanishes on its way. Lines are geometric "
    "means over the seeds, in a band from the least to the largest; a layer whose gradient is zero has no point. "
    "Where there are many networks, each family has a panel, with the others grey behind it; of more than "
    "40 the most accurate of each family are drawn.",
    needs="short trainings that ended well, with the norms of their gradients by layer",
    place=64,
)
def _gradient_depth(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw the trainings of each data set, recipe and count of epochs apart, start beside end."""
    pairs = []
    for name, rows in _ended(table, frame, list(_WHEN)):
        curves = {when: _of_trainings(rows[rows["measurement"] == when], _norms) for when in _WHEN}
        norms = [norm for some in curves.values() for curve in some for norm in (*curve.low, *curve.high)]
        axes = {when: partial(_norm_axes, words, norms) for when, words in _WHEN.items()}
        start, end = (_Group(name, some, axes[when]) for when, some in curves.items())
        pairs.append((start, end))
    return _draw_pairs(pairs, table, frame)


def _norms(label: str, rows: pd.DataFrame) -> _Curve | None:
    """Return the curve of the seeds of one network over the share of its layers, the last first; None without any."""
    seeds = [[norm for _, norm in reversed(detail.get("by_layer", ()))] for detail in rows["detail"]]
    layers = [[n for n in norms if n and math.isfinite(n) and n > 0] for norms in zip(*seeds, strict=False)]
    last = max(len(layers) - 1, 1)
    known = [(place / last, norms) for place, norms in enumerate(layers) if norms]
    if not known:
        return None
    places, norms = zip(*known, strict=True)
    return _seeds(label, rows["family"].iloc[0], places, norms, lambda n: float(np.exp(np.mean(np.log(n)))))


def _norm_axes(when: str, norms: Sequence[float], axes: Axes) -> None:
    """Set up the axes of a panel, which all of a group share."""
    ticks_at(axes.xaxis, list(_TICKS), list(_TICKS.values()))
    axes.set_xlabel("Layers with weights, from the last back to the first")
    log_axis(axes.yaxis, norms, f"Norm of the gradient {when}", "1")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: _power(v) if v < 1e-3 else tick(v, "1")))


def _power(value: float) -> str:
    """Return a small number as a power of ten: ``10⁻⁵``, ``2 × 10⁻⁵``."""
    digit, exponent = f"{value:.0e}".split("e")
    power = "10" + str(int(exponent)).translate(_RAISED)
    return power if digit == "1" else f"{digit} × {power}"


def _ended(
    table: pd.DataFrame, frame: pd.DataFrame, measurements: Sequence[str]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the named measurements of each data set, recipe and count of epochs, networks in the table's order."""
    rows = frame[(frame["task"] == "accuracy") & (frame["status"] == "ok")]
    rows = rows[rows["measurement"].isin(measurements)]
    place = {network: position for position, network in enumerate(table["network"])}
    yield from by_training(rows.sort_values("arch", key=lambda names: names.map(place), kind="stable"))


def _of_trainings(rows: pd.DataFrame, curve: Callable[[str, pd.DataFrame], _Curve | None]) -> list[_Curve]:
    """Return the curve of each network's trainings that differ in their seed alone, of those that have one."""
    several = [key for key in ("recipe", "run") if rows.groupby("arch")[key].nunique().max() > 1]
    labelled = [
        (" · ".join(str(seeds[key].iloc[0]) for key in ("arch", *several)), seeds)
        for _, seeds in rows.groupby(["run", "series"], sort=False)
    ]
    return [one for label, seeds in labelled if (one := curve(label, seeds))]


def _seeds(
    label: str,
    family: object,
    places: Sequence[float],
    values: Sequence[Sequence[float]],
    middle: Callable[[Sequence[float]], float],
) -> _Curve:
    """Return the curve of what seeds have at each place, in a band from the least to the largest."""
    low, high = [min(v) for v in values], [max(v) for v in values]
    return _Curve(label, family_name(family), places, [middle(v) for v in values], low, high)


def _draw_pairs(
    pairs: Sequence[tuple[_Group, _Group]], table: pd.DataFrame, frame: pd.DataFrame
) -> Figure | None:
    """Draw the panels of two groups beside each other; where one of the two lacks curves, those of the other last.

    Of more than 40 curves of a group that of the most accurate network of each family is drawn, with the others grey
    behind.
    """
    known = table[table["accuracy"].notna()].sort_values("accuracy", ascending=False, kind="stable")
    ranking = list(dict.fromkeys(known["network"]))
    beside: list[_Panel] = []
    alone: list[_Panel] = []
    for left, right in ((_split(left, ranking), _split(right, ranking)) for left, right in pairs):
        if [title for _, title, _ in left] == [title for _, title, _ in right]:
            beside += [panel for pair in zip(left, right, strict=True) for panel in pair]
        else:
            alone += [*left, *right]
    return _draw([*beside, *alone], table, failed_trainings(frame))


# --- batches ---

_APART = 1.4  # times the tick before, so that their texts are apart


@figure(
    "throughput_batch",
    title="Throughput by batch size",
    caption="Forward passes without synchronisation between them; bands are the 95 % interval, over processes where "
    "there are several. Where a curve is flat, a larger batch buys nothing. Where there are many networks, each family "
    "has a panel as high as its own curves reach, with the others grey behind it; families of one network share theirs "
    "with those about as fast.",
    needs="infer jobs of one network at two batch sizes or more",
    place=50,
    charted=True,
)
def _throughput_batch(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw the networks of each machine apart."""
    steps = pooled(frame[(frame["task"] == "infer") & (frame["measurement"] == "step_time")])
    rows = steps[(steps["median"] > 0) & steps["batch_size"].notna()]
    parts: list[_Panel] = []
    for name, part in by_machine(rows):
        title, shown = name, _with_batches(part)
        if len(shown[WAY].drop_duplicates()) > _MANY:
            title, shown = _commonest(name, shown)
        curves = [_rates(one) for _, one in shown.groupby(WAY, dropna=False, sort=False)]
        parts += _split(_Group(title, curves, partial(_rate_axes, curves), fitted=True))
    return _draw(parts, table, _failed_batches(frame, rows))


def _failed_batches(frame: pd.DataFrame, measured: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (status, network and batch) of each that failed in all processes, a batch of several ways once."""
    jobs, keys = failed(frame, ["infer"]).dropna(subset=["batch_size"]), [*WAY, "batch_size"]
    known = pd.MultiIndex.from_frame(measured[keys].astype(object))
    jobs = jobs[~pd.MultiIndex.from_frame(jobs[keys].astype(object)).isin(known)]
    rows = zip(jobs["status"], jobs["network"], jobs["batch_size"], strict=True)
    return list(dict.fromkeys((status, f"{network} at {batch:.0f}") for status, network, batch in rows))


def _with_batches(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of networks and ways of running that were timed at two batch sizes or more, labelled."""
    rows = rows.drop_duplicates([*WAY, "batch_size"], keep="last")
    rows = rows[rows.groupby(WAY, dropna=False)["batch_size"].transform("size") > 1]
    rows = rows.sort_values(["year", "network", "batch_size"], kind="stable")
    return rows.assign(label=row_labels(rows))


def _commonest(name: str, rows: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Return the rows of the way of running that most networks share, and a title that says so."""
    ways = [way for _, way in rows.groupby(VARIANT, dropna=False, sort=False)]
    most = max(ways, key=lambda way: way["network"].nunique())
    title = ", ".join(word for word in (name, conditions(most)) if word)
    one_of = f" (1 of {len(ways)} ways)" if len(ways) > 1 else ""
    return title + one_of, most.assign(label=row_labels(most))


def _rates(rows: pd.DataFrame) -> _Curve:
    batches = rows["batch_size"]
    middle, low, high = ((batches / rows[key]).tolist() for key in ("median", "high", "low"))
    band = (low, high) if rows["low"].notna().all() else ((), ())
    return _Curve(rows["label"].iloc[0], family_name(rows["family"].iloc[0]), batches.tolist(), middle, *band)


def _rate_axes(curves: Sequence[_Curve], axes: Axes) -> None:
    """Set up the axes of a panel of a group, as high as its own curves reach."""
    ticks: list[float] = []
    for batch in sorted({x for curve in curves for x in curve.x}):
        if not ticks or batch >= _APART * ticks[-1]:
            ticks.append(batch)
    rates = [float(rate) for line in axes.lines for rate in np.asarray(line.get_ydata())]
    axes.set_xscale("log", base=2)
    ticks_at(axes.xaxis, ticks, [f"{batch:.0f}" for batch in ticks])
    axes.set_xlabel("Batch size")
    log_axis(axes.yaxis, rates, "Images per second", "1")


# --- panels ---


def _split(group: _Group, ranking: Sequence[str] = ()) -> list[_Panel]:
    """Return the panels of a group; families of one network share a panel."""
    curves = list(group.curves)
    if ranking and len(curves) > _MANY:
        return [(group, f"{group.title} · best of families", _first_of_families(curves, ranking))]
    if len(curves) <= _ONE_PANEL:
        return [(group, group.title, curves)] if curves else []
    sizes = Counter(c.family for c in curves)
    alone = [c for c in curves if sizes[c.family] == 1]
    near = _near(alone) if group.fitted else [alone]
    shared = [part for some in near for part in _evenly(some)]
    families = [[c for c in curves if c.family == f] for f, size in sizes.items() if size > 1]
    return [
        *((group, f"{one[0].family} · {group.title}", one) for one in families),
        *((group, f"{'others' if some[1:] else some[0].label} · {group.title}", some) for some in shared),
    ]


def _evenly(curves: Sequence[_Curve]) -> Iterator[list[_Curve]]:
    """Yield curves in as few panels as hold them, of about equal size."""
    count = math.ceil(len(curves) / _ONE_PANEL)
    for panel in range(count):
        yield list(curves[panel * len(curves) // count : (panel + 1) * len(curves) // count])


_FAR = 10  # times as high: between two such curves a panel would be blank


def _near(curves: Sequence[_Curve]) -> list[list[_Curve]]:
    """Return curves by where they end, the highest first, parted where the next one is far below."""
    parts: list[list[_Curve]] = []
    for curve in sorted(curves, key=lambda c: -c.y[-1]):
        if parts and parts[-1][-1].y[-1] < _FAR * curve.y[-1]:
            parts[-1].append(curve)
        else:
            parts.append([curve])
    return parts


def _first_of_families(curves: Sequence[_Curve], ranking: Sequence[str]) -> list[_Curve]:
    places = {name: place for place, name in enumerate(ranking)}
    ordered = sorted(
        curves, key=lambda c: (c.family != OWN, places.get(c.label.split(" · ")[0], len(places)))
    )
    first = {c.family: c for c in reversed(ordered)}
    return [c for c in ordered if c.family == OWN or first[c.family] is c][:_ONE_PANEL]


def _draw(parts: Sequence[_Panel], table: pd.DataFrame, failed: Sequence[tuple[str, str]]) -> Figure | None:
    """Draw the panels, and name below them what `failed`, pairs of a status and a name; None without any."""
    if not parts:
        return None
    shown, look = parts[:_PANELS], looks(table["family"])
    drawing, axes = panels(len(shown), height=3.6)
    for a, (group, title, curves) in zip(axes, shown, strict=True):
        names = {c.label for c in curves}
        _draw_behind(a, [c for c in group.curves if c.label not in names])
        _draw_curves(a, curves, look)
        group.setup(a)
        heading(a, title)
    footnote(drawing, [failed_note(drawing, failed), not_drawn(parts, shown)])
    for a, (_, _, curves) in zip(axes, shown, strict=True):
        label_ends(a, [(c.x[-1], c.y[-1], c.label) for c in curves])
    return drawing


def _draw_behind(axes: Axes, curves: Sequence[_Curve]) -> None:
    """Draw curves in grey, by sixteen of their points at most: hundreds of them would make a page heavy."""
    if not curves:
        return
    lines = []
    for curve in curves:
        count = len(curve.x)
        places = sorted({round(place) for place in np.linspace(0, count - 1, min(count, 16))})
        lines.append(np.column_stack([curve.x, curve.y])[places])
    axes.add_collection(LineCollection(lines, colors=GRID, linewidths=1, zorder=1))


def _marker(own: str, before: int) -> str:
    """Return the marker of a line that so many of its colour stand before; the star is for one's own alone."""
    kinds = MARKERS[:-1]
    return kinds[(kinds.index(own) + before) % len(kinds)] if own in kinds else own


def _draw_curves(axes: Axes, curves: Sequence[_Curve], look: Looks) -> None:
    """Draw curves in the colour of their family, those of one colour with different dashes and markers."""
    drawn: Counter[str] = Counter()
    bands, colours = [], []
    for curve in curves:
        style = look[family_name(curve.family)]
        before = drawn[style.colour]
        drawn[style.colour] += 1
        marker = _marker(style.marker, before)
        count = len(curve.x)
        marked = sorted({round(place) for place in np.linspace(count - 1, 0, min(count, _MARKED))})
        axes.plot(
            curve.x, curve.y, color=style.colour, linestyle=_DASHES[before % len(_DASHES)], marker=marker,
            markersize=5, markevery=marked, zorder=3,
        )  # fmt: skip
        if curve.low:
            edge = np.column_stack([[*curve.x, *curve.x[::-1]], [*curve.low, *curve.high[::-1]]])
            bands.append(edge)
            colours.append(style.colour)
    axes.add_collection(PolyCollection(bands, facecolors=colours, alpha=0.15, linewidth=0, zorder=2))
