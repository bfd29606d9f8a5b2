"""Ceilings: what this machine reaches at best, by its own matrix products and copies.

They are what torch attains here and now, not what a data sheet promises: no network can be expected to do more.
Source of their use: Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from statistics import median_low

import psutil
import torch

from bench.plan.settings import Timing
from bench.records.record import Measurement, measured
from bench.timing._sampling import Sampling, sample
from bench.timing._watch import Watch
from bench.timing.clock import Clock, Workload
from bench.timing.steps import Instruments

# Side of the first square matrices, which doubles; GPUs need large ones to fill, CPUs are at their best at some.
_FIRST_SIDE = {"cpu": 256, "cuda": 2048}
_LONGEST_S = 0.1  # of one product: a larger one is not tried where it would take longer
_COPY_BYTES = {"cpu": 128 << 20, "cuda": 1 << 30}  # above the caches of most machines
_SHARE = 8  # all matrices, or both buffers, take no more than one part in so many of the free memory


def measure_ceilings(
    device: str, dtype: torch.dtype, timing: Timing, instruments: Instruments, stage: Callable[[str], None]
) -> Iterator[Measurement]:
    """Measure `matmul_rate` (MAC/s), of the best of a few sizes, and `copy_bandwidth` (B/s).

    `copy_bandwidth` counts each byte that is read and each that is written, of a copy within the device's memory.
    """
    kind, clock = torch.device(device).type, instruments.step or instruments.latency
    watch = instruments.watch
    room = _free(device) // _SHARE
    stage("matmul")
    all_sides = _sides(_FIRST_SIDE[kind], room, dtype.itemsize)
    yield _watched(lambda: _best_product(_maker(device, dtype), all_sides, clock, timing, watch.tick), watch)
    stage("copy")
    size = min(_COPY_BYTES[kind], room // 2)
    yield _watched(lambda: _copy_bandwidth(device, size, clock, timing, watch.tick), watch)


def _free(device: str) -> int:
    """Return the free memory of the device, in bytes."""
    return psutil.virtual_memory().available if device == "cpu" else torch.cuda.mem_get_info(device)[0]


def _sides(first: int, room: int, itemsize: int) -> Iterator[int]:
    """Yield sides of square matrices that double, the first in any case, as long as three fit into `room` bytes."""
    side = first
    while side == first or 3 * side**2 * itemsize <= room:
        yield side
        side *= 2


def _watched(measure: Callable[[], Measurement], watch: Watch) -> Measurement:
    """Return the measurement, with what the watch saw meanwhile and its doubts."""
    watch.start()
    measurement = measure()
    report = watch.stop()
    detail = {**measurement.detail, "watch": report.detail}
    return measurement.changed(detail=detail, flags=(*measurement.flags, *report.flags))


def _best_product(
    make: Callable[[int], Workload],
    sides: Iterable[int],
    clock: Clock,
    timing: Timing,
    tick: Callable[[], None] | None = None,
) -> Measurement:
    """Return `matmul_rate` of the size with the highest; its detail has the rates of all sizes tried, rising.

    `make` makes of the side of the matrices a call that multiplies two; the timing is of each size.
    """
    samplings: dict[int, Sampling] = {}
    rates: dict[int, float] = {}  # MAC/s, of the middle sample
    for side in sides:
        if rates and side**3 / list(rates.values())[-1] > _LONGEST_S:
            break
        samplings[side] = sample(make(side), clock, timing, blocks=True, tick=tick)
        rates[side] = side**3 / median_low(samplings[side].seconds)
    best = max(rates, key=rates.__getitem__)
    sampling = samplings[best]
    detail = {
        "of": f"the product of two matrices {best} x {best}",
        "rates": {str(side): rate for side, rate in rates.items()},
        **sampling.detail(clock),
    }
    return measured("matmul_rate", (best**3 / s for s in sampling.seconds), detail, sampling.flags())


def _copy_bandwidth(
    device: str, size: int, clock: Clock, timing: Timing, tick: Callable[[], None] | None = None
) -> Measurement:
    """Return `copy_bandwidth` of a copy of so many bytes within the memory of the device."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    sampling = sample(lambda: target.copy_(source), clock, timing, blocks=True, tick=tick)
    rates = (2 * size / s for s in sampling.seconds)
    detail = {"of": "bytes read and bytes written of a copy", "copied_B": size, **sampling.detail(clock)}
    return measured("copy_bandwidth", rates, detail, sampling.flags())


def _maker(device: str, dtype: torch.dtype) -> Callable[[int], Workload]:
    def make(side: int) -> Workload:
        generator = torch.Generator(device).manual_seed(0)  # there, since the host is slow to draw
        a, b = (torch.randn(side, side, generator=generator, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        return lambda: torch.mm(a, b, out=out)

    return make
