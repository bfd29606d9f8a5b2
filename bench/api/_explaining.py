"""What explains an accuracy that is not the published one: the same evaluations again, with one to three changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from bench.api._running import Done, Prepared, carry_out
from bench.execution import Executor
from bench.execution.runner import Observer
from bench.io import JsonObject
from bench.plan.expand import Planned


def explained(
    done: Done,
    prepare: Callable[[], Prepared],
    executor: Executor,
    observer: Observer | None,
    argv: Sequence[str] | None,
    *,
    assumed: bool = False,
) -> Done:
    """Return a run of evaluations together with all that is to be tried of those that are not as published.

    What is tried next follows from what was tried, until nothing more does. Where it is `assumed`, also of those whose
    transform is, and of which nothing is published. Where there are none, or the run was cancelled, it is the run as it
    was. `prepare` plans it anew. Tries that a network does not take are stored and reported, and not told here.
    """
    prepared, tries = None, tuple[Planned, ...]()
    while not done.summary.cancelled and (changes := _changes(done, assumed=assumed)):
        prepared = prepared or prepare()
        before, tries = len(tries), tuple(_tries(prepared.plan, changes))
        if len(tries) == before:
            break
        whole = replace(prepared, plan=(*prepared.plan, *tries))
        done = _without_impossible(carry_out(whole, done.path, executor, observer, argv), tries)
    return done


def _without_impossible(done: Done, tries: Sequence[Planned]) -> Done:
    """Return a run without tries that its networks do not take, such as other sizes, which are no failures of it."""
    ids = {planned.job.id for planned in tries}
    records = [r for r in done.summary.records if r.status != "unsupported" or r.job.id not in ids]
    return Done(done.path, replace(done.summary, records=records))


def _changes(done: Done, *, assumed: bool) -> Mapping[str, list[JsonObject]]:
    """Return by the id of a job what is to be changed of its transform in each try."""
    from bench.analysis.evaluations import Evaluations
    from bench.analysis.frame import to_frame
    from bench.facts.reproduction import Reproduction

    changes: defaultdict[str, list[JsonObject]] = defaultdict(list)
    every = Evaluations.of(to_frame([done.invocation]))
    for one, variation in Reproduction.to_try(every, assumed=assumed):
        changes[one.job].append(variation.changes)
    return changes


def _tries(plan: Sequence[Planned], changes: Mapping[str, list[JsonObject]]) -> Iterator[Planned]:
    for planned in plan:
        own = planned.job.settings.given.get("transform") or {}
        for change in changes.get(planned.job.id, ()):
            yield replace(planned, job=planned.job.with_settings(transform={**own, **change}))
