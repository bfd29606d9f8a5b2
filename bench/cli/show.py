"""`bench show`: a network layer by layer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from bench.cli._common import handled
from bench.cli._streams import print_json, show_error, stdout, write
from bench.errors import ConfigError
from bench.io import JsonObject

_NAMES = (
    "A name as `bench run` takes it: vgg16, torchvision:NAME, timm:NAME, hf:NAME (transformers), file.py:NAME, "
    "module:NAME, folder:NAME (hubconf.py), net.pt2, net.pt, pattern:...; in parentheses its arguments, "
    "weights='FILE' and reparam=True."
)


class _Format(StrEnum):
    """How a table is printed."""

    rich = "rich"
    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"


@handled
def show(
    arch: Annotated[str, typer.Argument(metavar="ARCH", help=_NAMES)],
    depth: Annotated[
        int | None, typer.Option("--depth", "-d", min=1, help="How deep modules are opened; by default all.")
    ] = None,
    form: Annotated[_Format, typer.Option("--format", "-f", help="What is printed.")] = _Format.rich,
    input_size: Annotated[
        int | None,
        typer.Option(min=1, help="Height and width of the image in px; by default the native ones."),
    ] = None,
    num_classes: Annotated[int | None, typer.Option(min=1, help="By default the native count.")] = None,
    in_channels: Annotated[int | None, typer.Option(min=1, help="By default the native count.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show a network layer by layer.

    Shapes, kernels, parameters, MACs, activation memory and receptive field.
    """
    if {"*", "?"} & set(arch) and ":" not in arch:
        raise ConfigError(
            f"show takes one network, and {arch} may be several", f"`bench list '{arch}'` names them"
        )
    from bench.api.inspecting import layers

    table = layers(arch, depth, input_size=input_size, num_classes=num_classes, in_channels=in_channels)
    _print(table, _Format.json if as_json else form)
    if table["failure"]:
        show_error(f"{arch} failed before its end", None)
        raise typer.Exit(1)


def _print(table: JsonObject, form: _Format) -> None:
    if form is _Format.json:
        print_json(table)
        return
    if form is _Format.csv:
        from bench.report.tables.layers import layers_csv

        write(layers_csv(table))
        return
    from bench.report.tables.formats import Terminal, to_longtable, to_markdown
    from bench.report.tables.layers import layers_notes, layers_view

    shown = layers_view(table)
    title = f"{table['arch']}, one image {'×'.join(map(str, table['input'][1:]))}"
    if form is _Format.latex:
        write(to_longtable(shown, title))
    elif form is _Format.md:
        write(to_markdown(shown) + "\n" + "\n".join(f"- {line}" for line in layers_notes(table)) + "\n")
    else:
        console = stdout()
        console.print(Terminal(shown, title))
        for line in layers_notes(table):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
