"""`bench selftest`: what the harness is worth on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import EXIT_FAILED, measures
from bench.cli._streams import print_json, say, stdout

if TYPE_CHECKING:
    from bench.analysis.selftest import Selftest


@measures
def _selftest(
    arch: Annotated[
        str | None,
        typer.Option(help="The network that is compared with itself; resnet20 where none is named."),
    ] = None,
    comparisons: Annotated[int, typer.Option(min=1, help="How many; each of latency and of throughput.")] = 4,
    processes: Annotated[int, typer.Option(min=6, help="In how many each comparison is measured.")] = 8,
    runs: Annotated[
        int, typer.Option(min=2, help="Runs of equal networks that are compared with each other.")
    ] = 2,
    override: options.Set = None,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Test what is certain on this machine: networks against themselves, and made slower by 2, 5 and 10 %.

    Shows how times scatter, whether intervals hold the next processes, false alarms and power of diff and compare, the
    overhead over a bare loop and this machine's noise. It is stored as the run `selftest`; `bench compare` takes the
    noise from there, and reports quote it. The same command resumes.
    """
    from bench.analysis.selftest import Selftest
    from bench.api import selftest as test_harness
    from bench.cli._measuring import finish, measure

    done = measure(
        test_harness,
        arch=arch,
        comparisons=comparisons,
        processes=processes,
        runs=runs,
        overrides=override or (),
        results=results,
        quiet=quiet,
    )
    tested = Selftest.of(done.here)
    if as_json:
        print_json(None if tested is None else tested.to_json())
    elif tested is not None and not quiet:
        _print(tested)
    finish(done, told=as_json, quiet=quiet)
    if tested is None:
        raise typer.Exit(EXIT_FAILED)


def _print(tested: Selftest) -> None:
    from bench.report.selftest import selftest_lines

    for topic, lines in selftest_lines(tested).items():
        stdout().print(topic, style="bold", highlight=False)
        for line in lines:
            say(f"  {line}")
