"""`bench merge`: the records of several runs, of one machine or of several, in a new one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled, run_path
from bench.cli._streams import note, print_json, say

if TYPE_CHECKING:
    from bench.records.merge import Merged


@handled
def _merge(
    runs: Annotated[list[str], options.of_runs("Runs: their names or paths.")],
    name: Annotated[str, typer.Option("--name", "-n", help="Name of the new run.")],
    results: options.Results = Path("results"),
    as_json: options.Json = False,
) -> None:
    """Put the records of several runs into a new one; the runs stay as they are.

    A record that several of them have is there once. Machines are kept apart wherever the new run is read: reports show
    them side by side. Of what two runs measured on one machine, or on equal ones, the later record stands.
    """
    from bench.api import merge as merge_runs

    merged = merge_runs(*(run_path(run, results) for run in runs), name=name, results=results)
    for run, lines in merged.set_aside.items():
        note(f"{lines} line{'s' * (lines > 1)} of {run} set aside: no sound records, and not in {name}")
    for words in merged.notes:
        note(words)
    if as_json:
        print_json(_document(merged))
    else:
        for line in _lines(merged):
            say(line)


def _document(merged: Merged) -> dict[str, object]:
    return {
        "run": str(merged.path),
        "records": merged.records,
        "repeated": merged.repeated,
        "set_aside": {str(run): lines for run, lines in merged.set_aside.items()},
        "replaced": merged.replaced,
        "machines": merged.machines,
        "notes": list(merged.notes),
    }


def _lines(merged: Merged) -> list[str]:
    machines = f"{merged.machines} machine{'s' * (merged.machines != 1)}"
    lines = [f"{merged.records} records of {machines} in {merged.path}"]
    if merged.repeated:
        lines.append(f"{merged.repeated} of them were in several runs, and are there once")
    if merged.replaced:
        jobs = "1 job was" if merged.replaced == 1 else f"{merged.replaced} jobs were"
        lines.append(f"{jobs} measured on one machine, or equal ones, in several runs: the later stands")
    return lines
