"""The verdict of a study, for a terminal, for the page and in Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from bench.analysis.studies import Decision, StudyVerdict, TestVerdict, judge_study, told
from bench.records.store import Run
from bench.report.tables import Terminal, to_markdown
from bench.report.text import markdown, plain
from bench.report.view import Cell, Head, View
from bench.stats.verdicts import show_p
from bench.units import DASH

STYLES: Mapping[Decision, str] = {
    "supported": "bold green",
    "refuted": "bold red",
    "undecided": "bold yellow",
}
NOTE = (
    "A test is supported or refuted where the 95 % interval lies wholly on one side of its margin and p, corrected for "
    "the tests of the study (Holm), is at most 0.05. The study has the verdict of all tests of its hypothesis "
    "together: all must be supported, and one refuted refutes it; a side question has a verdict of its own."
)
_COMPARED = Head("Compared")
_HEADS = (
    Head("Test"),
    Head("Verdict"),
    Head("Effect", numeric=True),
    Head("95 % interval", numeric=True),
    Head("Expected"),
    Head("p", numeric=True),
    Head("n", numeric=True),
    Head("Quantity"),
    _COMPARED,
    Head("How"),
)


def studies_of(runs: Sequence[Run]) -> list[StudyVerdict]:
    """Return the verdicts of the studies that the runs were made for."""
    return [verdict for run in runs if (verdict := judge_study(run)) is not None]


def study_view(study: StudyVerdict, *, narrow: bool = False) -> View:
    """Return one row a test; `narrow` leaves out which networks it compares."""
    kept = [i for i, head in enumerate(_HEADS) if not (narrow and head == _COMPARED)]
    rows = [_texts(test) for test in study.tests]
    return View([_HEADS[i] for i in kept], [[Cell(row[i], sort=row[i]) for i in kept] for row in rows])


def headline(study: StudyVerdict) -> str:
    """Return ``supported: a deeper plain network trains less well``."""
    return f"{study.verdict}: {plain(study.hypothesis)}"


def study_markdown(study: StudyVerdict) -> str:
    """Return the hypothesis, the verdict and the tests."""
    parts = [f"## Study {markdown(study.name)}", f"**{study.verdict}**: {markdown(study.hypothesis)}"]
    if study.source:
        parts.append(f"Source: {markdown(study.source)}")
    return "\n\n".join([*parts, to_markdown(study_view(study)).rstrip(), NOTE]) + "\n"


def _texts(test: TestVerdict) -> list[str]:
    low, high = told(test.low, test.unit), told(test.high, test.unit)
    return [
        plain(test.says if test.role == "hypothesis" else f"{test.says} (side question)"),
        test.verdict,
        told(test.effect, test.unit),
        DASH if math.isnan(test.low) or math.isnan(test.high) or test.low == test.high else f"{low} … {high}",
        test.expected,
        show_p(test.p, test.p_floor),
        f"{test.n_of}, {test.n_against}" if test.n_against else str(test.n_of),
        plain(test.quantity),
        plain(f"{test.of} against {test.against}" if test.against else test.of),
        plain(test.note),
    ]


@dataclass(frozen=True, slots=True)
class StudyReport:
    """The verdict for rich to print."""

    study: StudyVerdict

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the tests and, at the end, the verdict."""
        yield Terminal(study_view(self.study, narrow=True), f"Study {plain(self.study.name)}")
        yield Text(NOTE, style="dim")
        yield Text(headline(self.study), style=STYLES[self.study.verdict])
