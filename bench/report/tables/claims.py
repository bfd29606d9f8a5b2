"""Claims and the findings on them, for a terminal, in Markdown and for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.claims import NUMBERS, VERDICTS, Claim, Finding, Verdict
from bench.claims.table import findings_of
from bench.report.tables.cells import Fields, Head, View, view_of
from bench.report.tables.formats import Terminal, to_markdown
from bench.report.text import plain
from bench.units import DASH, show

# How each verdict reads: ``other convention``.
VERDICT_TEXTS: Mapping[str, str] = {
    "confirmed": "confirmed",
    "rounding": "rounding",
    "confirmed_other_convention": "other convention",
    "erratum": "erratum",
    "supported": "supported",
    "refuted": "refuted",
    "indicated_for": "indicated for",
    "indicated_against": "indicated against",
    "undecided": "undecided",
    "needs_run": "needs a run",
    "undecidable": "not decided here",
}
# The verdicts whose findings stand line by line below the tables of a terminal.
_IN_LINES: Mapping[Verdict, str] = {
    "erratum": "Errata: no way to count that we know gives what is claimed",
    "confirmed_other_convention": "Right by another convention than ours",
    "indicated_for": "Indicated, not decided: tests under other conditions speak for it",
    "indicated_against": "Indicated, not decided: tests under other conditions speak against it",
    "undecided": "Left open by the tests of the runs",
}
_TOLERANCE = (
    "confirmed: equal. rounding: equal to the printed digits, rounded (half a unit of the last one), cut off (less "
    "than one) or, where the source says about, within two; the latter two are no more than 5 % of the claim. "
    "supported, refuted: tested with the data set, networks, relation and scale of the claim; indicated: tested, but "
    "otherwise."
)


def _word(finding: Finding) -> str:
    return VERDICT_TEXTS[finding.verdict]


def _claimed(claim: Claim) -> str:
    return _number(claim, claim.number, 0) if claim.unit in NUMBERS else plain(claim.claimed)


def _ours(finding: Finding) -> str:
    value = finding.ours
    if value is None:
        return DASH
    if not isinstance(value, Decimal):
        return plain(value) if value != finding.claim.claimed else "the same"
    return _number(finding.claim, value, 2)


def _number(claim: Claim, value: Decimal, more: int) -> str:
    """Show a number of a claim with as many digits as are printed, and some more; whole numbers whole."""
    digits, exponent = len(claim.number.as_tuple().digits), int(claim.number.as_tuple().exponent)
    unit = "" if claim.unit == "1" else f" {claim.unit}"
    if exponent < 0:
        own = max(0, -int(value.normalize().as_tuple().exponent))
        places = -exponent if value == claim.number else min(-exponent + more, own)
        return f"{value:.{places}f}{unit}"
    if exponent == 0 and value == value.to_integral_value():
        return f"{int(value):,}{unit}"
    return show(float(value), claim.unit, digits + more)


_MARKDOWN: Fields[Finding] = (
    (Head("Claim"), lambda finding: finding.claim.id),
    (Head("Printed"), lambda f: ", ".join(filter(None, (f.claim.printed, f.claim.convention))) or DASH),
    (Head("Claimed"), lambda finding: _claimed(finding.claim)),
    (Head("Ours"), _ours),
    (Head("Verdict", keep=3), _word),
    (Head("Arithmetic"), lambda finding: "; ".join(filter(None, (finding.arithmetic, finding.measured)))),
)

_TERMINAL: Fields[Finding] = (
    (Head("Claim"), lambda finding: plain(finding.claim.id)),
    (Head("Claimed", keep=2), lambda finding: _claimed(finding.claim)),
    (Head("Ours", keep=2), _ours),
    (Head("Verdict", keep=3), _word),
)


def claims_markdown(findings: Sequence[Finding]) -> str:
    """Return all findings with their arithmetic, a table a source."""
    parts = ["# Claims", _summary(findings), _TOLERANCE]
    for source, group in _by_source(findings):
        parts += [f"## {plain(source)}", to_markdown(view_of(group, _MARKDOWN)).rstrip()]
    return "\n\n".join(parts) + "\n"


def _summary(findings: Sequence[Finding]) -> str:
    """Return ``117 claims: 41 confirmed, 16 rounding, ...``."""
    counts = Counter(f.verdict for f in findings)
    verdicts = ", ".join(f"{counts[v]} {VERDICT_TEXTS[v]}" for v in VERDICTS if counts[v])
    return f"{len(findings)} claim{'s' if len(findings) != 1 else ''}: {verdicts}."


def claims_report(findings: Sequence[Finding]) -> Group:
    """Return a table a source for rich to print, then the arithmetic of what is not plainly confirmed."""
    parts: list[RenderableType] = [
        Terminal(view_of(group, _TERMINAL), plain(source)) for source, group in _by_source(findings)
    ]
    for verdict, title in _IN_LINES.items():
        parts += _lines(title, [(f, f.arithmetic) for f in findings if f.verdict == verdict])
    parts += _lines("Measured so far", [(f, f.measured) for f in findings if f.measured])
    return Group(*parts, Text(_summary(findings), style="bold"), Text(_TOLERANCE, style="dim"))


def _by_source(findings: Sequence[Finding]) -> Iterator[tuple[str, list[Finding]]]:
    order = {s: i for i, s in enumerate(dict.fromkeys(f.claim.source for f in findings))}
    ranked = sorted(findings, key=lambda f: order[f.claim.source])
    for source, group in groupby(ranked, key=lambda f: f.claim.source):
        yield source, list(group)


def _lines(title: str, findings: Sequence[tuple[Finding, str]]) -> list[RenderableType]:
    """Return a title and below it a line a finding; nothing without any."""
    if not findings:
        return []
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding, text in findings:
        table.add_row(Text("  " + plain(finding.claim.id)), Text(text))
    return [Text(f"{title} ({len(findings)})", style="bold"), table, Text()]


# The claims of a page: what the counts of its records alone say of whole networks.

_QUANTITIES = {
    "params": "parameters",
    "macs": "MACs",
    "published_top5": "published top-5",
    "published_top5_error": "published top-5 error",
}


def _in_print(claim: Claim) -> str:
    return show(float(claim.number), claim.unit, len(claim.number.as_tuple().digits))


def _counted(finding: Finding) -> str:
    return show(float(finding.ours), finding.claim.unit, 4) if isinstance(finding.ours, Decimal) else DASH


_PAGE: Fields[Finding] = (
    (Head("Network"), lambda finding: plain(finding.claim.network)),
    (Head("Claim"), lambda f: plain(_QUANTITIES.get(f.claim.quantity, f.claim.quantity.replace("_", " ")))),
    (Head("Claimed"), lambda finding: plain(_in_print(finding.claim))),
    (Head("Ours"), _counted),
    (Head("Verdict", keep=3), lambda finding: "differs" if finding.may_hold else _word(finding)),
    (Head("Arithmetic"), lambda finding: plain(finding.arithmetic)),
    (Head("Source"), lambda f: plain(": ".join(filter(None, (f.claim.source, f.claim.printed))))),
)


def findings_view(rows: Mapping[str, Mapping[Any, Any]]) -> View:
    """Return the claims on networks that were counted, those that differ first; `bench verify` decides the others."""
    return view_of(sorted(findings_of(rows), key=lambda finding: finding.verdict != "erratum"), _PAGE)
