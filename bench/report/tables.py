"""Tables: the columns of each, and how a view becomes one in a terminal, in Markdown or in CSV."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

from bench.analysis.percentiles import PERCENTILES
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


def _ends(key: str, unit: str) -> dict[str, str]:
    return {f"{key}_low": unit, f"{key}_high": unit}


def _with_flags(key: str, unit: str = "", ends: bool = True) -> dict[str, str]:
    return {**(_ends(key, unit) if ends else {}), f"{key}_flags": ""}


_PERCENTILES_RAW = {name: "" if name.endswith("_needed") else "s" for name in PERCENTILES}


_PUBLISHED_RAW = {"published_top1": "", "published_source": ""}
_MACS_RAW = {
    "macs_second": "MAC",
    "macs_gap": "",
    "uncounted_share": "",
    "operations": "op",
    "macs_flags": "",
}
_ACTIVATIONS_RAW = {
    "matrix_activations": "",
    "parameter_bytes": "B",
    "activation_bytes": "B",
    "activations_flags": "",
}
_ACCURACY_RAW = {
    "accuracy_sd": "",
    **_ends("accuracy", ""),
    "n_planned": "",
    "diverged": "",
    "accuracy_flags": "",
}

_TRAINED_RAW = {
    "trained_channels": "",
    "trained_classes": "",
    "trained_parameters": "",
    "trained_macs": "MAC",
}

_ALIKE = ("device_name", "device", "in_channels", "num_classes")  # small networks are no rivals of large ones
_HIGHEST = Best("higher", within=("published_protocol",))
_LEAST = Best("lower", within=_ALIKE)
_SOONEST = Best("lower", within=_ALIKE, by_interval=True)
_MOST = Best("higher", within=_ALIKE, by_interval=True)
_TRAINED_ALIKE = ("dataset", "recipe", "epochs")
_BEST_TRAINED = Best("higher", within=_TRAINED_ALIKE, by_interval=True)

COMPARISON: tuple[Column, ...] = (
    Column("network", "Network", show="always", raw={"label": "", "family": ""}),
    Column("year", "Year", whole, show="always"),
    Column(
        "published_top5", "Top-5, published", share, "%", show="always", raw=_PUBLISHED_RAW, best=_HIGHEST
    ),
    Column("published_protocol", "Published, tested on", show="differing", narrow=False),
    Column("parameters", "Parameters", number, "1", show="always", raw=_with_flags("parameters", ends=False)),
    Column("macs", "MACs", number, "MAC", show="always", raw=_MACS_RAW),
    Column("activations", "Activations", number, "1", raw=_ACTIVATIONS_RAW, narrow=False),
    Column(
        "receptive_field",
        "Receptive field",
        whole,
        "px",
        narrow=False,
        raw=_with_flags("receptive_field", ends=False),
    ),
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
    Column(
        "latency",
        "Latency, batch 1",
        number,
        "s",
        raw=_with_flags("latency", "s") | _PERCENTILES_RAW,
        best=_SOONEST,
    ),
    Column("throughput", "Throughput", number, "1/s", raw=_with_flags("throughput", "1/s"), best=_MOST),
    Column("batch_size", "Batch", whole, show="differing"),
    Column(
        "tensor_memory",
        "Memory of tensors",
        number,
        "B",
        raw=_with_flags("tensor_memory", ends=False),
        best=Best("lower", within=(*_ALIKE, "batch_size")),
    ),
    Column("peak_memory", "Peak memory", number, "B", raw=_with_flags("peak_memory", ends=False)),
    Column("energy", "Energy of an image", number, "J", raw=_with_flags("energy", ends=False), best=_LEAST),
    Column("roofline_share", "Of the roofline", share, "%", narrow=False, raw={"intensity": "MAC_per_B"}),
    Column(
        "train_throughput",
        "Training throughput",
        number,
        "1/s",
        raw=_with_flags("train_throughput", "1/s"),
        best=_MOST,
    ),
    Column("train_batch_size", "Training batch", whole, show="differing"),
    Column(
        "train_tensor_memory",
        "Training memory of tensors",
        number,
        "B",
        narrow=False,
        raw=_with_flags("train_tensor_memory", ends=False),
        best=Best("lower", within=(*_ALIKE, "train_batch_size")),
    ),
    Column(
        "train_peak_memory",
        "Training peak memory",
        number,
        "B",
        narrow=False,
        raw=_with_flags("train_peak_memory", ends=False),
    ),
    Column(
        "train_energy",
        "Training energy of an image",
        number,
        "J",
        narrow=False,
        raw=_with_flags("train_energy", ends=False),
        best=_LEAST,
    ),
    Column("accuracy", "Top-1, short training", spread, "%", raw=_ACCURACY_RAW, best=_BEST_TRAINED),
    Column("n_ok", "Seeds", seeds),
    Column("dataset", "Data set"),
    Column("epochs", "Epochs", whole, show="differing"),
    Column("recipe", "Recipe", show="differing"),
    Column("trained_size", "Training input", whole, "px", show="differing", narrow=False, raw=_TRAINED_RAW),
)

TRAININGS: tuple[Column, ...] = (
    Column("network", "Network", show="always"),
    Column("dataset", "Data set", show="always"),
    Column("recipe", "Recipe"),
    Column("epochs", "Epochs", whole),
    Column("input_size", "Input", whole, "px"),
    Column("accuracy", "Top-1", spread, "%", show="always", raw=_ACCURACY_RAW, best=_BEST_TRAINED),
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
