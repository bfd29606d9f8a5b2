"""`bench report`: tables, figures and the page, from stored results alone; torch is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.cli._common import (
    JsonOption,
    QuietOption,
    ResultsOption,
    WhereOption,
    handled,
    narrowed,
    stored_run,
)
from bench.cli._complete import runs
from bench.cli._streams import note, print_json, stdout, write


@handled
def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=runs, help="Runs: names in the results folder, or paths. None: the newest run."
        ),
    ] = None,
    results: ResultsOption = Path("results"),
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write; by default reports/RUN.")
    ] = None,
    where: WhereOption = None,
    figure: Annotated[
        list[str] | None,
        typer.Option("--figure", metavar="NAME", help="Only these figures: names or globs; may be repeated."),
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="html, md, csv, latex, png, svg, pdf; with commas. By default all but latex and pdf.",
        ),
    ] = None,
    style: Annotated[
        Path | None, typer.Option("--style", help="Style sheet of matplotlib for the figures.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Redraw every table and figure from stored results."""
    from bench.records.machines import by_machine
    from bench.report.style_sheet import read_style_sheet
    from bench.report.tables.answers import answers_report
    from bench.report.tables.comparison import rich_table
    from bench.report.write import read_formats, write_report

    formats = read_formats(form or ())
    figures = _figures(figure or ())
    settings = read_style_sheet(style) if style else None
    stored = [stored_run(run, results) for run in runs or [_newest(results)]]
    of_machines = by_machine(*stored)
    names = ", ".join(r.name for r in stored)
    files = write_report(
        narrowed(of_machines, where or ()),
        out or Path("reports") / "+".join(r.name for r in stored),
        title=f"{names} where {' and '.join(where)}" if where else None,
        formats=formats,
        figures=figures,
        style=settings,
    )
    shown = files.index if files.index in files.written else files.folder
    if as_json:
        print_json({"report": str(shown), "runs": [str(run.path) for run in stored]})
    elif quiet:
        write(f"{shown}\n")
    elif len(files.comparison):
        stdout().print(answers_report(files.answers), rich_table(files.comparison), sep="\n")
    else:
        note(f"nothing is measured yet in {names}; the command that began it goes on")
    if not quiet:
        note(f"report: {shown}")


def _figures(patterns: Sequence[str]) -> list[str]:
    """Return the names of figures that fit names or globs; none for all.

    Raises:
        UnknownNameError: for one that nothing fits.
    """
    if not patterns:
        return []
    from bench.errors import unknown_name
    from bench.report.figures import FIGURES

    for pattern in patterns:
        if not FIGURES.match(pattern):
            raise unknown_name("figure", pattern, FIGURES.names(), "see `bench list figures`")
    return [name for name in FIGURES.names() if any(name in FIGURES.match(p) for p in patterns)]


def _newest(results: Path) -> str:
    """Return the name of the run that was written last.

    Raises:
        StoreError: where there is none.
    """
    from bench.errors import StoreError
    from bench.records.store import RECORDS

    files = sorted(results.glob(f"*/{RECORDS}"), key=lambda f: (f.stat().st_mtime, f.parent.name))
    if not files:
        raise StoreError(
            f"no run in {results}", "measure one first: bench run --config smoke, or name a folder"
        )
    return files[-1].parent.name
