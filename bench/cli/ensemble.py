"""`bench ensemble`: what the trained networks of a run come to together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled, stored_run
from bench.cli._complete import datasets
from bench.cli._streams import print_json, stdout


@handled
def _ensemble(
    run: Annotated[str, options.of_runs("A run with trainings.")],
    networks: Annotated[
        list[str] | None,
        typer.Option(help="Only these networks: names or globs, one each time; by default all."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", autocompletion=datasets, help="Only trainings on this data set."),
    ] = None,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
) -> None:
    """Average what trained networks say of the test images: the seeds of each, and one of each.

    Against their mean and their best member, with intervals over the test images. Nothing is trained.
    """
    from bench.analysis.ensembles import Ensemble
    from bench.report.tables.verdicts import ensembles_table

    rows = Ensemble.in_run(stored_run(run, results), networks or (), dataset)
    if as_json:
        print_json([row.to_json() for row in rows])
    else:
        stdout().print(ensembles_table(rows))
