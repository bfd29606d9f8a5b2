"""The columns of the tables of a report, and their views."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from bench.analysis.keys import PUBLISHED, published_keys
from bench.analysis.replicates import PERCENTILES
from bench.analysis.shapes import near_published
from bench.claims.table import COUNTS, Native, in_print, published_table
from bench.plan.settings import OnDevice
from bench.plan.task import INPUT, Quantity, Task, tasks
from bench.records.store import Run
from bench.report.tables._view import (
    Column,
    Row,
    machine,
    missing,
    number,
    seeds,
    share,
    spread,
    status,
    view,
    whole,
)
from bench.report.tables.cells import EMPTY, Cell, View
from bench.units import Scale, show

_CELLS = {"number": number, "whole": whole, "share": share, "spread": spread}
_PERCENTILES = {"latency": {name: "" if name.endswith("_needed") else "s" for name in PERCENTILES}}
_TRAININGS = {"accuracy": {"n_planned": "", "diverged": ""}}


def quantity_column(task: Task, quantity: Quantity) -> Column:
    """Return the column of a quantity; in files it has its ends, those that stand beside it, and its doubts."""
    beside = [one for one in task.quantities if one.beside == quantity.name]
    unit = "%" if quantity.is_share else quantity.unit
    raw_unit = "" if quantity.is_share or quantity.unit == "1" else quantity.unit
    return Column(
        quantity.name,
        quantity.title,
        _CELLS[quantity.cell],
        unit,
        raw={
            **dict.fromkeys(quantity.ends, raw_unit),
            **{one.name: "" if one.unit == "1" else one.unit.replace("/", "_per_") for one in beside},
            **_TRAININGS.get(quantity.name, {}),
            **({f"{quantity.name}_flags": ""} if quantity.has_flags else {}),
            **_PERCENTILES.get(quantity.name, {}),
        },
        narrow=quantity.narrow,
        better="neither" if quantity.cell == "whole" else quantity.better,
        within=task.rivals(quantity),
        exact=quantity.exact or quantity.summary == "shape",
        marked=quantity.marked,
        keep=2 if quantity.marked and not quantity.exact else 1,  # what was measured, before what is counted
    )


def _measured(*, on_device: bool) -> Iterator[Column]:
    """Yield the columns of the tasks that run on a device, or of those that count."""
    for task in tasks().values():
        if issubclass(task.settings, OnDevice) == on_device:
            yield from _task_columns(task)


def _task_columns(task: Task) -> Iterator[Column]:
    """Yield the columns of the quantities of a task, the batch of a rate behind it."""
    for quantity in task.quantities:
        if not quantity.title or quantity.beside or quantity.summary is None:
            continue
        yield quantity_column(task, quantity)
        if quantity.summary == "rate":
            yield Column(task.batch_column, task.batch_title, whole, show="differing")


def published_share(row: Row, column: Column, scale: Scale) -> Cell:
    """Show a published accuracy, and for images of which size it is where the row is of another one."""
    cell = share(row, column, scale)
    return cell if cell is EMPTY else replace(cell, note=_published_at(row))


def _published_at(row: Row) -> str:
    size = row["published_size"]
    return "" if missing(size) or near_published(row) else f"at {size:.0f} px"


_TRAINED_RAW = {
    "trained_channels": "",
    "trained_classes": "",
    "trained_parameters": "",
    "trained_macs": "MAC",
}


def _published_accuracy(key: str) -> Column:
    return Column(
        key,
        f"Top-{key[-1]}, published",
        published_share,
        "%",
        better="higher",
        within=("published_protocol",),
        exact=True,
        marked=True,
    )


_NETWORK: tuple[Column, ...] = (
    Column("network", "Network", show="always", raw={"label": "", "family": ""}),
    Column("year", "Year", whole, keep=0),
    *map(_published_accuracy, PUBLISHED),
    Column(
        "published_protocol",
        "Published, tested on",
        show="differing",
        raw={"published_source": "", "published_size": "px"},
        narrow=False,
        tells_of=PUBLISHED,
    ),
)
_WAYS: tuple[Column, ...] = (
    Column("run", "Run", show="differing", keep=2),
    Column("device_name", "Machine", machine, show="differing", raw={"device": ""}, keep=2),
    Column("precision", "Precision", show="differing", keep=2),
    Column("memory_format", "Memory format", show="differing", keep=2),
    Column("backend", "Backend", show="differing", keep=2),
    Column("cudnn_benchmark", "cuDNN benchmark", show="differing", keep=2),
    Column("threads", "Threads", whole, show="differing", keep=2),
    Column("input_size", "Input", whole, "px", show="differing", keep=2),
    Column("in_channels", "Channels", whole, show="telling", keep=2),
    Column("num_classes", "Classes", whole, show="telling", keep=2),
)
_TRAINED: tuple[Column, ...] = (
    Column("n_ok", "Seeds", seeds, keep=0),
    Column("dataset", "Data set"),
    Column("epochs", "Epochs", whole, show="differing"),
    Column("recipe", "Recipe", show="differing"),
    Column("trained_size", "Training input", whole, "px", show="differing", narrow=False, raw=_TRAINED_RAW),
)

COMPARISON: tuple[Column, ...] = (
    *_NETWORK,
    *_measured(on_device=False),
    *_WAYS,
    *_measured(on_device=True),
    *_TRAINED,
    Column("evaluated_on", "Evaluated on"),
)
"""The network, what is counted of it, how it was run, what was measured then, and how it was trained."""

_ACCURACY = next(column for column in COMPARISON if column.key == "accuracy")

TRAININGS: tuple[Column, ...] = (
    Column("network", "Network", show="always"),
    Column("dataset", "Data set", show="always"),
    Column("recipe", "Recipe"),
    Column("epochs", "Epochs", whole),
    Column("input_size", "Input", whole, "px"),
    replace(_ACCURACY, title="Top-1", show="always"),
    Column("top5_accuracy", "Top-5", share, "%"),
    Column("n_ok", "Seeds", seeds, show="always"),
    Column("train_time", "Training time", number, "s"),
    Column("device", "Device", show="differing"),
    Column("precision", "Precision", show="differing"),
    Column("test_images", "Test images", whole, show="differing"),
    Column("run", "Run", show="differing"),
)

FAILURES: tuple[Column, ...] = (
    Column("label", "Job", show="always"),
    Column("status", "Status", status, show="always"),
    Column("stage", "Stage"),
    Column("error", "Reason", show="always"),
    Column("tip", "Next step"),
    Column("run", "Run", show="differing"),
)


def comparison_view(table: pd.DataFrame, *, narrow: bool = False) -> View:
    """Return the view of `bench.analysis.comparison.compare_table`.

    `narrow` leaves out the columns that only a page has room for.
    """
    spared = {*PUBLISHED} - {*published_keys(table)}
    shown = (column for column in COMPARISON if column.key not in spared)
    return view(table, [column for column in shown if column.narrow or not narrow])


def _published(row: Row, column: Column, _scale: Scale) -> Cell:
    """Show a published count as it is in print, and by how much ours differs where the digits do not explain it.

    Where ours is of another size, it is told of which the published one is.
    """
    value, gap = row[column.key], row[f"{column.key}_gap"]
    if missing(value):
        return EMPTY
    digits = len(in_print(value)[0].as_tuple().digits)
    unit = COUNTS[column.key.removeprefix("published_")]
    note = _published_at(row) if math.isnan(gap) else f"counted: {100 * gap:+.1f} %".replace("-", "−")
    return Cell(show(value, unit, min(digits, 4)), note, float(value))


def _page_columns(table: pd.DataFrame) -> Iterator[Column]:
    """Yield the columns of the comparison, counts as published behind our own; top-5 on demand where any has top-1."""
    folded = {*PUBLISHED} - {*published_keys(table)[:1]}
    for column in COMPARISON:
        shown = column.narrow or column.key == "published_protocol"
        yield replace(column, narrow=shown and column.key not in folded)
        if column.key in COUNTS:
            title = f"{column.title}, published"
            yield Column(f"published_{column.key}", title, _published, narrow=False)


def page_view(table: pd.DataFrame, runs: Sequence[Run], native: Native) -> View:
    """Return the table of a page: the comparison with published counts, those of a network's own shape with the gap."""
    published = published_table(table, runs, native)
    joined = table.merge(published, on="network", how="left")
    shapes = {network: tuple(row[key] for key in INPUT) for network, row in native.items()}
    rows = zip(table["network"], *(table[key] for key in INPUT), strict=True)
    other = pd.Series(
        [shapes.get(network) != tuple(shape) for network, *shape in rows], joined.index, dtype=bool
    )
    for key in COUNTS:
        joined[f"published_{key}_gap"] = joined[f"published_{key}_gap"].mask(other)
    return view(joined, list(_page_columns(table)))
