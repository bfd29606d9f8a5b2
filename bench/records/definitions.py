"""Definitions: a network in a file may be edited, and what was measured before is then of another network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from bench.plan.job import Job
from bench.records.store import Run


def as_defined(run: Run) -> Run:
    """Return a run without what is of earlier definitions of its networks.

    Which one a network has is said by the jobs last planned, and by its last record where these do not name it. Nothing
    is lost: the records of an earlier one count again once the file is what it was.
    """
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
