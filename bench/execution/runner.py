"""The runner: each planned job that is not there yet goes to the executor, and its record to the store."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench import __version__
from bench.execution import Event, Executor
from bench.execution.locks import device_locks
from bench.execution.max_batch import find_max_batch, wants_max, with_batch
from bench.execution.outcome import Outcome, judge
from bench.execution.rounds import further_round, rows_of
from bench.execution.side_by_side import at_once, side_by_side
from bench.io import JsonObject
from bench.plan.expand import Catalog, Planned, is_timed
from bench.plan.job import Job
from bench.plan.task import TASKS
from bench.records import environment
from bench.records.record import Measurement, Record
from bench.records.store import Run, Store, is_disturbed, latest

_CHECKPOINTS = "checkpoints"


class Observer:
    """Told what happens; does nothing by itself."""

    def planned(self, plan: Sequence[Planned], before: Run) -> None:
        """The jobs are known, and what the store held before."""

    def fetching(self, dataset: str) -> None:
        """A data set that jobs need is not here, and is fetched."""

    def reused(self, records: Sequence[Record]) -> None:
        """These were measured before, under an equal environment."""

    def started(self, planned: Planned, total: int) -> None:
        """A job begins."""

    def stage(self, name: str) -> None:
        """The job has come this far."""

    def progress(self, done: int, total: int) -> None:
        """A training has done so many epochs."""

    def waiting(self, device: str, holder: str) -> None:
        """Another process measures on the device; which one, in words."""

    def recorded(self, record: Record) -> None:
        """The job's record is in the store."""

    def again(self, jobs: int) -> None:
        """So many jobs were disturbed by others, and are tried once more."""


