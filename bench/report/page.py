"""The report: one page that needs nothing else, and the same as Markdown, CSV and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.accuracy import accuracy_table
from bench.analysis.comparison import compare_table, failures
from bench.analysis.frame import to_frame
from bench.analysis.studies import StudyVerdict
from bench.analysis.versus import compare_run
from bench.records.store import Run
from bench.report.classic import classic_view, native_rows
from bench.report.drawing import Draw, Drawn, Finish, Wish, drawing
from bench.report.files import make_folder, remove, save
from bench.report.findings import findings_view
from bench.report.formats import USUAL, drawn, saved
from bench.report.html import to_html
from bench.report.latex import to_latex
from bench.report.markdown import to_document
from bench.report.page_data import page_data
from bench.report.reproduce import row_commands
from bench.report.selftest import selftests_of
from bench.report.short_names import shortened
from bench.report.studies import studies_of
from bench.report.summary import Summary, sources, summarise
from bench.report.tables import comparison_view, csv_text, failures_view, to_csv, trainings_view
from bench.report.text import plain
from bench.report.versus import versus_notes, versus_view
from bench.report.view import View


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files of a report: those that were `written`, the places of some, and the `comparison` that they show."""

    folder: Path
    written: tuple[Path, ...]
    comparison: pd.DataFrame = field(repr=False)

    @property
    def index(self) -> Path:
        """Return the place of the page."""
        return self.folder / "index.html"

    @property
    def markdown(self) -> Path:
        """Return the place of the same in Markdown."""
        return self.folder / "report.md"

    @property
    def table(self) -> Path:
        """Return the place of the comparison as CSV."""
        return self.folder / "table.csv"

    @property
    def measurements(self) -> Path:
        """Return the place of all measurements as CSV."""
        return self.folder / "measurements.csv"

    @property
    def figures(self) -> tuple[Path, ...]:
        """Return the files of figures."""
        return tuple(path for path in self.written if path.parent.name == "figures")


@dataclass(frozen=True, slots=True)
class Content:
    """All that a report shows, before it becomes HTML or Markdown."""

    title: str
    summary: Summary
    classic: View
    comparison: View
    commands: Sequence[str]
    studies: Sequence[StudyVerdict]
    of_studies: bool  # every run was made for the verdict of one
    verdicts: View
    verdict_notes: Sequence[str]
    trainings: View
    findings: View
    failures: View
    sources: Sequence[tuple[str, str, str]]
    selftests: Mapping[str, Mapping[str, Sequence[str]]]
    figures: Sequence[Drawn]
    data: Mapping[str, Any]

    @property
    def sections(self) -> list[tuple[str, str]]:
        """Return (id, name) of the sections that have something to show."""
        studies = {"studies": ("Studies", self.studies)}
        there = {
            **(studies if self.of_studies else {}),
            "classic": ("Classic table", True),
            "comparison": ("All columns", self.comparison.rows),
            "compare": ("Side by side", len(self.comparison.rows) > 1),
            "charts": ("Charts", self.data["quantities"] or self.data["batches"]),
            "layers": ("Layers", self.data["layers"]),
            "trainings": ("Trainings", self.trainings.rows),
            **studies,
            "verdicts": ("Verdicts", self.verdicts.rows),
            "claims": ("Claims", self.findings.rows),
            "figures": ("Figures", True),
            "failures": ("Failures", self.failures.rows),
            "doubts": ("Doubts", self.summary.doubts),
            "rejected": ("Lines set aside", self.summary.rejected),
            "environment": ("Method", True),
        }
        return [(key, name) for key, (name, filled) in there.items() if filled]


def write_report(
    runs: Sequence[Run],
    out: Path,
    *,
    title: str | None = None,
    formats: Sequence[str] = USUAL,
    figures: Sequence[str] = (),
    style: Mapping[str, Any] | None = None,
) -> ReportFiles:
    """Write a report of some runs into the folder `out`; equal records give equal bytes.

    Args:
        runs: as `bench.records.store.read_run` gives them.
        out: the folder, such as ``reports/cpu-reference``; made where it is missing.
        title: of the page; by default the names of the runs.
        formats: of `bench.report.formats.FORMATS`; files of others that are there stay as they are.
        figures: names of those to draw; none for all.
        style: settings of matplotlib that replace the report's own.

    Raises:
        StoreError: if the folder cannot be written.
    """
    make_folder(out / "figures" if saved(formats) else out)
    wish = Wish(figures, drawn(formats), style or {})
    with drawing(sum(len(run.records) for run in runs if wish.kinds), wish) as draw:
        frame = to_frame(runs)
        table = compare_table(frame)
        content = gather(runs, frame, table, title, draw if wish.kinds else _no_figures)
    written = _save_figures(content.figures, out / "figures", saved(formats))
    for name, text in _texts(content, frame, table, formats):
        written.append(save(out / name, text))
    return ReportFiles(out, tuple(written), table)


def _no_figures(_table: pd.DataFrame, _frame: pd.DataFrame) -> Finish:
    return list


def _texts(
    content: Content, frame: pd.DataFrame, table: pd.DataFrame, formats: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each file but for the figures; the page comes last."""
    if "csv" in formats:
        yield "table.csv", to_csv(table)
        yield "measurements.csv", csv_text(_long(frame))
    if "latex" in formats:
        yield (
            "table.tex",
            to_latex(comparison_view(table, narrow=True), content.title, "tab:comparison"),
        )
        if content.trainings.rows:
            yield "trainings.tex", to_latex(content.trainings, content.title, "tab:trainings")
    if "md" in formats:
        yield "report.md", to_document(content)
    if "html" in formats:
        yield "index.html", to_html(content)


def gather(
    runs: Sequence[Run], frame: pd.DataFrame, table: pd.DataFrame, title: str | None, draw: Draw
) -> Content:
    """Return all that a report of some runs shows; `frame` and `table` are made of them."""
    charted = shortened(table, frame)
    figures = draw(*charted)  # takes longest, and goes on beside the rest
    compared = [compare_run(run) for run in runs]
    return Content(
        title=plain(title or ", ".join(run.name for run in runs) or "No runs"),
        summary=summarise(runs, frame, table),
        classic=classic_view(table, runs),
        comparison=comparison_view(table),
        commands=row_commands(table, runs),
        studies=(studies := studies_of(runs)),
        of_studies=len(studies) == len(runs),
        verdicts=versus_view([row for rows in compared for row in rows]),
        verdict_notes=[note for rows in compared for note in versus_notes(rows)],
        trainings=trainings_view(accuracy_table(frame)),
        findings=findings_view(native_rows(table, runs)),
        failures=failures_view(failures(frame)),
        sources=sources(table),
        selftests=selftests_of(runs),
        data=page_data(*charted),
        figures=figures(),
    )


def _save_figures(figures: Sequence[Drawn], folder: Path, kinds: Sequence[str]) -> list[Path]:
    """Save each figure; those of an earlier report that there is nothing to draw for any more go."""
    written = []
    for figure in figures:
        for kind in kinds:
            path = folder / f"{figure.name}.{kind}"
            if figure.files:
                written.append(save(path, figure.files[kind]))
            else:
                remove(path)
    return written


def _long(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with plain values only; the raw samples are in the store."""
    flat = frame.drop(columns=["samples", "detail", "series", "outputs"])
    return flat.assign(flags=[";".join(map(str, flags)) for flags in frame["flags"]])
