"""Claims on the networks of a report that its counts decide, as a table; `bench verify` decides the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from bench.analysis.claims import CHECKS, Book, Claim, Finding, claims_of
from bench.analysis.claims.verdict import Reading, judge
from bench.report.claims import WORDS
from bench.report.text import plain
from bench.report.view import Cell, Head, View, missing
from bench.units import DASH, show

_HEADS = [Head(t) for t in ("Network", "Claim", "Claimed", "Ours", "Verdict", "Arithmetic", "Source")]
_PUBLISHED = ("published_top5", "published_top5_error")
_UNDECIDED = "differs"
ERRATA = (WORDS["erratum"], _UNDECIDED)


def findings_view(rows: Mapping[str, Mapping[Any, Any]]) -> View:
    """Return the claims on networks that were counted, what differs first.

    Held against the counts of the records alone: parameters, MACs, operations, and published accuracies against
    the papers'. Where none of these agrees, a count by layers may still know a convention, so that the verdict is
    only that it differs.

    Args:
        rows: of `bench.report.classic.native_rows`.
    """
    claims = claims_of()
    found = [f for claim in claims if claim.network in rows and (f := _find(claim, claims, rows))]
    shown = sorted((_cells(f) for f in found), key=lambda cells: cells[4].text not in ERRATA)
    return View(_HEADS, shown)


def _find(claim: Claim, claims: Sequence[Claim], rows: Mapping[str, Mapping[Any, Any]]) -> Finding | None:
    if claim.layer[0]:
        return None
    if claim.quantity in _PUBLISHED:
        return CHECKS[claim.quantity].decide(claim, Book(claims, {}))
    if claim.unit not in ("1", "MAC", "op"):
        return None
    readings = _readings(claim.quantity, rows[claim.network])
    return judge(claim, readings) if readings else None


def _readings(quantity: str, row: Mapping[Any, Any]) -> list[Reading]:
    """Return the ways to count a quantity of a whole network, ours first; none where the row has no count."""
    if quantity == "params" and not missing(row["parameters"]):
        total = int(row["parameters"])
        return [Reading(Decimal(total), f"{total:,} parameters")]
    if quantity not in ("macs", "operations") or missing(row["macs"]):
        return []
    once = int(row["macs"])
    counted = Reading(Decimal(once), f"{once:,} multiply-adds", "each multiply-add counted once")
    doubled = Reading(Decimal(2 * once), f"2 × {once:,} = {2 * once:,}", "each as two operations")
    return [counted, doubled] if quantity == "macs" else [doubled, counted]


_QUANTITIES = {
    "params": "parameters",
    "macs": "MACs",
    "published_top5": "published top-5",
    "published_top5_error": "published top-5 error",
}


def _cells(finding: Finding) -> list[Cell]:
    claim, counted = finding.claim, finding.claim.quantity not in _PUBLISHED
    differs = finding.verdict == "erratum" and counted
    texts = (
        plain(claim.network),
        plain(_QUANTITIES.get(claim.quantity, claim.quantity.replace("_", " "))),
        plain(show(float(claim.number), claim.unit, len(claim.number.as_tuple().digits))),
        show(float(finding.ours), claim.unit, 4) if isinstance(finding.ours, Decimal) else DASH,
        _UNDECIDED if differs else WORDS[finding.verdict],
        plain(finding.arithmetic),
        plain(f"{claim.source}: {claim.printed}" if claim.printed else claim.source),
    )
    return [Cell(text, sort=text) for text in texts]
