"""`bench choose`: which network should I take, for my budget: by a race here, by what is published, or by a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._common import (
    Format,
    FormatOption,
    JsonOption,
    NameOption,
    QuietOption,
    ReportOption,
    ReportsOption,
    ResultsOption,
    SetOption,
    handled,
)
from bench.cli._complete import networks, runs
from bench.cli._interrupts import following
from bench.cli._streams import print_document
from bench.errors import ConfigError

if TYPE_CHECKING:
    from bench.analysis.choosing import Budget


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
        typer.Argument(
            metavar="NET",
            autocompletion=networks,
            help="Names or globs, such as timm:resnet50; where none is named with --on all that are known, in a race "
            "torchvision:* or those of --accuracy RUN.",
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            autocompletion=runs,
            help="A machine whose speeds are published, such as rtx4090, or a run with times; without it networks are "
            "raced here.",
        ),
    ] = None,
    latency: Annotated[str | None, typer.Option("--latency", help="Of one image, at most: 20ms.")] = None,
    throughput: Annotated[str | None, typer.Option("--throughput", help="At least: 500/s.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", help="Of tensors, at most: 300MB.")] = None,
    parameters: Annotated[str | None, typer.Option("--parameters", help="At most: 25M.")] = None,
    macs: Annotated[str | None, typer.Option("--macs", help="At most: 4GMAC.")] = None,
    energy: Annotated[str | None, typer.Option("--energy", help="Of an image, at most: 50mJ.")] = None,
    file_size: Annotated[
        str | None, typer.Option("--file-size", help="Of the weights in single precision, at most: 100MB.")
    ] = None,
    among: Annotated[
        list[str] | None, typer.Option("--among", help="Further names or globs of networks.")
    ] = None,
    accuracy: Annotated[
        str,
        typer.Option(
            "--accuracy",
            help="top1, top5, or top-1 on other images: real, v2, sketch, val_a, val_r; or a run that has trained or "
            "evaluated the networks.",
        ),
    ] = "top1",
    explain: Annotated[
        list[str] | None, typer.Option("--explain", help="Say why a network was not chosen; a name or glob.")
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", help="That a race may take.")] = 10.0,
    override: SetOption = None,
    name: NameOption = None,
    form: FormatOption = Format.rich,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
    report: ReportOption = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer which network is the most accurate within a budget, and how sure that is.

    Accuracies are published ones of ImageNet-1k, or those of a run. Costs are measured here, of those networks alone
    that may matter, until the answer is decided or the time is over; with --on they are those of a run of yours, or
    what others have published of their machine, which is told.
    """
    from bench.analysis.choosing import Budget

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
    patterns, shown = [*(networks or ()), *(among or ())], Format.json if as_json else form
    if on is None:
        place = (name, results, reports if report else None)
        limits = [Budget.read(quantity, text) for quantity, text in budgets.items()]
        _race(limits, patterns, accuracy, minutes, override or (), explain or (), shown, place, quiet=quiet)
    else:
        _refuse([word for key, word in _OF_A_RACE.items() if _is_given(context, key)])
        _from_known(budgets, patterns, accuracy, on, explain or (), shown, results)


def _is_given(context: typer.Context, key: str) -> bool:
    """Return whether an option is on the command line."""
    source = context.get_parameter_source(key)
    return source is not None and source.name == "COMMANDLINE"


def _refuse(words: Sequence[str]) -> None:
    """Refuse options of a race.

    Raises:
        ConfigError: where there are any.
    """
    if words:
        message = (
            f"--on measures nothing and draws nothing, so that {' and '.join(words)} would change nothing"
        )
        raise ConfigError(message, "leave it out; without --on networks are raced here")


def _from_known(
    budgets: Mapping[str, str],
    patterns: Sequence[str],
    accuracy: str,
    on: str,
    explain: Sequence[str],
    form: Format,
    results: Path,
) -> None:
    """Choose from a run, or from what is published of a machine."""
    from bench.api import choose_from
    from bench.report.facts import choice_document

    choice, candidates = choose_from(on, patterns, accuracy=accuracy, results=results, **budgets)
    print_document(choice_document(choice, candidates, explain), form)


def _race(
    budgets: list[Budget],
    patterns: Sequence[str],
    accuracy: str,
    minutes: float,
    overrides: Sequence[str],
    explain: Sequence[str],
    form: Format,
    place: tuple[str | None, Path, Path | None],
    *,
    quiet: bool,
) -> None:
    """Measure those networks that may matter, and choose."""
    from bench.api.racing import Chosen, race
    from bench.cli._measuring import finish, measure, write_page
    from bench.report.race import race_document

    name, results, reports = place
    options = {
        "accuracy": accuracy,
        "minutes": minutes,
        "overrides": overrides,
        "name": name,
        "results": results,
        "explain": explain,
    }
    with following("the answer so far"):
        done = measure(race, budgets, patterns, quiet=quiet, report=reports is not None, **options)
        assert isinstance(done, Chosen)
        if not quiet or form is not Format.rich:
            print_document(race_document(done.raced, done.known, explain), form)
        with following("the report"):
            page = None if reports is None or not done.run.records else write_page(done.run, reports)
    finish(done, page, told=form is not Format.rich, quiet=quiet)
