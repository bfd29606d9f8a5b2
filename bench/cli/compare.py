"""`bench compare`: is mine better than the baselines, in what, by how much, how sure?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import measures, share
from bench.cli._complete import datasets
from bench.cli._streams import print_document, print_json, stdout

if TYPE_CHECKING:
    from bench.analysis.layers import LayerTable
    from bench.analysis.versus import Ratio
    from bench.io import JsonObject


@measures
def _compare(
    names: Annotated[
        list[str], options.of_networks("The network in question, then those it is compared with.")
    ],
    batch_size: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="For the throughput; by default 8 on a CPU, 64 on a GPU."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="How often all is timed anew; by default as a verdict needs, at least 8."),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET", autocompletion=datasets, help="Also a short training, with three seeds."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of that training; by default the recipe's.")
    ] = None,
    band: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="A ratio so near to one is the same: 2%. By default what the run has stored, 2% or the noise here.",
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Also time each layer, and name those that make the difference.")
    ] = False,
    override: options.Set = None,
    name: options.Name = None,
    results: options.Results = Path("results"),
    reports: options.Reports = Path("reports"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare a network with baselines: interleaved, in several processes, with a verdict.

    Exit codes: 0 all measured, 1 some jobs failed, 2 usage, 130 cancelled.
    """
    from bench.analysis.layer_differences import compared_layers
    from bench.analysis.versus import Ratio
    from bench.api import compare as compare_networks
    from bench.cli._measuring import finish, measure, write_page

    done = measure(
        compare_networks,
        names,
        batch_size=batch_size,
        processes=processes,
        train=train,
        epochs=epochs,
        band=None if band is None else share(band, "--band"),
        layers=layers,
        overrides=override or (),
        name=name,
        results=results,
        quiet=quiet,
        report=True,
    )
    rows = Ratio.in_run(done.here)
    pairs = compared_layers(done.here) if layers else []
    if as_json:
        print_json(_plain(rows, pairs))
    elif not quiet:
        _print(rows, pairs)
    finish(done, write_page(done.run, reports), told=as_json, quiet=quiet)


def _plain(rows: Sequence[Ratio], pairs: Sequence[tuple[LayerTable, LayerTable]]) -> list[JsonObject]:
    """Return the ratios, how the networks stand by them, and the differences of layers, as plain values."""
    from bench.analysis.versus import Ratio
    from bench.report.tables.layer_times import differences_json

    ratios, standings = ([one.to_json() for one in some] for some in (rows, Ratio.standings(rows)))
    return [*ratios, *standings, *(one for pair in pairs for one in differences_json(*pair))]


def _print(rows: Sequence[Ratio], pairs: Sequence[tuple[LayerTable, LayerTable]]) -> None:
    from bench.report.tables.layer_times import differences_document
    from bench.report.tables.verdicts import versus_document

    if rows:
        print_document(versus_document(rows), "rich")
    else:
        stdout().print("nothing was compared")
    for pair in pairs:
        print_document(differences_document(*pair), "rich")
