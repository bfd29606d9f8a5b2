"""`bench facts`: what others have published of networks; never what was measured here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli._common import JsonOption, examples_of, handled
from bench.cli._streams import note, print_json, stdout

app = typer.Typer(
    no_args_is_help=True,
    help="Published accuracies and speeds: list, show, update.",
    epilog=examples_of("bench facts show resnet50", "bench facts list"),
)


@app.command("list", epilog=examples_of("bench facts list", "bench facts list --json"))
@handled
def _list(as_json: JsonOption = False) -> None:
    """List the sources of facts: of what, how many, under which conditions, from where, when, under which licence."""
    import msgspec
    from rich.markup import escape
    from rich.table import Table

    from bench.facts import SETS, folder, sources

    known = sources()
    if as_json:
        print_json([msgspec.to_builtins(source) for source in known])
        return
    table = Table("Facts", "Of", "Rows", "Conditions", "Date", "Licence", "Source", box=None)
    for source in known:
        of = source.of if source.kind == "speed" else f"{source.of}: {SETS[source.of][1]}"
        said = [
            f"{key} {value}" for key, value in source.conditions.items() if value not in (None, False, True)
        ]
        said += ["compiled"] * bool(source.conditions.get("compiled"))
        cells = (
            source.kind,
            of,
            f"{source.rows:,}",
            ", ".join(said),
            source.date or source.commit or "",
            source.licence or "",
        )
        table.add_row(*map(escape, cells), escape(source.name))
    stdout().print(table)
    note(f"in {folder()}")


@app.command(
    "show", epilog=examples_of("bench facts show resnet50", "bench facts show resnet50.a1_in1k --json")
)
@handled
def _show(
    network: Annotated[
        str, typer.Argument(help="A network or weights, such as resnet50 or resnet50.a1_in1k.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show what is published of a network: accuracies of its weights, and its speeds."""
    from bench.errors import unknown_name
    from bench.facts import accuracies, speeds
    from bench.io import finite_json

    name = network.removeprefix("timm:")
    of_weights, timed = accuracies(), speeds()
    rows = of_weights[(of_weights["network"] == name) | (of_weights["weights"] == name)]
    runs = timed[timed["network"] == name.partition(".")[0]]
    if rows.empty and runs.empty:
        known = {*of_weights["network"], *of_weights["weights"]}
        raise unknown_name("network", network, known, "`bench facts list` shows where facts are from")
    if as_json:
        print_json(
            {
                "accuracies": finite_json(rows.to_dict("records")),
                "speeds": finite_json(runs.to_dict("records")),
            }
        )
        return
    from bench.report.facts import network_tables

    for table in network_tables(rows, runs):
        stdout().print(table)


@app.command(
    "update",
    epilog=examples_of(
        "bench facts update results-imagenet.csv", "bench facts update torchvision -o my-facts"
    ),
)
@handled
def _update(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="CSV files of pytorch-image-models' results, or the word torchvision."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of facts; BENCH_FACTS, or that of the package."),
    ] = None,
    commit: Annotated[
        str | None, typer.Option("--commit", help="Of the project that published the files.")
    ] = None,
    date: Annotated[str | None, typer.Option("--date", help="Of that commit: YYYY-MM-DD.")] = None,
) -> None:
    """Read published files into the facts: what has the name of a source replaces it, all others stay."""
    from bench.api.facts import update_facts
    from bench.facts import folder

    target = output or folder()
    for source in update_facts(files, target, commit=commit, date=date):
        note(f"{source.name}: {source.rows:,} rows, {source.kind} of {source.of}")
    note(f"written: {target}")
