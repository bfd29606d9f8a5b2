"""Latency, step time and peak memory of a call on a device, each taken in its own pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from bench.plan.settings import Timing
from bench.records.record import Measurement
from bench.timing.clock import Call, Clock, CudaEventClock, HostClock
from bench.timing.memory import CudaMemory, HostMemory, Memory
from bench.timing.sampling import Floor, Samples, sample
from bench.timing.watch import HostWatch, Watch, watch

Stage = Callable[[str], None]

FLOOR_CALLS = 101


@dataclass(frozen=True, slots=True)
class Instruments:
    """What measures on a device.

    Attributes:
        latency: clock of a call with synchronisation at each end.
        step: clock of calls without synchronisation between them; None where calls are synchronous anyway,
            so that latency and step time are the same samples.
        memory: the meter; it is to be made before the network is.
        watch: looks on while samples are taken.
        nothing: launches next to no work, so that its latency is the least that a call can have; None where calls
            launch nothing.
    """

    latency: HostClock
    step: Clock | None
    memory: Memory
    watch: Watch = field(default_factory=HostWatch)
    nothing: Call | None = None


def instruments(device: str, *, blocks_host: bool = False) -> Instruments:
    """Return the instruments of a device; where calls block the host, those of synchronous calls."""
    if device == "cpu":
        return Instruments(HostClock(), None, HostMemory())
    import torch

    step = None if blocks_host else CudaEventClock()
    clock, memory = HostClock(torch.cuda.synchronize, launches=not blocks_host), CudaMemory(device)
    return Instruments(clock, step, memory, watch(device), lambda: torch.empty(1, device=device).zero_())


def least(nothing: Call | None, clock: Clock) -> Floor | None:
    """Return the medians of a call of next to no work, which launches one kernel; None where there is no such call."""
    if nothing is None:
        return None
    calls = [(clock.seconds(nothing, 1), clock.launch_s or 0.0) for _ in range(FLOOR_CALLS)]
    return Floor(
        median(seconds for seconds, _ in calls), median(seconds - launch for seconds, launch in calls)
    )


def measure_inference(
    call: Call,
    timing: Timing,
    tools: Instruments,
    stage: Stage,
    inspect: Callable[[object], None] | None = None,
) -> Iterator[Measurement]:
    """Measure one forward pass: `peak_memory`, `latency`, `step_time`.

    `latency` is of a call that is waited for; `step_time` is of a call among others that are launched one after
    the other. Copying the input to the device is in neither. The output of the very first call goes to `inspect`,
    which may raise; until then the stage is `check`.
    """
    stage("memory" if inspect is None else "check")
    before: list[float] = []

    def one_pass() -> None:
        output: object = None

        def kept() -> None:
            nonlocal output
            output = call()

        before.append(tools.latency.seconds(kept, 1))
        if inspect is not None and len(before) == 1:
            inspect(output)
            stage("memory")

    yield tools.memory.peak(one_pass)
    stage("latency")
    of = "a call, waited for"
    clock, look = tools.latency, tools.watch
    latency = watched("latency", call, clock, timing, look, of=of, before=before, nothing=tools.nothing)
    yield latency
    if tools.step is None:
        on_cpu = "on the CPU " if tools.nothing is None else ""
        of = f"a call; {on_cpu}each is waited for"
        yield latency.changed(name="step_time", detail={**latency.detail, "of": of, "samples_of": "latency"})
        return
    stage("throughput")
    yield watched("step_time", call, tools.step, timing, tools.watch, of="a call among others", blocks=True)


def watched(
    name: str,
    call: Call,
    clock: Clock,
    timing: Timing,
    look: Watch,
    *,
    of: str,
    blocks: bool = False,
    before: Sequence[float] = (),
    nothing: Call | None = None,
) -> Measurement:
    """Sample a call under a watch; what was seen stands in the detail, and its doubts are flags.

    `nothing` launches next to no work, for calls that are launched and waited for one by one.
    """
    look.start()
    taken = sample(call, clock, timing, blocks=blocks, tick=look.tick, before=before)
    taken = replace(taken, floor=least(nothing, clock))
    seen, doubts = look.stop(launch_bound=taken.launch_bound)
    measured = _seconds(name, taken, clock, of)
    return measured.changed(detail={**measured.detail, "watch": seen}, flags=(*measured.flags, *doubts))


def _seconds(name: str, taken: Samples, clock: Clock, of: str) -> Measurement:
    return Measurement(
        name=name,
        unit="s",
        better="lower",
        samples=taken.seconds,
        detail={"of": of, **taken.detail(clock)},
        flags=taken.flags(),
    )
