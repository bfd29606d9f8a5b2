"""What an engine says of itself, and the doubts that follow: its size, its numbers, its threads, its ranges.

An engine may be fast because it does something else: it keeps single precision where integers are asked for, or leaves
cores idle, or clips what does not fit its ranges, or is given images in a layout that it converts in each call. None of
these raises an error.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from bench.backends import Call, Engine
from bench.errors import typed_text
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.records.record import Measurement, measured
from bench.training.config import LAYOUTS

_HALF = 0.5  # of the operators that multiply; below it a row is not of its precision
_CLIPPED = 0.05  # of a tensor's values: far more than the few that calibration leaves outside
_BUSY_S = 0.15
_LEAST_CALLS = 3
_SEVERAL, _ONE = 1.3, 1.1  # threads in use: eager has several, the engine has one
_NAMED = 5  # tensors that the detail names


def inspected(engine: Engine, job: Job[Timed]) -> Iterator[Measurement]:
    """Yield what an engine says of itself, with the doubts that it gives rise to; the network runs once more.

    Yields:
        `artefact_size`; `precision_share`, of the operators that multiply, those in the job's precision, flagged
        `other_precision` below a half; `clipped_share` of the worst tensor, flagged `saturated`.
    """
    if engine.size is not None:
        yield measured("artefact_size", (engine.size,), {"of": "the engine's files on disk"})
    if engine.operators:
        yield _precision(engine.operators, job.settings.precision)
    if engine.clipped is not None:
        try:
            shares = engine.clipped()
        except Exception as error:  # the engine's, whatever it is; it has run the network, and that was timed
            reason = {"error": typed_text(error)[:300]}
            yield measured("clipped_share", (math.nan,), reason, ("unobserved",))
        else:
            yield _clipped(shares, overflow=engine.sums_overflow)


def _precision(operators: Mapping[str, int], precision: str) -> Measurement:
    """Return the share of the operators that multiply in the precision that is asked for."""
    kind = {"tf32": "fp32"}.get(precision, precision.removeprefix("amp_"))
    share = operators.get(kind, 0) / sum(operators.values())
    detail = {"of": "operators that multiply, as the engine has compiled them", "operators": dict(operators)}
    return measured("precision_share", (share,), detail, ("other_precision",) if share < _HALF else ())


def threads(engine: Engine, call: Call, eager: Call, images: Tensor, job: Job[Timed]) -> Measurement:
    """Return `threads_used`: the CPU time of all threads over that of the busiest, whatever other processes do.

    It is flagged `fewer_threads` where the engine says that it has fewer than the job asks for, or where all but one
    are idle and eager's are not; and `other_layout` where the images [B, C, H, W] do not lie as the engine takes them.
    """
    used, used_by_eager = threads_used(call), threads_used(eager)
    asked = job.settings.threads or 1
    fewer = engine.threads is not None and engine.threads < asked
    idle = asked > 1 and used_by_eager >= _SEVERAL and used < _ONE
    other_layout = engine.layout is not None and not images.is_contiguous(
        memory_format=LAYOUTS[engine.layout]
    )
    flags = {"fewer_threads": fewer or idle, "other_layout": other_layout}
    detail = {
        "of": "CPU time of all threads over that of the busiest",
        "asked": asked,
        "engine_says": engine.threads,
        "eager": used_by_eager,
        "layout": engine.layout,
    }
    return measured("threads_used", (used,), detail, tuple(flag for flag, holds in flags.items() if holds))


def _clipped(shares: Mapping[str, float], *, overflow: bool) -> Measurement:
    """Return the largest share of a quantised tensor's values that lie beyond its range."""
    worst = dict(sorted(shares.items(), key=lambda item: -item[1])[:_NAMED])
    share = max(shares.values(), default=0.0)
    detail = {
        "of": "values beyond the calibrated range, in the worst tensor, on the images that are timed",
        "tensors": len(shares),
        "worst": worst,
        "sums_overflow": overflow,
    }
    return measured("clipped_share", (share,), detail, ("saturated",) if overflow or share > _CLIPPED else ())


def threads_used(call: Call) -> float:
    """Return how many threads of this process work on a call: 1.0 is one, and 2.0 are two that are equally busy.

    NaN where the kernel does not count the time of threads.
    """
    call()
    before, start, calls = _cpu_ns(), time.perf_counter(), 0
    while calls < _LEAST_CALLS or time.perf_counter() - start < _BUSY_S:
        call()
        calls += 1
    spent = [ns - before.get(thread, 0) for thread, ns in _cpu_ns().items()]
    busiest = max(spent, default=0)
    return sum(spent) / busiest if busiest > 0 else math.nan


def _cpu_ns() -> dict[str, int]:
    """Return the time that each thread of this process has run, in ns, by its number; nothing where it is not kept."""
    times = {}
    for task in Path("/proc/self/task").glob("*"):
        try:
            times[task.name] = int(task.joinpath("schedstat").read_text().split()[0])
        except (OSError, IndexError, ValueError):  # it has just ended, or the kernel has no such file
            continue
    return times
