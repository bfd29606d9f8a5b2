"""Two runs side by side, for a terminal and in Markdown; words say what changed, colours do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.text import Text

from bench.analysis.diff import Change, Diff
from bench.report.tables.formats import Terminal, to_markdown
from bench.report.tables.view import EMPTY, Cell, Head, View, interval, missing, view_of
from bench.report.text import markdown, plain
from bench.stats.differ import ENOUGH
from bench.stats.verdicts import show_p
from bench.units import percent, show, significant

_TIMED = ("infer", "train_step")
_TESTS = ("Welch's t", "Mann-Whitney", "all of", "counted", "equal")  # reasons that go without saying


def diff_view(diff: Diff) -> View:
    """Return the rows of a diff, without counts that are equal in both; why a row is undecided stands in `after`."""
    return view_of(
        _listed(diff),
        (
            (Head("Job"), lambda row: plain(row.label)),
            (Head("Quantity"), lambda row: plain(row.quantity)),
            (Head(plain(diff.a), numeric=True), lambda row: _value(row, row.a)),
            (Head(plain(diff.b), numeric=True), lambda row: _value(row, row.b)),
            (
                Head("Ratio", numeric=True),
                lambda row: _number(row.effect.estimate, _ratio(row.effect.estimate)),
            ),
            (Head("Interval", "95 %", numeric=True), _interval),
            (
                Head("p", numeric=True),
                lambda row: _number(row.effect.p, show_p(row.effect.p, row.effect.p_floor)),
            ),
            (
                Head("n", numeric=True),
                lambda row: f"{row.n_a}" if row.n_a == row.n_b else f"{row.n_a}, {row.n_b}",
            ),
            (Head("Verdict"), lambda row: row.effect.verdict),
        ),
    )


def _listed(diff: Diff) -> list[Change]:
    """Return the changes but for counts that are equal, which are counted and not listed."""
    return [row for row in diff.rows if row.effect.verdict != "equal"]


def _value(row: Change, value: float) -> str:
    if row.task == "accuracy" and row.unit == "1" and row.quantity.startswith("top"):
        return percent(value)
    return f"{value:,.0f}" if row.effect.verdict == "different" else show(value, row.unit)


def _number(value: float, text: str) -> Cell:
    return EMPTY if missing(value) else Cell(text, sort=value)


def _ratio(value: float) -> str:
    return f"{value:.3f}" if 0.1 <= value < 100 else significant(value)


def _interval(row: Change) -> Cell:
    low, high = row.effect.low, row.effect.high
    return EMPTY if missing(low) or missing(high) else Cell(interval(low, high, _ratio), sort=low)


def diff_report(diff: Diff) -> Group:
    """Return a diff for rich to print: what else differs, the table, and what it leaves open."""
    shown, notes = diff_view(diff), [Text(line, style="dim") for line in after(diff)]
    table = [Terminal(shown, f"{plain(diff.b)} against {plain(diff.a)}")] if shown.rows else []
    return Group(*map(Text, before(diff)), *table, *notes)


def diff_markdown(diff: Diff) -> str:
    """Return a diff as Markdown."""
    shown = diff_view(diff)
    parts = [
        f"# {markdown(diff.b)} against {markdown(diff.a)}\n",
        *(f"- {markdown(line)}" for line in before(diff)),
        "",
        to_markdown(shown) if shown.rows else "",
        *(f"- {markdown(line)}" for line in after(diff)),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def before(diff: Diff) -> list[str]:
    """Return what else differs between the runs, and whether anything of them can be certain."""
    lines = [f"{plain(what)}: {plain(a)} → {plain(b)}" for what, a, b in diff.changes]
    if diff.rows and not diff.tested and any(row.task in _TIMED for row in diff.rows):
        lines.append(
            "Too few processes to test: no change below is certain, and some may be suspected. To know, measure both "
            'in several: bench run ... --set "infer.replicate=[0,1,2,3,4,5,6,7]".'
        )
    return lines


def after(diff: Diff) -> list[str]:
    """Return how the rows came out, why some are undecided, and which jobs have no partner."""
    return [*_summary(diff), *_reasons(diff), *_alone(diff.only)]


def _summary(diff: Diff) -> Iterator[str]:
    counts = Counter(row.effect.verdict for row in diff.rows)
    verdicts = ", ".join(f"{n} {word}" for word, n in counts.most_common())
    yield f"{len(diff.rows)} quantities: {verdicts or 'none'}. A ratio is {plain(diff.b)} over {plain(diff.a)}."
    if any(row.n_a + row.n_b > 2 and row.unit in ("s", "1/s") for row in diff.rows):
        yield f"Times are geometric means of the processes' medians, of fewer than {ENOUGH} a run medians."
    if shift := diff.shift:
        way = "longer" if shift.factor > 1 else "shorter"
        yield (
            f"Times moved together: {shift.moved} of {shift.of} are {way} in {plain(diff.b)}, "
            f"{_ratio(shift.factor)} times in the median. That is the machine, or what all networks share, such as "
            "torch; bench compare measures networks in turn, which takes it out."
        )
    if diff.tested > 1:
        yield (
            f"{diff.tested} were tested, and p is corrected for their number (Holm): the chance that any of them is "
            f"called changed by chance alone is at most 5 %. {diff.sure} changed for certain."
        )


def _reasons(diff: Diff) -> Iterator[str]:
    """Yield why rows are undecided, or what a verdict without a test stands on; each reason once."""
    effects = [row.effect for row in _listed(diff)]
    reasons = Counter(
        (effect.verdict, effect.reason)
        for effect in effects
        if not effect.reason.startswith(_TESTS) or effect.verdict == "suspected"
    )
    for (word, reason), n in reasons.most_common():
        yield f"{word} ({n}): {plain(reason)}"


def _alone(only: Sequence[tuple[str, str, str]], most: int = 20) -> Iterator[str]:
    for label, run, why in only[:most]:
        where = f"only in {plain(run)}" if run else "not compared"
        yield f"{where}: {plain(label)} ({plain(why)})"
    if len(only) > most:
        yield f"and {len(only) - most} more jobs in one run only"
