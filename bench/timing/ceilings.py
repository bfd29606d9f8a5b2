"""Ceilings: what this machine reaches at best, by its own matrix products and copies.

They are what torch attains here and now, not what a data sheet promises: no network can be expected to do more.
Source of their use: Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import psutil
import torch

from bench.plan.settings import Timing
from bench.records.record import Measurement, measured
from bench.timing.clock import Clock, Workload
from bench.timing.sampling import Sampling, Tick, sample
from bench.timing.steps import Instruments
from bench.timing.watch import Watch

# Side of the first square matrices, which doubles; GPUs need large ones to fill, CPUs are at their best at some.
FIRST_SIDE = {"cpu": 256, "cuda": 2048}
_LONGEST_S = 0.1  # of one product: a larger one is not tried where it would take longer
COPY_BYTES = {"cpu": 128 << 20, "cuda": 1 << 30}  # above the caches of most machines
SHARE = 8  # all matrices, or both buffers, take no more than one part in so many of the free memory

MakeProduct = Callable[[int], Workload]


@dataclass(frozen=True, slots=True)
class Product:
    """Samples of the product of two square matrices of one size."""

    side: int
    sampling: Sampling

    @property
    def macs(self) -> int:
        """Return the multiply-accumulates of one product."""
        return self.side**3

    @property
    def rates(self) -> tuple[float, ...]:
        """Return the rate of each sample, in MAC/s."""
        return tuple(self.macs / s for s in self.sampling.seconds)

    @property
    def rate(self) -> float:
        """Return the rate of the middle sample, in MAC/s."""
        return sorted(self.rates)[len(self.rates) // 2]


def measure_ceilings(
    device: str, dtype: torch.dtype, timing: Timing, instruments: Instruments, stage: Callable[[str], None]
) -> Iterator[Measurement]:
    """Measure `matmul_rate` (MAC/s), of the best of a few sizes, and `copy_bandwidth` (B/s).

    `copy_bandwidth` counts each byte that is read and each that is written, of a copy within the device's memory.
    """
    kind, clock = torch.device(device).type, instruments.step or instruments.latency
    watch = instruments.watch
    room = _free(device) // SHARE
    stage("matmul")
    all_sides = sides(FIRST_SIDE[kind], room, dtype.itemsize)
    yield _watched(lambda: best_product(_maker(device, dtype), all_sides, clock, timing, watch.tick), watch)
    stage("copy")
    size = min(COPY_BYTES[kind], room // 2)
    yield _watched(lambda: copy_bandwidth(device, size, clock, timing, watch.tick), watch)


def _free(device: str) -> int:
    """Return the free memory of the device, in bytes."""
    return psutil.virtual_memory().available if device == "cpu" else torch.cuda.mem_get_info(device)[0]


def sides(first: int, room: int, itemsize: int) -> Iterator[int]:
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


def best_product(
    make: MakeProduct, sides: Iterable[int], clock: Clock, timing: Timing, tick: Tick | None = None
) -> Measurement:
    """Return `matmul_rate` of the size with the highest; its detail has the rates of all sizes tried.

    Args:
        make: from the side of the matrices to a call that multiplies two.
        sides: to be tried, rising.
        clock: measures it.
        timing: of each size.
        tick: called between samples.
    """
    products: list[Product] = []
    for side in sides:
        if products and side**3 / products[-1].rate > _LONGEST_S:
            break
        products.append(Product(side, sample(make(side), clock, timing, blocks=True, tick=tick)))
    best = max(products, key=lambda p: p.rate)
    detail = {
        "of": f"the product of two matrices {best.side} x {best.side}",
        "rates": {str(p.side): p.rate for p in products},
        **best.sampling.detail(clock),
    }
    return measured("matmul_rate", best.rates, detail, best.sampling.flags())


def copy_bandwidth(
    device: str, size: int, clock: Clock, timing: Timing, tick: Tick | None = None
) -> Measurement:
    """Return `copy_bandwidth` of a copy of so many bytes within the memory of the device."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    sampling = sample(lambda: target.copy_(source), clock, timing, blocks=True, tick=tick)
    rates = (2 * size / s for s in sampling.seconds)
    detail = {"of": "bytes read and bytes written of a copy", "copied_B": size, **sampling.detail(clock)}
    return measured("copy_bandwidth", rates, detail, sampling.flags())


def _maker(device: str, dtype: torch.dtype) -> MakeProduct:
    def make(side: int) -> Workload:
        generator = torch.Generator(device).manual_seed(0)  # there, since the host is slow to draw
        a, b = (torch.randn(side, side, generator=generator, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        return lambda: torch.mm(a, b, out=out)

    return make
