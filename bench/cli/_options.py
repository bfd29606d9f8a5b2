"""The options and arguments that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli._complete import experiments, networks, networks_or_experiments, runs, tasks

Format = StrEnum("Format", ["rich", "md", "json"])

Form = Annotated[Format, typer.Option("--format", "-f", help="How it is printed; rich is for a terminal.")]
Config = Annotated[
    str,
    typer.Option(
        "--config",
        "-c",
        autocompletion=experiments,
        help="Experiment: a shipped name or the path of a YAML file.",
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        "--task", "-t", autocompletion=tasks, help="Only these tasks of the experiment, such as cost,infer."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Override a setting, such as device=cpu."),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        "-w",
        metavar="CONDITION",
        help='Only these jobs: "family == \'resnet\'", "macs < 1e9", "arch ~ \'vgg*\'"; several: all must hold.',
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch the weights that are not on this machine.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Say no more than what failed, and where the results are.")
]
Name = Annotated[
    str | None, typer.Option("--name", "-n", help="Name of the run; by default made of what it measures.")
]
Results = Annotated[Path, typer.Option(help="Folder that holds runs.")]
Reports = Annotated[Path, typer.Option(help="Folder that holds reports.")]
Report = Annotated[bool, typer.Option("--report/--no-report", help="Write the report at the end.")]
Executor = Annotated[str, typer.Option(help="Where jobs run: process, inline, ray or slurm.")]
RayAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Head of a Ray cluster, or auto; without it --executor ray begins one of this machine.",
    ),
]
Address = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS", help="hf://OWNER/NAME or hf://OWNER/NAME/RUN: a data set, and a run in it."
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="all | NAME",
        autocompletion=networks_or_experiments,
        help="Networks: names, globs, torchvision:NAME, timm:NAME, hf:NAME, file.py:NAME, net.pt2, net.pt; or one "
        "experiment, such as smoke. None or `all`: those of the experiment, by default the classics.",
    ),
]


def of_runs(about: str) -> object:
    """Return an argument of runs, whose names the shell completes."""
    return typer.Argument(metavar="RUN", autocompletion=runs, help=about)


def of_networks(about: str) -> object:
    """Return an argument of networks, whose names the shell completes."""
    return typer.Argument(metavar="NET", autocompletion=networks, help=about)
