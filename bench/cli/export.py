"""`bench export`: stored results for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled, stored_run
from bench.cli._complete import formats
from bench.cli._streams import note, write
from bench.errors import ConfigError


@handled
def _export(
    runs: Annotated[list[str], options.of_runs("Runs: their names or paths.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            autocompletion=formats,
            help="csv, json, timm, tensorboard ...: `bench list exports` has all.",
        ),
    ] = "csv",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write, or a new folder where the format has several; by default stdout.",
        ),
    ] = None,
    where: options.Where = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="An option of the format, such as dataset=ID."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    results: options.Results = Path("results"),
) -> None:
    """Write stored results for other programs: CSV, Parquet, JSON, timm, TensorBoard, W&B, MLflow, Hugging Face."""
    from bench.api import export as exported
    from bench.report.exports import EXPORTS

    EXPORTS.get(form)  # before anything is read
    made = exported(
        *(stored_run(run, results) for run in runs),
        form=form,
        out=out,
        where=where or (),
        options=options or (),
        force=force,
        remark=lambda text: note(f"note: {text}"),
    )
    if isinstance(made, Path):
        note(f"written: {made}")
    elif isinstance(made, str):
        write(made)
    else:
        raise ConfigError(
            f"{form} is not text for a terminal", f"name a file: --out {Path(runs[0]).name}.{form}"
        )
