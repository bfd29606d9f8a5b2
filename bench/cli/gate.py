"""`bench gate`: did a commit make a network slower, for certain?"""

from __future__ import annotations

import os
import sys
from multiprocessing import process
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import EXIT_FAILED, measures, share
from bench.cli._interrupts import EXIT_CANCELLED
from bench.cli._streams import print_json, write

_EXIT_REGRESSION = 3


@measures
def _gate(
    base: Annotated[str, typer.Argument(metavar="BASE", help="The earlier commit, such as main.")],
    head: Annotated[str, typer.Argument(metavar="HEAD", help="The later one.")],
    names: Annotated[
        list[str],
        typer.Argument(metavar="NET", help="Networks by their files in the repository: nets/mine.py:Net."),
    ],
    fail_above: Annotated[
        str, typer.Option(metavar="SHARE", help="A slowdown counts where it is certainly more than this.")
    ] = "5%",
    processes: Annotated[
        int | None, typer.Option(min=1, help="Of each round; by default as a verdict needs, at least 8.")
    ] = None,
    override: options.Set = None,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare networks of two commits, interleaved; what is slower is measured again before it counts.

    What comes of it is Markdown, as for a comment on a change.

    Exit codes: 0 nothing is slower for certain, 1 some jobs failed, 2 usage, 3 slower in both rounds, whatever else
    failed, 130 cancelled.
    """
    from bench.api import gate as compare_commits
    from bench.cli._measuring import has_failed, measure, tell
    from bench.cli._words import failure_lines
    from bench.report.tables.verdicts import gate_markdown

    repository, results = Path.cwd(), results.absolute()
    _leave(repository)
    gated = measure(
        compare_commits,
        base,
        head,
        names,
        limit=share(fail_above, "--fail-above"),
        processes=processes,
        overrides=override or (),
        repository=repository,
        results=results,
        quiet=quiet,
    )
    if as_json:
        print_json([change.to_json() for change in gated.changes])
    else:
        failed = failure_lines([record for done in gated.runs for record in done.summary.records])
        write(gate_markdown(gated.commits, gated.changes, gated.new, gated.missing, failed))
    for done in gated.runs:
        tell(done, told=True, quiet=quiet)
    if any(done.summary.cancelled for done in gated.runs):
        raise typer.Exit(EXIT_CANCELLED)
    if any(change.verdict == "slower" for change in gated.changes):
        raise typer.Exit(_EXIT_REGRESSION)
    if any(map(has_failed, gated.runs)):
        raise typer.Exit(EXIT_FAILED)


def _leave(repository: Path) -> None:
    """Go elsewhere, jobs too: what lies in the repository as it is now must not be imported instead of a commit's."""
    os.chdir("/")
    process.ORIGINAL_DIR = "/"  # type: ignore[attr-defined] # where processes of jobs begin
    sys.path[:] = [entry for entry in sys.path if entry and not Path(entry).is_relative_to(repository)]
