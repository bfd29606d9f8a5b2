"""The runner: each planned job that is not there yet goes to the executor, and its record to the store."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench import __version__
from bench.execution import Event, Executor
from bench.execution._files import artefacts_folder, checkpoints_cleared, clear_checkpoint, files_of
from bench.execution._locks import SharedLocks
from bench.execution._max_batch import find_max_batch, wants_max, with_batch
from bench.execution._outcome import Outcome, judge
from bench.execution._rounds import further_round, rows_of
from bench.execution._sharing import End, Tell, Threads, at_once, beside, by_host, share_out
from bench.execution._wants import NOTHING, wanted
from bench.execution.places import Place, PlaceLostError, Remote, places_for
from bench.io import JsonObject, uncollected
from bench.plan.estimate import DRIFT_FROM, controlled
from bench.plan.expand import Catalog, Planned
from bench.plan.job import Job
from bench.records import environment
from bench.records.line import shared
from bench.records.machines import machines_of
from bench.records.record import Measurement, Record, Status
from bench.records.store import Run, Store, latest

_LAST_S = 10.0  # of a job that has begun, at least, however soon the time of its run is over


class Observer:
    """Told what happens; does nothing by itself."""

    def planned(self, plan: Sequence[Planned], before: Run, catalog: Catalog) -> None:
        """The jobs are known, what the store held before, and what is known of the machine that leads the run."""

    def granted(self, left: Callable[[], float], networks: int) -> None:
        """So many networks race until the time of the run is over, of which so many seconds are left."""

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

    def shared_out(self, places: Sequence[str]) -> None:
        """The jobs run at several places, of these names."""

    def lost(self, place: str, reason: str) -> None:
        """A place is gone; the job that ran there is tried elsewhere."""

    def unused(self, place: str, reason: str) -> None:
        """A place of a cluster cannot be used."""

    def collected(self, records: int) -> None:
        """So many records of an earlier invocation lay at the places of a cluster, and are in the store now."""

    def at(self, place: str) -> Observer:  # noqa: ARG002 (for those who tell places apart)
        """Return who is told of the jobs at a place, where a run has several; told in the thread that called."""
        return self


class _Relay(Observer):
    """Tells an observer of a job in the thread that waits for the jobs, whichever thread that runs in."""

    def __init__(self, observer: Observer, tell: Tell) -> None:
        self.observer, self.tell = observer, tell

    def stage(self, name: str) -> None:
        self.tell(partial(self.observer.stage, name))

    def progress(self, done: int, total: int) -> None:
        self.tell(partial(self.observer.progress, done, total))

    def waiting(self, device: str, holder: str) -> None:
        self.tell(partial(self.observer.waiting, device, holder))

    def lost(self, place: str, reason: str) -> None:
        self.tell(partial(self.observer.lost, place, reason))


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
    *,
    part_after: int | None = None,
    left: Callable[[], float] | None = None,
) -> Summary:
    """Run what is not there yet; write each record the moment it exists.

    A job is there when its latest record in the store is `ok` under an equal environment. Ctrl-C ends the jobs
    under way, records them as cancelled, and leaves the rest pending. Times that are in doubt when all is measured are
    measured in further processes, see `bench.execution._rounds`. Where there are several places, see
    `bench.execution.places`, jobs run at all of them.

    Args:
        plan: the jobs.
        executor: runs them.
        store: of the records.
        catalog: of the machine.
        observer: told what happens.
        part_after: jobs that were done before, where this is a part of a run that goes on with others: they are told in
            its total, and how the machine drifts is not looked for at its end.
        left: seconds that it may still take: no job begins after them or waits longer for a device of others, and
            one that is under way is ended `_LAST_S` later.

    Raises:
        StoreError: if a record cannot be written.
    """
    observer = observer or Observer()
    places = places_for(plan, executor, catalog)
    plan = _placed(plan, places)
    here = reusable(store.run.records, [place.environment for place in places], plan)
    reused = [here[p.job.id] for p in plan if p.job.id in here]
    summary = Summary(reused=len(reused))
    observer.reused(reused)
    if len(places) > 1 and len(reused) < len(plan):
        observer.shared_out([place.name for place in places])
    with artefacts_folder() as artefacts, checkpoints_cleared(store.path):
        bench = _Bench(places, store, observer, part_after, left, artefacts)
        with contextlib.closing(_all(plan, here, bench)) as records:
            for record in records:
                store.append(record)
                if isinstance(executor, Remote):
                    executor.stored(record.job.id)
                clear_checkpoint(store.path, record)
                here.update(latest([*filter(None, [here.get(record.job.id)]), record]))
                observer.recorded(record)
                if record.status == "cancelled":
                    summary.cancelled = True
                    _cancel(bench)
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
    while not bench.over and (further := further_round(rows_of(plan, here))):
        total += len(further)
        yield from _once(further, bench, total)


@uncollected()
def reusable(
    records: Sequence[Record], environments: Sequence[JsonObject], plan: Sequence[Planned]
) -> dict[str, Record]:
    """Return by job id the stored records that answer a job which is asked for again.

    The latest record of the job on its machine must be `ok`, or known from the plan alone and still known from it,
    under an environment that is equal to one of the places. Of a time that any of several equal cards may take, a card
    of the same model will do.
    """
    known = {planned.job.id for planned in plan if planned.status is not None}
    any_card = {planned.job.series() for planned in plan if planned.any_card}
    same = environment.same_as(environments)
    # By the machine, the settings and the network, which many records share.
    answers: dict[tuple[int, int, str, bool], bool] = {}

    def stands(job: Job, record: Record) -> bool:
        if record.status != "ok" and not (record.stage == "plan" and job.id in known):
            return False
        any_of_them = bool(any_card) and job.series() in any_card
        case = id(shared(record.environment)), id(job.settings), job.arch, any_of_them
        if case not in answers:
            then = record.environment
            libraries = environment.same_libraries(job, then, environments)
            answers[case] = libraries and same(then, job.devices, any_of_them)
        return answers[case]

    return {
        job_id: record
        for of_machine in machines_of(records).values()
        for job_id, record in latest(of_machine).items()
        if stands(record.job, record)
    }


@dataclass(frozen=True, slots=True)
class _Bench:
    """What every job of a run is carried out with.

    Attributes:
        places: where jobs run.
        store: of their records.
        observer: told what happens.
        part_after: jobs that were done before, where this is a part of a run; None where it is the whole.
        time_left: seconds that the run may still take; None where that is of no concern.
        artefacts: folder of what backends make of networks, for jobs of this machine; None for none.
        cancelled: set where no further job is to begin.
        locks: of devices, which several jobs may share.
        timed: first ends of the jobs that were timed, by their ids.
        lost: places that are gone; where none is left, the run is over.
        cut_off: jobs that were under way there.
        guard: of the lost places, as several jobs may find out at once.
    """

    places: Sequence[Place]
    store: Store
    observer: Observer
    part_after: int | None = None
    time_left: Callable[[], float] | None = None
    artefacts: Path | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    locks: SharedLocks = field(default_factory=SharedLocks)
    timed: dict[str, _Done] = field(default_factory=dict)
    lost: set[Place] = field(default_factory=set)
    cut_off: list[Planned] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def left(self) -> list[Place]:
        """The places that are not gone."""
        return [place for place in self.places if place not in self.lost]

    @property
    def over(self) -> bool:
        """Whether no further job is to begin."""
        return self.cancelled.is_set() or (self.time_left is not None and self.time_left() <= 0)

    def limit_s(self, planned: Planned) -> float:
        """Return the seconds that a job may take which begins now."""
        left_s = math.inf if self.time_left is None else max(round(self.time_left()), _LAST_S)
        return min(planned.timeout_s, left_s)

    def note(self, end: _Done) -> None:
        """Remember a job that was timed, as it was the first time."""
        if end.planned.is_timed:
            self.timed.setdefault(end.planned.job.id, end)

    def lose(self, place: Place) -> bool:
        """Let nothing more go to a place; return whether that is news."""
        with self.guard:
            news = place not in self.lost
            self.lost.update(p for p in self.places if p is place or (p.host == place.host and not p.is_here))
        if not self.left:
            self.cancelled.set()
        return news


@dataclass(frozen=True, kw_only=True)
class _Done(End):
    """The end of a job, with its record."""

    record: Record


def _records(todo: Sequence[Planned], bench: _Bench) -> Generator[Record]:
    """Yield the record of each job as it ends; where others disturbed it, once more when all else is done.

    Both records are stored, and the later one stands; but where that failed or was disturbed too, the quicker one
    does, as others' work only slows it down.
    """
    again: set[str] = set()
    for record in _once(todo, bench, len(todo)):
        if record.is_disturbed:
            again.add(record.job.id)
        yield record
    if again and not bench.over:
        bench.observer.again(len(again))
        repeated = [replace(p, role="repeated") for p in todo if p.job.id in again]
        yield from _once(repeated, bench, len(todo) + len(again))
    controls = _controls(todo, bench) if bench.part_after is None else []
    controls = [replace(p, role="drift_control") for p in controls]
    at = {p.job.id: bench.timed[p.job.id].place for p in controls}
    yield from _once(controls, bench, len(todo) + len(again) + len(controls), at)


def _controls(todo: Sequence[Planned], bench: _Bench) -> list[Planned]:
    """Return for each place one of the first jobs timed there: once more, it shows how the machine changed meanwhile.

    It is of those the one that took about as long as the others, and not the minutes of a single slow one.
    """
    timed: dict[Place, list[_Done]] = {}
    for planned in todo:
        end = bench.timed.get(planned.job.id)
        if end is not None and end.record.status == "ok" and not end.record.is_disturbed:
            timed.setdefault(end.place, []).append(end)
    ends = (timed.get(place, []) for place in bench.left)
    return [controlled(of, lambda end: end.record.duration_s).planned for of in ends if len(of) >= DRIFT_FROM]


def _once(
    todo: Sequence[Planned], bench: _Bench, total: int, at: Mapping[str, Place] | None = None
) -> Generator[Record]:
    """Yield the record of each job as it ends: at several places, or some side by side and others one by one.

    Args:
        todo: the jobs.
        bench: what they are carried out with.
        total: of the jobs, for progress.
        at: the places that some have to run at, by their ids.
    """
    if bench.over or not todo:
        return
    total += bench.part_after or 0
    if len(bench.places) > 1 or not bench.places[0].is_here:
        yield from _at_places(todo, bench, total, at or {})
        return
    (place,) = bench.places

    for cores, group in itertools.groupby(todo, key=lambda planned: at_once(planned, place.executor.at_once)):
        jobs = list(group)
        if cores > 1 and not bench.over:
            with _alone(jobs, place, bench, bench.observer):
                yield from _side_by_side(jobs, place, bench, total)
            continue
        for planned in jobs:
            if bench.over:
                return
            bench.observer.started(planned, total)
            end = _run_one(planned, place, bench, bench.observer)
            bench.note(end)
            yield end.record


def _side_by_side(jobs: Sequence[Planned], place: Place, bench: _Bench, total: int) -> Generator[Record]:
    """Yield the record of each job as it ends, of jobs that run side by side at a place whose devices are held."""

    def begin(planned: Planned, _: Place) -> None:
        bench.observer.started(planned, total)

    def run(planned: Planned, place: Place, _: Tell) -> _Done:
        return _run_one(planned, place, bench)

    at, crew = {planned.job.id: place for planned in jobs}, _threads(run, bench)
    ends = share_out(jobs, [place], crew, begin, at=at, seconds=lambda end: end.record.duration_s)
    with crew, contextlib.closing(ends):
        for end in ends:
            yield beside(end.record) if len(jobs) > 1 else end.record


def _threads(run: Callable[[Planned, Place, Tell], _Done], bench: _Bench) -> Threads[_Done]:
    """Return a crew that has as many threads as jobs may run at once."""
    most = sum(max(p.cores for p in of_host) for of_host in by_host(bench.left).values())
    return Threads(run, most, bench.cancelled, lambda: _cancel(bench))


def _at_places(
    todo: Sequence[Planned], bench: _Bench, total: int, at: Mapping[str, Place]
) -> Generator[Record]:
    """Yield the record of each job as it ends, at several places at once."""
    observers = {place: bench.observer.at(place.name) for place in bench.left}

    def begin(planned: Planned, place: Place) -> None:
        observers[place].started(planned, total + len(bench.cut_off))

    def run(planned: Planned, place: Place, tell: Tell) -> _Done:
        return _run_one(planned, place, bench, _Relay(observers[place], tell))

    crew = _threads(run, bench)
    ends = share_out(todo, bench.left, crew, begin, at=at)
    with crew, contextlib.closing(ends):
        for end in ends:
            bench.note(end)
            yield _beside(end)


def _beside(end: _Done) -> Record:
    """Return the record of a job that has ended; with a doubt about its times, where others had cores beside it."""
    if end.place.carry_out is not None:  # there it is known already
        return end.record
    shares = end.planned.job.device_kind == "cpu" and end.place.cores_of(end.planned) < end.place.cores
    return beside(end.record) if shares else end.record


def _alone(
    jobs: Sequence[Planned], place: Place, bench: _Bench, observer: Observer
) -> contextlib.AbstractContextManager[None]:
    """Hold all devices of the jobs that are timed; counting disturbs nobody, and nobody disturbs it."""
    hardware = {name: device for planned in jobs for name, device in place.devices(planned).items()}
    if not place.is_here:
        return contextlib.nullcontext()
    return bench.locks.hold(hardware, bench.store.run.name, observer.waiting, lambda: bench.over)


def _cancel(bench: _Bench) -> None:
    bench.cancelled.set()
    for executor in {id(place.executor): place.executor for place in bench.places}.values():
        executor.cancel()


def _run_one(planned: Planned, place: Place, bench: _Bench, observer: Observer | None = None) -> _Done:
    """Carry out one job; with an observer it holds the device, without one somebody else does."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    start = time.monotonic()
    story = _Story(observer or Observer())
    lost = False
    if planned.status is None:
        try:
            if place.carry_out is not None:
                record = place.carry_out(planned, bench.store.path, story.hear)
                attempt = bench.store.attempts(planned.job.id) + 1  # which one it is, is known here
                return _Done(planned=planned, place=place, record=record.changed(attempt=attempt))
            status, error = _execute(planned, place, bench, story, observer)
        except PlaceLostError as gone:
            message = f"{place.name or 'its place'} was lost in stage {story.stage}: {gone.message}"
            lost, (status, error) = True, _ended("killed", "PlaceLost", message, gone.tip)
            bench.cut_off.append(planned)
            if bench.lose(place):
                story.observer.lost(place.name, gone.message)
    else:
        status, error = planned.status, {"type": "Plan", "message": planned.reason, "tip": planned.tip}
        story.stage = "plan"
    record = Record(
        job=planned.job,
        card=planned.card,
        environment={**place.environment, **story.environment, "stages_s": story.stages_s()},
        started_at=started_at,
        duration_s=time.monotonic() - start,
        status=status,
        stage=story.stage,
        measurements=tuple(story.measurements),
        error=error,
        role=planned.role,
        attempt=bench.store.attempts(planned.job.id) + 1,
        bench_version=__version__,
    )
    return _Done(planned=planned, place=place, record=record, lost=lost)


