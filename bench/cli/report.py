"""`bench report`: tables, figures and the page, from stored results alone; torch is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli._common import JsonOption, ResultsOption, handled, print_json, run_path, stderr, stdout


@handled
def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Runs: names in the results folder, or paths. None: the newest run."),
    ] = None,
    results: ResultsOption = Path("results"),
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write; by default reports/RUN.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Redraw every table and figure from stored results."""
    from bench.records.store import read_run
    from bench.report.page import write_report
    from bench.report.tables import rich_table

    paths = [run_path(r, results) for r in runs] if runs else [_newest(results)]
    stored = [read_run(p) for p in paths]
    files = write_report(stored, out or Path("reports") / "+".join(r.name for r in stored))
    if as_json:
        print_json({"report": str(files.index), "runs": [str(p) for p in paths]})
    else:
        stdout().print(rich_table(files.comparison))
    console = stderr()
    for run in stored:
        for line in run.rejected:
            console.print(f"set aside: line {line.line} of {run.name}: {line.reason}", markup=False)
    console.print(f"report: {files.index}", markup=False)


def _newest(results: Path) -> Path:
    """Return the run that was written last.

    Raises:
        StoreError: where there is none.
    """
    from bench.errors import StoreError
    from bench.records.store import RECORDS

    files = sorted(results.glob(f"*/{RECORDS}"), key=lambda f: (f.stat().st_mtime, f.parent.name))
    if not files:
        raise StoreError(f"no run in {results}", "measure one first: bench run smoke, or name a folder")
    return files[-1].parent
