"""`bench compare`: is mine better than the baselines, in what, by how much, how sure?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._common import (
    EXIT_CANCELLED,
    EXIT_FAILED,
    JsonOption,
    ResultsOption,
    SetOption,
    handled,
    print_json,
    stderr,
    stdout,
)

if TYPE_CHECKING:
    from bench.analysis.versus import Row


@handled
def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="ARCH BASELINE...", help="The network in question, then those it is compared with."
        ),
    ],
    batch_size: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="For the throughput; by default 8 on a CPU, 64 on a GPU."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How often all is timed anew; by default as a verdict needs, at least 8; too few are refused.",
        ),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option("--train", metavar="DATASET", help="Also a short training, with three seeds."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of that training; by default the recipe's.")
    ] = None,
    band: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="A ratio so near to one is the same; stored with the run. By default 0.02, or the noise here.",
        ),
    ] = None,
    override: SetOption = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Name of the run; by default made of the networks.")
    ] = None,
    results: ResultsOption = Path("results"),
    reports: Annotated[Path, typer.Option("--reports", help="Folder that holds reports.")] = Path("reports"),
    as_json: JsonOption = False,
) -> None:
    """Compare a network with baselines: measured in turn, in several processes, with a verdict.

    Exit codes: 0 all measured, 1 some jobs failed, 2 usage, 130 cancelled.
    """
    from bench.analysis.versus import compare_run, standings
    from bench.api import compare as compare_networks
    from bench.cli._progress import Progress, failure_lines
    from bench.errors import ConfigError
    from bench.report.page import write_report

    if len(names) < 2:
        raise ConfigError("name a network and at least one baseline", "bench compare my_net.py:Net resnet18")
    with Progress(stderr()) as progress:
        done = compare_networks(
            names,
            batch_size=batch_size,
            processes=processes,
            train=train,
            epochs=epochs,
            band=band,
            overrides=override or (),
            name=name,
            results=results,
            observer=progress,
            argv=["bench", *sys.argv[1:]],
        )
    rows = compare_run(done.run)
    if as_json:
        print_json([*(row.to_json() for row in rows), *(one.to_json() for one in standings(rows))])
    else:
        _print(rows)
    page = write_report([done.run], reports / done.run.name).index
    console = stderr()
    for line in failure_lines(done.summary.records):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"results: {done.path}", markup=False)
    console.print(f"report:  {page}", markup=False)
    if done.summary.cancelled:
        raise typer.Exit(EXIT_CANCELLED)
    if done.summary.failed:
        raise typer.Exit(EXIT_FAILED)


def _print(rows: Sequence[Row]) -> None:
    from bench.report.tables import Terminal
    from bench.report.versus import versus_notes, versus_view

    console = stdout()
    if not rows:
        console.print("nothing was compared")
        return
    console.print(Terminal(versus_view(rows), f"{rows[0].arch} against its baselines"))
    for line in versus_notes(rows):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
