"""Latency, step time and peak memory of a call on a device, each taken in its own pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import torch

from bench.plan.settings import Timing
from bench.records.record import Measurement, measured
from bench.timing.clock import Clock, CudaEventClock, HostClock, Workload
from bench.timing.memory import CudaMemory, HostMemory, Memory
from bench.timing.sampling import LaunchOverhead, Sampling, sample
from bench.timing.watch import HostWatch, Watch, WatchReport, watch

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


def instruments(device: str, *, blocks_host: bool = False) -> Instruments:
    """Return the instruments of a device; where calls block the host, those of synchronous calls."""
    if device == "cpu":
        return Instruments(HostClock(), None, HostMemory())
    step = None if blocks_host else CudaEventClock()
    clock, memory = HostClock(torch.cuda.synchronize, launches=not blocks_host), CudaMemory(device)
    return Instruments(clock, step, memory, watch(device), lambda: torch.empty(1, device=device).zero_())


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
        output: object = None

        def keep_output() -> None:
            nonlocal output
            output = call()

        earlier_s.append(instruments.latency.seconds(keep_output, 1))
        if inspect is not None and len(earlier_s) == 1:
            inspect(output)
            stage("memory")

    yield instruments.memory.peak(one_pass)
    stage("latency")
    latency = watched(
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
    yield watched("step_time", call, clock, timing, instruments.watch, of="a call among others", blocks=True)


def watched(
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
    return time_of(name, sampling, clock, of, watch.stop(launch_bound=sampling.launch_bound))


def time_of(name: str, sampling: Sampling, clock: Clock, of: str, report: WatchReport) -> Measurement:
    """Return a measurement in s of samples by `clock`, `of` something in words, with what the watch reports of them."""
    detail = {"of": of, **sampling.detail(clock), "watch": report.detail}
    return measured(name, sampling.seconds, detail, (*sampling.flags(), *report.flags))
