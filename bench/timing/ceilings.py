"""Ceilings: what this machine reaches at best, by its own matrix products and copies.

They are what torch attains here and now, not what a data sheet promises: no network can be expected to do more.
Source of their use: Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil
import torch

from bench.plan.settings import Timing
from bench.records.record import Measurement
from bench.timing.clock import Call, Clock
from bench.timing.sampling import Samples, sample
from bench.timing.steps import Instruments
from bench.timing.watch import Watch

# Side of the square matrices; GPUs need large ones to fill, CPUs are at their best at some of these.
SIDES = {"cpu": (256, 512, 1024, 2048), "cuda": (2048, 4096, 8192)}
LONGEST_S = 0.1  # of one product: a larger one is not tried where it would take longer
COPY_BYTES = {"cpu": 128 << 20, "cuda": 1 << 30}  # above the caches of most machines

MakeProduct = Callable[[int], Call]


@dataclass(frozen=True, slots=True)
class Product:
    """Samples of the product of two square matrices of one size."""

    side: int
    taken: Samples

    @property
    def macs(self) -> int:
        """Return the multiply-accumulates of one product."""
        return self.side**3

    @property
    def rates(self) -> tuple[float, ...]:
        """Return the rate of each sample, in MAC/s."""
        return tuple(self.macs / s for s in self.taken.seconds)

    @property
    def rate(self) -> float:
        """Return the rate of the middle sample, in MAC/s."""
        return sorted(self.rates)[len(self.rates) // 2]


def measure_ceilings(
    device: str, dtype: torch.dtype, timing: Timing, tools: Instruments, stage: Callable[[str], None]
) -> Iterator[Measurement]:
    """Measure `matmul_rate` (MAC/s), of the best of a few sizes, and `copy_bandwidth` (B/s).

    `copy_bandwidth` counts each byte that is read and each that is written, of a copy within the device's memory.
    """
    kind, clock = torch.device(device).type, tools.step or tools.latency
    stage("matmul")
    yield _watched(lambda: best_product(_maker(device, dtype), SIDES[kind], clock, timing), tools.watch)
    stage("copy")
    free = psutil.virtual_memory().available // 8
    size = min(COPY_BYTES[kind], free) if kind == "cpu" else COPY_BYTES[kind]
    yield _watched(lambda: copy_bandwidth(device, size, clock, timing), tools.watch)


def _watched(measure: Callable[[], Measurement], look: Watch) -> Measurement:
    """Return what is measured, with what was seen meanwhile and its doubts."""
    look.start()
    found = measure()
    seen, doubts = look.stop()
    return found.changed(detail={**found.detail, "watch": seen}, flags=(*found.flags, *doubts))


def best_product(make: MakeProduct, sides: tuple[int, ...], clock: Clock, timing: Timing) -> Measurement:
    """Return `matmul_rate` of the size with the highest; its detail has the rates of all sizes tried.

    Args:
        make: from the side of the matrices to a call that multiplies two.
        sides: to be tried, rising.
        clock: measures it.
        timing: of each size.
    """
    tried: list[Product] = []
    for side in sides:
        if tried and side**3 / tried[-1].rate > LONGEST_S:
            break
        tried.append(Product(side, sample(make(side), clock, timing, blocks=True)))
    best = max(tried, key=lambda p: p.rate)
    detail = {
        "of": f"the product of two matrices {best.side} x {best.side}",
        "rates": {str(p.side): p.rate for p in tried},
        **best.taken.detail(clock),
    }
    return Measurement(
        name="matmul_rate",
        unit="MAC/s",
        better="higher",
        samples=best.rates,
        detail=detail,
        flags=best.taken.flags(),
    )


def copy_bandwidth(device: str, size: int, clock: Clock, timing: Timing) -> Measurement:
    """Return `copy_bandwidth` of a copy of so many bytes within the memory of the device."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    taken = sample(lambda: target.copy_(source), clock, timing, blocks=True)
    return Measurement(
        name="copy_bandwidth",
        unit="B/s",
        better="higher",
        samples=tuple(2 * size / s for s in taken.seconds),
        detail={"of": "bytes read and bytes written of a copy", "copied_B": size, **taken.detail(clock)},
        flags=taken.flags(),
    )


def _maker(device: str, dtype: torch.dtype) -> MakeProduct:
    def make(side: int) -> Call:
        generator = torch.Generator().manual_seed(0)
        a, b = (torch.randn(side, side, generator=generator).to(device, dtype) for _ in range(2))
        out = torch.empty_like(a)
        return lambda: torch.mm(a, b, out=out)

    return make
