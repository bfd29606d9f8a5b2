"""A training step: forward, backward and optimiser apart, and all of it measured as a whole.

The whole is not the sum of its phases: `step_time` comes from a pass without marks between the phases, in which steps
follow one another as in a training; the phases come from a second pass, each from one mark to the next of the same
step. On a GPU the marks are events on the stream, with no synchronisation between them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bench.plan.settings import Timing
from bench.records.record import Measurement
from bench.timing.clock import Call, CudaEventClock, cuda_events
from bench.timing.memory import Memory
from bench.timing.sampling import sample
from bench.timing.steps import Instruments, watched
from bench.timing.watch import Watch

NAMES = ("forward", "backward", "optimizer")
Laps = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Phases:
    """The parts of a step, to be called in this order, and only so.

    Attributes:
        forward: the first.
        backward: the second.
        optimizer: the third.
        held: returns the tensors that are there before a step, where torch's dispatcher is shown all others.
    """

    forward: Call
    backward: Call
    optimizer: Call
    held: Callable[[], list[Any]] | None = None

    @property
    def calls(self) -> tuple[Call, ...]:
        """Return the phases in the order of `NAMES`."""
        return (self.forward, self.backward, self.optimizer)

    def __call__(self) -> None:
        """Do one whole step."""
        for call in self.calls:
            call()


class LapClock(Protocol):
    """A clock of one step that also keeps the seconds of its phases."""

    name: str
    launch_s: float | None
    laps: list[Laps]

    def now(self) -> float:
        """Return seconds since some moment."""

    def seconds(self, call: Call, calls: int) -> float:
        """Run the step; return its seconds, the sum of those of its phases."""


class _Steps:
    """Runs steps phase by phase, and keeps the laps of the last of each block."""

    def __init__(self, phases: Phases) -> None:
        self.phases = phases
        self.laps: list[Laps] = []
        self.launch_s: float | None = None

    def now(self) -> float:
        return time.perf_counter_ns() * 1e-9

    def seconds(self, call: Call, calls: int) -> float:  # noqa: ARG002 (the step is known)
        total = 0.0
        for _ in range(calls):
            laps = self._laps()
            total += sum(laps)
        self.laps.append(laps)
        return total

    def _laps(self) -> Laps:
        raise NotImplementedError


class HostLaps(_Steps):
    """Laps by `time.perf_counter_ns`, for a device whose calls return when they are done."""

    name = "perf_counter"

    def _laps(self) -> Laps:
        marks = [time.perf_counter_ns()]
        for call in self.phases.calls:
            call()
            marks.append(time.perf_counter_ns())
        return tuple((b - a) * 1e-9 for a, b in itertools.pairwise(marks))


class CudaLaps(_Steps):
    """Laps by CUDA events between the phases; only the end of the step is waited for."""

    name = CudaEventClock.name

    def __init__(self, phases: Phases) -> None:
        super().__init__(phases)
        self._marks: list[Any] = []

    def _laps(self) -> Laps:
        import torch

        marks = self._marks = self._marks or cuda_events(len(NAMES) + 1)
        torch.cuda.synchronize()
        marks[0].record()
        for call, mark in zip(self.phases.calls, marks[1:], strict=True):
            call()
            mark.record()
        marks[-1].synchronize()
        return tuple(a.elapsed_time(b) * 1e-3 for a, b in itertools.pairwise(marks))


def measure_training(
    phases: Phases, timing: Timing, tools: Instruments, stage: Callable[[str], None]
) -> Iterator[Measurement]:
    """Measure one training step, in three passes.

    Yields:
        `peak_memory` of the whole, then `forward_peak_memory`, `backward_peak_memory` and
        `optimizer_peak_memory` where the meter can tell them apart (else the detail of `peak_memory` says why);
        `step_time` of the whole; `forward`, `backward` and `optimizer`.
    """
    stage("memory")
    yield from peaks(phases, tools.memory)
    stage("throughput")
    clock, blocks = tools.step or tools.latency, tools.step is not None
    of = "forward, backward and optimiser, with no mark between them"
    yield watched("step_time", phases, clock, timing, tools.watch, of=of, blocks=blocks)
    stage("phases")
    laps = CudaLaps(phases) if tools.step is not None else HostLaps(phases)
    yield from measure_phases(laps, timing, tools.watch)


def measure_phases(clock: LapClock, timing: Timing, look: Watch) -> Iterator[Measurement]:
    """Sample steps until the time of a whole one is known well enough; yield the phases of the same steps."""
    look.start()
    taken = sample(_nothing, clock, timing, tick=look.tick)
    seen, doubts = look.stop()
    laps = clock.laps[-len(taken.seconds) :]
    for name, seconds in zip(NAMES, zip(*laps, strict=True), strict=True):
        phase = replace(taken, seconds=tuple(seconds), host_s=())
        yield Measurement(
            name=name,
            unit="s",
            better="lower",
            samples=phase.seconds,
            detail={
                "of": f"{name} of a step that is waited for at its end",
                **phase.detail(clock),
                "watch": seen,
            },
            flags=(*phase.flags(), *doubts),
        )


def peaks(phases: Phases, memory: Memory) -> Iterator[Measurement]:
    """Yield `peak_memory` of two steps, then that of each phase of a third."""
    whole = memory.peak(phases)
    marks = [memory.high_water(call) for call in phases.calls]
    told_apart = all(mark is not None for mark in marks)
    why = {} if told_apart else {"phases": "the kernel does not let the high-water mark be reset"}
    yield whole.changed(detail={**whole.detail, **why})
    if told_apart:
        yield from _phase_peaks(whole, marks)


def _phase_peaks(whole: Measurement, marks: Sequence[int | None]) -> Iterator[Measurement]:
    for name, mark in zip(NAMES, marks, strict=True):
        detail = {"of": f"all that is held while {name} runs", "meter": whole.detail.get("meter")}
        yield whole.changed(name=f"{name}_peak_memory", samples=(float(mark or 0),), detail=detail)


def _nothing() -> None:
    """Stand for the step, which a lap clock knows by itself."""
