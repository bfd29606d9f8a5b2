"""`bench list`: architectures, data sets, backends, executors, figures, formats of exports, experiments."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer

from bench.cli._common import JsonOption, handled
from bench.cli._streams import note, print_json, stdout
from bench.io import JsonObject

_KINDS = ("archs", "datasets", "backends", "executors", "figures", "exports", "configs")


@handled
def list_(
    pattern: Annotated[
        str | None,
        typer.Argument(
            help="A kind (archs, datasets, ...) or a pattern of names, such as resnet* or torchvision:*."
        ),
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", "-l", help="Also the papers, and where data sets are from.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List all that can be named.

    Architectures, data sets, backends, executors, figures, formats of exports and experiments.
    """
    units = _units(pattern)
    if as_json:
        print_json(units)
        return
    for kind, rows in units.items():
        if rows:
            _print(kind, rows, long=long)


def _units(pattern: str | None) -> dict[str, list[JsonObject]]:
    """Return what matches, by kind.

    Raises:
        UnknownNameError: where nothing does.
    """
    from bench.errors import unknown_name

    kinds = [pattern] if pattern in _KINDS else list(_KINDS)
    names = None if pattern in _KINDS else pattern
    if names and names.startswith(("torchvision:", "timm:", "hf:")):
        kinds = ["archs"]
    matching = {
        kind: [row for row in rows if names is None or fnmatch.fnmatchcase(row["name"], names)]
        for kind, rows in _all(kinds, names).items()
    }
    if not any(matching.values()):
        known = [row["name"] for rows in _all(_KINDS, None).values() for row in rows]
        raise unknown_name("name or pattern", str(pattern), [*known, *_KINDS], "`bench list` shows all")
    return {kind: rows for kind, rows in matching.items() if rows or pattern == kind}


def _all(kinds: Sequence[str], pattern: str | None) -> dict[str, list[JsonObject]]:
    rows: dict[str, list[JsonObject]] = {}
    if {"archs", "datasets", "backends"} & set(kinds):
        rows |= _measuring(pattern, needed=pattern is not None or len(kinds) < len(_KINDS))
    rows |= {kind: read() for kind, read in _READING.items() if kind in kinds}
    return {kind: rows[kind] for kind in _KINDS if kind in kinds and kind in rows}


def _measuring(pattern: str | None, *, needed: bool) -> dict[str, list[JsonObject]]:
    """Return architectures, data sets and backends; where torch is not installed, none unless they are needed.

    Raises:
        UnsupportedError: where they are needed, and torch is not installed.
    """
    from bench.api.inspecting import units
    from bench.errors import UnsupportedError

    try:
        return units(pattern if pattern and ":" in pattern else None)
    except UnsupportedError as error:
        if needed:
            raise
        note(f"architectures, data sets and backends are left out: {error.message}")
        return {}


def _executors() -> list[JsonObject]:
    from bench.execution import EXECUTORS

    return _abouts({name: kind.about for name, kind in EXECUTORS.items()})


def _figures() -> list[JsonObject]:
    from bench.report.figures import FIGURES

    return _abouts({name: figure.title for name, figure in FIGURES.items()})


def _exports() -> list[JsonObject]:
    from bench.report.exports import EXPORTS

    return _abouts({name: unit.about for name, unit in EXPORTS.items()})


def _configs() -> list[JsonObject]:
    from bench.plan.config import Experiment
    from bench.plan.files import experiments

    return _abouts({name: Experiment.load(name).about for name in experiments()})


_READING: Mapping[str, Callable[[], list[JsonObject]]] = {
    "executors": _executors,
    "figures": _figures,
    "exports": _exports,
    "configs": _configs,
}


def _abouts(units: Mapping[str, str]) -> list[JsonObject]:
    return [{"name": name, "about": about} for name, about in units.items()]


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


def _top5(row: JsonObject) -> str:
    from bench.units import percent

    top5 = (row.get("published") or {}).get("top5")
    return "" if top5 is None else percent(top5)


def _protocol(row: JsonObject) -> str:
    from bench.plan.card import protocol_of

    published = row.get("published") or {}
    return protocol_of(published) or "" if "top5" in published else ""


_TITLES = {
    "archs": "Architectures",
    "datasets": "Data sets",
    "backends": "Backends",
    "executors": "Executors",
    "figures": "Figures",
    "exports": "Formats of exports",
    "configs": "Experiments",
}
_NUMBERS = ("year", "parameters", "px", "least px", "published top-5", "classes", "channels", "train", "test")
_LONG = ("paper", "source")  # columns that are shown on demand
_KEEP = {"paper": 3, "source": 3, "year": 2, "parameters": 2, "family": 0, "least px": 0}  # see `Head.keep`
_COLUMNS: Mapping[str, Mapping[str, _Cell]] = {
    "archs": {
        "name": _text("name"),
        "family": _text("family"),
        "year": _text("year"),
        "parameters": _count("parameters"),
        "px": _text("input_size"),
        "least px": _text("min_input"),
        "published top-5": _top5,
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
