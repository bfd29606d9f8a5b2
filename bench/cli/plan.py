"""`bench plan`: the jobs and the time they will take; nothing runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._common import (
    ConfigOption,
    JsonOption,
    NamesArgument,
    ResultsOption,
    SetOption,
    TaskOption,
    handled,
    words_of,
)
from bench.cli._streams import print_json, say, stdout

if TYPE_CHECKING:
    from bench.api.planning import Plan, Row
    from bench.report.tables.cells import Fields


_MOST = (
    1000  # jobs in the table, which nobody reads to its end, and which takes longer to lay out than the plan
)


@handled
def plan(
    names: NamesArgument = None,
    config: ConfigOption = "default",
    task: TaskOption = None,
    override: SetOption = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Run to look for what is measured already.")
    ] = None,
    results: ResultsOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Show the jobs and their time; run nothing.

    The words are those of `bench run`; what is measured before, skipped or impossible is marked.
    """
    from bench.api import jobs

    planned = jobs(
        config, names or (), tasks=words_of(task), overrides=override or (), name=name, results=results
    )
    if as_json:
        print_json(planned.to_json())
    else:
        _print(planned)


def _print(plan: Plan) -> None:
    from bench.report.tables.cells import view_of
    from bench.report.tables.formats import Terminal
    from bench.units import duration

    experiment = plan.prepared.experiment
    title = f"{experiment.name}: {experiment.about}" if experiment.about else experiment.name
    stdout().print(Terminal(view_of(plan.rows[:_MOST], _fields()), title))
    if len(plan.rows) > _MOST:
        say(f"the first {_MOST:,} of {len(plan.rows):,} jobs; --json has all")
    for words in dict.fromkeys(row.planned.note for row in plan.rows if row.planned.note):
        say(words)
    for name in plan.prepared.catalog.missing:
        say(f"{name} is not on this machine; `bench run` fetches it first")
    states = [row.state for row in plan.rows]
    counts = ", ".join(f"{states.count(s)} {w}" for s, w in _WORDS.items() if s in states)
    jobs = "1 job" if len(plan.rows) == 1 else f"{len(plan.rows):,} jobs"
    say(f"{jobs}: {counts}; about {duration(plan.seconds)}{_at(plan)}")


def _fields() -> Fields[Row]:
    """Return the columns of a plan."""
    from bench.report.tables.cells import Head
    from bench.report.text import plain
    from bench.units import duration

    def given(key: str) -> Callable[[Row], str]:
        return lambda row: plain(row.planned.job.settings.given.get(key, ""))

    return (
        (Head("job"), lambda row: row.planned.job.id),
        (Head("task", keep=2), lambda row: row.planned.job.task),
        (Head("network", keep=2), lambda row: plain(row.planned.job.arch)),
        (Head("input", "px", numeric=True), lambda row: str(row.planned.job.input_size)),
        (Head("batch", numeric=True, keep=2), given("batch_size")),
        (Head("device"), given("device")),
        (Head("data set"), given("dataset")),
        (
            Head("seed", numeric=True),
            lambda row: str(row.planned.job.seed) if "dataset" in row.planned.job.settings.given else "",
        ),
        (Head("process", numeric=True), _process),
        (
            Head("state", keep=2),
            lambda row: f"{row.state}: {plain(row.planned.reason)}" if row.planned.reason else row.state,
        ),
        (
            Head("about", numeric=True, keep=2),
            lambda row: duration(row.seconds) if row.state == "run" else "",
        ),
    )


def _process(row: Row) -> str:
    """Return the number of the process that a time is measured in, from 1 on."""
    number = row.planned.job.settings.given.get("replicate")
    return "" if number is None else str(number + 1)


def _at(plan: Plan) -> str:
    """Return where jobs run, where that is several places, and how long it would take one after the other."""
    from bench.units import duration

    if len(plan.places) == 1:
        return ""
    names = ", ".join(place.name for place in plan.places)
    return f" on {names}, {duration(sum(row.seconds for row in plan.rows))} one after the other"


_WORDS = {"run": "to run", "done": "done before", "skipped": "skipped", "unsupported": "unsupported"}
