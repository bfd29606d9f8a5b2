"""Accuracies of trainings and their comparisons, for a terminal and in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from bench.analysis.trainings import Comparison
from bench.report.tables import TRAININGS, Terminal, to_markdown
from bench.report.text import plain
from bench.report.view import EMPTY, Cell, Column, Head, Row, View, missing, view
from bench.stats.verdicts import show_p
from bench.units import DASH, Scale, show


def _interval(row: Row, _column: Column, _scale: Scale) -> Cell:
    low, high = row["accuracy_low"], row["accuracy_high"]
    return EMPTY if missing(low) else Cell(f"{100 * low:.1f} – {100 * high:.1f}")


def _reached(row: Row, column: Column, _scale: Scale) -> Cell:
    """Show how many trainings reached the target, and their median time with the misses as never."""
    reached, tried = row["n_reached"], row["n_planned"]
    if missing(reached):
        return EMPTY
    time = row[column.key]
    median = "never" if time == math.inf else show(time, "s")
    return Cell(f"{median}; {reached:.0f} of {tried:.0f}")


_INTERVAL = Column("accuracy_low", "95 % interval", _interval, "%")
_TARGET = Column("time_to_accuracy", "Time to target; reached", _reached)


def _columns() -> list[Column]:
    """Return the columns of trainings with the interval behind the accuracy, and the target at the end."""
    known = [replace(c, show="differing") if c.key == "dataset" else c for c in TRAININGS if c.narrow]
    at = next(i for i, c in enumerate(known) if c.key == "accuracy") + 1
    return [*known[:at], _INTERVAL, *known[at:], _TARGET]


@dataclass(frozen=True, slots=True)
class Accuracies:
    """The rows of `bench.analysis.accuracy.accuracy_table` for rich to print."""

    table: pd.DataFrame

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table: mean, standard deviation and interval over seeds, how many seeds, time."""
        yield Terminal(view(self.table, _columns()))


_HEADS = (
    Head("Network"),
    Head("Against"),
    Head("Difference", "points", numeric=True),
    Head("95 %, trained anew", numeric=True),
    Head("95 %, other images", numeric=True),
    Head("p", numeric=True),
    Head("n", numeric=True),
    Head("Verdict"),
    Head("Why"),
)
NOTE = (
    "Differences of mean top-1 accuracy in percentage points. p and verdict are over trainings, by Welch's t, "
    "corrected for the number of comparisons (Holm), or by McNemar's test where there is one training each; p is a "
    "bound (≤) where it is below what an exact test of so many trainings can give. The interval over other images is a "
    "bootstrap paired over the test images, for these trained networks."
)


def comparisons_view(found: Sequence[Comparison]) -> View:
    """Return the table of `bench.analysis.trainings.compare_trainings`."""
    return View(list(_HEADS), [[Cell(text) for text in _texts(c)] for c in found])


def comparisons_markdown(found: Sequence[Comparison]) -> str:
    """Return the table with its note; nothing where nothing was compared."""
    return f"{to_markdown(comparisons_view(found))}\n{NOTE}\n" if found else ""


def _texts(one: Comparison) -> list[str]:
    effect = one.effect
    return [
        plain(one.network),
        plain(one.baseline),
        f"{100 * effect.estimate:+.2f}" if math.isfinite(effect.estimate) else DASH,
        _range(effect.low, effect.high),
        _range(one.image_low, one.image_high),
        show_p(effect.p, effect.p_floor),
        f"{one.n}" if one.n == one.n_baseline else f"{one.n}, {one.n_baseline}",
        effect.verdict,
        plain(effect.reason),
    ]


def _range(low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return DASH
    return f"{100 * low:.2f} – {100 * high:.2f}"


@dataclass(frozen=True, slots=True)
class Comparisons:
    """The comparisons for rich to print; nothing where there are none."""

    found: Sequence[Comparison]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table and what its numbers are."""
        if self.found:
            yield Terminal(comparisons_view(self.found), "Trainings compared")
            yield Text(NOTE, style="dim")
