"""`bench run`: plan, measure, store, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._common import (
    ConfigOption,
    ExecutorOption,
    JsonOption,
    NamesArgument,
    RayAddressOption,
    ReportOption,
    ReportsOption,
    ResultsOption,
    SetOption,
    TaskOption,
    at_address,
    handled,
    words_of,
)
from bench.cli._streams import print_json, stdout
from bench.cli._torchrun import torchrun_overrides

if TYPE_CHECKING:
    from bench.api import Done
    from bench.records.store import Run


@handled
def run(
    names: NamesArgument = None,
    config: ConfigOption = "default",
    task: TaskOption = None,
    override: SetOption = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Name of the run; by default the experiment's.")
    ] = None,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
    executor: ExecutorOption = "process",
    ray_address: RayAddressOption = None,
    report: ReportOption = True,
    as_json: JsonOption = False,
) -> None:
    """Measure architectures and write the report. The same command again goes on where it was left.

    Exit codes: 0 all measured, 1 some jobs failed, 2 usage, 130 cancelled.
    """
    from bench.api import run as run_experiment
    from bench.cli._progress import measure

    done = measure(
        run_experiment,
        config,
        names or (),
        tasks=words_of(task),
        overrides=[*torchrun_overrides(), *(override or ())],
        name=name,
        results=results,
        executor=at_address(executor, ray_address),
    )
    conclude(done, reports if report else None, as_json, _print_table, _study)


def conclude(
    done: Done,
    reports: Path | None,
    as_json: bool,
    show: Callable[[Done], None],
    more: Callable[[Done], Mapping[str, object]],
) -> None:
    """Write the report, print what a run came to, and leave with its exit code.

    Args:
        done: the run.
        reports: folder that holds reports; None for no report.
        as_json: print one JSON document.
        show: prints the results.
        more: what the document has beside the records.
    """
    from bench.cli._progress import failure_lines, finish, summary_line

    page = _write_report(done.run, reports) if reports and done.summary.records else None
    if as_json:
        print_json({**done.to_json(page), **more(done)})
    else:
        show(done)
    lines = [*failure_lines(done.summary.records), summary_line(done.summary), f"results: {done.path}"]
    finish(done, lines if page is None else [*lines, f"report:  {page}"])


def _write_report(run: Run, reports: Path) -> Path:
    from bench.report.write import write_report

    return write_report([run], reports / run.name).index


def _study(done: Done) -> dict[str, object]:
    """Return the verdict of the run's study, where it has one."""
    from bench.analysis.studies import study_verdict

    verdict = study_verdict(done.here)
    return {} if verdict is None else {"study": verdict.to_json()}


def _print_table(done: Done) -> None:
    from bench.analysis.comparison import compare_table
    from bench.analysis.frame import to_frame
    from bench.analysis.studies import study_verdict
    from bench.records.machines import by_machine
    from bench.report.tables.columns import rich_table
    from bench.report.tables.verdicts import study_report

    run = done.invocation
    if run.records:
        stdout().print(rich_table(compare_table(to_frame(by_machine(run)))))
    if verdict := study_verdict(done.here):
        stdout().print(study_report(verdict))
