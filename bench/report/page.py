"""The report: one page that needs nothing else, and the same as Markdown, CSV and figures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.analysis.accuracy import accuracy_table
from bench.analysis.comparison import STATUS_WORDS, compare_table, failures
from bench.analysis.frame import to_frame
from bench.analysis.versus import compare_run
from bench.records.store import Run
from bench.report.drawing import Draw, Drawn, drawing
from bench.report.files import make_folder, remove, save
from bench.report.markdown import to_document
from bench.report.summary import Summary, sources, summarise
from bench.report.tables import comparison_view, csv_text, failures_view, to_csv, trainings_view
from bench.report.text import plain
from bench.report.versus import versus_notes, versus_view
from bench.report.view import View

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the files of a report are: the page, and the same in other forms; `comparison` is what they show."""

    index: Path
    markdown: Path
    table: Path
    measurements: Path
    figures: tuple[Path, ...]
    comparison: pd.DataFrame = field(repr=False)


@dataclass(frozen=True, slots=True)
class Content:
    """All that a report shows, before it becomes HTML or Markdown."""

    title: str
    summary: Summary
    comparison: View
    verdicts: View
    verdict_notes: Sequence[str]
    trainings: View
    failures: View
    sources: Sequence[tuple[str, str, str]]
    figures: Sequence[Drawn]

    @property
    def sections(self) -> list[tuple[str, str]]:
        """Return (id, name) of the sections that have something to show."""
        there = {
            "comparison": ("Comparison", True),
            "figures": ("Figures", True),
            "verdicts": ("Verdicts", self.verdicts.rows),
            "trainings": ("Short trainings", self.trainings.rows),
            "failures": ("Failures", self.failures.rows),
            "doubts": ("Doubts", self.summary.doubts),
            "rejected": ("Lines set aside", self.summary.rejected),
            "environment": ("Environment and how to reproduce", True),
        }
        return [(key, name) for key, (name, filled) in there.items() if filled]


def write_report(runs: Sequence[Run], out: Path, *, title: str | None = None) -> ReportFiles:
    """Write a report of some runs into the folder `out`; equal records give equal bytes.

    Args:
        runs: as `bench.records.store.read_run` gives them.
        out: the folder, such as ``reports/cpu-reference``; made where it is missing.
        title: of the page; by default the names of the runs.

    Raises:
        StoreError: if the folder cannot be written.
    """
    make_folder(out / "figures")
    with drawing(sum(len(run.records) for run in runs)) as draw:
        frame = to_frame(runs)
        table = compare_table(frame)
        content = _content(runs, frame, table, title, draw)
    return ReportFiles(
        figures=tuple(_save_figures(content.figures, out / "figures")),
        table=save(out / "table.csv", to_csv(table)),
        measurements=save(out / "measurements.csv", csv_text(_long(frame))),
        markdown=save(out / "report.md", to_document(content)),
        index=save(out / "index.html", to_html(content)),
        comparison=table,
    )


def _content(
    runs: Sequence[Run], frame: pd.DataFrame, table: pd.DataFrame, title: str | None, draw: Draw
) -> Content:
    verdicts = [row for run in runs for row in compare_run(run)]
    return Content(
        title=plain(title or ", ".join(run.name for run in runs) or "No runs"),
        summary=summarise(runs, frame, table),
        comparison=comparison_view(table),
        verdicts=versus_view(verdicts),
        verdict_notes=versus_notes(verdicts),
        trainings=trainings_view(accuracy_table(frame)),
        failures=failures_view(failures(frame)),
        sources=sources(table),
        figures=draw(table, frame),
    )


def _save_figures(figures: Sequence[Drawn], folder: Path) -> list[Path]:
    """Save each figure as SVG and PNG; those of an earlier report that are no longer drawn go."""
    saved = []
    for figure in figures:
        for kind in ("svg", "png"):
            path = folder / f"{figure.name}.{kind}"
            if figure.files:
                saved.append(save(path, figure.files[kind]))
            else:
                remove(path)
    return saved


def _long(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with plain values only; the raw samples are in the store."""
    flat = frame.drop(columns=["samples", "detail", "series"])
    return flat.assign(flags=[";".join(map(str, flags)) for flags in frame["flags"]])


def to_html(content: Content) -> str:
    """Return the page; whatever stands in a record is escaped, and no script but its own may run in it."""
    script, style = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.js", "report.css"))
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    shown: dict[str, Any] = {name: getattr(content, name) for name in (*content.__slots__, "sections")}
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        shown, status_words=STATUS_WORDS, script=script, style=style, script_hash=f"sha256-{digest}"
    )
