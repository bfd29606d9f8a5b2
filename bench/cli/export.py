"""`bench export`: stored results for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli._common import ResultsOption, handled, stored_run
from bench.cli._streams import note, write
from bench.errors import ConfigError


class _Format(StrEnum):
    """What is written."""

    csv = "csv"
    parquet = "parquet"
    timm = "timm"


@handled
def export(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs: their names or paths.")],
    form: Annotated[
        _Format,
        typer.Option(
            "--format", "-f", help="Every measurement as csv or parquet, or the columns of timm's files."
        ),
    ] = _Format.csv,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; by default stdout, but for parquet.")
    ] = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Write stored results as CSV or Parquet, one row a measurement, or in timm's columns."""
    if form is _Format.parquet and out is None:
        raise ConfigError("Parquet is not text for a terminal", "name a file: --out measurements.parquet")
    from bench.records.machines import every_machine
    from bench.report.tables import export as exports

    stored = every_machine(stored_run(run, results) for run in runs)
    if form is not _Format.timm:
        _write((exports.long_csv if form is _Format.csv else exports.long_parquet)(stored), out)
        return
    from bench.analysis.comparison import compare_table
    from bench.analysis.frame import to_frame

    table = compare_table(to_frame(stored))
    if lost := exports.variants(table):
        note(f"note: timm's columns do not tell apart rows that differ in {', '.join(lost)}")
    _write(exports.timm_csv(table), out)


def _write(data: str | bytes, out: Path | None) -> None:
    if out is None:
        write(str(data))
        return
    from bench.report.write import save

    if not out.parent.is_dir():
        raise ConfigError(f"no folder {out.parent}", "make it, or name another file")
    note(f"written: {save(out, data)}")
