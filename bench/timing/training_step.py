"""A training step: forward, backward and optimiser apart, and all of it measured as a whole.

The whole is not the sum of its phases: `step_time` comes from a pass without marks between the phases, in which steps
follow one another as in a training; the phases come from a second pass, each from one mark to the next of the same
step. On a GPU the marks are events on the stream, with no synchronisation between them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.plan.settings import Timing
from bench.records.record import Measurement
from bench.timing.clock import CudaEventClock, HostClock, Workload, cuda_events
from bench.timing.memory import Memory
from bench.timing.sampling import sample
from bench.timing.steps import Instruments, time_of, watched
from bench.timing.watch import Watch

_NAMES = ("forward", "backward", "optimizer")
_Laps = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Phases:
    """The parts of a training step; they work only if called in this order.

    Attributes:
        forward: of the network and the loss.
        backward: of the loss.
        optimizer: the update of the weights.
        held: returns the tensors that are there before a step, where torch's dispatcher is shown all others.
    """

    forward: Workload
    backward: Workload
    optimizer: Workload
    held: Callable[[], list[Tensor]] | None = None

    @property
    def calls(self) -> tuple[Workload, ...]:
        """The phases in the order of `_NAMES`."""
        return (self.forward, self.backward, self.optimizer)

    def __call__(self) -> None:
        """Do one whole step."""
        for call in self.calls:
            call()


class _Steps(HostClock):
    """A clock of one step, the sum of its phases, that keeps the laps of the last step of each block."""

    def __init__(self, phases: Phases) -> None:
        super().__init__()
        self.phases = phases
        self.laps: list[_Laps] = []

    def seconds(self, call: Workload, calls: int) -> float:  # noqa: ARG002 (the step is known)
        """Return the time of so many steps."""
        blocks = [self._laps() for _ in range(calls)]
        self.laps.append(blocks[-1])
        return sum(map(sum, blocks))

    def _laps(self) -> _Laps:
        raise NotImplementedError


class _HostLaps(_Steps):
    """Laps by `time.perf_counter_ns`, for a device whose calls return when they are done."""

    def _laps(self) -> _Laps:
        marks = [time.perf_counter_ns()]
        for call in self.phases.calls:
            call()
            marks.append(time.perf_counter_ns())
        return tuple((b - a) * 1e-9 for a, b in itertools.pairwise(marks))


class _CudaLaps(_Steps):
    """Laps by CUDA events between the phases; only the end of the step is waited for."""

    name = CudaEventClock.name

    def __init__(self, phases: Phases) -> None:
        super().__init__(phases)
        self._marks: list[torch.cuda.Event] = []

    def _laps(self) -> _Laps:
        marks = self._marks = self._marks or cuda_events(len(_NAMES) + 1)
        torch.cuda.synchronize()
        marks[0].record()
        for call, mark in zip(self.phases.calls, marks[1:], strict=True):
            call()
            mark.record()
        marks[-1].synchronize()
        return tuple(a.elapsed_time(b) * 1e-3 for a, b in itertools.pairwise(marks))


def measure_training(
    phases: Phases, timing: Timing, instruments: Instruments, stage: Callable[[str], None]
) -> Iterator[Measurement]:
    """Measure one training step, in three passes.

    Yields:
        `peak_memory` of the whole, then `forward_peak_memory`, `backward_peak_memory` and
        `optimizer_peak_memory` where the meter can tell them apart (else the detail of `peak_memory` says why);
        `step_time` of the whole; `forward`, `backward` and `optimizer`.
    """
    stage("memory")
    yield from _peaks(phases, instruments.memory)
    stage("throughput")
    clock, on_gpu = instruments.step or instruments.latency, instruments.step is not None
    of = "forward, backward and optimiser, with no mark between them"
    yield watched("step_time", phases, clock, timing, instruments.watch, of=of, blocks=on_gpu)
    stage("phases")
    laps = _CudaLaps(phases) if on_gpu else _HostLaps(phases)
    yield from _measure_phases(laps, timing, instruments.watch)


def _measure_phases(clock: _Steps, timing: Timing, watch: Watch) -> Iterator[Measurement]:
    """Sample steps until the time of a whole one is known well enough; yield the phases of the same steps."""
    watch.start()
    sampling = sample(lambda: None, clock, timing, tick=watch.tick)  # the clock knows the step
    report = watch.stop()
    laps = clock.laps[-len(sampling.seconds) :]
    for name, seconds in zip(_NAMES, zip(*laps, strict=True), strict=True):
        phase = replace(sampling, seconds=tuple(seconds), host_s=())
        yield time_of(name, phase, clock, f"{name} of a step that is waited for at its end", report)


def _peaks(phases: Phases, memory: Memory) -> Iterator[Measurement]:
    """Yield `peak_memory` of two steps, then that of each phase of a third."""
    whole = memory.peak(phases)
    marks = [mark for call in phases.calls if (mark := memory.high_water(call)) is not None]
    if len(marks) < len(_NAMES):
        reason = "the kernel does not let the high-water mark be reset"
        yield whole.changed(detail={**whole.detail, "phases": reason})
        return
    yield whole
    for name, mark in zip(_NAMES, marks, strict=True):
        detail = {"of": f"all that is held while {name} runs", "meter": whole.detail.get("meter")}
        yield whole.changed(name=f"{name}_peak_memory", samples=(float(mark),), detail=detail)