@dataclass(slots=True)
class Summary:
    """What a run came to: the latest record of each planned job, in the order of the plan."""

    records: list[Record] = field(default_factory=list)
    reused: int = 0
    pending: int = 0
    cancelled: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Return how many jobs have each status."""
        return dict(Counter(r.status for r in self.records))

    @property
    def failed(self) -> bool:
        """Return whether a job that was to be measured was not; what is skipped on purpose is no failure."""
        return any(r.status not in {"ok", "skipped"} for r in self.records)


def run_plan(
    plan: Sequence[Planned],
    executor: Executor,
    store: Store,
    catalog: Catalog,
    observer: Observer | None = None,
) -> Summary:
    """Run what is not there yet; write each record the moment it exists.

    A job is there when its latest record in the store is `ok` under an equal environment. Ctrl-C ends the job
    under way, records it as cancelled, and leaves the rest pending. Times that are in doubt when all is measured are
    measured in further processes, see `bench.execution.rounds`.

    Raises:
        StoreError: if a record cannot be written.
    """
    observer = observer or Observer()
    here = reusable(store.run.records, catalog, plan)
    reused = [here[p.job.id] for p in plan if p.job.id in here]
    summary = Summary(reused=len(reused))
    observer.reused(reused)
    with contextlib.closing(_all(plan, here, _Bench(executor, store, catalog, observer))) as records:
        for record in records:
            store.append(record)
            _clear_checkpoint(store.path, record)
            here.update(latest([*filter(None, [here.get(record.job.id)]), record]))
            observer.recorded(record)
            if record.status == "cancelled":
                summary.cancelled = True
                break
    summary.records = [here[p.job.id] for p in plan if p.job.id in here]
    summary.pending = len(plan) - len(summary.records)
    planned = {p.job.id for p in plan}
    series = {p.job.series() for p in plan if p.processes is not None}
    summary.records += [r for r in here.values() if r.job.id not in planned and r.job.series() in series]
    return summary


def _all(plan: Sequence[Planned], here: Mapping[str, Record], bench: _Bench) -> Generator[Record]:
    """Yield the records of the plan, then those of further rounds, which depend on what is `here` by then."""
    todo = [p for p in plan if p.job.id not in here]
    yield from _records(todo, bench)
    total = len(todo)
    while further := further_round(rows_of(plan, here)):
        total += len(further)
        for planned in further:
            bench.observer.started(planned, total)
            yield _run_one(planned, bench, bench.observer)


def reusable(records: Sequence[Record], catalog: Catalog, plan: Sequence[Planned]) -> dict[str, Record]:
    """Return by job id the stored records that answer a job which is asked for again.

    The latest record of the job must be `ok`, or known from the plan alone and still known from it, under an equal
    environment.
    """
    known = {planned.job.id for planned in plan if planned.status is not None}

    def as_here(record: Record) -> bool:
        return environment.agree(record.environment, catalog.environment, record.job.devices)

    return {
        job_id: record
        for job_id, record in latest(records).items()
        if (record.status == "ok" or (record.stage == "plan" and job_id in known)) and as_here(record)
    }


@dataclass(frozen=True, slots=True)
class _Bench:
    """What every job of a run is carried out with."""

    executor: Executor
    store: Store
    catalog: Catalog
    observer: Observer
    cancelled: threading.Event = field(default_factory=threading.Event)


_DRIFT_FROM = 4  # timed jobs, from which the first is timed again at the end


def _records(todo: Sequence[Planned], bench: _Bench) -> Generator[Record]:
    """Yield the record of each job as it ends; where others disturbed it, once more when all else is done.

    Both records are stored, and the later one stands; but where that failed or was disturbed too, the quicker one
    does, as others' work only slows it down.
    """
    again: set[str] = set()
    for record in _once(todo, bench, len(todo)):
        if is_disturbed(record):
            again.add(record.job.id)
        yield record
    if again:
        bench.observer.again(len(again))
        for record in _once([p for p in todo if p.job.id in again], bench, len(todo) + len(again)):
            yield record.changed(role="repeated")
    yield from _drift_control(todo, bench)


def _drift_control(todo: Sequence[Planned], bench: _Bench) -> Iterator[Record]:
    """Yield one more record of the first job that was timed: it shows how the machine changed meanwhile."""
    timed = [planned for planned in todo if is_timed(planned)]
    if len(timed) >= _DRIFT_FROM:
        bench.observer.started(timed[0], len(todo) + 1)
        yield _run_one(timed[0], bench, bench.observer).changed(role="drift_control")


def _once(todo: Sequence[Planned], bench: _Bench, total: int) -> Generator[Record]:
    """Yield the record of each job as it ends: some run side by side, others one by one."""

    def begin(planned: Planned) -> None:
        bench.observer.started(planned, total)

    for cores, group in itertools.groupby(todo, key=lambda planned: at_once(planned, bench.executor.at_once)):
        jobs = list(group)
        if cores > 1:
            with _alone(jobs, bench, bench.observer):
                yield from side_by_side(
                    jobs,
                    min(cores, len(jobs)),
                    lambda planned: _run_one(planned, bench),
                    begin=begin,
                    cancelled=bench.cancelled,
                    cancel=lambda: _cancel(bench),
                )
            continue
        for planned in jobs:
            begin(planned)
            yield _run_one(planned, bench, bench.observer)


def _alone(
    jobs: Sequence[Planned], bench: _Bench, observer: Observer
) -> contextlib.AbstractContextManager[None]:
    """Hold all devices of the jobs that are timed; counting disturbs nobody, and nobody disturbs it."""
    devices = {
        device for planned in jobs if TASKS.get(planned.job.task).alone for device in planned.job.devices
    }
    hardware = {
        str(environment.card_of(bench.catalog.environment, d).get("uuid") or d) if d != "cpu" else d: d
        for d in sorted(devices)
    }
    return device_locks(hardware, bench.store.run.name, observer.waiting)


def _cancel(bench: _Bench) -> None:
    bench.cancelled.set()
    bench.executor.cancel()


def _run_one(planned: Planned, bench: _Bench, observer: Observer | None = None) -> Record:
    """Carry out one job; with an observer it holds the device, without one somebody else does."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    start = time.monotonic()
    story = _Story(observer or Observer())
    if planned.status is None:
        status, error = _execute(planned, bench, story, observer)
    else:
        status, error = planned.status, {"type": "Plan", "message": planned.reason, "tip": planned.tip}
        story.stage = "plan"
    return Record(
        job=planned.job,
        card=planned.card,
        environment={**bench.catalog.environment, **story.environment, "stages_s": story.stages_s()},
        started_at=started_at,
        duration_s=time.monotonic() - start,
        status=status,
        stage=story.stage,
        measurements=tuple(story.measurements),
        error=error,
        attempt=bench.store.attempts(planned.job.id) + 1,
        bench_version=__version__,
    )


