"""`bench plan`: the jobs and the time they will take; nothing runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled, words_of
from bench.cli._streams import print_json, say, stdout
from bench.report.tables.cells import Fields, Head, view_of
from bench.report.text import plain
from bench.units import duration

if TYPE_CHECKING:
    from bench.api.planning import Plan, Row

# Jobs in the table, which nobody reads to its end, and which takes longer to lay out than the plan.
_MOST = 1000


@handled
def _plan(
    names: options.Names = None,
    config: options.Config = "default",
    task: options.Task = None,
    override: options.Set = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Run to look for what is measured already.")
    ] = None,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
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
    from bench.report.tables.formats import Terminal

    experiment = plan.prepared.experiment
    title = f"{experiment.name}: {experiment.about}" if experiment.about else experiment.name
    rows = plan.rows[:_MOST]
    told = [field for field in _FIELDS if any(field[1](row) for row in rows)]
    stdout().print(Terminal(view_of(rows, told), title))
    if len(plan.rows) > _MOST:
        say(f"the first {_MOST:,} of {len(plan.rows):,} jobs; --json has all")
    for words in dict.fromkeys(row.planned.note for row in plan.rows if row.planned.note):
        say(words)
    for name in plan.prepared.catalog.missing:
        say(f"{name} is not on this machine; `bench run` fetches it first")
    states = [row.state for row in plan.rows]
    counts = ", ".join(f"{states.count(s)} {w}" for s, w in _WORDS.items() if s in states)
    jobs = "1 job" if len(plan.rows) == 1 else f"{len(plan.rows):,} jobs"
    of_jobs = f", {duration(plan.jobs_s)} of it for the jobs" if plan.jobs_s else ""
    say(f"{jobs}: {counts}; about {duration(plan.seconds)}{of_jobs}{_at(plan)}")


def _given(key: str) -> Callable[[Row], str]:
    return lambda row: plain(row.planned.job.settings.given.get(key, ""))


def _has_network(row: Row) -> bool:
    from bench.plan.task import TASKS

    return TASKS.get(row.planned.job.task).has_network


def _process(row: Row) -> str:
    """Return the number of the process that a time is measured in, from 1 on."""
    number = row.planned.job.settings.given.get("replicate")
    return "" if number is None else str(number + 1)


_FIELDS: Fields[Row] = (
    (Head("job"), lambda row: row.planned.job.id),
    (Head("task", keep=2), lambda row: row.planned.job.task),
    (Head("network", keep=2), lambda row: plain(row.planned.job.arch) if _has_network(row) else ""),
    (
        Head("input", "px", numeric=True),
        lambda row: str(row.planned.job.input_size) if _has_network(row) else "",
    ),
    (Head("batch", numeric=True, keep=2), _given("batch_size")),
    (Head("precision"), _given("precision")),
    (Head("backend"), lambda row: "" if _given("backend")(row) == "eager" else _given("backend")(row)),
    (Head("device"), _given("device")),
    (Head("data set"), _given("dataset")),
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


def _at(plan: Plan) -> str:
    """Return where jobs run, where that is several places, and how long it would take one after the other."""
    if len(plan.places) == 1:
        from bench.plan.job import card_of

        environment = plan.prepared.catalog.environment
        jobs = (row.planned.job for row in plan.rows if row.planned.status is None)
        on = dict.fromkeys(device for job in jobs for device in job.devices if device != "cpu")
        cards = ", ".join(f"{device} ({card_of(environment, device).get('name')})" for device in on)
        return f" on {cards}" if cards else ""
    names = ", ".join(place.name for place in plan.places)
    return f" on {names}, {duration(sum(row.seconds for row in plan.rows))} one after the other"


_WORDS = {"run": "to run", "done": "done before", "skipped": "skipped", "unsupported": "unsupported"}
