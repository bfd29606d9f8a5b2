"""What of a run counts now: files are edited and libraries updated, and what was measured before is another thing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bench.plan.job import Job
from bench.records.environment import key, same_as, same_libraries
from bench.records.line import shared
from bench.records.record import Record
from bench.records.store import Run


def current(run: Run) -> Run:
    """Return a run without what is of earlier definitions of its networks, or of a series in another environment.

    Which definition a network has is said by the jobs last planned, and by its last record where these do not name it.
    A series, the processes or seeds that one number is made of, is of the environment of its last record: a run that
    goes on after an update measures all of it again, and until then what was before does not stand in for the rest.
    Nothing is lost: the records of an earlier definition count again once the file is what it was.
    """
    run = _as_defined(run)
    records = _of_one_environment(run.records)
    return run if len(records) == len(run.records) else replace(run, records=records)


def _as_defined(run: Run) -> Run:
    """Return a run without what is of earlier definitions of its networks."""
    jobs = (*(record.job for record in run.records), *run.planned)
    last = {name: definition for job in jobs for name, definition in _definitions(job)}

    def stands(job: Job) -> bool:
        return all(last[name] == definition for name, definition in _definitions(job))

    if all(map(stands, jobs)):
        return run
    records = tuple(record for record in run.records if stands(record.job))
    return replace(run, records=records, planned=tuple(filter(stands, run.planned)))


def _definitions(job: Job) -> Iterator[tuple[object, object]]:
    """Yield the networks of a job, each with the hash of its files; of one that times several in turn all of them."""
    yield job.arch, job.source_sha256
    several = job.settings.content.get("networks")
    for one in several if isinstance(several, list) else ():
        if isinstance(one, Mapping):
            yield one.get("arch"), one.get("source_sha256")


def _of_one_environment(records: Sequence[Record]) -> tuple[Record, ...]:
    """Return the records without those of a series that were measured in another environment than its last."""
    if _is_of_one(records):
        return tuple(records)
    series: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        if _is_measured(record):
            series[record.job.series()].append(record)
    dropped = {
        id(record)
        for some in series.values()
        if len({record.job.id for record in some}) > 1
        for record in _elsewhere(some)
    }
    return tuple(record for record in records if id(record) not in dropped)


def _is_of_one(records: Sequence[Record]) -> bool:
    """Whether all records are of one environment for certain, which is soon told: many have theirs in common."""
    machines = {(id(shared(r.environment)), r.job.devices): r.environment for r in records}
    if len({machine for machine, _ in machines}) < 2:
        return True
    keys = {(d, key(e, d, any_card=True), str(e.get("packages"))) for (_, d), e in machines.items()}
    return len(keys) == len({devices for devices, *_ in keys})


def _is_measured(record: Record) -> bool:
    """Whether a record is of a job that ran to some end: one that was never begun says nothing of its environment."""
    return record.status != "cancelled" and record.stage != "plan" and record.role != "drift_control"


def _elsewhere(series: Sequence[Record]) -> Iterator[Record]:
    """Yield the records that were not measured in the environment of the last; any card of a model is as good."""
    last = series[-1].environment
    same = same_as([last])
    for record in series[:-1]:
        then, job = record.environment, record.job
        if not (same(then, job.devices, True) and same_libraries(job, then, [last])):
            yield record
