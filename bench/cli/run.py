"""`bench run`: plan, measure, store, report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._common import (
    EXIT_CANCELLED,
    EXIT_FAILED,
    ConfigOption,
    JsonOption,
    NamesArgument,
    ResultsOption,
    SetOption,
    TaskOption,
    handled,
    print_json,
    stderr,
    stdout,
    tasks_of,
)
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
    reports: Annotated[Path, typer.Option("--reports", help="Folder that holds reports.")] = Path("reports"),
    executor: Annotated[
        str, typer.Option("--executor", help="Where jobs run: process or inline.")
    ] = "process",
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write the report at the end.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Measure architectures and write the report. The same command again goes on where it was left.

    Exit codes: 0 all measured, 1 some jobs failed, 2 usage, 130 cancelled.
    """
    from bench.api import run as run_experiment
    from bench.cli._progress import Progress

    with Progress(stderr()) as progress:
        done = run_experiment(
            config,
            names or (),
            tasks=tasks_of(task),
            overrides=[*torchrun_overrides(), *(override or ())],
            name=name,
            results=results,
            executor=executor,
            observer=progress,
            argv=["bench", *sys.argv[1:]],
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
    page = _report(done, reports) if reports and done.summary.records else None
    if as_json:
        print_json({**_document(done, page), **more(done)})
    else:
        show(done)
    _closing(done, page)
    if done.summary.cancelled:
        raise typer.Exit(EXIT_CANCELLED)
    if done.summary.failed:
        raise typer.Exit(EXIT_FAILED)


def _study(done: Done) -> dict[str, object]:
    """Return the verdict of the run's study, where it has one."""
    from bench.analysis.studies import judge_study

    verdict = judge_study(done.run)
    return {} if verdict is None else {"study": verdict.to_json()}


def _report(done: Done, reports: Path) -> Path:
    from bench.report.page import write_report

    stored = done.run
    return write_report([stored], reports / stored.name).index


def _document(done: Done, page: Path | None) -> dict[str, object]:
    summary = done.summary
    return {
        "run": str(done.path),
        "report": None if page is None else str(page),
        "counts": summary.counts,
        "reused": summary.reused,
        "pending": summary.pending,
        "cancelled": summary.cancelled,
        "records": [r.to_json() for r in summary.records],
    }


def asked_now(done: Done) -> Run:
    """Return the run with the records of this invocation's jobs alone."""
    return replace(done.run, records=tuple(done.summary.records), planned=())


def _print_table(done: Done) -> None:
    from bench.analysis.comparison import compare_table
    from bench.analysis.frame import to_frame
    from bench.analysis.studies import judge_study
    from bench.report.studies import StudyReport
    from bench.report.tables import rich_table

    asked = asked_now(done)
    if asked.records:
        stdout().print(rich_table(compare_table(to_frame([asked]))))
    if verdict := judge_study(done.run):
        stdout().print(StudyReport(verdict))


def _closing(done: Done, page: Path | None) -> None:
    from bench.cli._progress import failure_lines, summary_line

    console = stderr()
    for line in failure_lines(done.summary.records):
        console.print(line, markup=False, soft_wrap=True)
    console.print(summary_line(done.summary), markup=False)
    console.print(f"results: {done.path}", markup=False)
    if page:
        console.print(f"report:  {page}", markup=False)