_CANCELLED: Outcome = (
    "cancelled",
    {"type": "KeyboardInterrupt", "message": "the run was cancelled", "tip": "run it again to go on"},
)


def _execute(planned: Planned, bench: _Bench, story: _Story, observer: Observer | None) -> Outcome:
    job = planned.job
    try:
        with _alone([planned], bench, observer) if observer else contextlib.nullcontext():
            if wants_max(job):
                story.hear(("stage", "max_batch"))
                tell = story.observer.stage
                largest = find_max_batch(
                    bench.executor, job, planned.timeout_s, lambda batch: tell(f"max_batch, {batch} images")
                )
                if largest.failure is not None:
                    return largest.failure
                story.hear(("measurement", largest.measurement()))
                job = with_batch(job, largest.batch or 1)
            args = (job, *kept_files(bench.store.path, planned.job))
            ended = bench.executor.call(
                "bench.execution.worker:work", args, timeout_s=planned.timeout_s, on_event=story.hear
            )
    except KeyboardInterrupt:
        return _CANCELLED
    if story.outcome is None and bench.cancelled.is_set():
        return _CANCELLED
    return judge(ended, story.outcome, planned.timeout_s, story.stage)


def _checkpoint_path(folder: Path, job: Job) -> Path | None:
    """Return where a training keeps its checkpoint; None for tasks without one."""
    return folder / _CHECKPOINTS / f"{job.id}.pt" if TASKS.get(job.task).trained else None


def kept_files(folder: Path, job: Job) -> tuple[Path | None, Path | None]:
    """Return where a training keeps its checkpoint and its test outputs; None for tasks without them."""
    if not TASKS.get(job.task).trained:
        return None, None
    from bench.records.outputs import outputs_path  # NumPy comes with it

    return _checkpoint_path(folder, job), outputs_path(folder, job.id)


def _clear_checkpoint(folder: Path, record: Record) -> None:
    """Remove the checkpoint of a training that came to its own end; one that was cut short goes on from it."""
    path = _checkpoint_path(folder, record.job)
    if path is not None and record.status in {"ok", "diverged"}:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()  # only once it is empty


class _Story:
    """What has been heard of a job so far."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.stage = "start"
        self.measurements: list[Measurement] = []
        self.environment: JsonObject = {}
        self.entered: list[tuple[str, float]] = [("start", time.monotonic())]
        self.outcome: Outcome | None = None

    def hear(self, event: Event) -> None:
        kind, value = event
        if kind == "stage":
            self.stage = value
            self.entered.append((value, time.monotonic()))
            self.observer.stage(value)
        elif kind == "measurement":
            self.measurements.append(value)
        elif kind == "progress":
            self.observer.progress(*value)
        elif kind == "environment":
            self.environment = value
        elif kind == "outcome":
            self.outcome = value

    def stages_s(self) -> dict[str, float]:
        """Return the seconds spent in each stage; the last one lasts until now."""
        ends = [moment for _, moment in self.entered[1:]] + [time.monotonic()]
        spent: dict[str, float] = {}
        for (stage, begun), end in zip(self.entered, ends, strict=True):
            spent[stage] = spent.get(stage, 0.0) + end - begun
        return spent
