"""`bench report`: tables, figures and the page, from stored results alone; torch is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled, stored_run
from bench.cli._streams import note, print_json, stdout, write


@handled
def _report(
    runs: Annotated[
        list[str] | None,
        options.of_runs("Runs: names in the results folder, or paths. None: the newest run."),
    ] = None,
    results: options.Results = Path("results"),
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write; by default reports/RUN.")
    ] = None,
    where: options.Where = None,
    figure: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only these figures: names or globs; may be repeated."),
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
    style: Annotated[Path | None, typer.Option(help="Style sheet of matplotlib for the figures.")] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Redraw every table and figure from stored results."""
    from bench.api.reporting import reported
    from bench.report.tables.answers import answers_report, rich_table
    from bench.report.write import read_formats

    formats = read_formats(form or ())  # before what is stored, which may take a while to read
    stored = [stored_run(run, results) for run in runs or [_newest(results)]]
    files = reported(stored, out, where=where or (), figures=figure or (), formats=formats, style=style)
    shown = files.index if files.index in files.written else files.folder
    if as_json:
        print_json({"report": str(shown), "runs": [str(run.path) for run in stored]})
    elif quiet:
        write(f"{shown}\n")
    elif len(files.comparison):
        stdout().print(answers_report(files.answers), rich_table(files.comparison), sep="\n")
    else:
        names = ", ".join(run.name for run in stored)
        note(f"nothing is measured yet in {names}; the command that began it goes on")
    if not quiet:
        note(f"report: {shown}")


def _newest(results: Path) -> str:
    """Return the name of the run that was written last.

    Raises:
        StoreError: where there is none.
    """
    from bench.errors import StoreError
    from bench.records.store import RECORDS

    files = sorted(results.glob(f"*/{RECORDS}"), key=lambda f: (f.stat().st_mtime, f.parent.name))
    if not files:
        raise StoreError(f"no run in {results}", "measure one first: bench run smoke, or name a folder")
    return files[-1].parent.name
