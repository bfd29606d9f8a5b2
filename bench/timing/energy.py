"""Energy: joules an image, from the device's own counter over a pass of its own.

On an NVIDIA GPU the counter is NVML's total energy of the board since the driver was loaded, in mJ
(nvmlDeviceGetTotalEnergyConsumption; Volta and newer). It moves in steps of some 10 to 100 ms, so it is read after
every short block of calls, and the pass goes from one of its steps to another: what is not known is when within a
block it moved, 20 ms of two seconds at each end. On the CPU it is RAPL's of all packages, where the kernel lets it be
read; memory and the rest of the machine are not in it. What the device draws while idle is not subtracted: it stands in
the detail.
Source: https://docs.nvidia.com/deploy/nvml-api/ and the kernel's Documentation/power/powercap/powercap.rst
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.errors import UnsupportedError
from bench.records.environment import cuda_uuid, find_card
from bench.records.record import Measurement, measured
from bench.timing._watch import Watch
from bench.timing.clock import Clock, Workload

_ENERGY_S = 2.0  # least length of the pass, from one step of the counter to another
_BLOCK_S = 0.02  # of calls between two looks at the counter
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
        card = None
        try:
            card = find_card(cuda_uuid(device))
            self._card = card
            self.joules()
        except Exception as error:  # no library, no driver, an old board, a slice of one
            reason = f"{type(error).__name__}: {error}"
            if card is not None and card.is_slice:
                reason = f"this is a slice of a board, whose counter counts the other slices too ({reason})"
            raise UnsupportedError(f"no NVML counter: {reason}"[:200]) from error

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

    The call, of so many images, is warm, and the clock waits for the device. It begins and ends where the counter
    moves, and is of the calls in between.

    Raises:
        UnsupportedError: where the counter does not move often enough.
    """
    idle = _idle_power(meter, clock, sleep)
    watch.start()
    first, last = _between_steps(call, meter, clock, watch, _ENERGY_S if seconds is None else seconds)
    report = watch.stop()
    joules, calls, elapsed = last.joules - first.joules, last.calls - first.calls, last.now - first.now
    detail = {
        "of": "one image; what the device draws while idle is in it",
        "meter": meter.name,
        "joules": joules,
        "seconds": elapsed,
        "calls": calls,
        "images_per_call": images,
        "power_W": joules / elapsed,
        "idle_W": idle,
        "watch": report.detail,
    }
    return measured("energy", (joules / (calls * images),), detail, report.flags)


def _between_steps(
    call: Workload, meter: _Meter, clock: Clock, watch: Watch, seconds: float
) -> tuple[_Step, _Step]:
    """Run calls until two steps of the counter lie so many seconds apart; return the first step and the last."""
    steps: list[_Step] = []
    calls, block, reading, start = 0, 1, meter.joules(), clock.now()
    while not steps or steps[-1].now - steps[0].now < seconds:
        block_s = clock.seconds(call, block)
        calls += block
        block = max(1, min(2 * block, int(_BLOCK_S / max(block_s / block, 1e-9))))
        watch.tick()
        step = _Step(meter.joules(), calls, clock.now())
        if step.joules != reading:
            reading, steps = step.joules, [*steps[:1], step]
        elif step.now - start > seconds + _PATIENCE_S:
            reason = f"{meter.name} stood still for too long: no two steps of it lie {seconds:g} s apart"
            raise UnsupportedError(reason, "measure for longer: --set energy_s=SECONDS")
    return steps[0], steps[-1]


def _idle_power(meter: _Meter, clock: Clock, sleep: Callable[[float], None]) -> float | None:
    """Return the mean power of doing nothing for a moment; None where no time passed."""
    joules, start = meter.joules(), clock.now()
    sleep(_IDLE_S)
    elapsed = clock.now() - start
    return (meter.joules() - joules) / elapsed if elapsed > 0 else None
