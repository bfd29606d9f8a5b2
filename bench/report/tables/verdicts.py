"""Tables of verdicts: of networks against each other, of trainings and ensembles, of a study, and of two runs.

For a terminal, for the page and in Markdown; words say what changed, colours do not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pandas as pd
from rich.console import Group
from rich.text import Text

from bench.analysis.diff import Change, Diff
from bench.analysis.ensembles import Ensemble
from bench.analysis.gate import TwoRounds
from bench.analysis.studies import StudyVerdict
from bench.analysis.trainings import SeriesComparison
from bench.analysis.versus import QUANTITIES, Ratio
from bench.records.flags import doubts, explain, spoken
from bench.report.document import Document
from bench.report.tables._columns import TRAININGS
from bench.report.tables._studies import NOTE, STYLES, study_view
from bench.report.tables._view import Column, Row, interval, missing, view
from bench.report.tables.cells import EMPTY, Cell, Fields, Head, View, view_of
from bench.report.tables.formats import Terminal, to_markdown
from bench.report.text import markdown, plain
from bench.stats.effects import Effect
from bench.stats.verdicts import ENOUGH, show_p
from bench.units import DASH, Scale, percent, show, significant


def _p(effect: Effect) -> str:
    return show_p(effect.p, effect.p_floor)


def _counts(n: int, other: int) -> str:
    """Return how many processes or trainings each side has."""
    return f"{n}" if n == other else f"{n}, {other}"


# --- bench compare ---

_VERSUS: Fields[Ratio] = (
    (Head("Baseline"), lambda row: plain(row.baseline)),
    (Head("Quantity", keep=2), lambda row: QUANTITIES[row.quantity]),
    (Head("Ratio", numeric=True, stored="", keep=2), lambda row: _ratio_cell(row.effect)),
    (
        Head("95 % interval", numeric=True, keep=2),
        lambda row: interval(row.effect.low, row.effect.high, _ratio),
    ),
    (Head("p", numeric=True), lambda row: _p(row.effect)),
    (Head("n", numeric=True, keep=0), lambda row: str(row.effect.n)),
    (Head("Verdict", keep=3), lambda row: row.effect.verdict),
    (Head("Why"), lambda row: plain(row.effect.reason)),
)


def _ratio_cell(effect: Effect) -> Cell:
    """Show a ratio; the page keeps it, and its interval, as numbers."""
    ends = (effect.low, effect.high)
    if all(map(math.isfinite, ends)):
        return replace(_number(effect.estimate, _ratio(effect.estimate)), ends=ends)
    shown = _counted_ratio if effect.counted else _ratio
    return _number(effect.estimate, shown(effect.estimate))


def _counted_ratio(value: float) -> str:
    """Show the ratio of two counts with as many digits as it differs from 1 in, so that no higher one is 1.000."""
    apart = abs(value - 1)
    places = min(-math.floor(math.log10(apart)), 12) if 0 < apart < 0.5e-3 else 3
    return _known(value, f"{{:.{places}f}}")


def _known(value: float, text: str, factor: float = 1.0) -> str:
    """Return a number as text, a dash where it is none."""
    return text.format(factor * value) if math.isfinite(value) else DASH


def _ratio(value: float) -> str:
    return _known(value, "{:.3f}")


def versus_document(rows: Sequence[Ratio]) -> Document:
    """Return the ratios of a comparison, a network's over a baseline's, and how the networks stand."""
    title = f"{plain(rows[0].arch)} against its baselines" if rows else ""
    standings = [plain(one.sentence, 1000) + "." for one in Ratio.standings(rows)]
    return Document(view_of(rows, _VERSUS), title, notes=[*standings, *versus_remarks(rows)])


def versus_remarks(rows: Sequence[Ratio]) -> list[str]:
    """Return what is to be known of the rows of one run: what counts as the same, and what their flags mean."""
    if not rows:
        return []
    lines = [f"Ratios are over the baseline's. Times within ±{100 * rows[0].band:.3g} % are the same."]
    flags = dict.fromkeys(flag for row in rows for flag in row.flags)
    return lines + [f"{'Doubt' if doubts([flag]) else 'Told'}: {flag}: {explain(flag)}." for flag in flags]


# --- bench gate ---

_GATE: Fields[TwoRounds] = (
    (Head("Network"), lambda row: plain(row.ratio.arch)),
    (Head("Quantity", keep=2), lambda row: QUANTITIES[row.ratio.quantity]),
    (Head("Ratio", numeric=True, keep=2), lambda row: _rounds(row, lambda one: _ratio(one.estimate))),
    (
        Head("95 % interval", numeric=True, keep=2),
        lambda row: _rounds(row, lambda one: interval(one.low, one.high, _ratio)),
    ),
    (Head("Verdict", keep=3), lambda row: row.verdict + (f" ({spoken(*row.flags)})" if row.flags else "")),
)


def _rounds(row: TwoRounds, show_one: Callable[[Effect], str]) -> str:
    return "; again ".join(show_one(one.effect) for one in (row.ratio, row.again) if one is not None)


def gate_markdown(
    commits: Sequence[str],
    changes: Sequence[TwoRounds],
    new: Sequence[str] = (),
    lost: Sequence[str] = (),
    failed: Sequence[str] = (),
) -> str:
    """Return what two commits come to, as a comment: what is slower, new or lost, and the table of all the others.

    Args:
        commits: the earlier one and the later one.
        changes: of networks that are in both.
        new: networks that the earlier one lacks.
        lost: networks of which nothing was compared.
        failed: lines that say what failed, and why.
    """
    slower, suspected, doubted = (
        ", ".join(
            f"{markdown(c.ratio.arch)} in {QUANTITIES[c.ratio.quantity]}"
            for c in changes
            if c.verdict == word
        )
        for word in ("slower", "suspected", "slower in doubt")
    )
    lines = [
        f"**Slower for certain, in two rounds: {slower}.**" if slower else "Nothing is slower for certain.",
        f"Suspected, in one round alone: {suspected}." if suspected else "",
        f"Slower, but in doubt, and so not counted: {doubted}; measure again on an idle machine."
        if doubted
        else "",
        f"New, with nothing to compare: {', '.join(map(markdown, new))}." if new else "",
        f"**Not compared: {', '.join(map(markdown, lost))}.**" if lost else "",
    ]
    before, after = commits
    said = " ".join(filter(None, lines if changes else lines[1:])) or "Nothing was compared."
    why = "\n".join(f"- {markdown(line)}" for line in failed)
    table = to_markdown(view_of(changes, _GATE)).strip() if changes else ""
    return "\n\n".join(filter(None, (f"### {after} against {before}", said, why, table))) + "\n"


# --- trainings and ensembles ---


def _accuracy_interval(row: Row, _column: Column, _scale: Scale) -> Cell:
    low, high = row["accuracy_low"], row["accuracy_high"]
    return EMPTY if missing(low) else Cell(interval(low, high, lambda value: f"{100 * value:.1f}"))


def _target(row: Row, column: Column, _scale: Scale) -> Cell:
    """Show how many trainings reached the target, and their median time with the misses as never."""
    reached, tried, time = row["n_reached"], row["n_planned"], row[column.key]
    if missing(reached):
        return EMPTY
    return Cell(f"{'never' if time == math.inf else show(time, 's')}; {reached:.0f} of {tried:.0f}")


def _training_columns() -> list[Column]:
    """Return the columns of trainings with the interval behind the accuracy, and the target at the end."""
    columns = [replace(c, show="differing") if c.key == "dataset" else c for c in TRAININGS]
    behind = next(i for i, c in enumerate(columns) if c.key == "accuracy") + 1
    columns.insert(behind, Column("accuracy_low", "95 % interval", _accuracy_interval, "%"))
    return [*columns, Column("time_to_accuracy", "Time to target; reached", _target)]


def trainings_table(table: pd.DataFrame) -> Terminal:
    """Return the rows of `bench.analysis.accuracy.accuracy_table`: mean, deviation and interval over seeds, time."""
    return Terminal(view(table, _training_columns()))


_COMPARISONS: Fields[SeriesComparison] = (
    (Head("Network"), lambda one: plain(one.network)),
    (Head("Against", keep=2), lambda one: plain(one.baseline)),
    (
        Head("Difference", "points", numeric=True, keep=2),
        lambda one: _known(one.effect.estimate, "{:+.2f}", 100),
    ),
    (
        Head("95 %, trained anew", numeric=True, keep=2),
        lambda one: interval(one.effect.low, one.effect.high, _points),
    ),
    (
        Head("95 %, other images", numeric=True, keep=0),
        lambda one: interval(one.image_low, one.image_high, _points),
    ),
    (Head("p", numeric=True), lambda one: _p(one.effect)),
    (Head("n", numeric=True, keep=0), lambda one: _counts(one.n, one.n_baseline)),
    (Head("Verdict", keep=3), lambda one: one.effect.verdict),
    (Head("Why"), lambda one: plain(one.effect.reason)),
)
_COMPARISONS_NOTE = (
    "Differences of mean top-1 accuracy in percentage points. p and verdict are over trainings, by Welch's t, "
    "corrected for the number of comparisons (Holm), or by McNemar's test where there is one training each; p is a "
    "bound (≤) where it is below what an exact test of so many trainings can give. The interval over other images is a "
    "bootstrap paired over the test images, for these trained networks."
)


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def training_comparisons(comparisons: Sequence[SeriesComparison]) -> Terminal:
    """Return the table of `bench.analysis.trainings.SeriesComparison`."""
    return Terminal(view_of(comparisons, _COMPARISONS), "Trainings compared", [_COMPARISONS_NOTE])


_ENSEMBLES: Fields[Ensemble] = (
    (Head("Ensemble"), lambda one: plain(one.label)),
    (Head("Members", numeric=True, keep=0), lambda one: str(len(one.members))),
    (Head("Top-1", "%", numeric=True, keep=2), lambda one: _points(one.accuracy)),
    (Head("Mean member", "%", numeric=True), lambda one: _points(one.mean_member)),
    (Head("Best member", "%", numeric=True), lambda one: _points(one.best_member)),
    (
        Head("Gain over mean", "points", numeric=True, keep=2),
        lambda one: _gain(one.gain, one.gain_low, one.gain_high),
    ),
    (
        Head("Gain over best", "points", numeric=True),
        lambda one: _gain(one.over_best, one.over_best_low, one.over_best_high),
    ),
    (Head("Disagreement", "%", numeric=True), lambda one: f"{100 * one.disagreement:.1f}"),
)


def _gain(value: float, low: float, high: float) -> str:
    """Return ``+1.20 (0.85 – 1.55)``, a difference of fractions in percentage points with its interval."""
    return f"{100 * value:+.2f} ({_points(low)} – {_points(high)})"


def ensembles_table(ensembles: Sequence[Ensemble]) -> Terminal:
    """Return the table of `bench.analysis.ensembles.Ensemble`; gains have their 95 % interval."""
    dataset, images = plain(ensembles[0].dataset), ensembles[0].images
    note = (
        f"Gains in percentage points with 95 % intervals over the {images} test images of {dataset}, paired; "
    )
    note += "they hold for these trained networks."
    return Terminal(view_of(ensembles, _ENSEMBLES), f"Ensembles on {dataset}", [note])


# --- studies ---


def study_report(study: StudyVerdict) -> Group:
    """Return the tests and, at the end, the verdict for rich to print."""
    table = Terminal(study_view(study, narrow=True), f"Study {plain(study.name)}", [NOTE])
    return Group(table, Text(f"{study.verdict}: {plain(study.hypothesis)}", style=STYLES[study.verdict]))


# --- two runs ---

_TIMED = ("infer", "train_step")
_TESTS = ("Welch's t", "Mann-Whitney", "all of", "counted", "equal")  # reasons that go without saying


def _diff_view(diff: Diff) -> View:
    """Return the rows of a diff, without counts that are equal in both; why a row is undecided stands in `_reasons`."""
    return view_of(
        _listed(diff),
        (
            (Head("Job"), lambda row: plain(row.label)),
            (Head("Quantity", keep=2), lambda row: plain(row.quantity)),
            (Head(plain(diff.a), numeric=True), lambda row: _value(row, row.a)),
            (Head(plain(diff.b), numeric=True), lambda row: _value(row, row.b)),
            (
                Head("Ratio", numeric=True, keep=2),
                lambda row: _number(row.effect.estimate, _change(row.effect.estimate)),
            ),
            (Head("Interval", "95 %", numeric=True, keep=2), _ends),
            (
                Head("p", numeric=True),
                lambda row: _number(row.effect.p, _p(row.effect)),
            ),
            (Head("n", numeric=True, keep=0), lambda row: _counts(row.n_a, row.n_b)),
            (Head("Verdict", keep=3), lambda row: row.effect.verdict),
        ),
    )


def _listed(diff: Diff) -> list[Change]:
    """Return the changes but for counts that are equal, which are counted and not listed."""
    return [row for row in diff.rows if row.effect.verdict != "equal"]


def _value(row: Change, value: float) -> str:
    if row.quantity in ("top1", "top5", "val_top1"):
        return percent(value)
    whole = row.effect.verdict == "different" and value % 1 == 0  # a count is told to the last digit
    return f"{value:,.0f}" if whole else show(value, row.unit)


def _number(value: float, text: str) -> Cell:
    return EMPTY if missing(value) else Cell(text, sort=value)


def _change(value: float) -> str:
    return f"{value:.3f}" if 0.1 <= value < 100 else significant(value)


def _ends(row: Change) -> Cell:
    low, high = row.effect.low, row.effect.high
    return EMPTY if missing(low) or missing(high) else Cell(interval(low, high, _change), sort=low)


def diff_document(diff: Diff) -> Document:
    """Return a diff: what else differs, the table, and what it leaves open."""
    title = f"{plain(diff.b)} against {plain(diff.a)}"
    remarks = [*_summary(diff), *_reasons(diff), *_alone(diff.only)]
    return Document(_diff_view(diff), title, _before(diff), remarks, values=diff.to_json(), headed=True)


def _before(diff: Diff) -> list[str]:
    """Return what else differs between the runs, and whether anything of them can be certain."""
    lines = [f"{plain(what)}: {plain(a)} → {plain(b)}" for what, a, b in diff.changes]
    if diff.rows and not diff.tested and any(row.task in _TIMED for row in diff.rows):
        lines.append(
            "Too few processes to test: no change below is certain, and some may be suspected. To know, measure both "
            'in several: bench run ... --set "infer.replicate=[0,1,2,3,4,5,6,7]".'
        )
    return lines


def _summary(diff: Diff) -> Iterator[str]:
    counts = Counter(row.effect.verdict for row in diff.rows)
    verdicts = ", ".join(f"{n} {word}" for word, n in counts.most_common())
    yield f"{len(diff.rows)} quantities: {verdicts or 'none'}. A ratio is {plain(diff.b)} over {plain(diff.a)}."
    if any(row.n_a + row.n_b > 2 and row.unit in ("s", "1/s") for row in diff.rows):
        yield f"Times are geometric means of the processes' medians, of fewer than {ENOUGH} a run medians."
    if shift := diff.shift:
        way = "longer" if shift.factor > 1 else "shorter"
        yield (
            f"Times moved together: those of {shift.moved} of {shift.of} jobs are {way} in {plain(diff.b)}, "
            f"{_change(shift.factor)} times in the median. That is the machine, or what all networks share, such as "
            "torch; bench compare interleaves the networks, which takes it out."
        )
    if diff.tested > 1:
        yield (
            f"{diff.tested} were tested, and p is corrected for their number (Holm): the chance that any of them is "
            f"called changed by chance alone is at most 5 %. {diff.sure} changed for certain."
        )


def _reasons(diff: Diff) -> Iterator[str]:
    """Yield why rows are undecided, or what a verdict without a test stands on; each reason once."""
    effects = [row.effect for row in _listed(diff)]
    told = (e for e in effects if not e.reason.startswith(_TESTS) or e.verdict == "suspected")
    reasons = Counter((effect.verdict, effect.reason) for effect in told)
    for (word, reason), n in reasons.most_common():
        yield f"{word} ({n}): {plain(reason)}"


def _alone(only: Sequence[tuple[str, str, str]], most: int = 20) -> Iterator[str]:
    for label, run, why in only[:most]:
        where = f"only in {plain(run)}" if run else "not compared"
        yield f"{where}: {plain(label)} ({plain(why)})"
    if len(only) > most:
        yield f"and {len(only) - most} more jobs in one run only"
