"""All that a report shows, gathered from the records before it becomes HTML or Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.analysis.accuracy import accuracy_table
from bench.analysis.answers import Answer, answers
from bench.analysis.comparison import failures
from bench.analysis.engines import EngineRow
from bench.analysis.studies import StudyVerdict
from bench.analysis.versus import Ratio
from bench.claims.table import native_rows
from bench.io import JsonObject
from bench.records.store import Run
from bench.report._raced import has_race_answer, race_answers
from bench.report._short_names import shortened
from bench.report._summary import Summary, row_commands, sources, summarise
from bench.report.figures._drawing import Picture, Start
from bench.report.page._data import page_data
from bench.report.selftest import selftests_of
from bench.report.tables._columns import FAILURES, TRAININGS, comparison_view, page_view
from bench.report.tables._view import view
from bench.report.tables.cells import View
from bench.report.tables.claims import findings_view
from bench.report.tables.engines import engines_view
from bench.report.tables.evaluations import EvaluationTables
from bench.report.tables.verdicts import versus_document, versus_remarks
from bench.report.text import plain


@dataclass(frozen=True, slots=True)
class Content:
    """All that a report shows."""

    title: str
    summary: Summary
    first: Sequence[str]  # sections that all runs were made for
    leading: Sequence[str]  # what the races and comparisons came to, in sentences
    answers: Sequence[Answer]
    comparison: View
    table: View  # the same with all that the page has room for
    commands: Sequence[str]
    studies: Sequence[StudyVerdict]
    ratios: Sequence[Ratio]
    verdicts: View
    verdict_notes: Sequence[str]
    engines: View
    engine_notes: Sequence[str]
    trainings: View
    evaluations: EvaluationTables
    findings: View
    failures: View
    sources: Sequence[tuple[str, str, str]]
    selftests: Mapping[str, Mapping[str, Sequence[str]]]
    figures: Sequence[Picture]
    data: JsonObject

    @property
    def of_studies(self) -> bool:
        """Whether all runs are studies."""
        return "studies" in self.first

    @property
    def of_evaluations(self) -> bool:
        """Whether all runs are evaluations, whose own tables have all that the comparison of networks would say."""
        return "evaluations" in self.first

    @property
    def front_speed(self) -> str | None:
        """Return the column of the speed that decides the answer; None where no accuracy is weighed against any."""
        return next((answer.columns[0] for answer in self.answers if answer.columns), None)

    @property
    def front_figure(self) -> Picture | None:
        """Return the figure of a race, or of what the answer weighs: accuracy against the speed that decides.

        Where nothing was timed, it is of trainings against their time, but beside the verdict of a study.
        """
        trained = "" if self.of_studies or not self.trainings.rows else "accuracy_time"
        name = f"{self.front_speed}_accuracy" if self.front_speed else trained
        name = "race" if self.data["races"] else name
        return next((figure for figure in self.figures if figure.name == name), None)

    @property
    def _has_picks(self) -> bool:
        return any(answer.picks for answer in self.answers)

    @property
    def sections(self) -> list[tuple[str, str]]:
        """Return (id, name) of the sections that have something to show."""
        sections = {
            "races": ("Race", self.data["races"]),
            "front": (
                "Front" if self.front_speed else "One against another",
                len(self.data["axes"]) > 1 or self._has_picks,
            ),
            "comparison": ("Table", self.comparison.rows),
            "compare": ("Side by side", len(self.comparison.rows) > 1),
            "charts": ("Charts", self.data["quantities"] or self.data["batches"]),
            "layers": ("Layers", self.data["layers"]),
            "trainings": ("Trainings", self.trainings.rows),
            "evaluations": ("Evaluations", self.evaluations.titled),
            "studies": ("Studies", self.studies),
            "verdicts": ("Verdicts", self.verdicts.rows),
            "engines": ("Engines", self.engines.rows),
            "claims": ("Claims", self.findings.rows),
            "figures": ("Figures", True),
            "failures": ("Failures", self.failures.rows),
            "doubts": ("Doubts", self.summary.doubts),
            "rejected": ("Lines set aside", self.summary.rejected),
            "environment": ("Method", True),
        }
        sections = {**{key: sections[key] for key in self.first}, **sections}
        again = _OF_COMPARISON if self.of_evaluations else ()
        return [(key, name) for key, (name, filled) in sections.items() if filled and key not in again]


_OF_COMPARISON = ("front", "comparison", "compare", "charts")  # sections of the comparison's rows


def gather(
    runs: Sequence[Run], frame: pd.DataFrame, table: pd.DataFrame, title: str | None, draw: Start
) -> Content:
    """Return all that a report of some runs shows.

    `draw` begins to draw the figures, see `bench.report.figures._drawing.drawing`.
    """
    charted = shortened(table, frame)
    figures = draw(*charted)  # takes longest, and goes on beside the rest
    compared = [Ratio.in_run(run) for run in runs]
    ratios = [ratio for ratios in compared for ratio in ratios]
    engines = [EngineRow.in_run(run) for run in runs]
    native = native_rows(table, runs)
    # A race weighs the accuracies that it was given, and a comparison times in turn: what is ranked without says less.
    led = bool(runs) and all(
        has_race_answer(run.info.get("race")) or rows for run, rows in zip(runs, compared, strict=True)
    )
    answered = () if led else answers(*charted)
    standings = [standing for rows in compared for standing in Ratio.standings(rows)]
    studies = [study for run in runs if (study := StudyVerdict.of(run)) is not None]
    evaluations = EvaluationTables.of(frame)
    evaluated = [{r.job.task for r in run.records} == {"evaluate"} and evaluations.titled for run in runs]
    made_for: dict[str, Sequence[object]] = {
        "studies": studies,
        "verdicts": compared,
        "engines": engines,
        "evaluations": evaluated,
    }
    return Content(
        title=plain(title or ", ".join(run.name for run in runs) or "No runs"),
        summary=summarise(runs, frame),
        first=[name for name, of in made_for.items() if runs and len(of) == len(runs) and all(of)],
        leading=[*race_answers(frame), *(f"{plain(one.sentence, 1000)}." for one in standings)],
        answers=answered,
        comparison=comparison_view(table),
        table=page_view(table, runs, native),
        commands=row_commands(table, runs),
        studies=studies,
        ratios=ratios,
        verdicts=versus_document(ratios).table,
        engines=engines_view([row for rows in engines for row in rows]),
        engine_notes=[note for rows in engines for note in EngineRow.notes(rows)],
        verdict_notes=[remark for rows in compared for remark in versus_remarks(rows)],
        trainings=view(accuracy_table(frame), TRAININGS),
        evaluations=evaluations,
        findings=findings_view(native),
        failures=view(failures(frame), FAILURES),
        sources=sources(table),
        selftests=selftests_of(runs),
        data=page_data(*charted, answered),
        figures=figures(),
    )
