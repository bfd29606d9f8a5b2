"""`bench choose`: which network should I take, for my budget: by a race here, by what is published, or by a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled
from bench.cli._complete import runs
from bench.cli._interrupts import following
from bench.cli._streams import print_document
from bench.errors import ConfigError

# Options that a choice from what is known has no use for, by parameter.
_OF_A_RACE = {
    "minutes": "--minutes",
    "override": "--set",
    "name": "--name",
    "reports": "--reports",
    "report": "--report",
}


@handled
def _choose(
    context: typer.Context,
    networks: Annotated[
        list[str] | None,
        options.of_networks(
            "Names or globs, such as timm:resnet50; where none is named with --on all that are known, in a race "
            "torchvision:* or those of --accuracy RUN."
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            autocompletion=runs,
            help="A machine whose speeds are published, such as rtx4090, or a run with times; without it networks are "
            "raced here.",
        ),
    ] = None,
    latency: Annotated[str | None, typer.Option(help="Of one image, at most: 20ms.")] = None,
    throughput: Annotated[str | None, typer.Option(help="At least: 500/s.")] = None,
    memory: Annotated[str | None, typer.Option(help="Of tensors, at most: 300MB.")] = None,
    parameters: Annotated[str | None, typer.Option(help="At most: 25M.")] = None,
    macs: Annotated[str | None, typer.Option(help="At most: 4GMAC.")] = None,
    energy: Annotated[str | None, typer.Option(help="Of an image, at most: 50mJ.")] = None,
    file_size: Annotated[
        str | None, typer.Option(help="Of the weights in single precision, at most: 100MB.")
    ] = None,
    among: Annotated[list[str] | None, typer.Option(help="Further names or globs of networks.")] = None,
    accuracy: Annotated[
        str,
        typer.Option(
            help="top1, top5, or top-1 on other images: real, v2, sketch, val_a, val_r; or a run that has trained or "
            "evaluated the networks."
        ),
    ] = "top1",
    explain: Annotated[
        list[str] | None, typer.Option(help="Say why a network was not chosen; a name or glob.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="That a race may take.")] = 10.0,
    override: options.Set = None,
    name: options.Name = None,
    form: options.Form = options.Format.rich,
    results: options.Results = Path("results"),
    reports: options.Reports = Path("reports"),
    report: options.Report = True,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Answer which network is the most accurate within a budget, and how sure that is.

    Accuracies are published ones of ImageNet-1k, or those of a run. Costs are measured here, of those networks alone
    that may matter, until the answer is decided or the time is over; with --on they are those of a run of yours, or
    what others have published of their machine, which is told.
    """
    given = {
        "latency": latency,
        "throughput": throughput,
        "memory": memory,
        "parameters": parameters,
        "macs": macs,
        "energy": energy,
        "file_size": file_size,
    }
    budgets = {quantity: text for quantity, text in given.items() if text is not None}
    patterns, shown = [*(networks or ()), *(among or ())], options.Format.json if as_json else form
    if on is not None:
        if unused := [word for key, word in _OF_A_RACE.items() if _is_given(context, key)]:
            raise ConfigError(
                f"--on measures nothing and draws nothing, so that {' and '.join(unused)} would change nothing",
                "leave it out; without --on networks are raced here",
            )
        from bench.api import choose_from
        from bench.report.facts import choice_document

        choice, candidates = choose_from(on, patterns, accuracy=accuracy, results=results, **budgets)
        print_document(choice_document(choice, candidates, explain or ()), shown)
        return
    from bench.api.racing import Chosen, choose
    from bench.cli._measuring import finish, measure, write_page
    from bench.report.race import race_document

    with following("the answer so far"):
        done = measure(
            choose,
            patterns,
            accuracy=accuracy,
            minutes=minutes,
            overrides=override or (),
            name=name,
            results=results,
            explain=explain or (),
            quiet=quiet,
            report=report,
            **budgets,
        )
        assert isinstance(done, Chosen)
        if not quiet or shown != "rich":
            print_document(race_document(done.raced, done.known, explain or ()), shown)
        with following("the report"):
            page = write_page(done.run, reports) if report and done.run.records else None
    finish(done, page, told=shown != "rich", quiet=quiet)


def _is_given(context: typer.Context, key: str) -> bool:
    source = context.get_parameter_source(key)
    return source is not None and source.name == "COMMANDLINE"
