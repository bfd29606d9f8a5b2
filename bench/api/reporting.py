"""Reports of stored runs, and several runs as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.runs import each, run_folder, stored_runs
from bench.errors import unknown_name
from bench.records.machines import by_machine
from bench.records.merge import Merged, merge_runs
from bench.records.store import Run

if TYPE_CHECKING:
    from bench.report.write import ReportFiles


def write_report(
    *runs: Path | str,
    out: Path | str | None = None,
    where: str | Sequence[str] = (),
    figures: str | Sequence[str] = (),
    formats: str | Sequence[str] = (),
    style: Path | str | None = None,
) -> Path:
    """Draw every table and figure of stored runs, as `bench report` does, and return the folder of the report.

    Args:
        runs: folders of runs.
        out: the folder to write; None is ``reports/RUN``.
        where: conditions on jobs or networks, as of `bench.load`.
        figures: names or globs of those to draw; none for all.
        formats: of html, md, csv, latex, png, svg and pdf; none for all but latex and pdf.
        style: a style sheet of matplotlib.

    Raises:
        BenchError: for a condition, a figure or a format that cannot be, and where no job fits the conditions.
        StoreError: for a folder that is no run, or that cannot be written.

    Example:
        >>> folder = bench.write_report("results/cpu-reference", out="drawn", formats="md,csv")
        >>> sorted(path.name for path in folder.iterdir())
        ['figures', 'measurements.csv', 'report.md', 'table.csv']
    """
    return reported(stored_runs(runs), out, where=where, figures=figures, formats=formats, style=style).folder


def reported(
    stored: Sequence[Run],
    out: Path | str | None,
    *,
    where: str | Sequence[str],
    figures: str | Sequence[str],
    formats: str | Sequence[str],
    style: Path | str | None,
) -> ReportFiles:
    """Return the files of what `write_report` writes, of runs that were read."""
    from bench.analysis.filter import narrowed
    from bench.report import write
    from bench.report.style_sheet import read_style_sheet

    conditions = each(where)
    names = [run.name for run in stored]
    return write.write_report(
        narrowed(by_machine(*stored), conditions),
        Path("reports") / "+".join(names) if out is None else Path(out),
        title=f"{', '.join(names)} where {' and '.join(conditions)}" if conditions else None,
        formats=write.read_formats(each(formats)),
        figures=_figures(each(figures)),
        style=read_style_sheet(Path(style)) if style else None,
    )


def _figures(patterns: Sequence[str]) -> list[str]:
    """Return the names of figures that fit names or globs; none for all.

    Raises:
        UnknownNameError: for one that nothing fits.
    """
    if not patterns:
        return []
    from bench.report.figures import FIGURES

    for pattern in patterns:
        if not FIGURES.match(pattern):
            raise unknown_name("figure", pattern, FIGURES.names(), "see `bench list figures`")
    return [name for name in FIGURES.names() if any(name in FIGURES.match(p) for p in patterns)]


def merge(*runs: Path | str, name: str, results: Path | str = "results") -> Merged:
    """Put the records of several runs into a new one, and return what that came to; the runs stay as they are.

    Args:
        runs: folders of runs.
        name: of the new run.
        results: the folder that holds it.

    Raises:
        ConfigError: for a name that no folder can have.
        StoreError: for a folder that is no run, and where the new one is there already or cannot be written.

    Example:
        >>> merged = bench.merge("results/cpu-reference", "results/study-ensembles", name="both")
        >>> (str(merged.path), merged.machines)
        ('results/both', 2)
    """
    return merge_runs([Path(run) for run in runs], run_folder(results, name))
