"""The layer table of one network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.io import JsonObject
from bench.report.document import Document
from bench.report.tables.cells import Cell, Fields, Head, View, csv_rows, view_of
from bench.report.text import plain
from bench.units import DASH, percent, show


def _text(key: str) -> Callable[[JsonObject], str]:
    return lambda layer: plain(layer[key])


def _shape(key: str) -> Callable[[JsonObject], str]:
    """Return the function that shows a shape [1, C, H, W] without the image's own dimension, as ``3×224×224``."""
    return lambda layer: "×".join(str(n) for n in layer[key][1:]) or DASH


def _pair(key: str, layer: JsonObject) -> str:
    """Show rows and columns, as ``3×3`` for a kernel and ``2`` for equal strides."""
    value = layer[key]
    if value is None:
        return DASH
    if not isinstance(value, list):
        return _number(value)
    if key != "kernel" and len(set(value)) == 1:
        return _number(value[0])
    return "×".join(map(_number, value))


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _count(key: str) -> Callable[[JsonObject], str]:
    return lambda layer: DASH if layer[key] is None else _number(layer[key])


def _channels(layer: JsonObject) -> str:
    reads, writes = (DASH if layer[k] is None else str(layer[k]) for k in ("in_channels", "out_channels"))
    return DASH if reads == writes == DASH else f"{reads} → {writes}"


_FIELDS: Fields[JsonObject] = (
    (Head("Layer"), _text("name")),
    (Head("Type"), _text("type")),
    (Head("Input"), _shape("input")),
    (Head("Output", keep=2), _shape("output")),
    (Head("Channels", keep=0), _channels),
    (Head("Kernel"), partial(_pair, "kernel")),
    (Head("Stride", numeric=True), partial(_pair, "stride")),
    (Head("Padding", numeric=True, keep=0), partial(_pair, "padding")),
    (Head("Groups", numeric=True, keep=0), _count("groups")),
    (Head("Parameters", numeric=True, keep=2), _count("parameters")),
    (Head("MACs", numeric=True, keep=2), _count("macs")),
    (Head("Activations", "B", numeric=True), _count("activation_bytes")),
    (Head("Receptive field", "px", numeric=True), partial(_pair, "receptive_field")),
)
_TOTALS = {"Parameters": "parameters", "MACs": "macs", "Activations": "activation_bytes"}

# Columns of the CSV: raw numbers, the unit in the name; rows and columns of a pair with an x between.
_RAW = (
    "name", "type", "depth", "input", "output", "in_channels", "out_channels", "kernel", "stride", "padding",
    "dilation", "groups", "parameters", "macs", "activations", "activation_bytes", "receptive_field",
    "receptive_field_stride", "receptive_field_padding",
)  # fmt: skip


def layers_document(table: JsonObject) -> Document:
    """Return the table of `bench.api.inspecting.layers`, with what is to be said of the whole."""
    title = f"{plain(table['arch'])}, one image {'×'.join(map(str, table['input'][1:]))}"
    return Document(_view(table), title, notes=_notes(table), values=table, csv=_csv(table))


def _view(table: JsonObject) -> View:
    """Return a row a layer, with the totals as the last row.

    Columns that no row has anything for, such as strides of a network without convolutions, are left out.
    """
    layers, totals = table["layers"], {title: _number(table["totals"][key]) for title, key in _TOTALS.items()}
    told = [field for field in _FIELDS[1:] if any(field[1](layer) not in (DASH, "") for layer in layers)]
    return view_of(layers, [_FIELDS[0], *told]).with_row({"Layer": "Total", **totals}, Cell(""))


def _notes(table: JsonObject) -> list[str]:
    """Return sentences about the whole: memory, where it concentrates, and what is in doubt."""
    memory = table["memory"]
    lines = [
        f"Memory for one image: {show(memory['forward_bytes'], 'B')} forward, "
        f"{show(memory['forward_backward_bytes'], 'B')} forward and backward "
        "(parameters, image and activations; the latter with gradients)."
    ]
    names = {"activation_bytes": "Activation memory", "parameters": "Parameters", "macs": "MACs"}
    for key, title in names.items():
        if shares := table["concentration"][key]:
            foremost = ", ".join(f"{plain(s['name'])} {percent(s['share'])}" for s in shares)
            lines.append(f"{title}, the largest shares: {foremost}.")
    if larger := _beyond_image(table):
        lines.append(
            f"Receptive fields are as if the image had no borders: from {plain(larger)} on some are larger than the "
            "image, of which a unit sees no more than all."
        )
    lines += [f"Does not fit: {plain(warning)}" for warning in table.get("warnings", [])]
    lines += [f"Taken: {plain(line)}" for line in table.get("taken_from", [])]
    lines += [f"In doubt: {plain(doubt)}." for doubt in table["doubts"]]
    if table["failure"]:
        lines.append(f"The network failed before its end, the table stops there: {plain(table['failure'])}")
    return lines


def _beyond_image(table: JsonObject) -> str | None:
    """Return the first layer whose receptive field is larger than the image."""
    sides = table["input"][2:]
    for row in table["layers"]:
        field = row["receptive_field"]
        sizes = field if isinstance(field, list) else [field] * len(sides)
        if any(isinstance(size, int) and size > side for size, side in zip(sizes, sides, strict=True)):
            return str(row["name"])
    return None


def _csv(table: JsonObject) -> str:
    """Return all rows with raw numbers, and the totals last."""
    total = ["Total", *(_raw(table["totals"].get(key)) for key in _RAW[1:])]
    return csv_rows(_RAW, [*([_raw(layer[key]) for key in _RAW] for layer in table["layers"]), total])


def _raw(value: object) -> object:
    return "x".join(map(str, value)) if isinstance(value, list) else "" if value is None else value
