"""The classic table: network, year, published accuracy, and published counts beside our own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from bench.analysis.claims.verdict import WIDEST
from bench.plan.card import ArchCard
from bench.records.store import Run
from bench.report.view import EMPTY, Cell, Column, Row, View, missing, number, share, view, whole
from bench.units import Scale, show

COUNTS: Mapping[str, str] = {"parameters": "1", "macs": "MAC"}


def _published(row: Row, column: Column, _scale: Scale) -> Cell:
    """Show a published count as it is in print, and by how much ours differs where that does not explain it."""
    key = column.key.removeprefix("published_")
    value, gap = row[column.key], row[f"{key}_gap"]
    if missing(value):
        return EMPTY
    digits, last = _printed(value)
    note = "" if missing(gap) or _agrees(value * (1 + gap), value, last) else f"counted: {100 * gap:+.1f} %"
    return Cell(show(value, COUNTS[key], min(digits, 4)), note.replace("-", "−"), float(value))


def _printed(value: float) -> tuple[int, float]:
    """Return how many digits a number in print has, and what one in the last of them is worth: 2 and 1e8 of 1.8e9."""
    _, digits, exponent = Decimal(f"{value:.12g}").normalize().as_tuple()
    return len(digits), 10.0 ** int(exponent)


def _agrees(ours: float, published: float, last: float) -> bool:
    """Return whether ours rounds to the published number, or was cut off after its last digit."""
    cut_off = last <= float(WIDEST) * published and 0 <= ours - published < last
    return cut_off or abs(ours - published) <= last / 2


CLASSIC: tuple[Column, ...] = (
    Column("network", "Network", show="always"),
    Column("year", "Year", whole, show="always"),
    Column("published_top5", "Top-5, published", share, "%", show="always"),
    Column("published_protocol", "Tested on", show="always"),
    Column("parameters", "Parameters, counted", number, "1", show="always"),
    Column("published_parameters", "Parameters, published", _published),
    Column("macs", "MACs, counted", number, "MAC", show="always"),
    Column("published_macs", "MACs, published", _published),
)


def classic_view(table: pd.DataFrame, runs: Sequence[Run]) -> View:
    """Return one row a network, in the order of `bench.analysis.comparison.compare_table`.

    Counts are those at the network's own input size and classes where it was counted so; only those are held
    against published ones.
    """
    native = native_rows(table, runs)
    cards = _cards(runs)
    rows = [
        _row(native.get(row["network"]), row, cards.get(row["network"], _NO_CARD))
        for row in table.drop_duplicates("network").to_dict("records")
    ]
    keys = [*(c.key for c in CLASSIC), *(f"{key}_gap" for key in COUNTS)]
    return view(pd.DataFrame(rows, columns=keys), CLASSIC)


def native_rows(table: pd.DataFrame, runs: Sequence[Run]) -> dict[str, Mapping[Any, Any]]:
    """Return by network the first row that was counted at the network's own input size and classes."""
    cards = _cards(runs)
    found: dict[str, Mapping[Any, Any]] = {}
    for row in table.to_dict("records"):
        if not missing(row["parameters"]) and _is_native(row, cards.get(row["network"], _NO_CARD)):
            found.setdefault(row["network"], row)
    return found


_NO_CARD = ArchCard(name="")


def _cards(runs: Sequence[Run]) -> dict[str, ArchCard]:
    return {record.job.arch: record.card for run in runs for record in run.records}


def _row(native: Mapping[Any, Any] | None, first: Mapping[Any, Any], card: ArchCard) -> dict[str, Any]:
    row = native or first
    found = {key: row[key] for key in ("network", "year", "published_top5", "published_protocol", *COUNTS)}
    for key in COUNTS:
        published = card.published.get(key)
        told = float(published) if isinstance(published, int | float) and published else math.nan
        found[f"published_{key}"] = told
        found[f"{key}_gap"] = row[key] / told - 1 if native else math.nan
    return found


def _is_native(row: Mapping[Any, Any], card: ArchCard) -> bool:
    asked = (row["input_size"], row["in_channels"], row["num_classes"])
    own = (card.input_size, card.in_channels, card.num_classes)
    return all(a == b or (missing(a) and missing(b)) for a, b in zip(asked, own, strict=True))