def run_at(
    place: Place,
    planned: Planned,
    store: Store,
    observer: Observer,
    *,
    locks: SharedLocks,
    cancelled: threading.Event,
) -> Record:
    """Carry out one job of a run that another machine leads, and return its record.

    Args:
        place: on this machine.
        planned: the job.
        store: that keeps its files.
        observer: told how far it is.
        locks: of this machine's devices, which other jobs of the run may share.
        cancelled: set where the run is.
    """
    # Which places there are is known elsewhere.
    bench = _Bench((), store, observer, cancelled=cancelled, locks=locks)
    return _beside(_run_one(planned, place, bench, observer))


def _ended(status: Status, kind: str, message: str, tip: str | None = None) -> Outcome:
    return status, {"type": kind, "message": message, "tip": tip or "run it again to go on"}


_CANCELLED = _ended("cancelled", "KeyboardInterrupt", "the run was cancelled")
_TIME_OVER = _ended("timeout", "TimeOver", "the time of the run was over")


def _execute(
    planned: Planned, place: Place, bench: _Bench, story: _Story, observer: Observer | None
) -> Outcome:
    job, limit_s = planned.job, planned.timeout_s
    try:
        with _alone([planned], place, bench, observer) if observer else contextlib.nullcontext():
            if observer and bench.cancelled.is_set():
                return _CANCELLED
            limit_s = bench.limit_s(planned)
            if wants_max(job):
                story.hear(("stage", "max_batch"))
                tell = story.observer.stage
                largest = find_max_batch(
                    place.executor, job, limit_s, lambda batch: tell(f"max_batch, {batch} images")
                )
                if largest.failure is not None:
                    return largest.failure
                story.hear(("measurement", largest.measurement()))
                job = with_batch(job, largest.batch or 1)
            folder = bench.store.path.absolute()  # whatever folder the network goes into
            args = (job, *files_of(folder, planned.job), bench.artefacts)
            ended = place.executor.call(
                "bench.execution._worker:work", args, timeout_s=limit_s, on_event=story.hear
            )
    except KeyboardInterrupt:
        return _CANCELLED
    if story.outcome is None and bench.cancelled.is_set():
        return _CANCELLED
    if story.outcome is None and ended.timed_out and limit_s < planned.timeout_s:
        return _TIME_OVER
    return judge(ended, story.outcome, limit_s, story.stage)


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
        elif kind == "waiting":  # of another machine
            self.observer.waiting(*value)

    def stages_s(self) -> dict[str, float]:
        """Return the seconds spent in each stage; the last one lasts until now."""
        ends = [moment for _, moment in self.entered[1:]] + [time.monotonic()]
        spent: dict[str, float] = {}
        for (stage, begun), end in zip(self.entered, ends, strict=True):
            spent[stage] = spent.get(stage, 0.0) + end - begun
        return spent


def _placed(plan: Sequence[Planned], places: Sequence[Place]) -> tuple[Planned, ...]:
    """Return a plan with the jobs marked as unsupported that none of several places takes."""
    if len(places) == 1 and places[0].is_here:
        return tuple(plan)
    taken = {NOTHING}.union(*(place.takes for place in places))
    kinds = ", ".join(sorted(taken - {NOTHING}))
    return tuple(
        planned
        if wanted(planned) in taken
        else replace(
            planned,
            status="unsupported",
            reason=f"no place for a job on {planned.job.device}: there are some for {kinds}",
            tip="choose a device of theirs with --set device=",
        )
        for planned in plan
    )
