"""Sharing out: one queue of jobs for several places, each of which is given the next job that fits there.

A job runs in a thread of its own. What it has to tell goes through a queue to the thread that called, which alone talks
to observers and stores records.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeAlias, TypeVar

from bench.execution._wants import NOTHING, wanted
from bench.execution.places import Place
from bench.plan.expand import Planned
from bench.plan.task import TASKS
from bench.records.record import Record

_CANCEL_S = 1.0
_TRIES = 3  # of a job whose places are lost: it may be what ends them


Tell: TypeAlias = Callable[[Callable[[], None]], None]
"""Takes what is to be called in the thread that waits for the jobs."""


@dataclass(frozen=True, kw_only=True)
class End:
    """A job has ended: where, and whether that place is gone."""

    planned: Planned
    place: Place
    lost: bool = False


_EndT = TypeVar("_EndT", bound=End)
_EndT_co = TypeVar("_EndT_co", bound=End, covariant=True)


class _Crew(Protocol[_EndT_co]):
    """Who does the work of jobs; `cancelled` is set where no further job is to begin."""

    cancelled: threading.Event

    def begin(self, planned: Planned, place: Place) -> None:
        """Begin a job at a place."""

    def wait(self) -> _EndT_co:
        """Return the next job that ends."""

    def stop(self) -> None:
        """End the jobs under way; each of them ends as others do."""


class _Free:
    """What of the places no job holds: cores by host, and devices."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = tuple(places)
        self._hosts = by_host(self.places)
        self._cores = {host: max(p.cores for p in of_host) for host, of_host in self._hosts.items()}
        self._held: set[tuple[str, str]] = set()

    def has(self, place: Place, planned: Planned) -> bool:
        """Return whether a job could begin at a place."""
        if place.cores_of(planned) > self._cores[place.host]:
            return False
        return planned.status is not None or self._held.isdisjoint(self._cards(place, planned))

    def take(self, place: Place, planned: Planned) -> None:
        """Let a job hold what it needs."""
        self._cores[place.host] -= place.cores_of(planned)
        if planned.status is None:
            self._held |= self._cards(place, planned)

    def give(self, place: Place, planned: Planned) -> None:
        """Take it back."""
        self._cores[place.host] += place.cores_of(planned)
        if planned.status is None:
            self._held -= self._cards(place, planned)

    def lose(self, place: Place) -> None:
        """Let nothing more go to a place, nor to others of its host, which went with it if that is another machine."""
        gone = {place} if place.is_here else {place, *self._hosts[place.host]}
        self.places = tuple(p for p in self.places if p not in gone)
        self._hosts[place.host] = [p for p in self._hosts[place.host] if p not in gone]

    def beside(self, place: Place) -> tuple[Place, ...]:
        """Return the places that share its cores, itself among them: what ends there is of use to no others."""
        return tuple(self._hosts[place.host])

    def _cards(self, place: Place, planned: Planned) -> set[tuple[str, str]]:
        """Trainings on the CPU share it by its cores."""
        return {(place.host, name) for name in place.devices(planned) if name != "cpu"}


class _Queue:
    """Jobs that wait, by what they want of a place: in their order, or by what networks `took`, see `share_out`."""

    def __init__(
        self, jobs: Iterable[Planned], at: Mapping[str, Place], took: dict[str, float] | None
    ) -> None:
        self._at, self._took = at, took
        self._waiting: dict[str, deque[tuple[int, Planned]]] = {}
        for number, planned in enumerate(jobs):
            self._waiting.setdefault(self._wanted(planned), deque()).append((number, planned))

    def _wanted(self, planned: Planned) -> str:
        """Return what a job wants of a place; one that is bound to a place wants that alone, by its name."""
        bound = self._at.get(planned.job.id)
        return wanted(planned) if bound is None else f"={bound.name}"

    def next(self, place: Place, free: _Free) -> Planned | None:
        """Take the first job that a place takes and has room for; none overtakes one that wants the same."""
        kinds = self._waiting.keys() & {NOTHING, *place.takes, f"={place.name}"}
        heads = [self._head(self._waiting[kind]) for kind in kinds if self._waiting[kind]]
        fitting = [head for head in heads if free.has(place, head[1])]
        if not fitting:
            return None
        number, planned = min(fitting, key=lambda head: head[0])
        self._waiting[self._wanted(planned)].remove((number, planned))
        if self._took is not None:
            self._took.setdefault(planned.job.arch, math.inf)
        return planned

    def _head(self, waiting: deque[tuple[int, Planned]]) -> tuple[int, Planned]:
        took = self._took
        if took is None:
            return waiting[0]
        new = next((head for head in waiting if head[1].job.arch not in took), None)
        return new or max(waiting, key=lambda head: took[head[1].job.arch])

    def again(self, planned: Planned) -> None:
        """Put a job in front."""
        self._waiting[self._wanted(planned)].appendleft((-1, planned))


