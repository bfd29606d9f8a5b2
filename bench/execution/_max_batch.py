"""The largest batch that fits, found by trying: each batch in a process of its own, as the job itself will be."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from bench.execution import Event, Executor
from bench.execution._outcome import Outcome, judge
from bench.io import JsonObject
from bench.plan.estimate import SEARCH_S
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.records.record import Measurement, Status, measured

_LIMIT = 65_536  # images, where the job does not say
_GRAIN = 32  # the answer is right to within one part in so many; a batch at the very edge would not fit twice

_TARGET = "bench.execution._fits:try_batch"


@dataclass(frozen=True, slots=True)
class _Try:
    """One batch, and how it went."""

    batch: int
    status: Status
    error: JsonObject | None = None


# What a status of the smallest batch that failed means for the largest that fits; others cut the search short.
_WHY: Mapping[Status, str] = {"oom": "", "unsupported": "at_index_limit"}


@dataclass(frozen=True, slots=True)
class _LargestBatch:
    """The largest batch that fits.

    Attributes:
        batch: it; None where not even one image does.
        tries: all of them, in order.
        limit: the most that was to be tried.
    """

    batch: int | None
    tries: tuple[_Try, ...]
    limit: int

    @property
    def failure(self) -> Outcome | None:
        """Return status and error of the try of one image, where that failed."""
        return (self.tries[-1].status, self.tries[-1].error) if self.batch is None else None

    @property
    def bound(self) -> _Try | None:
        """The smallest batch that failed: what keeps larger ones away; None where the limit does."""
        return min((t for t in self.tries if t.status != "ok"), key=lambda t: t.batch, default=None)

    def measurement(self) -> Measurement:
        """Return `max_batch`, in images; to be asked for only where one fits."""
        bound = self.bound
        why = "at_limit" if bound is None else _WHY.get(bound.status, "cut_short")
        flags = (why,) if why else ()
        detail: dict[str, object] = {
            "of": "largest batch that fits, to within 1/32 of it",
            "limit": self.limit,
            "tries": [[t.batch, t.status] for t in self.tries],
        }
        if bound is not None and flags:
            detail["failure"] = str((bound.error or {}).get("message")).partition("\n")[0][:300]
        return measured("max_batch", (float(self.batch or 0),), detail, flags)


def wants_max(job: Job) -> TypeGuard[Job[Timed]]:
    """Return whether the job asks for the largest batch that fits."""
    return isinstance(job.settings, Timed) and job.settings.batch_size == "max"


def with_batch(job: Job[Timed], batch: int) -> Job[Timed]:
    """Return the job with a batch size in numbers, to be worked on; its id is another one."""
    return job.with_settings(batch_size=batch)


def find_max_batch(
    executor: Executor,
    job: Job[Timed],
    timeout_s: float,
    begin: Callable[[int], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> _LargestBatch:
    """Return the largest batch of the job that fits: doubles until one does not, then bisects.

    One image is tried first: where that fails, so does the search. From then on want of memory makes a batch too
    large, and so does what no kernel is for. Every other failure ends the search with the best batch until then, and
    so does the end of its time: on the CPU, whose memory holds more images than anybody waits for, `SEARCH_S`.

    Args:
        executor: where each batch is tried, in a process of its own.
        job: an `infer` or `train_step` job; its batch size does not matter.
        timeout_s: of the whole search.
        begin: is told the batch of each try.
        clock: in seconds.
    """
    limit = job.settings.batch_limit or _LIMIT
    whole_s = min(timeout_s, SEARCH_S.get(job.device_kind, timeout_s))
    end_s = clock() + whole_s
    tries: list[_Try] = []

    def fits(batch: int) -> bool:
        left_s = end_s - clock()
        begin(batch)
        tried = _try(executor, with_batch(job, batch), left_s) if left_s > 0 else _late(batch, whole_s)
        tries.append(tried)
        if tried.status not in {"ok", *_WHY}:
            raise _OtherError
        return tried.status == "ok"

    with contextlib.suppress(_OtherError):
        _search(fits, limit)
    good = [t.batch for t in tries if t.status == "ok"]
    return _LargestBatch(max(good, default=None), tuple(tries), limit)


class _OtherError(Exception):
    """A try failed, and not for want of memory."""


def _search(fits: Callable[[int], bool], limit: int) -> None:
    """Try batches until the largest that fits is known to within 1/`_GRAIN` of it; one image first."""
    good, bad = 0, limit + 1
    batch = 1
    while bad > limit and good < limit:
        if fits(batch):
            good, batch = batch, min(2 * batch, limit)
        else:
            bad = batch
    while bad - good > max(1, good // _GRAIN):
        middle = (good + bad) // 2
        if fits(middle):
            good = middle
        else:
            bad = middle


def _late(batch: int, whole_s: float) -> _Try:
    """Return the try of a batch that there was no time for."""
    message = f"the search had {whole_s:g} s"
    return _Try(batch, "timeout", {"type": "Timeout", "message": message, "tip": "give a batch_limit"})


def _try(executor: Executor, job: Job[Timed], timeout_s: float) -> _Try:
    outcome: Outcome | None = None
    stage = "start"

    def hear(event: Event) -> None:
        nonlocal outcome, stage
        kind, value = event
        if kind == "outcome":
            outcome = value
        elif kind == "stage":
            stage = value

    ended = executor.call(_TARGET, (job,), timeout_s=timeout_s, on_event=hear)
    status, error = judge(ended, outcome, timeout_s, stage)
    return _Try(job.settings.batch, status, error)
