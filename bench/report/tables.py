"""Tables: the columns of each, and how a view becomes one in a terminal, in Markdown or in CSV."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

from bench.analysis.percentiles import PERCENTILES
from bench.plan.settings import OnDevice
from bench.plan.task import Quantity, Task, tasks
from bench.records.flags import explain
from bench.report.text import markdown
from bench.report.view import (
    Best,
    Cell,
    Column,
    View,
    machine,
    number,
    seeds,
    share,
    spread,
    status,
    view,
    whole,
)

_CELLS = {"number": number, "whole": whole, "share": share, "spread": spread}
_PERCENTILES = {"latency": {name: "" if name.endswith("_needed") else "s" for name in PERCENTILES}}
_TRAININGS = {"accuracy": {"n_planned": "", "diverged": ""}}


def quantity_column(quantity: Quantity, beside: Sequence[Quantity] = ()) -> Column:
    """Return the column of a quantity; in files it has its ends, those that stand `beside` it, and its doubts."""
    unit = "%" if quantity.is_share else quantity.unit
    raw_unit = "" if quantity.is_share or quantity.unit == "1" else quantity.unit
    best = None
    if quantity.rivals is not None and quantity.better != "neither":
        best = Best(quantity.better, quantity.rivals, by_interval=bool(quantity.ends))
    return Column(
        quantity.name,
        quantity.title,
        _CELLS[quantity.cell],
        unit,
        show=quantity.show,
        raw={
            **dict.fromkeys(quantity.ends, raw_unit),
            **{one.name: "" if one.unit == "1" else one.unit.replace("/", "_per_") for one in beside},
            **_TRAININGS.get(quantity.name, {}),
            **({f"{quantity.name}_flags": ""} if quantity.has_flags else {}),
            **_PERCENTILES.get(quantity.name, {}),
        },
        narrow=quantity.narrow,
        best=best,
        better="neither" if quantity.cell == "whole" else quantity.better,
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
        yield quantity_column(quantity, [one for one in task.quantities if one.beside == quantity.name])
        if quantity.summary == "rate":
            yield Column(task.batch_column, task.batch_title, whole, show="differing")


_PUBLISHED_RAW = {"published_top1": "", "published_source": ""}
_TRAINED_RAW = {
    "trained_channels": "",
    "trained_classes": "",
    "trained_parameters": "",
    "trained_macs": "MAC",
}
_TRAINED_ALIKE = ("dataset", "recipe", "epochs")

_NETWORK: tuple[Column, ...] = (
    Column("network", "Network", show="always", raw={"label": "", "family": ""}),
    Column("year", "Year", whole, show="always"),
    Column(
        "published_top5",
        "Top-5, published",
        share,
        "%",
        show="always",
        raw=_PUBLISHED_RAW,
        best=Best("higher", within=("published_protocol",)),
        better="higher",
    ),
    Column("published_protocol", "Published, tested on", show="differing", narrow=False),
)
_WAYS: tuple[Column, ...] = (
    Column("run", "Run", show="differing"),
    Column("device_name", "Machine", machine, show="differing", raw={"device": ""}),
    Column("precision", "Precision", show="differing"),
    Column("memory_format", "Memory format", show="differing"),
    Column("backend", "Backend", show="differing"),
    Column("cudnn_benchmark", "cuDNN benchmark", show="differing"),
    Column("threads", "Threads", whole, show="differing"),
    Column("input_size", "Input", whole, "px", show="differing"),
    Column("in_channels", "Channels", whole, show="telling"),
    Column("num_classes", "Classes", whole, show="telling"),
)
_TRAINED: tuple[Column, ...] = (
    Column("n_ok", "Seeds", seeds),
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
    Column("top5_accuracy", "Top-5", share, "%", best=Best("higher", within=_TRAINED_ALIKE)),
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

    Args:
        table: the comparison.
        narrow: without the columns that only a page has room for.
    """
    return view(table, [column for column in COMPARISON if column.narrow or not narrow])


def trainings_view(table: pd.DataFrame) -> View:
    """Return the view of `bench.analysis.accuracy.accuracy_table`."""
    return view(table, TRAININGS)


def failures_view(table: pd.DataFrame) -> View:
    """Return the view of `bench.analysis.comparison.failures`."""
    return view(table, FAILURES)


def to_markdown(shown: View) -> str:
    """Return a Markdown table: the best values bold, notes in brackets, what is common and doubts about cells below."""
    letters = shown.footnotes
    lines = [
        _line(markdown(head) for head in shown.heads),
        _line("---:" if head.numeric else "---" for head in shown.heads),
        *(_line(_marked(cell, letters) for cell in row) for row in shown.rows),
    ]
    if shown.common:
        lines += ["", "The same in every row: " + markdown(shown.note)]
    for flag, letter in letters.items():
        lines += ["", f"<sup>{letter}</sup> {markdown(flag)}: {markdown(explain(flag))}"]
    return "\n".join(lines) + "\n"


