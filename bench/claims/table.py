"""Published counts, and claims on whole networks, held against what the comparison table has of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pandas as pd

from bench.analysis.flags import Row
from bench.claims import Claim, Context, Finding, claims_of
from bench.claims._context import check_of
from bench.claims._finding import PUBLISHED_ACCURACIES, Reading, agreement_in_print, decide_number
from bench.plan.card import ArchCard
from bench.records.store import Run

COUNTS: Mapping[str, str] = {"parameters": "1", "macs": "MAC"}
"""The counts that papers publish, with their units."""

_NO_CARD = ArchCard(name="")


Native = Mapping[str, Row]
"""Rows of the comparison by network, see `native_rows`."""


def published_table(table: pd.DataFrame, runs: Sequence[Run], native: Native) -> pd.DataFrame:
    """Return one row a network, in the order of `bench.analysis.comparison.compare_table`.

    Columns: `network`; `published_parameters` and `published_macs`, with `_gap` behind by which share ours differs at
        the network's own input size and classes, NaN where the digits in print explain it or it was not counted so.
    """
    cards = _cards(runs)
    rows = [
        _row(network, native.get(network), cards.get(network, _NO_CARD))
        for network in dict.fromkeys(table["network"])
    ]
    published = [column for key in COUNTS for column in (f"published_{key}", f"published_{key}_gap")]
    return pd.DataFrame(rows, columns=["network", *published])


def native_rows(table: pd.DataFrame, runs: Sequence[Run]) -> Native:
    """Return by network the first row that was counted at the network's own input size and classes."""
    cards = _cards(runs)
    native: dict[str, Row] = {}
    for row in table[table["parameters"].notna()].to_dict("records"):
        card = cards.get(row["network"], _NO_CARD)
        shape = (row["input_size"], row["in_channels"], row["num_classes"])
        own = (card.input_size, card.in_channels, card.num_classes)
        if all(a == b or (pd.isna(a) and pd.isna(b)) for a, b in zip(shape, own, strict=True)):
            native.setdefault(row["network"], row)
    return native


def _cards(runs: Sequence[Run]) -> dict[str, ArchCard]:
    return {record.job.arch: record.card for run in runs for record in run.records}


def _row(network: str, native: Row | None, card: ArchCard) -> dict[str, object]:
    row: dict[str, object] = {"network": network}
    for key in COUNTS:
        stored = card.published.get(key)
        value = float(stored) if isinstance(stored, int | float) and stored else math.nan
        gap = math.nan if native is None else _gap(native[key], value)
        row |= {f"published_{key}": value, f"published_{key}_gap": gap}
    return row


def _gap(ours: float, published: float) -> float:
    """Return by which share of a published count ours differs; NaN where its digits in print explain it."""
    if math.isnan(ours) or math.isnan(published):
        return math.nan
    agrees = agreement_in_print(Decimal(int(ours)), *in_print(published))
    return math.nan if agrees else ours / published - 1


def in_print(value: float) -> tuple[Decimal, Decimal]:
    """Return a number as it is in print, and what one in its last digit is worth: 1.8e9 and 1e8."""
    printed = Decimal(f"{value:.12g}").normalize()
    return printed, Decimal(1).scaleb(int(printed.as_tuple().exponent))


def findings_of(rows: Native) -> list[Finding]:
    """Return what the counts of the records say of the claims on their networks.

    Held against parameters, MACs and operations of whole networks, and published accuracies against the papers'. A
    count by layers may know a convention that these do not.
    """
    claims = claims_of()
    findings = (_find(claim, claims, rows[claim.network]) for claim in claims if claim.network in rows)
    return [finding for finding in findings if finding]


def _find(claim: Claim, claims: Sequence[Claim], row: Row) -> Finding | None:
    if claim.layer[0]:
        return None
    if claim.quantity in PUBLISHED_ACCURACIES:
        return check_of(claim).decide(claim, Context(claims, {}))
    readings = _readings(claim.quantity, row) if claim.unit in ("1", "MAC", "op") else []
    return decide_number(claim, readings) if readings else None


def _readings(quantity: str, row: Row) -> list[Reading]:
    """Return the ways to count a quantity of a whole network, ours first; none where the row has no count."""
    if quantity == "params" and not pd.isna(row["parameters"]):
        total = int(row["parameters"])
        return [Reading(Decimal(total), f"{total:,} parameters")]
    if quantity not in ("macs", "operations") or pd.isna(row["macs"]):
        return []
    macs = int(row["macs"])
    once = Reading(Decimal(macs), f"{macs:,} multiply-adds", "each multiply-add counted once")
    twice = Reading(Decimal(2 * macs), f"2 × {macs:,} = {2 * macs:,}", "each as two operations")
    return [once, twice] if quantity == "macs" else [twice, once]
