"""Energy: joules an image, from the device's own counter over a pass of its own.

On an NVIDIA GPU the counter is NVML's total energy of the board since the driver was loaded, in mJ
(nvmlDeviceGetTotalEnergyConsumption; Volta and newer). It moves in steps of some 10 to 100 ms, so it is read after
every short block of calls, and the pass goes from one of its steps to another: what is not known is when within a
block it moved, 20 ms of two seconds at each end. The device has work meanwhile: further blocks are launched before
the counter is read. On the CPU it is RAPL's of all packages, where the kernel lets it be
read; memory and the rest of the machine are not in it. What the device draws while idle is not subtracted: it stands in
the detail.
Source: https://docs.nvidia.com/deploy/nvml-api/ and the kernel's Documentation/power/powercap/powercap.rst
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from torch.cuda import Event

from bench.errors import UnsupportedError
from bench.records.environment import cuda_uuid, find_card
from bench.records.record import Measurement, measured
from bench.timing._events import CudaEventClock
from bench.timing._watch import Watch
from bench.timing.clock import Clock, Workload

_ENERGY_S = 2.0  # least length of the pass, from one step of the counter to another
_BLOCK_S = 0.02  # of calls between two looks at the counter
_AHEAD_S, _MOST_AHEAD_S = 0.1, 0.5  # of work that a device is given beyond what it does, at first and at most
_PATIENCE_S = 5.0  # beyond the least length, to wait for a counter that stands still
_IDLE_S = 0.5  # of doing nothing before it
_POWERCAP = Path("/sys/class/powercap")


class _NvmlMeter:
    """NVML's total energy counter of a CUDA device, which is a board or has a counter of its own.

    Raises:
        UnsupportedError: where there is no such counter, with the reason.
    """

    name = "nvmlDeviceGetTotalEnergyConsumption"

    def __init__(self, device: str) -> None:
        try:
            self._card = find_card(cuda_uuid(device))
            sliced = self._card.is_sliced
            if not sliced:
                self.joules()
        except Exception as error:  # no library, no driver, an old board
            raise UnsupportedError(f"no NVML counter: {type(error).__name__}: {error}"[:200]) from error
        if sliced:
            raise UnsupportedError(
                "no NVML counter: this is a slice of a board, whose counter counts the other slices too"
            )

    def joules(self) -> float:
        """Return the energy since the driver was loaded."""
        return self._card.energy()


class _RaplMeter:
    """RAPL's counters of all CPU packages, by the kernel's powercap files in the folder `root`; they wrap around.

    Raises:
        UnsupportedError: where there is none that may be read, with the reason.
    """

    name = "RAPL"

    def __init__(self, root: Path = _POWERCAP) -> None:
        packages = sorted(root.glob("intel-rapl:[0-9]*"))
        self._packages = [p for p in packages if p.name.count(":") == 1]  # not their parts
        if not self._packages:
            raise UnsupportedError("no RAPL counter: the kernel shows no package")
        try:
            self._range = [_microjoules(p / "max_energy_range_uj") for p in self._packages]
            self._last = [_microjoules(p / "energy_uj") for p in self._packages]
        except (OSError, ValueError) as error:
            raise UnsupportedError(f"no RAPL counter: {error}"[:200]) from error
        self._total = 0

    def joules(self) -> float:
        """Return the energy since the meter was made; to be read at least once a wrap, about a minute."""
        for i, package in enumerate(self._packages):
            now = _microjoules(package / "energy_uj")
            self._total += (now - self._last[i]) % (self._range[i] + 1)
            self._last[i] = now
        return self._total * 1e-6


_Meter = _NvmlMeter | _RaplMeter


def _microjoules(file: Path) -> int:
    return int(file.read_text())


def find_meter(device: str) -> _Meter:
    """Return the energy counter of a device.

    Raises:
        UnsupportedError: where there is none, with the reason.
    """
    return _RaplMeter() if device == "cpu" else _NvmlMeter(device)


class _Step(NamedTuple):
    """A look at the counter that found it higher than the look before: its energy, the calls so far, and the time."""

    joules: float
    calls: int
    now: float


def measure_energy(
    call: Workload,
    images: int,
    meter: _Meter,
    clock: Clock,
    watch: Watch,
    *,
    seconds: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Measurement:
    """Return `energy`, in J an image, over at least so many seconds of calls, by default 2, one after the other.

    The call, of so many images, is warm. It begins and ends where the counter moves, and is of the calls in between.

    Raises:
        UnsupportedError: where the counter does not move often enough.
    """
    idle = _idle_power(meter, clock, sleep)
    calls = _Launched(call, clock) if isinstance(clock, CudaEventClock) else _Waited(call, clock)
    begin = clock.now()
    watch.start()  # which looks at the card
    calls.cover(clock.now() - begin)
    first, last = _between_steps(calls, meter, watch, _ENERGY_S if seconds is None else seconds)
    report = watch.stop()
    joules, count, elapsed = last.joules - first.joules, last.calls - first.calls, last.now - first.now
    detail = {
        "of": "one image; what the device draws while idle is in it",
        "meter": meter.name,
        "joules": joules,
        "seconds": elapsed,
        "calls": count,
        "images_per_call": images,
        "power_W": joules / elapsed,
        "idle_W": idle,
        "watch": report.detail,
    }
    return measured("energy", (joules / (count * images),), detail, report.flags)


def _between_steps(calls: _Waited, meter: _Meter, watch: Watch, seconds: float) -> tuple[_Step, _Step]:
    """Run calls until two steps of the counter lie so many seconds apart; return the first step and the last."""
    steps: list[_Step] = []
    clock = calls.clock
    reading, start = meter.joules(), clock.now()
    while not steps or steps[-1].now - steps[0].now < seconds:
        done, begin = calls.go_on(), clock.now()
        step = _Step(meter.joules(), done, clock.now())
        watch.tick()
        calls.cover(clock.now() - begin)
        if step.joules != reading:
            reading, steps = step.joules, [*steps[:1], step]
        elif step.now - start > seconds + _PATIENCE_S:
            reason = f"{meter.name} stood still for too long: no two steps of it lie {seconds:g} s apart"
            raise UnsupportedError(reason, "measure for longer: --set energy_s=SECONDS")
    calls.finish()
    return steps[0], steps[-1]


class _Waited:
    """Calls that are done when they return, or are waited for, a short block at a time."""

    def __init__(self, call: Workload, clock: Clock) -> None:
        self.call, self.clock = call, clock
        self.block, self.done = 1, 0

    def go_on(self) -> int:
        """Do another block; return the calls that are done by now."""
        block_s = self.clock.seconds(self.call, self.block)
        self.done += self.block
        self.block = max(1, min(2 * self.block, int(_BLOCK_S / max(block_s / self.block, 1e-9))))
        return self.done

    def cover(self, seconds: float) -> None:
        """Be told how long it took to look at the counter and the card."""

    def finish(self) -> None:
        """Wait for what is under way."""


class _Launched(_Waited):
    """Calls that are launched so far ahead that the device has work while the counter and the card are looked at.

    In a virtual machine NVML takes several ms to answer. On an H100 that was waited for between blocks, the card had
    nothing to do for 10 to 38 % of the pass, and the energy of that was counted as the images'.
    """

    def __init__(self, call: Workload, clock: CudaEventClock) -> None:
        super().__init__(call, clock)
        self.launch = clock.launch
        self.ahead_s = _AHEAD_S
        self.start: float | None = None
        self.waiting: list[tuple[Event, int]] = []  # blocks under way, the oldest first

    def go_on(self) -> int:
        """Launch what is wanting, and wait for the oldest block."""
        self.start = self.clock.now() if self.start is None else self.start
        call_s = (self.clock.now() - self.start) / self.done if self.done else math.inf
        while not self.waiting or sum(n for _, n in self.waiting[1:]) * call_s < self.ahead_s:
            self.waiting.append((self.launch(self.call, self.block), self.block))
        self.waiting[0][0].synchronize()
        while self.waiting and self.waiting[0][0].query():
            self.done += self.waiting.pop(0)[1]
        self.block = max(1, min(2 * self.block, int(_BLOCK_S / max(call_s, 1e-9))))
        return self.done

    def cover(self, seconds: float) -> None:
        """Launch twice as far ahead as that, from now on."""
        self.ahead_s = min(max(self.ahead_s, 2 * seconds), _MOST_AHEAD_S)

    def finish(self) -> None:
        """Wait for all blocks."""
        for event, _ in self.waiting:
            event.synchronize()


def _idle_power(meter: _Meter, clock: Clock, sleep: Callable[[float], None]) -> float | None:
    """Return the mean power of doing nothing for a moment; None where no time passed."""
    joules, start = meter.joules(), clock.now()
    sleep(_IDLE_S)
    elapsed = clock.now() - start
    return (meter.joules() - joules) / elapsed if elapsed > 0 else None
