"""`bench plan`: the jobs and the time they will take; nothing runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

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
    from bench.api import Prepared
    from bench.execution.places import Place
    from bench.plan.expand import Planned
    from bench.report.tables.cells import Fields


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
    from bench.api import prepare
    from bench.api.runs import open_executor, run_folder
    from bench.execution.places import places_for

    with open_executor() as executor:
        prepared = prepare(
            config, names or (), tasks=words_of(task), overrides=override or (), executor=executor
        )
        places = places_for(prepared.plan, executor, prepared.catalog)
    rows = _rows(prepared, run_folder(results, prepared.experiment.name if name is None else name))
    if as_json:
        print_json(_document(prepared, rows, places))
    else:
        _print(prepared, rows, places)


_Row: TypeAlias = "tuple[Planned, str, float]"
_Rows: TypeAlias = "list[tuple[Planned, str, float]]"


def _together_s(rows: _Rows, places: Sequence[Place]) -> float:
    """Return how long the jobs will take: one after the other, or at several places."""
    from bench.execution.rehearsal import rehearse
    from bench.plan.estimate import Forecast
    from bench.plan.task import TASKS

    known = {planned.job.id: s for planned, _, s in rows}
    more_s = Forecast.further_s([planned for planned, *_ in rows], lambda planned: known[planned.job.id])
    if len(places) == 1:  # those that need not be alone run beside others of their kind
        (place,) = places
        beside = (s / max(1, TASKS.get(p.job.task).at_once(p.job, place.cores)) for p, _, s in rows)
        return sum(beside) + more_s
    jobs = [planned for planned, state, _ in rows if state == "run"]
    return rehearse(jobs, places, lambda planned: known[planned.job.id]) + more_s / len(places)


def _rows(prepared: Prepared, folder: Path) -> _Rows:
    """Return each job with what would become of it (run, done, skipped, unsupported) and its seconds."""
    from bench.execution.runner import reusable
    from bench.plan.estimate import estimator
    from bench.records.history import durations
    from bench.records.store import RECORDS, read_run

    records = read_run(folder).records if (folder / RECORDS).is_file() else ()
    estimate = estimator(durations(folder, prepared.catalog.environment))
    here = reusable(records, [prepared.catalog.environment], prepared.plan)
    return [
        (
            p,
            state := p.status or ("done" if p.job.id in here else "run"),
            estimate(p) if state == "run" else 0.0,
        )
        for p in prepared.plan
    ]


def _document(prepared: Prepared, rows: _Rows, places: Sequence[Place]) -> dict[str, object]:
    return {
        "experiment": prepared.experiment.to_json(),
        "devices": list(prepared.catalog.devices),
        "places": [place.name for place in places if place.name],
        "jobs": [
            {
                "state": state,
                "reason": p.reason,
                "estimate_s": seconds,
                "timeout_s": p.timeout_s,
                "job": p.job.to_json(),
            }
            for p, state, seconds in rows
        ],
        "estimate_s": _together_s(rows, places),
    }


def _print(prepared: Prepared, rows: _Rows, places: Sequence[Place]) -> None:
    from bench.report.tables.cells import view_of
    from bench.report.tables.formats import Terminal
    from bench.units import duration

    experiment = prepared.experiment
    title = f"{experiment.name}: {experiment.about}" if experiment.about else experiment.name
    stdout().print(Terminal(view_of(rows, _fields()), title))
    for words in dict.fromkeys(p.note for p in prepared.plan if p.note):
        say(words)
    for name in prepared.catalog.missing:
        say(f"{name} is not on this machine; `bench run` fetches it first")
    states = [state for _, state, _ in rows]
    counts = ", ".join(f"{states.count(s)} {w}" for s, w in _WORDS.items() if s in states)
    say(f"{len(rows)} jobs: {counts}; about {duration(_together_s(rows, places))}{_at(rows, places)}")


def _fields() -> Fields[tuple[Planned, str, float]]:
    """Return the columns of a plan."""
    from bench.report.tables.cells import Head
    from bench.report.text import plain
    from bench.units import duration

    def given(key: str) -> Callable[[_Row], str]:
        return lambda row: plain(row[0].job.settings.given.get(key, ""))

    return (
        (Head("job"), lambda row: row[0].job.id),
        (Head("task", keep=2), lambda row: row[0].job.task),
        (Head("network", keep=2), lambda row: plain(row[0].job.arch)),
        (Head("input", "px", numeric=True), lambda row: str(row[0].job.input_size)),
        (Head("batch", numeric=True, keep=2), given("batch_size")),
        (Head("device"), given("device")),
        (Head("data set"), given("dataset")),
        (
            Head("seed", numeric=True),
            lambda row: str(row[0].job.seed) if "dataset" in row[0].job.settings.given else "",
        ),
        (Head("process", numeric=True), _process),
        (Head("state", keep=2), lambda row: f"{row[1]}: {plain(row[0].reason)}" if row[0].reason else row[1]),
        (
            Head("about", numeric=True, keep=2),
            lambda row: duration(row[2]) if row[1] == "run" else "",
        ),
    )


def _process(row: _Row) -> str:
    """Return the number of the process that a time is measured in, from 1 on."""
    number = row[0].job.settings.given.get("replicate")
    return "" if number is None else str(number + 1)


def _at(rows: _Rows, places: Sequence[Place]) -> str:
    """Return where jobs run, where that is several places, and how long it would take one after the other."""
    from bench.units import duration

    if len(places) == 1:
        return ""
    names = ", ".join(place.name for place in places)
    return f" on {names}, {duration(sum(seconds for *_, seconds in rows))} one after the other"


_WORDS = {"run": "to run", "done": "done before", "skipped": "skipped", "unsupported": "unsupported"}
