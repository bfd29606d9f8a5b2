"""Latency, step time and peak memory of a call on a device, each taken in its own pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bench.plan.settings import Timing
from bench.records.record import Measurement
from bench.timing.clock import Call, Clock, CudaEventClock, HostClock
from bench.timing.memory import CudaMemory, HostMemory, Memory
from bench.timing.sampling import Samples, sample

Stage = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Instruments:
    """What measures on a device.

    Attributes:
        latency: clock of a call with synchronisation at each end.
        step: clock of calls without synchronisation between them; None where calls are synchronous anyway,
            so that latency and step time are the same samples.
        memory: the meter; it is to be made before the network is.
    """

    latency: Clock
    step: Clock | None
    memory: Memory


def instruments(device: str) -> Instruments:
    """Return the instruments of a device."""
    if device == "cpu":
        return Instruments(HostClock(), None, HostMemory())
    import torch

    return Instruments(HostClock(torch.cuda.synchronize), CudaEventClock(), CudaMemory(device))


def measure_inference(call: Call, timing: Timing, tools: Instruments, stage: Stage) -> Iterator[Measurement]:
    """Measure one forward pass: `peak_memory`, `latency`, `step_time`.

    `latency` is of a call that is waited for; `step_time` is of a call among others that are launched one after
    the other. Copying the input to the device is in neither.
    """
    stage("memory")
    yield tools.memory.peak(call)
    stage("latency")
    taken = sample(call, tools.latency, timing)
    yield _seconds("latency", taken, tools.latency, "a call, waited for")
    if tools.step is None:
        same = _seconds("step_time", taken, tools.latency, "a call; on the CPU each is waited for")
        yield replace(same, detail={**same.detail, "samples_of": "latency"})
        return
    stage("throughput")
    yield _seconds(
        "step_time", sample(call, tools.step, timing, blocks=True), tools.step, "a call among others"
    )


def measure_training(call: Call, timing: Timing, tools: Instruments, stage: Stage) -> Iterator[Measurement]:
    """Measure one training step: `peak_memory` and `step_time` of forward, backward and optimiser together."""
    stage("memory")
    yield tools.memory.peak(call)
    stage("throughput")
    clock = tools.step or tools.latency
    taken = sample(call, clock, timing, blocks=tools.step is not None)
    yield _seconds("step_time", taken, clock, "forward, backward and optimiser")


def _seconds(name: str, taken: Samples, clock: Clock, of: str) -> Measurement:
    return Measurement(
        name=name,
        unit="s",
        better="lower",
        samples=taken.seconds,
        detail={"of": of, **taken.detail(clock)},
        flags=taken.flags(),
    )
