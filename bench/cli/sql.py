"""`bench sql`: stored runs, asked in SQL."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled, run_path
from bench.cli._streams import print_json, stdout, write

if TYPE_CHECKING:
    import pandas as pd


_Form = StrEnum("_Form", ["rich", "csv", "json"])


@handled
def _sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Over the tables measurements and networks.")],
    runs: Annotated[
        list[str] | None, options.of_runs("Names or paths of runs; none: all that there are.")
    ] = None,
    form: Annotated[
        _Form, typer.Option("--format", "-f", help="How it is printed; rich is for a terminal.")
    ] = _Form.rich,
    results: options.Results = Path("results"),
) -> None:
    """Ask stored runs in SQL: `measurements` has a row each, `networks` those of a report's table.

    `describe measurements` shows the columns, `bench explain columns` what they hold: numbers are in stored units (s,
    B, fractions), of which a terminal shows six digits. Needs DuckDB, which the extra `sql` brings.
    """
    from bench.api import query as ask

    table = ask(query, [run_path(run, results) for run in runs or ()], results=results)
    if form is _Form.csv:
        write(table.to_csv(index=False))
    elif form is _Form.json:
        from bench.io import finite_json

        known = table.astype(object).where(table.notna(), None)
        print_json(
            [{name: finite_json(_plain(v)) for name, v in row.items()} for row in known.to_dict("records")]
        )
    else:
        _print(table)


def _plain(value: object) -> object:
    """Return a value as JSON has it: lists as such, times as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if isinstance(value, str | bool | int | float | None) else str(value)


def _print(table: pd.DataFrame) -> None:
    from bench.report.tables.cells import Cell, Head, View
    from bench.report.tables.formats import Terminal
    from bench.report.text import plain

    heads = [Head(plain(column), numeric=table[column].dtype.kind in "iuf") for column in table]
    rows = [
        [Cell(f"{value:.6g}" if isinstance(value, float) else plain(value)) for value in row]
        for row in table.astype(object).where(table.notna(), "").itertuples(index=False)
    ]
    stdout().print(Terminal(View(heads, rows)))
