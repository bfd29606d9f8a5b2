"""`bench export`: stored results for other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._common import ResultsOption, handled, run_path, stderr, write
from bench.errors import ConfigError

if TYPE_CHECKING:
    from bench.records.store import Run


class Format(StrEnum):
    """What is written."""

    csv = "csv"
    parquet = "parquet"
    timm = "timm"


@handled
def export(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs: their names or paths.")],
    form: Annotated[
        Format,
        typer.Option(
            "--format", "-f", help="Every measurement as csv or parquet, or the columns of timm's files."
        ),
    ] = Format.csv,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; by default stdout, but for parquet.")
    ] = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Write stored results as CSV or Parquet, one row a measurement, or in timm's columns."""
    if form is Format.parquet and out is None:
        raise ConfigError("Parquet is not text for a terminal", "name a file: --out measurements.parquet")
    from bench.records.store import read_run
    from bench.report import export as made

    stored = [read_run(run_path(run, results)) for run in runs]
    makers: dict[Format, Callable[[Sequence[Run]], str | bytes]] = {
        Format.csv: made.long_csv,
        Format.parquet: made.long_parquet,
        Format.timm: made.timm_csv,
    }
    data = makers[form](stored)
    if form is Format.timm and (lost := made.variants(stored)):
        stderr().print(
            f"note: timm's columns do not tell apart rows that differ in {', '.join(lost)}", markup=False
        )
    _write(data, out)


def _write(data: str | bytes, out: Path | None) -> None:
    if out is None:
        write(str(data))
        return
    from bench.report.files import save

    if not out.parent.is_dir():
        raise ConfigError(f"no folder {out.parent}", "make it, or name another file")
    stderr().print(f"written: {save(out, data)}", markup=False)
