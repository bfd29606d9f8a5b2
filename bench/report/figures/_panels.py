"""What several figures share: the accuracies that a table has, its machines, and panels of points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.comparison import row_labels
from bench.analysis.doubted import flags_of
from bench.records.flags import doubts, spoken
from bench.report.style import Look, canvas, drawable, family_name

_CONDITIONS = ("precision", "memory_format", "backend")
_USUAL = ("contiguous", "eager")
_TIMED = ("latency", "throughput", "peak_memory", "tensor_memory", "energy")
CROWDED = 18  # points of a panel, above which it is made wide


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One kind of accuracy: rows of the table with `value` (a fraction) and `spread` (its sd, or NaN).

    Those of published ones have a `protocol` as well, how the images were tested.
    """

    title: str
    axis: str
    rows: pd.DataFrame


def accuracies(table: pd.DataFrame) -> Iterator[Accuracy]:
    """Yield each kind of accuracy that the table has, published first; neither tasks nor trainings are mixed."""
    yield from published(table)
    yield from trained(table)


def published(table: pd.DataFrame) -> Iterator[Accuracy]:
    """Yield the published accuracies of each count of classes: top-5 where any is known, else top-1."""
    for classes, rows in table.groupby("published_classes", dropna=False):
        key = "published_top5" if rows["published_top5"].notna().any() else "published_top1"
        known = rows[rows[key].notna()]
        if len(known):
            name, count = f"Top-{key[-1]}", _count(", {:.0f} classes", classes)
            known = known.assign(
                value=known[key], spread=math.nan, protocol=known.get("published_protocol", None)
            )
            yield Accuracy(f"{name} as published{count}", f"{name} accuracy", known)


def protocols(rows: pd.DataFrame) -> list[str]:
    """Return of each published accuracy how its images were tested; empty texts where all are alike, or measured."""
    told = rows["protocol"].fillna("unknown").tolist() if "protocol" in rows else []
    return told if len(set(told)) > 1 else [""] * len(rows)


def protocol_note(kinds: Sequence[Accuracy]) -> str:
    """Return a line for the foot of a figure with accuracies that were tested in several ways; else nothing."""
    ways = dict.fromkeys(way for kind in kinds for way in protocols(kind.rows) if way)
    named = ", ".join(map(drawable, ways))
    return (
        f"Published accuracies were tested in several ways ({named}) and do not compare across these"
        if ways
        else ""
    )


def trained(table: pd.DataFrame) -> Iterator[Accuracy]:
    """Yield the measured accuracies of each data set, recipe and count of epochs."""
    for name, rows in by_training(table[table["accuracy"].notna()]):
        yield Accuracy(f"Top-1 on {name}", "Top-1 accuracy", _as_trained(rows))


def _as_trained(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with what belongs to the shape that was trained: an accuracy stands against its own cost."""
    shapes = {
        "input_size": "trained_size",
        "in_channels": "trained_channels",
        "num_classes": "trained_classes",
    }
    same = pd.concat([rows[asked] == rows[trained] for asked, trained in shapes.items()], axis=1).all(axis=1)
    return rows.assign(
        value=rows["accuracy"],
        spread=rows["accuracy_sd"],
        value_flags=rows["accuracy_flags"],
        parameters=rows["trained_parameters"],
        macs=rows["trained_macs"],
        **{key: rows[key].where(same) for key in _TIMED},
    )


def in_doubt(rows: pd.DataFrame, *columns: str) -> pd.Series[bool]:
    """Return which rows have a number in these columns that is in doubt; such a one is on no front."""
    marked = [any(doubts(flags_of(row, c)) for c in columns) for row in rows.to_dict("records")]
    return pd.Series(marked, rows.index, dtype=bool)


def doubt_note(parts: Iterable[pd.DataFrame], *columns: str) -> str:
    """Return a line for the foot of a figure that says why points are hollow; nothing where none is."""
    rows = [row for part in parts for row in part.to_dict("records")]
    why = dict.fromkeys(flag for row in rows for c in columns for flag in doubts(flags_of(row, c)))
    return f"Hollow points are in doubt, and on no front: {drawable(spoken(*why), 200)}" if why else ""


def _count(text: str, count: Any) -> str:
    """Return the text with its number, or nothing where that is not known."""
    return "" if math.isnan(count) else text.format(count)


def worthwhile(kinds: list[Accuracy]) -> list[Accuracy]:
    """Return the kinds that compare two networks or more; where there is none, all of them."""
    return [kind for kind in kinds if kind.rows["network"].nunique() > 1] or kinds


def by_training(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each data set, recipe and count of epochs, such as ``cifar10, 8 epochs, std v1``.

    Recipes of one network alone are compared with each other.
    """
    recipe = table["recipe"]
    if recipe.nunique() > 1 and table["network" if "network" in table else "arch"].nunique() == 1:
        recipe = recipe.map(lambda _: None)
    for (dataset, taught, epochs), rows in table.groupby(["dataset", recipe, "epochs"], dropna=False):
        length = _count("{:.0f} epoch" if epochs == 1 else "{:.0f} epochs", epochs)
        yield ", ".join(word for word in (dataset, length, taught) if isinstance(word, str) and word), rows


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


def panels(count: int, *, wide: bool = False, height: float = 4.6) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels, two beside each other, or where they are `wide` one below the other."""
    columns = 1 if wide or count == 1 else 2
    rows = math.ceil(count / columns)
    width = 9.8 if wide else (5.4 * 2 if columns == 2 else 8.2)
    figure = canvas(width, rows * height * (1.3 if wide else 1.0))
    figure.set_layout_engine(
        "constrained", w_pad=0.1, h_pad=0.08
    )  # titles of axes keep clear of other panels
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for empty in axes[count:]:
        empty.remove()
    return figure, axes[:count]


def by_family(rows: pd.DataFrame, looks: Mapping[str, Look]) -> Iterator[tuple[Look, pd.DataFrame]]:
    """Yield the rows of each family with its look."""
    for family, part in rows.groupby(rows["family"].map(family_name), sort=False):
        yield looks[str(family)], part


def not_drawn(found: Sequence[object], shown: Sequence[object]) -> str:
    """Return a line for the foot of a figure that says how many panels were left out, nothing where none was."""
    more = len(found) - len(shown)
    return f"{more} more panel{'' if more == 1 else 's'} not drawn; the table has all" if more else ""


def heading(axes: Axes, title: str, limit: int = 54) -> None:
    """Set the title of a panel; data sets and machines have names from outside."""
    axes.set_title(drawable(title, limit))


def spans(values: Sequence[float]) -> float:
    """Return how many times the largest value is the smallest positive one."""
    positive = [v for v in values if v > 0]
    return max(positive) / min(positive) if positive else 1.0
