"""`bench engines`: what do engines and their precisions make of a network: speed, agreement, accuracy?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import measures
from bench.cli._complete import datasets
from bench.cli._streams import say, stdout

if TYPE_CHECKING:
    from bench.api import Done


@measures
def _engines(
    names: Annotated[list[str], options.of_networks("Each is compared with itself in eager.")],
    engine: Annotated[
        list[str] | None,
        typer.Option("--engine", "-e", help="A name of `bench list backends`; by default all. Repeatable."),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            "--precision", "-p", help="fp32, bf16, int8 ...; by default each engine's own. Repeatable."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "-d",
            autocompletion=datasets,
            help="Images on which the accuracy is measured: a data set, or imagefolder:PATH.",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Part of the data to evaluate on.")] = "val",
    limit: Annotated[int, typer.Option(min=0, help="Evaluate on so many images at most; 0 is all.")] = 0,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Data set on whose training images int8 takes its ranges; by default that of --data, else noise."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="For the throughput; by default 4 on a CPU, 64 on a GPU."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, help="In how many processes each is timed; by default 5 to 8. Fewer than 4 decide nothing."
        ),
    ] = None,
    download: options.Download = False,
    override: options.Set = None,
    name: options.Name = None,
    results: options.Results = Path("results"),
    reports: options.Reports = Path("reports"),
    report: options.Report = True,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare engines with eager: interleaved times, agreement, and accuracy where there are images to test it on.

    What an engine cannot do is a row with its reason, and no failure. Exit codes: 0 all measured, 1 some jobs failed, 2
    usage, 130 cancelled.
    """
    from bench.api import engines as measure_engines
    from bench.cli._measuring import conclude, measure

    done = measure(
        measure_engines,
        names,
        engines=engine or (),
        precisions=precision or (),
        data=data,
        split=split,
        limit=limit,
        calibration=calibration,
        batch_size=batch_size,
        processes=processes,
        download=download,
        overrides=override or (),
        name=name,
        results=results,
        quiet=quiet,
        report=report,
    )
    conclude(
        done, reports if report else None, as_json, _print, _document, answers=["unsupported"], quiet=quiet
    )


def _document(done: Done) -> dict[str, object]:
    from bench.analysis.engines import EngineRow

    return {"engines": [row.to_json() for row in EngineRow.in_run(done.here)]}


def _print(done: Done) -> None:
    from bench.analysis.engines import EngineRow
    from bench.report.tables.engines import engines_view
    from bench.report.tables.formats import Terminal

    console = stdout()
    rows = EngineRow.in_run(done.here)
    if not rows:
        console.print("nothing was compared with eager")
        return
    console.print(Terminal(engines_view(rows, narrow=True), "Engines against eager"))
    for line in (*EngineRow.reasons(rows), *EngineRow.notes(rows)):
        say(line)
