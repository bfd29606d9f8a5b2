"""`bench train`: train networks from scratch and compare the accuracies that they reach."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import at_address, measures
from bench.cli._complete import datasets
from bench.cli._streams import stdout
from bench.cli._torchrun import torchrun_overrides

if TYPE_CHECKING:
    from bench.api import Done


@measures
def _train(
    names: Annotated[
        list[str], options.of_networks("Architectures; the others are compared with the first.")
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
    override: options.Set = None,
    name: options.Name = None,
    results: options.Results = Path("results"),
    reports: options.Reports = Path("reports"),
    executor: options.Executor = "process",
    ray_address: options.RayAddress = None,
    report: options.Report = True,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
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
    from bench.analysis.accuracy import accuracy_table, to_json
    from bench.analysis.trainings import SeriesComparison
    from bench.cli._measuring import frame_of

    comparisons = SeriesComparison.in_run(done.invocation)
    trainings = to_json(accuracy_table(frame_of(done)))
    return {"trainings": trainings, "comparisons": [c.to_json() for c in comparisons]}


def _print(done: Done) -> None:
    from bench.analysis.accuracy import accuracy_table
    from bench.analysis.trainings import SeriesComparison
    from bench.cli._measuring import frame_of
    from bench.report.tables.verdicts import training_comparisons, trainings_table

    run = done.invocation
    if run.records:
        stdout().print(trainings_table(accuracy_table(frame_of(done))))
        if comparisons := SeriesComparison.in_run(run):
            stdout().print(training_comparisons(comparisons))
