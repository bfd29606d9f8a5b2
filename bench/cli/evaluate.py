"""`bench evaluate`: what trained weights reach on images, and what they say of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import at_address, measures
from bench.cli._complete import datasets
from bench.cli._streams import note, stdout

if TYPE_CHECKING:
    from bench.api import Done


@measures
def _evaluate(
    names: Annotated[
        list[str],
        options.of_networks(
            "torchvision:NAME and timm:NAME with their default weights, or others, as in "
            "torchvision:resnet50(weights=IMAGENET1K_V1); my_net.py:Net(weights=FILE); "
            "a run, or the id of a job, whose trainings kept their weights."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "-d",
            autocompletion=datasets,
            help="A name of `bench list datasets`, or imagefolder:PATH; of trainings, by default their own.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Part of the data to evaluate on; by default val. Of a folder without parts: all."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Evaluate on so many images at most, balanced over the classes.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="FILE", help="Weights for the networks: .safetensors, .pt, .pth.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="fp32, tf32, bf16, fp16, amp_bf16 or amp_fp16.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="How networks are run: a name of `bench list backends`.")
    ] = None,
    corruptions: Annotated[
        bool, typer.Option("--corruptions", help="Also on images corrupted in 15 ways at five severities.")
    ] = False,
    download: options.Download = False,
    explain: Annotated[
        bool | None,
        typer.Option(
            "--explain/--no-explain",
            help="Where an accuracy is not the published one, try size, crop, interpolation, normalisation and order "
            "of colours, alone and up to three together, in up to 45 evaluations. Asked for, also where a network "
            "declares no transform.",
        ),
    ] = None,
    show: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the images as the networks get them.")
    ] = None,
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
    """Evaluate trained weights on images, each network with its own transform. The same command again goes on.

    Exit codes: 0 all evaluated, 1 some networks failed, 2 usage, 130 cancelled.
    """
    from bench.api import evaluate as evaluate_networks
    from bench.cli._measuring import conclude, measure

    done = measure(
        evaluate_networks,
        names,
        data=data,
        split=split,
        limit=limit,
        weights=weights,
        precision=precision,
        backend=backend,
        corruptions=corruptions,
        download=download,
        explain=explain,
        show=show,
        overrides=override or (),
        name=name,
        results=results,
        executor=at_address(executor, ray_address),
        quiet=quiet,
        report=report,
    )
    if show is not None and not quiet:
        note(f"the images as the networks get them: {show}")
    conclude(done, reports if report else None, as_json, _print, _document, quiet=quiet)


def _document(done: Done) -> dict[str, object]:
    from bench.cli._measuring import frame_of
    from bench.report.tables.evaluations import EvaluationTables

    return {"evaluations": EvaluationTables.of(frame_of(done)).values}


def _print(done: Done) -> None:
    from bench.cli._measuring import frame_of
    from bench.report.tables.evaluations import EvaluationTables

    if done.invocation.records:
        for table in EvaluationTables.of(frame_of(done)).terminals():
            stdout().print(table)
