"""The command line: one module a command; nothing here or there imports torch, pandas or matplotlib at the start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bench import __version__
from bench.cli import (
    choose,
    compare,
    diff,
    ensemble,
    env,
    export,
    facts,
    merge,
    plan,
    report,
    run,
    selftest,
    show,
    train,
    verify,
)
from bench.cli import list as list_
from bench.cli._streams import open_standard_streams
from bench.registry import PLUGINS

app = typer.Typer(
    name="bench",
    help="Benchmark neural architectures: cost, speed, memory and short-training accuracy, with defended numbers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes and colours would double the time of --help
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("show")(show.show)
app.command("compare")(compare.compare)
app.command("choose")(choose.choose)
app.command("train")(train.train)
app.command("ensemble")(ensemble.ensemble)
app.command("selftest")(selftest.selftest)
app.command("report")(report.report)
app.command("diff")(diff.diff)
app.command("merge")(merge.merge)
app.command("export")(export.export)
app.command("verify")(verify.verify)
app.command("list")(list_.list_)
app.command("env")(env.env)
app.add_typer(facts.app, name="facts")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def callback(
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="A file that registers networks, data sets, backends, figures and so on.",
        ),
    ] = None,
) -> None:
    """Benchmark neural architectures: cost, speed, memory and short-training accuracy, with defended numbers."""
    files = [str(file.resolve()) for file in plugin or ()]
    if files:  # in the environment, as jobs run in processes of their own
        os.environ[PLUGINS] = os.pathsep.join(filter(None, [*files, os.environ.get(PLUGINS, "")]))


def main() -> None:
    """Run the command line."""
    open_standard_streams()
    app()
