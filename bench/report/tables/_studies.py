"""Studies: what their tests have come to."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench.analysis.studies import Decision, StudyVerdict, TestVerdict
from bench.report.tables.cells import EMPTY, Cell, Fields, Head, View, view_of
from bench.report.tables.formats import to_markdown
from bench.report.text import markdown, plain
from bench.stats.verdicts import show_p

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


def _effect(test: TestVerdict) -> Cell:
    return Cell(test.text(test.effect), sort=test.effect if math.isfinite(test.effect) else None)


def _interval(test: TestVerdict) -> Cell:
    if math.isnan(test.low) or math.isnan(test.high) or test.low == test.high:
        return EMPTY
    return Cell(test.between(test.low, test.high), sort=test.low if math.isfinite(test.low) else None)


def _says(test: TestVerdict) -> str:
    return test.says if test.role == "hypothesis" else f"{test.says} (side question)"


_COMPARED = Head("Compared")


_FIELDS: Fields[TestVerdict] = (
    (Head("Test"), lambda test: plain(_says(test))),
    (Head("Verdict", keep=3), lambda test: test.verdict),
    (Head("Effect", numeric=True, keep=2), _effect),
    (Head("95 % interval", numeric=True, keep=2), _interval),
    (Head("Expected"), lambda test: test.expected),
    (Head("p", numeric=True), lambda test: show_p(test.p, test.p_floor)),
    (Head("n", numeric=True, keep=0), lambda t: f"{t.n_of}, {t.n_against}" if t.n_against else str(t.n_of)),
    (Head("Quantity", keep=0), lambda test: plain(test.quantity)),
    (_COMPARED, lambda test: plain(f"{test.of} against {test.against}" if test.against else test.of)),
    (Head("How", keep=0), lambda test: plain(test.note)),
)


def study_view(study: StudyVerdict, *, narrow: bool = False) -> View:
    """Return one row a test; `narrow` leaves out which networks it compares."""
    fields = [field for field in _FIELDS if not (narrow and field[0] == _COMPARED)]
    return view_of(study.tests, fields)


def study_sentences(study: StudyVerdict) -> list[str]:
    """Return what each test of the hypothesis came to, in a sentence."""
    return [plain(f"{test}.", 1000) for test in study.tests if test.role == "hypothesis"]


def study_markdown(study: StudyVerdict) -> str:
    """Return the hypothesis, the verdict and the tests."""
    parts = [f"## Study {markdown(study.name)}", f"**{study.verdict}**: {markdown(study.hypothesis)}"]
    parts.append("\n".join(f"- {markdown(sentence)}" for sentence in study_sentences(study)))
    if study.source:
        parts.append(f"Source: {markdown(study.source)}")
    return "\n\n".join([*parts, to_markdown(study_view(study)).rstrip(), NOTE]) + "\n"
