"""`bench selftest`: what the harness is worth on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._common import (
    EXIT_CANCELLED,
    JsonOption,
    ResultsOption,
    SetOption,
    handled,
    print_json,
    stderr,
    stdout,
)

if TYPE_CHECKING:
    from bench.analysis.selftest import Selftest


@handled
def selftest(
    arch: Annotated[
        str | None,
        typer.Option(
            "--arch", help="The network that is compared with itself; resnet20 where none is named."
        ),
    ] = None,
    comparisons: Annotated[int, typer.Option(min=1, help="How many; each of latency and of throughput.")] = 5,
    processes: Annotated[int, typer.Option(min=6, help="Of each comparison.")] = 8,
    override: SetOption = None,
    results: ResultsOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Compare a network with itself, and with itself made slower by 1, 2, 5 and 10 %.

    Shows false alarms, what is found, the overhead over a bare loop and this machine's noise. It is stored as the
    run `selftest`; `bench compare` takes the noise from there. The same command resumes.
    """
    from bench.analysis.selftest import judge
    from bench.api import selftest as test_harness
    from bench.cli._progress import Progress

    with Progress(stderr()) as progress:
        done = test_harness(
            arch=arch,
            comparisons=comparisons,
            processes=processes,
            overrides=override or (),
            results=results,
            observer=progress,
            argv=["bench", *sys.argv[1:]],
        )
    found = judge(done.run)
    if as_json:
        print_json(None if found is None else found.to_json())
    elif found is not None:
        _print(found)
    stderr().print(f"results: {done.path}", markup=False)
    if done.summary.cancelled:
        raise typer.Exit(EXIT_CANCELLED)
    if done.summary.failed or found is None:
        raise typer.Exit(1)


def _print(found: Selftest) -> None:
    from bench.records.flags import explain
    from bench.units import percent, show

    console = stdout()
    for trial in found.trials:
        what = f"slowed by {percent(trial.slowdown, 0)}" if trial.slowdown else "the same network"
        called = "called slower" if trial.slowdown else "called different (false alarms)"
        console.print(
            f"{what:18} {trial.called:>3} of {trial.compared} {called}; "
            f"ratio {trial.ratio:.4f}, interval ±{percent(trial.reach, 2)}",
            highlight=False,
        )
    console.print(
        f"noise floor        {percent(found.noise_floor, 2)}: smaller effects are not called", highlight=False
    )
    console.print(f"overhead           {found.overhead:.4f} of a bare loop's time", highlight=False)
    console.print(f"timer resolution   {show(found.timer_resolution, 's')}", highlight=False)
    for doubt in found.doubts:
        console.print(f"doubt              {doubt}: {explain(doubt)}", highlight=False)
