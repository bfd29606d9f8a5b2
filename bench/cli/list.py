"""`bench list`: architectures, data sets, backends, executors, figures, formats of exports, experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled
from bench.cli._streams import note, print_json, stdout
from bench.io import JsonObject
from bench.report.tables.cells import Fields, Head, view_of
from bench.report.text import plain
from bench.units import percent


@handled
def _list(
    pattern: Annotated[
        str | None,
        typer.Argument(
            help="A kind (archs, datasets, ...) or a pattern of names, such as resnet* or torchvision:*."
        ),
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", "-l", help="Also the papers, and where data sets are from.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """List all that can be named.

    Architectures, data sets, backends, executors, figures, formats of exports and experiments.
    """
    from bench.api import list_units

    units = list_units(pattern, note)
    if as_json:
        print_json(units)
        return
    for kind, rows in units.items():
        if rows:
            _print(kind, rows, long=long)


def _print(kind: str, rows: Sequence[JsonObject], *, long: bool) -> None:
    from bench.report.tables.formats import Terminal

    fields = [field for field in _FIELDS.get(kind, _OTHERS) if long or field[0].title not in _LONG]
    stdout().print(Terminal(view_of(rows, fields), f"{_TITLES[kind]} ({len(rows)})"))


def _text(key: str) -> Callable[[JsonObject], str]:
    return lambda row: "" if row.get(key) is None else plain(row[key])


def _count(key: str) -> Callable[[JsonObject], str]:
    return lambda row: "" if row.get(key) is None else f"{row[key]:,}"


def _published(key: str, row: JsonObject) -> str:
    share = (row.get("published") or {}).get(key)
    return "" if share is None else percent(share)


def _protocol(row: JsonObject) -> str:
    from bench.plan.card import protocol_of

    published = row.get("published") or {}
    return plain(protocol_of(published) or "") if {"top1", "top5"} & published.keys() else ""


_TITLES = {
    "archs": "Architectures",
    "datasets": "Data sets",
    "backends": "Backends",
    "executors": "Executors",
    "figures": "Figures",
    "exports": "Formats of exports",
    "configs": "Experiments",
}
_LONG = ("paper", "source")  # columns that are shown on demand
_OTHERS: Fields[JsonObject] = ((Head("name"), _text("name")), (Head("about"), _text("about")))
_FIELDS: Mapping[str, Fields[JsonObject]] = {
    "archs": (
        (Head("name"), _text("name")),
        (Head("family", keep=0), _text("family")),
        (Head("year", numeric=True, keep=2), _text("year")),
        (Head("parameters", numeric=True, keep=2), _count("parameters")),
        (Head("px", numeric=True), _text("input_size")),
        (Head("least px", numeric=True, keep=0), _text("min_input")),
        (Head("published top-1", numeric=True, keep=2), partial(_published, "top1")),
        (Head("published top-5", numeric=True, keep=0), partial(_published, "top5")),
        (Head("tested on"), _protocol),
        (Head("paper", keep=3), _text("paper")),
    ),
    "datasets": (
        (Head("name"), _text("name")),
        (Head("classes", numeric=True), _text("num_classes")),
        (Head("channels", numeric=True), _text("in_channels")),
        (Head("px", numeric=True), _text("size")),
        (Head("train", numeric=True), _count("train")),
        (Head("test", numeric=True), _count("test")),
        (Head("source", keep=3), _text("source")),
    ),
}
