"""Commands that measure: with progress on stderr, results on stdout, and what a run came to at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from bench.api import Done
from bench.cli._common import EXIT_FAILED
from bench.cli._interrupts import EXIT_CANCELLED, GO_ON, measuring
from bench.cli._progress import Progress, Quiet
from bench.cli._screen import Screen
from bench.cli._streams import note, print_json, stderr, write
from bench.cli._words import failure_lines, summary_line
from bench.errors import StoreError
from bench.records.line import record_text
from bench.records.machines import by_machine
from bench.records.record import Status
from bench.records.store import Run

if TYPE_CHECKING:
    import pandas as pd

_T = TypeVar("_T")


def measure(
    function: Callable[..., _T], *args: object, quiet: bool = False, report: bool = False, **options: object
) -> _T:
    """Call a function of `bench.api` that measures, with progress on stderr and this command line noted in the run.

    `report` says whether a report follows.
    """
    measuring()
    argv = ["bench", *sys.argv[1:]]
    if quiet:
        return function(*args, **options, observer=Quiet(), argv=argv)
    with Progress(stderr(), Screen(sys.stderr), report=report) as progress:
        return function(*args, **options, observer=progress, argv=argv)


def conclude(
    done: Done,
    reports: Path | None,
    as_json: bool,
    show: Callable[[Done], None],
    more: Callable[[Done], Mapping[str, object]],
    answers: Collection[Status] = (),
    *,
    quiet: bool = False,
    after: Sequence[str] = (),
) -> None:
    """Write the report, print what a run came to, and leave with its exit code.

    Args:
        done: the run.
        reports: folder that holds reports; None for no report.
        as_json: print one JSON document.
        show: prints the results.
        more: what the document has beside the records.
        answers: statuses that are an answer to what was asked, and so no failure, beside one that was measured.
        quiet: say nothing but where the results are, and what failed.
        after: lines at the end, such as what to run next.
    """
    if not as_json and not quiet:
        show(done)
    page = None
    try:
        page = write_page(done.run, reports) if reports and done.summary.records else None
    finally:  # also where the report cannot be written
        if as_json:
            records = map(record_text, done.summary.records)
            print_json({**done.to_json(page), **more(done)}, records=records)
    finish(done, page, answers, told=as_json, quiet=quiet, after=after)


def frame_of(done: Done) -> pd.DataFrame:
    """Return the measurements of this invocation's jobs, machines apart."""
    from bench.analysis.frame import to_frame

    return to_frame(by_machine(done.invocation))


def write_page(run: Run, reports: Path) -> Path:
    """Write the report of a run; return its page.

    Raises:
        StoreError: if the folder cannot be written; where the results are has been said then.
    """
    from bench.report.write import write_report

    try:
        return write_report([run], reports / run.name).index
    except StoreError:
        note(f"results: {run.path}; bench report {run.path} -o FOLDER draws them elsewhere")
        raise
    except KeyboardInterrupt:
        note(f"the report was not drawn anew; bench report {run.path} draws it")
        raise


def finish(
    done: Done,
    page: Path | None = None,
    answers: Collection[Status] = (),
    *,
    told: bool = False,
    quiet: bool = False,
    after: Sequence[str] = (),
) -> None:
    """Say what a run has come to, see `tell`, and leave with its exit code; `answers` as of `conclude`."""
    answered = () if quiet or told else answers  # else the table has said why
    tell(done, page, told=told, quiet=quiet, after=after, answers=answered)
    if done.summary.cancelled:
        raise typer.Exit(EXIT_CANCELLED)
    if has_failed(done, answers):
        raise typer.Exit(EXIT_FAILED)


def tell(
    done: Done,
    page: Path | None = None,
    *,
    told: bool = False,
    quiet: bool = False,
    after: Sequence[str] = (),
    answers: Collection[Status] = (),
) -> None:
    """Say on stderr what failed and where the results are, and what a quiet command says on stdout.

    It has no second line on stdout where a document was `told` there; `answers` are statuses whose reasons the results
    have told, and the others as of `conclude`.
    """
    failed = [record for record in done.summary.records if record.status not in answers]
    lines = [
        summary_line(done.summary),
        f"results: {done.path}",
        *([] if page is None else [f"report:  {page}"]),
    ]
    for line in [*failure_lines(failed), *([] if quiet else [*lines, *after])]:
        note(line)
    if quiet and not told:
        write(f"{page or done.path}\n")
    if done.summary.cancelled:
        note(f"cancelled; {GO_ON}")


def has_failed(done: Done, answers: Collection[Status] = ()) -> bool:
    """Return whether jobs of a run failed; `answers` as of `conclude`."""
    statuses = {record.status for record in done.summary.records}
    return done.summary.failed and ("ok" not in statuses or not statuses <= {"ok", "skipped", *answers})
