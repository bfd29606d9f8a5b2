"""What several figures share: the accuracies that a table has, its machines, and panels of points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.style import Look, canvas, drawable, family_name

_CONDITIONS = ("precision", "memory_format", "backend")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One kind of accuracy: rows of the table with `value` (a fraction) and `spread` (its sd, or NaN)."""

    title: str
    axis: str
    rows: pd.DataFrame


def accuracies(table: pd.DataFrame) -> Iterator[Accuracy]:
    """Yield each kind of accuracy that the table has, published first; neither tasks nor trainings are mixed."""
    for classes, rows in table.groupby("published_classes", dropna=False):
        key = "published_top5" if rows["published_top5"].notna().any() else "published_top1"
        rows = rows[rows[key].notna()]
        if len(rows):
            name = f"Top-{key[-1]}"
            title = f"{name} as published, {classes:.0f} classes"
            yield Accuracy(title, f"{name} accuracy", rows.assign(value=rows[key], spread=math.nan))
    measured = table[table["accuracy"].notna()]
    for (dataset, recipe, epochs), rows in measured.groupby(["dataset", "recipe", "epochs"], dropna=False):
        title = f"Top-1 on {dataset} after {epochs:.0f} epochs, {recipe}"
        rows = rows.assign(value=rows["accuracy"], spread=rows["accuracy_sd"])
        yield Accuracy(title, "Top-1 accuracy", rows)


def by_machine(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each machine under its name; rows that ran on none are left out."""
    ran = table[table["device"].notna()]
    names = ran["device_name"].fillna(ran["device"]).astype(object)
    return [(str(name), rows) for name, rows in ran.groupby(names, sort=False)]


def conditions(rows: pd.DataFrame, batch: bool = False) -> str:
    """Return the settings that all rows share, such as ``bf16, compiled, batch 64``."""
    shared = [str(rows[key].iloc[0]) for key in _CONDITIONS if rows[key].nunique(dropna=False) == 1]
    if batch:
        low, high = rows["batch_size"].min(), rows["batch_size"].max()
        shared.append(f"batch {low:.0f}" if low == high else f"batches {low:.0f} to {high:.0f}")
    return ", ".join(shared)


def grid(rows: int, columns: int, width: float = 5.4, height: float = 4.6) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure of so many panels, of that many inches each; a single panel is a little wider."""
    figure = canvas(columns * width if columns > 1 else 1.3 * width, rows * height)
    return figure, [list(line) for line in figure.subplots(rows, columns, squeeze=False)]


def marker(row: Mapping[str, Any], looks: Mapping[str, Look]) -> Look:
    """Return the look of a row."""
    return looks[family_name(row["family"])]


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as mappings."""
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def left_out(axes: Axes, count: int) -> None:
    """Say below the panel how many labels found no room."""
    if count:
        text = f"{count} labels left out for want of room; the table has all"
        axes.annotate(text, (1, 0), (-4, 4), "axes fraction", "offset points", ha="right", fontsize=7)


def heading(axes: Axes, title: str) -> None:
    """Set the title of a panel; data sets and machines have names from outside."""
    axes.set_title(drawable(title, 72))


def spans(values: Sequence[float]) -> float:
    """Return how many times the largest value is the smallest positive one."""
    positive = [v for v in values if v > 0]
    return max(positive) / min(positive) if positive else 1.0
