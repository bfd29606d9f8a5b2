"""`bench diff`: what changed between two runs, and how sure that is; from stored results alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled, share, stored_run, words_of
from bench.cli._streams import note, print_document, print_json, show_error

if TYPE_CHECKING:
    from bench.analysis.diff import Diff

_EXIT_REGRESSION = 3


@handled
def _diff(
    a: Annotated[str, options.of_runs("The earlier run: its name or path.")],
    b: Annotated[str, options.of_runs("The later run: its name or path.")],
    fail_above: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Exit with 3 if a time is certainly more than this slower: 5%."),
    ] = None,
    floor: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="What is noise where processes are too few to test; by default 5%, or more where the ratios"
            " scatter or this machine's self-test found more.",
        ),
    ] = None,
    quantity: Annotated[
        str | None, typer.Option("--quantity", "-q", help="Only these, such as latency,macs; with commas.")
    ] = None,
    across: Annotated[
        bool,
        typer.Option("--across", help="Compare across devices, precisions, threads and definitions too."),
    ] = False,
    form: options.Form = options.Format.rich,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
) -> None:
    """Compare two stored runs: ratios with their intervals, and a verdict where it is certain.

    Certain is what a test says of at least four processes in each run, held for all rows together; with fewer, a
    change is suspected at most, and the row says what to run to know.

    Exit codes: 0, also for a suspicion; 1 where a run cannot be read; 2 where the runs may not be compared; 3 for a
    certain slowdown beyond --fail-above.
    """
    limit = None if fail_above is None else share(fail_above, "--fail-above")
    noise = None if floor is None else share(floor, "--floor")
    from bench.api import diff as changes_of

    earlier, later = stored_run(a, results), stored_run(b, results)
    changes = changes_of(
        earlier,
        later,
        across=across,
        floor=noise,
        quantities=words_of(quantity),
        results=results,
        remark=note,
    )
    slow = [row for one in changes.values() for row in one.slowdowns(limit)] if limit is not None else []
    _print(changes, options.Format.json if as_json else form)
    for row in slow:
        least = f"at least {row.effect.low if row.better == 'lower' else 1 / row.effect.high:.3f} times"
        show_error(f"slower: {row.quantity} of {row.label}, {least}", None)
    if slow:
        raise typer.Exit(_EXIT_REGRESSION)


def _print(changes: Mapping[str, Diff], form: options.Format) -> None:
    if form is options.Format.json:
        documents = {name: one.to_json() for name, one in changes.items()}
        print_json(documents if len(documents) > 1 else next(iter(documents.values())))
        return
    from bench.report.tables.verdicts import diff_document

    for one in changes.values():
        print_document(diff_document(one), form)
