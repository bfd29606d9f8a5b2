"""Claims and what was found of them, for a terminal and in Markdown; by source, in the order of the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from bench.analysis.claims import VERDICTS, Claim, Finding, Verdict
from bench.analysis.claims.book import NUMBERS
from bench.report.tables import to_markdown
from bench.report.text import plain
from bench.report.view import Cell, Head, View
from bench.units import DASH, show

WORDS: dict[Verdict, str] = {
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
_STYLES: dict[Verdict, str] = {
    "confirmed": "green",
    "rounding": "green",
    "confirmed_other_convention": "yellow",
    "erratum": "bold red",
    "supported": "green",
    "refuted": "bold red",
    "indicated_for": "yellow",
    "indicated_against": "yellow",
    "undecided": "yellow",
    "needs_run": "dim",
    "undecidable": "dim",
}
# What is told line by line below the tables of a terminal.
_TOLD: dict[Verdict, str] = {
    "erratum": "Errata: no way to count that we know gives what is claimed",
    "confirmed_other_convention": "Right by another convention than ours",
    "indicated_for": "Indicated, not decided: tests under other conditions speak for it",
    "indicated_against": "Indicated, not decided: tests under other conditions speak against it",
    "undecided": "Left open by the tests of the runs",
}
TOLERANCE = (
    "confirmed: equal. rounding: equal to the printed digits, rounded (half a unit of the last one), cut off (less "
    "than one) or, where the source says about, within two; the latter two are no more than 5 % of the claim. "
    "supported, refuted: tested with the data set, networks, relation and scale of the claim; indicated: tested, but "
    "otherwise."
)
_WIDEST = 36  # columns of a cell of words


def claims_markdown(findings: Sequence[Finding]) -> str:
    """Return all findings with their arithmetic, a table a source."""
    parts = ["# Claims", summary(findings), TOLERANCE]
    heads = [Head(title) for title in ("Claim", "Printed", "Claimed", "Ours", "Verdict", "Arithmetic")]
    for source, group in _by_source(findings):
        rows = [[Cell(text) for text in _markdown_row(f)] for f in group]
        parts += [f"## {plain(source)}", to_markdown(View(heads, rows)).rstrip()]
    return "\n\n".join(parts) + "\n"


def _markdown_row(finding: Finding) -> list[str]:
    claim = finding.claim
    said = ", ".join(t for t in (claim.printed, claim.convention) if t) or DASH
    return [claim.id, said, _claimed(claim), _ours(finding), WORDS[finding.verdict], _told(finding)]


def summary(findings: Sequence[Finding]) -> str:
    """Return ``117 claims: 41 confirmed, 16 rounding, ...``."""
    counts = Counter(f.verdict for f in findings)
    told = ", ".join(f"{counts[v]} {WORDS[v]}" for v in VERDICTS if counts[v])
    return f"{len(findings)} claim{'s' if len(findings) != 1 else ''}: {told}."


@dataclass(frozen=True, slots=True)
class ClaimsReport:
    """The findings for rich to print: a table a source, then the arithmetic of what is not plainly confirmed."""

    findings: Sequence[Finding]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield tables and lines that fit 80 columns and more."""
        for source, group in _by_source(self.findings):
            yield _table(source, group)
        for verdict, title in _TOLD.items():
            yield from _lines(title, [f for f in self.findings if f.verdict == verdict])
        yield from _lines("Measured so far", [f for f in self.findings if f.measured], measured=True)
        yield Text(summary(self.findings), style="bold")
        yield Text(TOLERANCE, style="dim")


def _by_source(findings: Sequence[Finding]) -> Iterator[tuple[str, list[Finding]]]:
    order = {s: i for i, s in enumerate(dict.fromkeys(f.claim.source for f in findings))}
    ranked = sorted(findings, key=lambda f: order[f.claim.source])
    for source, group in groupby(ranked, key=lambda f: f.claim.source):
        yield source, list(group)


def _table(source: str, findings: Sequence[Finding]) -> Table:
    table = Table(title=Text(plain(source)), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("Claim", no_wrap=True)
    table.add_column("Claimed", max_width=_WIDEST, overflow="fold")
    table.add_column("Ours", max_width=_WIDEST, overflow="fold")
    table.add_column("Verdict", no_wrap=True)
    for finding in findings:
        verdict = Text(WORDS[finding.verdict], style=_STYLES[finding.verdict])
        table.add_row(
            Text(plain(finding.claim.id)), Text(_claimed(finding.claim)), Text(_ours(finding)), verdict
        )
    return table


def _lines(title: str, findings: Sequence[Finding], *, measured: bool = False) -> RenderResult:
    if not findings:
        return
    yield Text(f"{title} ({len(findings)})", style="bold")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(
            Text("  " + plain(finding.claim.id)), Text(finding.measured if measured else finding.arithmetic)
        )
    yield table
    yield Text()


def _told(finding: Finding) -> str:
    return "; ".join(t for t in (finding.arithmetic, finding.measured) if t)


def _claimed(claim: Claim) -> str:
    return _number(claim, claim.number, 0) if claim.unit in NUMBERS else plain(claim.claimed)


def _ours(finding: Finding) -> str:
    value = finding.ours
    if value is None:
        return DASH
    if not isinstance(value, Decimal):
        return plain(value) if value != finding.claim.claimed else "the same"
    return _number(finding.claim, value, 2)


def _places(value: Decimal) -> int:
    return max(0, -int(value.normalize().as_tuple().exponent))


def _number(claim: Claim, value: Decimal, more: int) -> str:
    """Show a number of a claim with as many digits as are printed, and some more; whole numbers whole."""
    digits, exponent = len(claim.number.as_tuple().digits), int(claim.number.as_tuple().exponent)
    unit = "" if claim.unit == "1" else f" {claim.unit}"
    if exponent < 0:
        places = -exponent if value == claim.number else min(-exponent + more, _places(value))
        return f"{value:.{places}f}{unit}"
    if exponent == 0 and value == value.to_integral_value():
        return f"{int(value):,}{unit}"
    return show(float(value), claim.unit, digits + more)
