"""Networks against each other as tables: of `bench compare`, of trainings, and of ensembles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from bench.analysis.ensembles import Ensemble
from bench.analysis.trainings import SeriesComparison
from bench.analysis.versus import QUANTITIES, Ratio, standings
from bench.records.flags import doubts, explain
from bench.report.tables.columns import TRAININGS
from bench.report.tables.formats import Terminal
from bench.report.tables.view import (
    EMPTY,
    Cell,
    Column,
    Fields,
    Head,
    Row,
    View,
    interval,
    missing,
    view,
    view_of,
)
from bench.report.text import plain
from bench.stats.verdicts import show_p
from bench.units import DASH, Scale, show

_VERSUS: Fields[Ratio] = (
    (Head("Baseline"), lambda row: plain(row.baseline)),
    (Head("Quantity"), lambda row: QUANTITIES[row.quantity]),
    (Head("Ratio", numeric=True), lambda row: _ratio(row.effect.estimate)),
    (Head("95 % interval", numeric=True), lambda row: interval(row.effect.low, row.effect.high, _ratio)),
    (Head("p", numeric=True), lambda row: show_p(row.effect.p, row.effect.p_floor)),
    (Head("n", numeric=True), lambda row: str(row.effect.n)),
    (Head("Verdict"), lambda row: row.effect.verdict),
    (Head("Why"), lambda row: plain(row.effect.reason)),
)


def _ratio(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else DASH


def versus_view(rows: Sequence[Ratio]) -> View:
    """Return the table of `bench.analysis.versus.compare_run`; ratios are the network's over the baseline's."""
    return view_of(rows, _VERSUS)


def versus_notes(rows: Sequence[Ratio]) -> list[str]:
    """Return sentences on the rows of one run: how the networks stand, what counts as the same, and the flags."""
    if not rows:
        return []
    lines = [plain(one.sentence, 1000) + "." for one in standings(rows)]
    lines.append(f"Times within ±{100 * rows[0].band:.3g} % are the same.")
    flags = dict.fromkeys(flag for row in rows for flag in row.flags)
    return lines + [f"{'Doubt' if doubts([flag]) else 'Told'}: {flag}: {explain(flag)}." for flag in flags]


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
    (Head("Against"), lambda one: plain(one.baseline)),
    (Head("Difference", "points", numeric=True), lambda one: _difference(one.effect.estimate)),
    (
        Head("95 %, trained anew", numeric=True),
        lambda one: interval(one.effect.low, one.effect.high, _points),
    ),
    (Head("95 %, other images", numeric=True), lambda one: interval(one.image_low, one.image_high, _points)),
    (Head("p", numeric=True), lambda one: show_p(one.effect.p, one.effect.p_floor)),
    (
        Head("n", numeric=True),
        lambda one: f"{one.n}" if one.n == one.n_baseline else f"{one.n}, {one.n_baseline}",
    ),
    (Head("Verdict"), lambda one: one.effect.verdict),
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


def _difference(fraction: float) -> str:
    return f"{100 * fraction:+.2f}" if math.isfinite(fraction) else DASH


def training_comparisons(comparisons: Sequence[SeriesComparison]) -> Terminal:
    """Return the table of `bench.analysis.trainings.compare_trainings`."""
    return Terminal(view_of(comparisons, _COMPARISONS), "Trainings compared", [_COMPARISONS_NOTE])


_ENSEMBLES: Fields[Ensemble] = (
    (Head("Ensemble"), lambda one: plain(one.label)),
    (Head("Members", numeric=True), lambda one: str(len(one.members))),
    (Head("Top-1", "%", numeric=True), lambda one: _points(one.accuracy)),
    (Head("Mean member", "%", numeric=True), lambda one: _points(one.mean_member)),
    (Head("Best member", "%", numeric=True), lambda one: _points(one.best_member)),
    (
        Head("Gain over mean", "points", numeric=True),
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
    """Return the table of `bench.analysis.ensembles.ensembles`; gains have their 95 % interval."""
    dataset, images = plain(ensembles[0].dataset), ensembles[0].images
    note = (
        f"Gains in percentage points with 95 % intervals over the {images} test images of "
        f"{dataset}, paired; they hold for these trained networks."
    )
    return Terminal(view_of(ensembles, _ENSEMBLES), f"Ensembles on {dataset}", [note])
