"""The report: one page that needs nothing else, and the same as Markdown, CSV and figures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.analysis.accuracy import accuracy_table
from bench.analysis.comparison import STATUS_WORDS, compare_table, failures
from bench.analysis.frame import to_frame
from bench.records.store import Run
from bench.report.figures import FIGURES, in_order
from bench.report.files import make_folder, remove, save
from bench.report.markdown import to_document
from bench.report.style import styled, to_bytes
from bench.report.summary import Summary, sources, summarise
from bench.report.svg import inline
from bench.report.tables import comparison_view, csv_text, failures_view, to_csv, trainings_view
from bench.report.text import plain
from bench.report.view import View

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the files of a report are: the page, and the same in other forms."""

    index: Path
    markdown: Path
    table: Path
    measurements: Path
    figures: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure as bytes; without any, there was nothing to draw and `needs` says what is missing."""

    name: str
    title: str
    caption: str
    needs: str
    files: dict[str, bytes]

    @property
    def alt(self) -> str:
        """Return what the figure shows, for those who do not see it."""
        return f"{self.title}. {self.caption} The numbers are in the comparison table."

    @property
    def svg(self) -> str:
        """Return the figure as an element of a page."""
        return inline(self.files["svg"], self.name) if self.files else ""


@dataclass(frozen=True, slots=True)
class Content:
    """All that a report shows, before it becomes HTML or Markdown."""

    title: str
    summary: Summary
    comparison: View
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
    frame = to_frame(runs)
    table = compare_table(frame)
    content = _content(runs, frame, table, title)
    return ReportFiles(
        figures=tuple(_save_figures(content.figures, out / "figures")),
        table=save(out / "table.csv", to_csv(table)),
        measurements=save(out / "measurements.csv", csv_text(_long(frame))),
        markdown=save(out / "report.md", to_document(content)),
        index=save(out / "index.html", to_html(content)),
    )


def _content(runs: Sequence[Run], frame: pd.DataFrame, table: pd.DataFrame, title: str | None) -> Content:
    return Content(
        title=plain(title or ", ".join(run.name for run in runs) or "No runs"),
        summary=summarise(runs, frame, table),
        comparison=comparison_view(table),
        trainings=trainings_view(accuracy_table(frame)),
        failures=failures_view(failures(frame)),
        sources=sources(table),
        figures=[_draw(name, table, frame) for name, _ in in_order()],
    )


def _draw(name: str, table: pd.DataFrame, frame: pd.DataFrame) -> Drawn:
    figure = FIGURES.get(name)
    with styled():
        drawing = figure.draw(table, frame) if len(table) else None
        files = {} if drawing is None else {kind: to_bytes(drawing, kind) for kind in ("svg", "png")}
    return Drawn(name, figure.title, figure.caption, figure.needs, files)


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