def _marked(cell: Cell, letters: Mapping[str, str]) -> str:
    """Return a cell in Markdown, bold where it is the best, with its note and the letters of its doubts."""
    text = markdown(cell.text)
    marks = cell.marks(letters)
    return (
        (f"**{text}**" if cell.best else text)
        + (f" {markdown(cell.aside)}" if cell.note else "")
        + (f"<sup>{marks}</sup>" if marks else "")
    )


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def rich_table(table: pd.DataFrame, title: str | None = None) -> Terminal:
    """Return the comparison for a terminal, without the columns that only the page has room for."""
    return Terminal(comparison_view(table, narrow=True), title)


@dataclass(frozen=True, slots=True)
class Terminal:
    """A view for rich to print: where the terminal is too narrow, the table goes on below; no number is cut."""

    shown: View
    title: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield a table for each block of columns that fits; each begins with the first column."""
        shown, letters = self.shown, self.shown.footnotes
        first, *others = _widths(shown, letters)
        if first + max(others, default=0) + 7 > options.max_width:  # no room for notes beside numbers
            shown = replace(shown, rows=[[replace(cell, note="") for cell in row] for row in shown.rows])
        blocks = _blocks(_widths(shown, letters), options.max_width)
        for block in blocks:
            part = View([shown.heads[i] for i in block], [[row[i] for i in block] for row in shown.rows])
            yield to_rich(part, self.title if block is blocks[0] else None, letters)
        if self.shown.common:
            yield Text(f"The same in every row: {self.shown.note}", style="dim")
        for flag, letter in letters.items():
            yield Text(f"{letter} {flag}: {explain(flag)}", style="dim")


def _widths(shown: View, letters: Mapping[str, str]) -> list[int]:
    """Return how wide each column must be: its longest cell, or the longest word of its head."""
    heads = [
        max(cell_len(word) for word in [*head.title.split(), head.unit, *head.note.split()])
        for head in shown.heads
    ]
    cells = zip(*([cell_len(cell.told(letters)) for cell in row] for row in shown.rows), strict=True)
    return [max(head, *column) for head, column in zip(heads, cells, strict=True)] if shown.rows else heads


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """Return which columns stand beside each other; a column takes three more for the space around it."""
    blocks: list[list[int]] = [[0]]
    for i in range(1, len(widths)):
        if sum(widths[k] + 3 for k in [*blocks[-1], i]) + 1 > room and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(i)
    return blocks


def to_rich(shown: View, title: str | None = None, letters: Mapping[str, str] | None = None) -> Table:
    """Return a table for the terminal; names are text, never markup, and numbers are never wrapped."""
    letters = shown.footnotes if letters is None else letters
    table = Table(title=Text(title) if title else None, box=box.SIMPLE_HEAD, title_justify="left")
    for head, width in zip(shown.heads, _widths(shown, letters), strict=True):
        lines = [
            *textwrap.wrap(head.title, width, break_long_words=False),
            *([head.unit] if head.unit else []),
            *textwrap.wrap(head.note, width, break_long_words=False),
        ]
        align: JustifyMethod = "right" if head.numeric else "left"
        table.add_column(Text("\n".join(lines)), justify=align, no_wrap=head.numeric)
    for row in shown.rows:
        table.add_row(*(Text(cell.told(letters), "bold" if cell.best else "") for cell in row))
    return table


_SUFFIX = {"": "", "1": "", "%": "", "1/s": "_images_per_s"}


def to_csv(table: pd.DataFrame, columns: Sequence[Column] = COMPARISON) -> str:
    """Return all columns as CSV: numbers raw and unrounded, the unit in the name (`latency_s`), gaps empty."""
    units: dict[str, str] = {}
    for column in columns:
        units |= {column.key: column.unit, **column.raw}
    chosen = table.reindex(columns=list(units))
    named = chosen.rename(columns={k: k + _SUFFIX.get(u, f"_{u}") for k, u in units.items()})
    return csv_text(named)


def csv_text(table: pd.DataFrame) -> str:
    """Return a frame as CSV; whole numbers stay so where others of their column are missing: 2015, not 2015.0."""
    return table.apply(_integers).to_csv(index=False, lineterminator="\n")


def _integers(values: pd.Series[Any]) -> pd.Series[Any]:
    numbers = values.dropna() if values.dtype.kind == "f" else values.iloc[:0]
    if numbers.empty or not (numbers % 1 == 0).all() or not (numbers.abs() < 2**53).all():
        return values
    return values.astype("Int64")
