"""Verdicts of studies as tables of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.studies import StudyVerdict, TestVerdict, judge_study
from bench.records.store import Run
from bench.report.text import plain
from bench.report.view import Cell, Head, View
from bench.units import DASH, show

_HEADS = (
    *(Head(title) for title in ("What is expected", "Quantity", "Of", "Against")),
    *(Head(title, numeric=True) for title in ("Effect", "95 % interval", "p", "n")),
    *(Head(title) for title in ("Verdict", "How")),
)


@dataclass(frozen=True, slots=True)
class ShownStudy:
    """A study for the page: its words, its verdict and a table of its tests."""

    name: str
    hypothesis: str
    source: str
    claims: str
    verdict: str
    tests: View


def studies_of(runs: Sequence[Run]) -> list[ShownStudy]:
    """Return the studies that the runs were made for, with their verdicts."""
    return [_shown(verdict) for run in runs if (verdict := judge_study(run)) is not None]


def _shown(study: StudyVerdict) -> ShownStudy:
    return ShownStudy(
        name=plain(study.name),
        hypothesis=plain(study.hypothesis),
        source=plain(study.source),
        claims=plain(", ".join(study.claims)),
        verdict=plain(study.verdict),
        tests=View(_HEADS, [[Cell(text, sort=text) for text in _texts(test)] for test in study.tests]),
    )


def _texts(test: TestVerdict) -> list[str]:
    ends = f"{_value(test.low, test.unit)} – {_value(test.high, test.unit)}"
    return [
        plain(test.says),
        plain(test.quantity),
        plain(test.of),
        plain(test.against) or DASH,
        _value(test.effect, test.unit),
        ends if math.isfinite(test.low) and math.isfinite(test.high) else DASH,
        f"{test.p:.2g}" if math.isfinite(test.p) else DASH,
        f"{test.n_of} / {test.n_against}" if test.n_against else str(test.n_of),
        plain(test.verdict),
        plain(test.note),
    ]


def _value(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return DASH
    return f"{value:.3g}" if unit in ("1", "ratio", "rho") else show(value, unit)
