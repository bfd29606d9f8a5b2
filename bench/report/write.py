"""A report written: one page that needs nothing else, its tables as Markdown, CSV and LaTeX, and figures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bench.analysis.answers import Answer
from bench.analysis.comparison import compare_table
from bench.analysis.dictionary import typed
from bench.analysis.frame import to_frame
from bench.analysis.versus import Ratio
from bench.errors import StoreError, unknown_name
from bench.io import atomic_write, sweep_drafts
from bench.records.machines import by_machine
from bench.records.store import Run
from bench.report._summary import caption
from bench.report.exports.measurements import plain_measurements
from bench.report.figures._drawing import DrawingOptions, Picture, drawing
from bench.report.figures._style import KINDS
from bench.report.page._content import Content, gather
from bench.report.page._html import to_html
from bench.report.page._markdown import to_document
from bench.report.tables._columns import COMPARISON, comparison_view
from bench.report.tables._csv import csv_text, with_units
from bench.report.tables.formats import to_latex

_FORMATS = ("html", "md", "csv", "latex", *KINDS)
_USUAL = ("html", "md", "csv", "svg", "png")


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files of a report, those that were `written`, and the `answers` and the `comparison` that they show."""

    folder: Path
    written: tuple[Path, ...]
    comparison: pd.DataFrame = field(repr=False)
    answers: Sequence[Answer] = field(repr=False)

    @property
    def index(self) -> Path:
        """Return the place of the page."""
        return self.folder / "index.html"


def write_report(
    runs: Sequence[Run],
    out: Path,
    *,
    title: str | None = None,
    formats: Sequence[str] = _USUAL,
    figures: Sequence[str] = (),
    style: Mapping[str, object] | None = None,
) -> ReportFiles:
    """Write a report of some runs into the folder `out`; equal records give equal bytes.

    Args:
        runs: as `bench.records.store.read_run` gives them; one of several machines is shown as one of each.
        out: the folder, such as ``reports/cpu-reference``; made where it is missing.
        title: of the page; by default the names of the runs.
        formats: of `_FORMATS`; files of others that are there stay as they are.
        figures: names of those to draw; none for all.
        style: settings of matplotlib that replace the report's own.

    Raises:
        StoreError: if the folder cannot be written.
    """
    runs = by_machine(*runs)
    folder = out / "figures" if _saved_kinds(formats) else out
    with _written_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    sweep_drafts(out)
    options = DrawingOptions(figures, _saved_kinds(formats), page="html" in formats, style=style or {})
    drawn = options.page or options.kinds
    with drawing(sum(len(run.records) for run in runs if drawn), options) as draw:
        frame = to_frame(runs)
        table = compare_table(frame)
        content = gather(runs, frame, table, title, draw if drawn else lambda *_: list)
    written = _save_figures(content.figures, out / "figures", _saved_kinds(formats))
    for name, text in _texts(content, frame, table, formats):
        written.append(_save(out / name, text))
    if "html" in formats:
        beside = [path.relative_to(out).as_posix() for path in written]
        written.append(_save(out / "index.html", to_html(content, beside)))
    return ReportFiles(out, tuple(written), table, content.answers)


def _texts(
    content: Content, frame: pd.DataFrame, table: pd.DataFrame, formats: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each file but for the figures and the page."""
    if "csv" in formats:
        yield "table.csv", csv_text(with_units(table, COMPARISON))
        yield "measurements.csv", csv_text(plain_measurements(frame))
        if content.ratios:
            yield "ratios.csv", csv_text(typed(Ratio.table(content.ratios), "ratios"))
        yield from content.evaluations.files
    if "latex" in formats:
        comparison = comparison_view(table, narrow=True)
        words = caption(content.title, content.summary, frame)
        yield "table.tex", to_latex(comparison, words, "tab:comparison")
        if content.trainings.rows:
            yield "trainings.tex", to_latex(content.trainings, words, "tab:trainings")
    if "md" in formats:
        yield "report.md", to_document(content)


def _save_figures(figures: Sequence[Picture], folder: Path, kinds: Sequence[str]) -> list[Path]:
    """Save each figure; files of an earlier report, of figures that there is nothing to draw for any more, go."""
    written = []
    for path, data in ((folder / f"{f.name}.{kind}", f.files.get(kind)) for f in figures for kind in kinds):
        if data is not None:
            written.append(_save(path, data))
        else:
            with _written_to(folder):
                path.unlink(missing_ok=True)
    return written


def _save(path: Path, data: bytes | str) -> Path:
    """Write a file so that a reader sees the old content or the new one and nothing between.

    Raises:
        StoreError: if it cannot be written.
    """
    with _written_to(path.parent), atomic_write(path, synced=False) as file:  # many, which can be drawn again
        file.write(data.encode("utf-8", "replace") if isinstance(data, str) else data)
    return path


@contextmanager
def _written_to(folder: Path) -> Iterator[None]:
    """Tell what cannot be written to a folder, and what to do about it."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write a report to {folder}: {error.strerror or error}",
            "choose another folder for reports; the results are untouched",
        ) from error


def read_formats(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the formats of ``["html,md", "pdf"]``, each once; the usual ones where there is none.

    Raises:
        UnknownNameError: for a word that is no format.
    """
    formats = dict.fromkeys(word.strip() for text in texts for word in text.split(",") if word.strip())
    for word in formats:
        if word not in _FORMATS:
            raise unknown_name("format", word, _FORMATS)
    return tuple(formats) or _USUAL


def _saved_kinds(formats: Collection[str]) -> tuple[str, ...]:
    """Return the kinds of files that figures are saved as; the Markdown shows SVG beside it."""
    return tuple(kind for kind in KINDS if kind in formats or (kind == "svg" and "md" in formats))
