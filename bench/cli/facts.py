"""`bench facts`: what others have published of networks; never what was measured here."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import examples_of, handled
from bench.cli._help import Command, Group
from bench.cli._streams import note, print_json, stdout
from bench.report.tables.cells import Fields, Head, view_of
from bench.report.text import plain

if TYPE_CHECKING:
    import pandas as pd

    from bench.facts import Source

_facts = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Published accuracies and speeds: list, show, update.",
    epilog=examples_of("bench facts show resnet50", "bench facts list"),
)


@_facts.command("list", cls=Command, epilog=examples_of("bench facts list", "bench facts list --json"))
@handled
def _list(as_json: options.Json = False) -> None:
    """List the sources of facts.

    Of what each is, how many rows it has, under which conditions, from where, when, and under which licence.
    """
    import msgspec

    from bench.facts import folder, sources
    from bench.report.tables.formats import Terminal

    known = sources()
    if as_json:
        print_json([msgspec.to_builtins(source) for source in known])
        return
    stdout().print(Terminal(view_of(known, _FIELDS)))
    note(f"in {folder()}")


def _of(source: Source) -> str:
    from bench.facts import SETS

    return source.of if source.kind == "speed" else f"{source.of}: {SETS[source.of][1]}"


def _conditions(source: Source) -> list[str]:
    said = [f"{key} {value}" for key, value in source.conditions.items() if value not in (None, False, True)]
    return said + ["compiled"] * bool(source.conditions.get("compiled"))


_FIELDS: Fields[Source] = (
    (Head("Facts"), lambda source: plain(source.kind)),
    (Head("Of", keep=3), _of),
    (Head("Rows", numeric=True, keep=2), lambda source: f"{source.rows:,}"),
    (Head("Conditions"), lambda source: plain(", ".join(_conditions(source)))),
    (Head("Date", keep=2), lambda source: plain(source.date or source.commit or "")),
    (Head("Licence", keep=2), lambda source: plain(source.licence or "")),
    (Head("Source"), lambda source: plain(source.name)),
)


@_facts.command(
    "show",
    cls=Command,
    epilog=examples_of("bench facts show resnet50", "bench facts show resnet50.a1_in1k --json"),
)
@handled
def _show(
    network: Annotated[
        str,
        options.of_networks(
            "A network or weights, such as resnet50 or resnet50.a1_in1k, or a glob: 'resnet*'."
        ),
    ],
    as_json: options.Json = False,
) -> None:
    """Show what is published of a network.

    Accuracies of its weights, and its speeds.
    """
    from bench.errors import unknown_name
    from bench.facts import accuracies, speeds
    from bench.io import finite_json

    name = network.removeprefix("timm:")
    of_weights, timed = accuracies(), speeds()
    rows = of_weights[_called(of_weights["network"], name) | _called(of_weights["weights"], name)]
    runs = timed[_called(timed["network"], name.partition(".")[0])]
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


def _called(names: pd.Series[str], pattern: str) -> pd.Series[bool]:
    return names.isin(fnmatch.filter(names.unique(), pattern))


@_facts.command(
    "update",
    cls=Command,
    epilog=examples_of(
        "bench facts update results-imagenet.csv", "bench facts update torchvision -o my-facts"
    ),
)
@handled
def _update(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE", help="CSV files of pytorch-image-models' results, or the word torchvision."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of facts; BENCH_FACTS, or that of the package."),
    ] = None,
    commit: Annotated[str | None, typer.Option(help="Of the project that published the files.")] = None,
    date: Annotated[str | None, typer.Option(help="Of that commit: YYYY-MM-DD.")] = None,
    url: Annotated[
        str | None, typer.Option(help="Whose files they are, if not pytorch-image-models' own.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Of such files: an SPDX identifier, such as MIT.")
    ] = None,
) -> None:
    """Read published files into the facts.

    What has the name of a source replaces it, all others stay.
    """
    from bench.api.facts import update_facts
    from bench.facts import folder

    target = output or folder()
    for source in update_facts(files, target, say=note, commit=commit, date=date, url=url, licence=licence):
        note(f"{source.name}: {source.rows:,} rows, {source.kind} of {source.of}")
    note(f"written: {target}")
