"""`bench plan`: the jobs and the time they will take; nothing runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from bench.cli._streams import print_json, stdout

if TYPE_CHECKING:
    from bench.api import Prepared
    from bench.execution.places import Place
    from bench.io import JsonObject
    from bench.plan.expand import Planned
    from bench.plan.job import Job


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


_Rows: TypeAlias = "list[tuple[Planned, str, float]]"


def _together_s(rows: _Rows, places: Sequence[Place]) -> float:
    """Return how long the jobs will take: one after the other, or at several places."""
    from bench.execution.rehearsal import rehearse
    from bench.plan.task import TASKS

    if len(places) == 1:  # those that need not be alone run beside others of their kind
        (place,) = places
        return sum(s / max(1, TASKS.get(p.job.task).at_once(p.job, place.cores)) for p, _, s in rows)
    seconds = {planned.job.id: s for planned, _, s in rows}
    jobs = [planned for planned, state, _ in rows if state == "run"]
    return rehearse(jobs, places, lambda planned: seconds[planned.job.id])


def _rows(prepared: Prepared, folder: Path) -> _Rows:
    """Return each job with what would become of it (run, done, skipped, unsupported) and its seconds."""
    from bench.execution.runner import reusable
    from bench.plan.estimate import estimator
    from bench.records.store import RECORDS, read_run

    records = read_run(folder).records if (folder / RECORDS).is_file() else ()
    estimate = estimator(_history(folder, prepared.catalog.environment))
    here = reusable(records, [prepared.catalog.environment], prepared.plan)
    return [
        (
            p,
            state := p.status or ("done" if p.job.id in here else "run"),
            estimate(p) if state == "run" else 0.0,
        )
        for p in prepared.plan
    ]


_READ = 4  # runs that are looked at for how long jobs take, the newest of them; to read one takes some 0.1 s


def _history(folder: Path, environment: JsonObject) -> Iterator[tuple[Job, float]]:
    """Yield the jobs that have run on this machine, with their seconds: of this run, and of the newest beside it."""
    from bench.records.machines import machine_of
    from bench.records.store import RECORDS, read_run

    others = sorted(folder.parent.glob(f"*/{RECORDS}"), key=lambda file: -file.stat().st_mtime_ns)
    machine = machine_of(environment)
    for run in dict.fromkeys([folder, *(file.parent for file in others[:_READ])]):
        records = read_run(run).records if (run / RECORDS).is_file() else ()
        yield from (
            (r.job, r.duration_s)
            for r in records
            if r.status == "ok" and machine_of(r.environment) == machine
        )


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
    from rich.markup import escape
    from rich.table import Table

    from bench.units import duration

    experiment = prepared.experiment
    table = Table(
        title=escape(f"{experiment.name}: {experiment.about}" if experiment.about else experiment.name),
        box=None,
    )
    for column in ("job", "task", "network"):
        table.add_column(column, no_wrap=True)
    for column in ("input", "batch"):
        table.add_column(column, justify="right")
    for column in ("device", "data set", "seed", "state"):
        table.add_column(column)
    table.add_column("about", justify="right", no_wrap=True)
    for p, state, seconds in rows:
        s = p.job.settings.given
        cells = [p.job.id, p.job.task, p.job.arch, f"{p.job.input_size} px", s.get("batch_size", "")]
        cells += [s.get("device", ""), s.get("dataset", ""), p.job.seed if "dataset" in s else ""]
        cells += [f"{state}: {p.reason}" if p.reason else state, duration(seconds) if state == "run" else ""]
        table.add_row(*(escape(str(c)) for c in cells))
    console = stdout()
    console.print(table)
    for words in dict.fromkeys(p.note for p in prepared.plan if p.note):
        console.print(words, markup=False)
    for name in prepared.catalog.missing:
        console.print(f"{name} is not on this machine; `bench run` fetches it first", markup=False)
    states = [state for _, state, _ in rows]
    counts = ", ".join(f"{states.count(s)} {w}" for s, w in _WORDS.items() if s in states)
    console.print(
        f"{len(rows)} jobs: {counts}; about {duration(_together_s(rows, places))}{_at(rows, places)}",
        markup=False,
    )


def _at(rows: _Rows, places: Sequence[Place]) -> str:
    """Return where jobs run, where that is several places, and how long it would take one after the other."""
    from bench.units import duration

    if len(places) == 1:
        return ""
    names = ", ".join(place.name for place in places)
    return f" on {names}, {duration(sum(seconds for *_, seconds in rows))} one after the other"


_WORDS = {"run": "to run", "done": "done before", "skipped": "skipped", "unsupported": "unsupported"}
