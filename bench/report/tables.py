"""Tables: the columns of each, and how a view becomes one in a terminal, in Markdown or in CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from bench.report.text import markdown
from bench.report.view import Column, View, number, seeds, share, spread, view, whole

_ACCURACY_RAW = {"accuracy_sd": "", "accuracy_low": "", "accuracy_high": "", "n_planned": "", "diverged": ""}

COMPARISON: tuple[Column, ...] = (
    Column("network", "Network", show="always", raw={"label": "", "family": ""}),
    Column("year", "Year", whole, show="always"),
    Column(
        "published_top5",
        "Top-5, published",
        share,
        "%",
        show="always",
        raw={"published_top1": "", "published_source": ""},
    ),
    Column("parameters", "Parameters", number, "1", show="always"),
    Column("macs", "MACs", number, "MAC", show="always"),
    Column(
        "activations",
        "Activations",
        number,
        "1",
        raw={"parameter_bytes": "B", "activation_bytes": "B"},
    ),
    Column("run", "Run", show="differing"),
    Column("device_name", "Machine", show="differing"),
    Column("device", "Device", show="differing"),
    Column("precision", "Precision", show="differing"),
    Column("memory_format", "Memory format", show="differing"),
    Column("backend", "Backend", show="differing"),
    Column("threads", "Threads", whole, show="differing"),
    Column("input_size", "Input", whole, "px", show="differing"),
    Column("in_channels", "Channels", whole, show="differing"),
    Column("num_classes", "Classes", whole, show="differing"),
    Column("latency", "Latency, batch 1", number, "s", raw={"latency_low": "s", "latency_high": "s"}),
    Column(
        "throughput",
        "Throughput",
        number,
        "1/s",
        raw={"throughput_low": "1/s", "throughput_high": "1/s"},
    ),
    Column("batch_size", "Batch", whole, show="differing"),
    Column("peak_memory", "Peak memory", number, "B"),
    Column(
        "train_throughput",
        "Training throughput",
        number,
        "1/s",
        raw={"train_throughput_low": "1/s", "train_throughput_high": "1/s"},
    ),
    Column("train_batch_size", "Training batch", whole, show="differing"),
    Column("train_peak_memory", "Training peak memory", number, "B"),
    Column("accuracy", "Top-1, short training", spread, "%", raw=_ACCURACY_RAW),
    Column("n_ok", "Seeds", seeds),
    Column("dataset", "Data set"),
    Column("epochs", "Epochs", whole, show="differing"),
    Column("recipe", "Recipe", show="differing"),
    Column("trained_size", "Training input", whole, "px", show="differing"),
)

TRAININGS: tuple[Column, ...] = (
    Column("network", "Network", show="always"),
    Column("dataset", "Data set", show="always"),
    Column("recipe", "Recipe"),
    Column("epochs", "Epochs", whole),
    Column("input_size", "Input", whole, "px"),
    Column("accuracy", "Top-1", spread, "%", show="always", raw=_ACCURACY_RAW),
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
    Column("status", "Status", show="always"),
    Column("stage", "Stage"),
    Column("error", "Reason", show="always"),
    Column("tip", "Next step"),
    Column("run", "Run", show="differing"),
)


def comparison_view(table: pd.DataFrame) -> View:
    """Return the view of `bench.analysis.comparison.compare_table`."""
    return view(table, COMPARISON)


def trainings_view(table: pd.DataFrame) -> View:
    """Return the view of `bench.analysis.accuracy.accuracy_table`."""
    return view(table, TRAININGS)


def failures_view(table: pd.DataFrame) -> View:
    """Return the view of `bench.analysis.comparison.failures`."""
    return view(table, FAILURES)


def to_markdown(shown: View) -> str:
    """Return a Markdown table, with what is common to all rows below it."""
    lines = [
        _line(markdown(head) for head in shown.heads),
        _line("---:" if head.numeric else "---" for head in shown.heads),
        *(_line(markdown(cell.text) for cell in row) for row in shown.rows),
    ]
    if shown.common:
        lines += ["", "The same in every row: " + markdown(shown.note)]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def to_rich(shown: View, title: str | None = None) -> Table:
    """Return a table for the terminal; names are text, never markup."""
    table = Table(
        title=Text(title) if title else None,
        caption=Text(shown.note) if shown.common else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
    )
    for head in shown.heads:
        header = Text(head.title + (f"\n{head.unit}" if head.unit else ""))
        table.add_column(header, justify="right" if head.numeric else "left")
    for row in shown.rows:
        table.add_row(*(Text(cell.text) for cell in row))
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
