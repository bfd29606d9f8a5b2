"""Ensembles as a table, for a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from bench.analysis.ensembles import Ensemble
from bench.report.tables import Terminal, to_markdown
from bench.report.text import plain
from bench.report.view import Cell, Head, View

_HEADS = (
    Head("Ensemble"),
    Head("Members", numeric=True),
    Head("Top-1", "%", numeric=True),
    Head("Mean member", "%", numeric=True),
    Head("Best member", "%", numeric=True),
    Head("Gain over mean", "points", numeric=True),
    Head("Gain over best", "points", numeric=True),
    Head("Disagreement", "%", numeric=True),
)


def ensembles_view(found: Sequence[Ensemble]) -> View:
    """Return the table of `bench.analysis.ensembles.ensembles`; gains have their 95 % interval."""
    return View(list(_HEADS), [[Cell(text) for text in _texts(e)] for e in found])


def ensembles_note(found: Sequence[Ensemble]) -> str:
    """Return a sentence on what the intervals are."""
    first = found[0]
    return (
        f"Gains in percentage points with 95 % intervals over the {first.images} test images of "
        f"{plain(first.dataset)}, paired; they hold for these trained networks."
    )


def ensembles_markdown(found: Sequence[Ensemble]) -> str:
    """Return the table and its note."""
    return f"{to_markdown(ensembles_view(found))}\n{ensembles_note(found)}\n" if found else ""


def _texts(one: Ensemble) -> list[str]:
    return [
        plain(one.label),
        str(len(one.members)),
        *(f"{100 * v:.2f}" for v in (one.accuracy, one.mean_member, one.best_member)),
        points(one.gain, one.gain_low, one.gain_high),
        points(one.over_best, one.over_best_low, one.over_best_high),
        f"{100 * one.disagreement:.1f}",
    ]


def points(value: float, low: float, high: float) -> str:
    """Return ``+1.20 (0.85 – 1.55)``, a difference of fractions in percentage points with its interval."""
    return f"{100 * value:+.2f} ({100 * low:.2f} – {100 * high:.2f})"


@dataclass(frozen=True, slots=True)
class EnsemblesReport:
    """The ensembles for rich to print."""

    found: Sequence[Ensemble]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table and its note."""
        yield Terminal(ensembles_view(self.found), f"Ensembles on {plain(self.found[0].dataset)}")
        yield Text(ensembles_note(self.found), style="dim")