def share_out(
    jobs: Sequence[Planned],
    places: Sequence[Place],
    crew: _Crew[_EndT],
    begin: Callable[[Planned, Place], None],
    *,
    at: Mapping[str, Place] | None = None,
    seconds: Callable[[_EndT], float] | None = None,
) -> Generator[_EndT]:
    """Yield the end of each job as it comes; one whose place was lost may end once more, elsewhere.

    Jobs for which no place is left do not end at all.

    Args:
        jobs: what to run.
        places: where, those first that are given jobs first.
        crew: runs them.
        begin: is told each job that begins.
        at: the places that some jobs are bound to, by their ids.
        seconds: says what a job took, where the order does not matter: one of each network begins, and then those of
            the network that takes longest. A long job that begins last would leave all cores but one idle.
    """
    took: dict[str, float] = {}
    queue = _Queue(jobs, at or {}, None if seconds is None else took)
    free, lost = _Free(places), Counter[str]()
    running, idle = 0, free.places
    try:
        while True:
            for place in idle:
                while not crew.cancelled.is_set() and (planned := queue.next(place, free)) is not None:
                    free.take(place, planned)
                    begin(planned, place)
                    crew.begin(planned, place)
                    running += 1
            if not running:
                return
            end = crew.wait()
            running -= 1
            free.give(end.place, end.planned)
            if seconds is not None:
                took[end.planned.job.arch] = seconds(end)
            yield end
            idle = free.beside(end.place)
            if end.lost:
                lost[end.planned.job.id] += 1
                free.lose(end.place)
                if lost[end.planned.job.id] < _TRIES:
                    queue.again(end.planned)
                idle = free.places
    finally:
        if running:
            crew.stop()


class Threads(Generic[_EndT]):
    """A crew of threads.

    Args:
        run: `(planned, place, tell)` does one job; `tell` takes what is to be called in the thread that waits.
        count: threads at most.
        cancelled: see `_Crew`.
        cancel: ends the jobs under way.
    """

    def __init__(
        self,
        run: Callable[[Planned, Place, Tell], _EndT],
        count: int,
        cancelled: threading.Event,
        cancel: Callable[[], None],
    ) -> None:
        self.run, self.cancelled, self.cancel = run, cancelled, cancel
        self._pool = ThreadPoolExecutor(count)
        self._under_way: set[Future[None]] = set()
        self._told: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._ends: list[_EndT | BaseException] = []
        self._told_of = self._taken = 0

    def __enter__(self) -> Threads[_EndT]:
        return self

    def __exit__(self, *exc: object) -> None:
        while self.cancelled.is_set() and wait(set(self._under_way), timeout=_CANCEL_S).not_done:
            self.cancel()  # once more, for a job that was about to begin
        self._pool.shutdown()

    def begin(self, planned: Planned, place: Place) -> None:
        """Begin a job in a thread."""
        job = self._pool.submit(self._work, planned, place)
        self._under_way.add(job)
        job.add_done_callback(self._under_way.discard)

    def _work(self, planned: Planned, place: Place) -> None:
        try:
            self._ends.append(self.run(planned, place, self._told.put))
        except BaseException as error:
            self._ends.append(error)
        self._told.put(self._tell_of_end)

    def _tell_of_end(self) -> None:
        self._told_of += 1

    def wait(self) -> _EndT:
        """Return the next job that ends; until then hand on what jobs have to tell. Ctrl-C ends all of them.

        An end is taken when all has been told that was told before it. But ends are in a list of their own, and once
        the jobs are cancelled that alone counts: Ctrl-C may come between taking something from the queue and using it.
        """
        while True:
            try:
                self._told.get(timeout=_CANCEL_S if self.cancelled.is_set() else None)()
            except KeyboardInterrupt:
                self.stop()
            except Empty:
                self.cancel()  # once more, for a job that was about to begin
            if self._taken < (len(self._ends) if self.cancelled.is_set() else self._told_of):
                end = self._ends[self._taken]
                self._taken += 1
                if isinstance(end, BaseException):
                    raise end
                return end

    def stop(self) -> None:
        """Let no job begin, and end those under way."""
        self.cancelled.set()
        self.cancel()


def by_host(places: Iterable[Place]) -> dict[str, list[Place]]:
    """Return the places of each host."""
    hosts: dict[str, list[Place]] = {}
    for place in places:
        hosts.setdefault(place.host, []).append(place)
    return hosts


def at_once(planned: Planned, most: int) -> int:
    """Return how many such jobs may run side by side where `most` can."""
    return 1 if planned.status is not None else TASKS.get(planned.job.task).at_once(planned.job, most)


_OF_THE_CLOCK = ("s", "1/s", "image/s")


def beside(record: Record) -> Record:
    """Return the record with a doubt about its times, where others were trained beside it."""
    if not TASKS.get(record.job.task).trained:
        return record
    doubted = (
        m.changed(flags=(*m.flags, "side_by_side")) if m.unit in _OF_THE_CLOCK else m
        for m in record.measurements
    )
    return record.changed(measurements=tuple(doubted))
