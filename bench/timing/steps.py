"""Latency, step time and peak memory of a call, and of a training step, each taken in its own pass.

The whole of a training step is not the sum of its phases: its `step_time` comes from a pass without marks between
them, in which steps follow one another as in a training; the phases come from a second pass, each from one mark to the
next of the same step. On a GPU the marks are events on the stream, with no synchronisation between them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import torch
from torch import Tensor

from bench.plan.settings import Timing
from bench.records.record import Measurement, measured
from bench.timing._events import CudaEventClock, cuda_events
from bench.timing._memory import CudaMemory, HostMemory, Memory
from bench.timing._sampling import LaunchOverhead, Sampling, sample
from bench.timing._watch import HostWatch, Watch, WatchReport, watch
from bench.timing.clock import Clock, HostClock, Workload

_Stage = Callable[[str], None]

_OVERHEAD_CALLS = 101


@dataclass(frozen=True, slots=True)
class Instruments:
    """What measures on a device.

    Attributes:
        latency: clock of a call with synchronisation at each end.
        step: clock of calls without synchronisation between them; None where calls are synchronous anyway,
            so that latency and step time are the same samples.
        memory: the meter; it is to be made before the network is.
        watch: looks on while samples are taken.
        empty_kernel: launches next to no work, so that its latency is the least that a call can have; None where calls
            launch nothing.
    """

    latency: HostClock
    step: Clock | None
    memory: Memory
    watch: Watch = field(default_factory=HostWatch)
    empty_kernel: Workload | None = None

    @classmethod
    def of(cls, device: str, *, blocks_host: bool = False) -> Instruments:
        """Return the instruments of a device; where calls block the host, those of synchronous calls."""
        if device == "cpu":
            return cls(HostClock(), None, HostMemory())
        step = None if blocks_host else CudaEventClock()
        clock, memory = HostClock(torch.cuda.synchronize, launches=not blocks_host), CudaMemory(device)
        return cls(clock, step, memory, watch(device), lambda: torch.empty(1, device=device).zero_())


def launch_overhead(empty_kernel: Workload | None, clock: Clock) -> LaunchOverhead | None:
    """Return the median times of launching one kernel with next to no work; None where there is no such call."""
    if empty_kernel is None:
        return None
    calls = [(clock.seconds(empty_kernel, 1), clock.launch_s or 0.0) for _ in range(_OVERHEAD_CALLS)]
    wait_s = median(seconds - launch_s for seconds, launch_s in calls)
    return LaunchOverhead(median(seconds for seconds, _ in calls), wait_s)


def measure_inference(
    call: Workload,
    timing: Timing,
    instruments: Instruments,
    stage: _Stage,
    inspect: Callable[[object], None] | None = None,
) -> Iterator[Measurement]:
    """Measure one forward pass: `peak_memory`, `latency`, `step_time`.

    `latency` is of a call that is waited for; `step_time` is of a call among others that are launched one after
    the other. Copying the input to the device is in neither. The output of the very first call goes to `inspect`,
    which may raise; until then the stage is `check`.
    """
    stage("memory" if inspect is None else "check")
    earlier_s: list[float] = []

    def one_pass() -> None:
        outputs: list[object] = []
        earlier_s.append(instruments.latency.seconds(lambda: outputs.append(call()), 1))
        if inspect is not None and len(earlier_s) == 1:
            inspect(outputs[0])
            stage("memory")

    yield instruments.memory.peak(one_pass)
    stage("latency")
    latency = _watched(
        "latency",
        call,
        instruments.latency,
        timing,
        instruments.watch,
        of="a call, waited for",
        earlier_s=earlier_s,
        empty_kernel=instruments.empty_kernel,
    )
    yield latency
    clock = instruments.step
    if clock is None:
        on_cpu = "on the CPU " if instruments.empty_kernel is None else ""
        of = f"a call; {on_cpu}each is waited for"
        yield latency.changed(name="step_time", detail={**latency.detail, "of": of, "samples_of": "latency"})
        return
    stage("throughput")
    step = _watched(
        "step_time", call, clock, timing, instruments.watch, of="a call among others", blocks=True
    )
    beside = isinstance(clock, CudaEventClock) and clock.goes_on_beside(call)
    yield step.changed(flags=(*step.flags, "beside_stream")) if beside else step


def _watched(
    name: str,
    call: Workload,
    clock: Clock,
    timing: Timing,
    watch: Watch,
    *,
    of: str,
    blocks: bool = False,
    earlier_s: Sequence[float] = (),
    empty_kernel: Workload | None = None,
) -> Measurement:
    """Sample a call under a watch; what it saw stands in the detail, and its doubts are flags.

    `of` says in words what the measurement is of. The empty kernel launches next to no work, for calls that are
    launched and waited for one by one. For the other arguments see `sample`.
    """
    watch.start()
    sampling = sample(call, clock, timing, blocks=blocks, tick=watch.tick, earlier_s=earlier_s)
    sampling = replace(sampling, overhead=launch_overhead(empty_kernel, clock))
    return _time_of(name, sampling, clock, of, watch.stop(launch_bound=sampling.launch_bound))


def _time_of(name: str, sampling: Sampling, clock: Clock, of: str, report: WatchReport) -> Measurement:
    """Return a measurement in s of samples by `clock`, `of` something in words, with what the watch reports of them."""
    detail = {"of": of, **sampling.detail(clock), "watch": report.detail}
    return measured(name, sampling.seconds, detail, (*sampling.flags(), *report.flags))


# --- a training step: forward, backward and optimiser apart, and all of it measured as a whole ---

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
        loss: returns what `forward` came to.
    """

    forward: Workload
    backward: Workload
    optimizer: Workload
    held: Callable[[], list[Tensor]] | None = None
    loss: Callable[[], Tensor] | None = None

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
    yield _watched("step_time", phases, clock, timing, instruments.watch, of=of, blocks=on_gpu)
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
        yield _time_of(name, phase, clock, f"{name} of a step that is waited for at its end", report)


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
