"""`bench run`: plan, measure, store, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli import _options as options
from bench.cli._common import at_address, measures, words_of
from bench.cli._streams import stdout
from bench.cli._torchrun import torchrun_overrides

if TYPE_CHECKING:
    from bench.analysis.studies import StudyVerdict
    from bench.api import Done

_NEXT: Mapping[str, Sequence[str]] = {
    "default": ["and what came after 2015: bench run modern"],
    "smoke": [
        "next:",
        "  bench run all                         the classics, in minutes",
        "  bench run my_net.py:Net resnet18      your own network beside a baseline",
        "  bench compare my_net.py:Net resnet18  is it faster, and how sure is that?",
        "  bench explain start                   how to read the tables",
    ],
}
"""What to do next, by the experiment that has run."""


@measures
def _run(
    names: options.Names = None,
    config: options.Config = "default",
    task: options.Task = None,
    override: options.Set = None,
    name: options.Name = None,
    results: options.Results = Path("results"),
    reports: options.Reports = Path("reports"),
    executor: options.Executor = "process",
    ray_address: options.RayAddress = None,
    report: options.Report = True,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure architectures and write the report. The same command again goes on where it was left.

    Exit codes: 0 all measured, 1 some jobs failed, 2 usage, 130 cancelled.
    """
    from bench.api import run as run_experiment
    from bench.cli._measuring import conclude, measure

    done = measure(
        run_experiment,
        config,
        names or (),
        tasks=words_of(task),
        overrides=[*torchrun_overrides(), *(override or ())],
        name=name,
        results=results,
        executor=at_address(executor, ray_address),
        quiet=quiet,
        report=report,
    )
    conclude(
        done,
        reports if report else None,
        as_json,
        _print_table,
        _study,
        quiet=quiet,
        after=() if quiet else _next(done, names or ()),
    )


def _next(done: Done, names: Sequence[str]) -> Sequence[str]:
    """Return what to do after a whole experiment; nothing after some networks of one's own choice."""
    experiment = str((done.info.get("experiment") or {}).get("name", ""))
    return _NEXT.get(experiment, ()) if list(names) in ([], ["all"], [experiment]) else ()


def _study(done: Done) -> dict[str, object]:
    """Return the verdict of the run's study, where it has one."""
    verdict = _verdict(done)
    return {} if verdict is None else {"study": verdict.to_json()}


def _verdict(done: Done) -> StudyVerdict | None:
    if not (done.info.get("experiment") or {}).get("study"):
        return None  # without the import of what decides it
    from bench.analysis.studies import StudyVerdict

    return StudyVerdict.of(done.here)


def _print_table(done: Done) -> None:
    from bench.analysis.comparison import compare_table
    from bench.cli._measuring import frame_of
    from bench.report.tables.answers import opening, rich_table
    from bench.report.tables.verdicts import study_report

    verdict = _verdict(done)
    if done.summary.records:
        frame = frame_of(done)
        table = compare_table(frame)
        if verdict is None:
            stdout().print(opening(table, frame))
        stdout().print(rich_table(table))
    if verdict is not None:
        stdout().print(study_report(verdict))
