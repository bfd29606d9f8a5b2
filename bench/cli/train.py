"""`bench train`: train networks from scratch and compare the accuracies that they reach."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._common import (
    ExecutorOption,
    JsonOption,
    NameOption,
    QuietOption,
    RayAddressOption,
    ReportOption,
    ReportsOption,
    ResultsOption,
    SetOption,
    at_address,
    measures,
)
from bench.cli._complete import datasets, networks
from bench.cli._streams import stdout
from bench.cli._torchrun import torchrun_overrides

if TYPE_CHECKING:
    import pandas as pd

    from bench.api import Done


@measures
def _train(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NET",
            autocompletion=networks,
            help="Architectures; the others are compared with the first.",
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option(
            "--data",
            "--dataset",
            "-d",
            autocompletion=datasets,
            help="A name of `bench list datasets`, or imagefolder:PATH.",
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", "-r", help="Such as std, std(momentum=0.5) or a YAML file; by default std."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="By default the recipe's.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Trainings of each network.")] = 3,
    target: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="A top-1 accuracy, such as 0.9: also tell the time until then."),
    ] = None,
    keep_weights: Annotated[
        bool,
        typer.Option("--keep-weights", help="Keep the weights in the run's folder, for bench evaluate RUN."),
    ] = False,
    override: SetOption = None,
    name: NameOption = None,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
    executor: ExecutorOption = "process",
    ray_address: RayAddressOption = None,
    report: ReportOption = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train architectures and compare their accuracies. The same command again goes on where it was left.

    Exit codes: 0 all trained, 1 some trainings failed, 2 usage, 130 cancelled.
    """
    from bench.api import train as train_networks
    from bench.cli._measuring import conclude, measure

    done = measure(
        train_networks,
        names,
        dataset=dataset,
        recipe=recipe,
        epochs=epochs,
        seeds=seeds,
        target=target,
        keep_weights=keep_weights,
        overrides=[*torchrun_overrides(), *(override or ())],
        name=name,
        results=results,
        executor=at_address(executor, ray_address),
        quiet=quiet,
        report=report,
    )
    conclude(done, reports if report else None, as_json, _print, _document, quiet=quiet)


def _document(done: Done) -> dict[str, object]:
    from bench.analysis.accuracy import to_json
    from bench.analysis.trainings import SeriesComparison

    comparisons = SeriesComparison.in_run(done.invocation)
    return {"trainings": to_json(_table(done)), "comparisons": [c.to_json() for c in comparisons]}


def _table(done: Done) -> pd.DataFrame:
    from bench.analysis.accuracy import accuracy_table
    from bench.analysis.frame import to_frame
    from bench.records.machines import by_machine

    return accuracy_table(to_frame(by_machine(done.invocation)))


def _print(done: Done) -> None:
    from bench.analysis.trainings import SeriesComparison
    from bench.report.tables.verdicts import training_comparisons, trainings_table

    run = done.invocation
    if run.records:
        stdout().print(trainings_table(_table(done)))
        if comparisons := SeriesComparison.in_run(run):
            stdout().print(training_comparisons(comparisons))
