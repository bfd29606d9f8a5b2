"""`bench show`: a network layer by layer."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import EXIT_FAILED, handled
from bench.cli._complete import networks
from bench.cli._streams import print_document, print_json, show_error
from bench.errors import ConfigError
from bench.io import write_file

if TYPE_CHECKING:
    from bench.records.store import Run

_NAMES = (
    "A name as `bench run` takes it: vgg16, torchvision:NAME, timm:NAME, hf:NAME (transformers), file.py:NAME, "
    "module:NAME, folder:NAME (hubconf.py), net.pt2, net.pt, pattern:...; in parentheses its arguments, "
    "weights='FILE' and reparam=True."
)


_Format = StrEnum("_Format", ["rich", "md", "csv", "json", "latex"])


@handled
def _show(
    arch: Annotated[str, typer.Argument(metavar="NET", autocompletion=networks, help=_NAMES)],
    depth: Annotated[
        int | None, typer.Option("--depth", "-d", min=1, help="How deep modules are opened; by default all.")
    ] = None,
    form: Annotated[
        _Format, typer.Option("--format", "-f", help="How it is printed; rich is for a terminal.")
    ] = _Format.rich,
    input_size: Annotated[
        int | None,
        typer.Option(min=1, help="Height and width of the image in px; by default the native ones."),
    ] = None,
    num_classes: Annotated[int | None, typer.Option(min=1, help="By default the native count.")] = None,
    in_channels: Annotated[int | None, typer.Option(min=1, help="By default the native count.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    time: Annotated[
        bool, typer.Option("--time", help="Time each layer on this machine, and the whole.")
    ] = False,
    training: Annotated[
        bool,
        typer.Option(
            "--training", help="Of a training step: what it costs and holds; with --time how long it takes."
        ),
    ] = False,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Images a call, with --time or --training; by default 1.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="With --time: fp32, tf32, bf16, fp16, amp_bf16 or amp_fp16.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="With --time: how the whole is run; layers run in eager.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="With --time: in how many processes; by default 5.")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --time: write a pass for Perfetto (ui.perfetto.dev)."),
    ] = None,
    override: options.Set = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="With --time: name of the run; by default layers-NET.")
    ] = None,
    results: options.Results = Path("results"),
) -> None:
    """Show a network layer by layer: shapes, kernels, parameters, MACs, activation memory and receptive field.

    With --time, how long each layer takes beside what it does, and what bounds it; with --training, what a training
    step multiplies and holds.
    """
    if {"*", "?"} & set(arch) and ":" not in arch:
        raise ConfigError(
            f"show takes one network, and {arch} may be several", f"`bench list '{arch}'` names them"
        )
    form = _Format.json if as_json else form
    shape = {"input_size": input_size, "num_classes": num_classes, "in_channels": in_channels}
    measured: dict[str, object] = {"precision": precision, "backend": backend, "processes": processes}
    measured |= {"trace": trace, "set": override, "name": name}
    if not time and (given := [key for key, value in measured.items() if value]):
        raise ConfigError(f"--{given[0]} is of what is timed", "add --time")
    if time:
        from bench.api.timing import time_layers
        from bench.cli._measuring import finish, measure

        done = measure(
            time_layers,
            arch,
            batch_size=batch or 1,
            precision=precision or "fp32",
            backend=backend or "eager",
            training=training,
            processes=processes,
            overrides=[*(override or ()), *(f"layers.{k}={v}" for k, v in shape.items() if v is not None)],
            name=name,
            results=results,
        )
        _print_times(done.invocation, depth, form, trace)
        finish(done)
    elif training:
        from bench.api.inspecting import training_cost
        from bench.report.tables.training_cost import training_document

        print_document(training_document(training_cost(arch, batch or 1, depth, **shape)), form)
    else:
        if batch is not None:
            raise ConfigError("--batch is of what is timed or trained", "add --time or --training")
        from bench.api.inspecting import layers
        from bench.report.tables.layers import layers_document

        table = layers(arch, depth, **shape)
        print_document(layers_document(table), form)
        if table["failure"]:
            show_error(f"{arch} failed before its end", None)
            raise typer.Exit(EXIT_FAILED)


def _print_times(run: Run, depth: int | None, form: _Format, trace: Path | None) -> None:
    """Print the layers of a run with their times, and write a trace where one is asked for."""
    from bench.analysis.frame import to_frame
    from bench.analysis.layer_trace import trace_events
    from bench.analysis.layers import LayerTable
    from bench.report.tables.layer_times import layer_times_document

    tables = LayerTable.in_frame(to_frame([run]), depth)
    if not tables:  # what failed is told at the end
        if form is _Format.json:
            print_json(None)
        return
    table = tables[-1]
    if trace is not None:
        content = {"traceEvents": trace_events(table), "displayTimeUnit": "ms"}
        write_file(trace, json.dumps(content).encode())
    print_document(layer_times_document(table), form)
