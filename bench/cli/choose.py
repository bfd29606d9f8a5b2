"""`bench choose`: which network should I take, for my budget; from what is published, or from a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli._common import Format, FormatOption, JsonOption, ResultsOption, handled, run_path, stored_run
from bench.cli._streams import print_json, stdout, write


@handled
def choose(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NETWORK...]", help="Names or globs, such as timm:resnet50.*; all where none is named."
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on", help="A machine whose speeds are published, such as rtx4090, or a run with times."
        ),
    ] = ...,  # type: ignore[assignment]  # typer's mark of what has to be given
    latency: Annotated[str | None, typer.Option("--latency", help="Of one image, at most: 20ms.")] = None,
    throughput: Annotated[str | None, typer.Option("--throughput", help="At least: 500/s.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", help="Of tensors, at most: 300MB.")] = None,
    parameters: Annotated[str | None, typer.Option("--parameters", help="At most: 25M.")] = None,
    macs: Annotated[str | None, typer.Option("--macs", help="At most: 4GMAC.")] = None,
    among: Annotated[
        list[str] | None, typer.Option("--among", help="Further names or globs of networks.")
    ] = None,
    accuracy: Annotated[
        str,
        typer.Option(
            "--accuracy", help="top1, top5, or top-1 on other images: real, v2, sketch, val_a, val_r."
        ),
    ] = "top1",
    explain: Annotated[
        list[str] | None, typer.Option("--explain", help="Say why a network was not chosen; a name or glob.")
    ] = None,
    form: FormatOption = Format.rich,
    results: ResultsOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Answer which network is the most accurate within a budget, and how sure that is.

    Accuracies are published ones of ImageNet-1k. Costs are those of a run of yours, with intervals, or what others have
    published of their machine, which is told.
    """
    from bench.analysis.choosing import Budget
    from bench.analysis.choosing import choose as decide
    from bench.errors import unknown_name
    from bench.facts.candidates import ACCURACIES, measured, of_batches, published, published_machines
    from bench.report.facts import choice_json, choice_markdown, choice_report

    if accuracy not in ACCURACIES:
        raise unknown_name("accuracy", accuracy, ACCURACIES, f"there are {', '.join(ACCURACIES)}")
    given = {
        "latency": latency,
        "throughput": throughput,
        "memory": memory,
        "parameters": parameters,
        "macs": macs,
    }
    budgets = [Budget.read(quantity, text) for quantity, text in given.items() if text is not None]
    patterns = [*(networks or ()), *(among or ())]
    if on not in published_machines() and run_path(on, results).is_dir():
        candidates = measured(stored_run(on, results), accuracy, patterns)
    else:
        candidates = published(on, accuracy, patterns)
    candidates, budgets = of_batches(candidates, budgets)
    choice = decide(candidates.table, budgets, candidates.images)
    if as_json or form is Format.json:
        print_json(choice_json(choice, candidates, explain or ()))
    elif form is Format.md:
        write(choice_markdown(choice, candidates, explain or ()))
    else:
        stdout().print(choice_report(choice, candidates, explain or ()))
