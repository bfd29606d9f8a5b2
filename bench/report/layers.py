"""The layer table of one network, for a terminal, in Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

from bench.report.latex import to_longtable
from bench.report.text import plain
from bench.report.view import Cell, Head, View
from bench.units import DASH, percent, show

Row = Mapping[str, Any]


def _shape(key: str) -> Callable[[Row], str]:
    """Return what shows a shape [1, C, H, W] without the image's own dimension, as ``3×224×224``."""
    return lambda row: "×".join(str(n) for n in row[key][1:]) or DASH


def _pair(key: str) -> Callable[[Row], str]:
    """Return what shows rows and columns, as ``3×3`` for a kernel and ``2`` for equal strides."""

    def text(row: Row) -> str:
        value = row[key]
        if value is None:
            return DASH
        if not isinstance(value, list):
            return _number(value)
        if key != "kernel" and len(set(value)) == 1:
            return _number(value[0])
        return "×".join(_number(v) for v in value)

    return text


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _count(key: str) -> Callable[[Row], str]:
    return lambda row: DASH if row[key] is None else _number(row[key])


def _channels(row: Row) -> str:
    reads, writes = (DASH if row[k] is None else str(row[k]) for k in ("in_channels", "out_channels"))
    return DASH if reads == writes == DASH else f"{reads} → {writes}"


_COLUMNS: tuple[tuple[Head, Callable[[Row], str]], ...] = (
    (Head("Layer"), lambda row: plain(row["name"])),
    (Head("Type"), lambda row: plain(row["type"])),
    (Head("Input"), _shape("input")),
    (Head("Output"), _shape("output")),
    (Head("Channels"), _channels),
    (Head("Kernel"), _pair("kernel")),
    (Head("Stride", numeric=True), _pair("stride")),
    (Head("Padding", numeric=True), _pair("padding")),
    (Head("Groups", numeric=True), _count("groups")),
    (Head("Parameters", numeric=True), _count("parameters")),
    (Head("MACs", numeric=True), _count("macs")),
    (Head("Activations", "B", numeric=True), _count("activation_bytes")),
    (Head("Receptive field", "px", numeric=True), _pair("receptive_field")),
)
_TOTALS = {"Parameters": "parameters", "MACs": "macs", "Activations": "activation_bytes"}

# Columns of the CSV: raw numbers, the unit in the name; rows and columns of a pair with an x between.
_RAW = (
    "name", "type", "depth", "input", "output", "in_channels", "out_channels", "kernel", "stride", "padding",
    "dilation", "groups", "parameters", "macs", "activations", "activation_bytes", "receptive_field",
    "receptive_field_stride", "receptive_field_padding",
)  # fmt: skip


def layers_view(table: Mapping[str, Any]) -> View:
    """Return the table of `bench.costs.layers.layer_table` with its totals as the last row.

    Columns that no row has anything for, such as strides of a network without convolutions, are left out.
    """
    rows = [[text(row) for _, text in _COLUMNS] for row in table["layers"]]
    total = ["Total"] + [
        _number(table["totals"][_TOTALS[head.title]]) if head.title in _TOTALS else ""
        for head, _ in _COLUMNS[1:]
    ]
    told = [i for i in range(len(_COLUMNS)) if i == 0 or any(row[i] not in (DASH, "") for row in rows)]
    cells = [[Cell(row[i]) for i in told] for row in [*rows, total]]
    return View([_COLUMNS[i][0] for i in told], cells)


def notes(table: Mapping[str, Any]) -> list[str]:
    """Return sentences about the whole: memory, where it concentrates, and what is in doubt."""
    memory, lines = table["memory"], []
    lines.append(
        f"Memory for one image: {show(memory['forward_bytes'], 'B')} forward, "
        f"{show(memory['forward_backward_bytes'], 'B')} forward and backward "
        "(parameters, image and activations; the latter with gradients)."
    )
    names = {"activation_bytes": "Activation memory", "parameters": "Parameters", "macs": "MACs"}
    for key, title in names.items():
        if shares := table["concentration"][key]:
            foremost = ", ".join(f"{plain(s['name'])} {percent(s['share'])}" for s in shares)
            lines.append(f"{title}, foremost: {foremost}.")
    lines += [f"Does not fit: {plain(w)}" for w in table.get("warnings", [])]
    lines += [f"In doubt: {plain(d)}." for d in table["doubts"]]
    if table["failure"]:
        lines.append(f"The network failed before its end, the table stops there: {plain(table['failure'])}")
    return lines


def to_csv(table: Mapping[str, Any]) -> str:
    """Return all rows with raw numbers, and the totals last."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_RAW)
    for row in table["layers"]:
        writer.writerow([_raw(row[key]) for key in _RAW])
    writer.writerow(["Total"] + [_raw(table["totals"].get(key)) for key in _RAW[1:]])
    return out.getvalue()


def _raw(value: Any) -> Any:
    return "x".join(map(str, value)) if isinstance(value, list) else "" if value is None else value


def to_latex(shown: View, caption: str) -> str:
    """Return a table for the packages booktabs and longtable; whatever a name holds, it compiles."""
    return to_longtable(shown, caption)
