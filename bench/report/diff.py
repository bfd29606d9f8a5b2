"""Two runs side by side, for a terminal and in Markdown; words say what changed, colours do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from bench.analysis.diff import Change, Diff
from bench.report.tables import Terminal, to_markdown
from bench.report.text import markdown, plain
from bench.report.view import EMPTY, Cell, Head, View, missing
from bench.stats.verdicts import show_p
from bench.units import percent, show, significant

TIMED = ("infer", "train_step")
_QUIET = "equal"  # counts that did not change are counted, not listed


def diff_view(found: Diff) -> View:
    """Return the rows of a diff, without counts that are equal in both."""
    heads = [
        Head("Job"), Head("Quantity"), Head(plain(found.a), numeric=True), Head(plain(found.b), numeric=True),
        Head("Ratio", numeric=True), Head("Interval", "95 %", numeric=True), Head("p", numeric=True),
        Head("n", numeric=True), Head("Verdict"),
    ]  # fmt: skip
    return View(heads, [_cells(row) for row in _listed(found)])


def _listed(found: Diff) -> list[Change]:
    return [row for row in found.rows if row.effect.verdict != _QUIET]


def _cells(row: Change) -> list[Cell]:
    effect = row.effect
    counts = f"{row.n_a}" if row.n_a == row.n_b else f"{row.n_a}, {row.n_b}"
    return [
        Cell(plain(row.label)),
        Cell(plain(row.quantity)),
        _value(row, row.a),
        _value(row, row.b),
        EMPTY if missing(effect.estimate) else Cell(_ratio(effect.estimate), sort=effect.estimate),
        _interval(effect.low, effect.high),
        EMPTY if missing(effect.p) else Cell(show_p(effect.p, effect.p_floor), sort=effect.p),
        Cell(counts),
        Cell(effect.verdict),  # its reason is told once, below
    ]


def _value(row: Change, value: float) -> Cell:
    if row.task == "accuracy" and row.unit == "1" and row.quantity.startswith("top"):
        return Cell(percent(value))
    return Cell(f"{value:,.0f}") if row.effect.verdict == "different" else Cell(show(value, row.unit))


def _ratio(value: float) -> str:
    return f"{value:.3f}" if 0.1 <= value < 100 else significant(value)


def _interval(low: float, high: float) -> Cell:
    return EMPTY if missing(low) or missing(high) else Cell(f"{_ratio(low)} – {_ratio(high)}", sort=low)


@dataclass(frozen=True, slots=True)
class DiffReport:
    """A diff for rich to print: what else differs, the table, and what it leaves open."""

    found: Diff

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield lines and a table that fit the terminal."""
        for line in before(self.found):
            yield Text(line)
        shown = diff_view(self.found)
        if shown.rows:
            yield Terminal(shown, f"{plain(self.found.b)} against {plain(self.found.a)}")
        for line in after(self.found):
            yield Text(line, style="dim")


def diff_markdown(found: Diff) -> str:
    """Return a diff as Markdown."""
    shown = diff_view(found)
    parts = [
        f"# {markdown(found.b)} against {markdown(found.a)}\n",
        *(f"- {markdown(line)}" for line in before(found)),
        "",
        to_markdown(shown) if shown.rows else "",
        *(f"- {markdown(line)}" for line in after(found)),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def before(found: Diff) -> list[str]:
    """Return what else differs between the runs, and whether anything of them can be certain."""
    lines = [f"{plain(what)}: {plain(a)} → {plain(b)}" for what, a, b in found.changes]
    if found.rows and not found.tested and any(row.task in TIMED for row in found.rows):
        lines.append(
            "Too few processes to test: no change below is certain, and some may be suspected. To know, measure both "
            'in several: bench run ... --set "infer.replicate=[0,1,2,3,4,5,6,7]".'
        )
    return lines


def after(found: Diff) -> list[str]:
    """Return how the rows came out, why some are undecided, and which jobs have no partner."""
    return [*_summary(found), *_reasons(found), *_alone(found.only)]


def _summary(found: Diff) -> Iterator[str]:
    counts = Counter(row.effect.verdict for row in found.rows)
    told = ", ".join(f"{n} {word}" for word, n in counts.most_common())
    yield f"{len(found.rows)} quantities: {told or 'none'}. A ratio is {plain(found.b)} over {plain(found.a)}."
    if found.tested > 1:
        yield (
            f"{found.tested} were tested, and p is corrected for their number (Holm): the chance that any of them is "
            f"called changed by chance alone is at most 5 %. {found.sure} changed for certain."
        )


def _reasons(found: Diff) -> Iterator[str]:
    """Yield why rows are undecided, or what a verdict without a test stands on; each reason once."""
    reasons = Counter(
        (r.effect.verdict, r.effect.reason)
        for r in _listed(found)
        if not r.effect.reason.startswith(("Welch's t", "Mann-Whitney", "all of", "counted", "equal"))
        or r.effect.verdict == "suspected"
    )
    for (word, reason), n in reasons.most_common():
        yield f"{word} ({n}): {plain(reason)}"


def _alone(only: Sequence[tuple[str, str, str]], most: int = 20) -> Iterator[str]:
    for label, run, why in only[:most]:
        where = f"only in {plain(run)}" if run else "not compared"
        yield f"{where}: {plain(label)} ({plain(why)})"
    if len(only) > most:
        yield f"and {len(only) - most} more jobs in one run only"
