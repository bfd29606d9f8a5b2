"""`bench list`: architectures, data sets, backends, executors, figures, formats of exports, experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled
from bench.cli._streams import note, print_json, stdout
from bench.io import JsonObject


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
    from bench.api.naming import units_like

    units = units_like(pattern, note)
    if as_json:
        print_json(units)
        return
    for kind, rows in units.items():
        if rows:
            _print(kind, rows, long=long)


def _print(kind: str, rows: Sequence[JsonObject], *, long: bool) -> None:
    from bench.report.tables.cells import Cell, Head, View
    from bench.report.tables.formats import Terminal
    from bench.report.text import plain

    columns = {
        title: cell
        for title, cell in _COLUMNS.get(kind, {"name": _text("name"), "about": _text("about")}).items()
        if long or title not in _LONG
    }
    heads = [Head(title, numeric=title in _NUMBERS, keep=_KEEP.get(title, 1)) for title in columns]
    cells = [[Cell(plain(cell(row))) for cell in columns.values()] for row in rows]
    stdout().print(Terminal(View(heads, cells), f"{_TITLES[kind]} ({len(rows)})"))


_Cell = Callable[[JsonObject], str]


def _text(key: str) -> _Cell:
    return lambda row: "" if row.get(key) is None else str(row[key])


def _count(key: str) -> _Cell:
    return lambda row: "" if row.get(key) is None else f"{row[key]:,}"


def _published(key: str) -> _Cell:
    def cell(row: JsonObject) -> str:
        from bench.units import percent

        share = (row.get("published") or {}).get(key)
        return "" if share is None else percent(share)

    return cell


def _protocol(row: JsonObject) -> str:
    from bench.plan.card import protocol_of

    published = row.get("published") or {}
    return protocol_of(published) or "" if {"top1", "top5"} & published.keys() else ""


_TITLES = {
    "archs": "Architectures",
    "datasets": "Data sets",
    "backends": "Backends",
    "executors": "Executors",
    "figures": "Figures",
    "exports": "Formats of exports",
    "configs": "Experiments",
}
_TOP1, _TOP5 = "published top-1", "published top-5"
_NUMBERS = ("year", "parameters", "px", "least px", _TOP1, _TOP5, "classes", "channels", "train", "test")
_LONG = ("paper", "source")  # columns that are shown on demand
# See `Head.keep`.
_KEEP = {"paper": 3, "source": 3, "year": 2, "parameters": 2, _TOP1: 2, _TOP5: 0, "family": 0, "least px": 0}
_COLUMNS: Mapping[str, Mapping[str, _Cell]] = {
    "archs": {
        "name": _text("name"),
        "family": _text("family"),
        "year": _text("year"),
        "parameters": _count("parameters"),
        "px": _text("input_size"),
        "least px": _text("min_input"),
        _TOP1: _published("top1"),
        _TOP5: _published("top5"),
        "tested on": _protocol,
        "paper": _text("paper"),
    },
    "datasets": {
        "name": _text("name"),
        "classes": _text("num_classes"),
        "channels": _text("in_channels"),
        "px": _text("size"),
        "train": _count("train"),
        "test": _count("test"),
        "source": _text("source"),
    },
}
