"""Sampling: warm up until it is steady, then sample until it is precise enough, and say why it stopped."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from bench.plan.settings import Timing
from bench.records.flags import NOISY
from bench.stats.order import median_ranks
from bench.timing.clock import Call, Clock

STEADY = 0.02  # two windows agree when their means differ by at most this share
WARMUP_BOUND = 4  # times the least warm-up, then it goes on unsteady
MAX_BLOCK = 10_000
PLATEAU_SAMPLES = 64  # least count from which a plateau may be seen
PLATEAU = 0.95  # twice the samples must narrow the interval to less than this; independent ones give 0.71
LAUNCH_BOUND = 0.95  # share of a call's time that the host needs to launch it

Stop = Literal["precise", "plateau", "limit", "max_samples"]


@dataclass(frozen=True, slots=True)
class Floor:
    """The least call that is launched and waited for: its seconds, and those of them after launching."""

    seconds: float
    wait_s: float


@dataclass(frozen=True, slots=True)
class Samples:
    """Seconds of one call each, raw and in order, and how they were taken.

    Attributes:
        seconds: one a block: the block's time over its calls.
        block: calls in a block.
        first_call_s: of the very first call, which pays for loading and choosing algorithms; not a sample.
        warmup_calls: calls before the first sample, the first call included.
        steady: whether two successive windows of the warm-up agreed.
        stop: why the sampling ended; a plateau is where twice the samples have not narrowed the interval.
        host_s: seconds that the host needed for one call of each sample; without its wait for the device, so that on
            a GPU it is the time of launching.
        floor: of calls that are waited for, where they are launched.
    """

    seconds: tuple[float, ...]
    block: int
    first_call_s: float
    warmup_calls: int
    steady: bool
    stop: Stop
    host_s: tuple[float, ...] = ()
    floor: Floor | None = None

    @property
    def launch_share(self) -> float | None:
        """The share of the time that the host needs to launch the work; None where it does the work itself."""
        return launch_share(self.host_s, self.seconds)

    @property
    def launch_bound(self) -> bool:
        """Whether the host sets the pace."""
        return launch_bound(self.launch_share, self.seconds, self.floor)

    def detail(self, clock: Clock) -> dict[str, Any]:
        """Return what stands beside the samples in a measurement."""
        return {
            "clock": clock.name,
            "calls_per_sample": self.block,
            "first_call_s": self.first_call_s,
            "warmup_calls": self.warmup_calls,
            "steady": self.steady,
            "stop": self.stop,
            **({} if self.launch_share is None else {"launch_share": self.launch_share}),
            **({} if self.floor is None else {"floor_s": self.floor.seconds}),
        }

    def flags(self) -> tuple[str, ...]:
        """Return the doubts that the sampling itself gives rise to."""
        doubts = {
            "unsteady": not self.steady,
            "few_samples": median_ranks(len(self.seconds)) is None,
            "noisy": NOISY < half_width(self.seconds) < math.inf,
            "launch_bound": self.launch_bound,
        }
        return tuple(flag for flag, holds in doubts.items() if holds)


def launch_share(host_s: Sequence[float], seconds: Sequence[float]) -> float | None:
    """Return the host's part of the time; None where none was taken, or no time passed."""
    return sum(host_s) / sum(seconds) if host_s and sum(seconds) else None


def launch_bound(share: float | None, seconds: Sequence[float], floor: Floor | None = None) -> bool:
    """Return whether the host sets the pace.

    However slow its launching is, a call that is waited for ends with a kernel and the host's way back. The least that
    these take is no work of the network's.

    Args:
        share: of the time that launching takes; None where the host does the work itself.
        seconds: of calls.
        floor: of calls that are waited for.
    """
    return share is not None and share + (floor.wait_s if floor else 0.0) / median(seconds) >= LAUNCH_BOUND


def sample(
    call: Call,
    clock: Clock,
    timing: Timing,
    *,
    blocks: bool = False,
    tick: Callable[[], None] | None = None,
    before: Sequence[float] = (),
) -> Samples:
    """Warm `call` up and time it until the median is known to `timing.precision`, or the limit.

    Args:
        call: what to time.
        clock: measures it.
        timing: how long.
        blocks: time blocks of calls without synchronisation between them, rather than each call alone.
        tick: called between samples, for whoever looks on.
        before: seconds of the calls so far, by the same clock, the very first included; a slow network is warm after
            few calls, and need not repeat them.
    """
    before = before or [clock.seconds(call, 1)]
    seconds: list[float] = []
    launches: list[float] = []
    stop: Stop = "max_samples"
    with no_garbage_collection():  # before the warm-up: a collection leaves the caches cold
        warm = warm_up(call, clock, timing, before[-1] if len(before) > 1 else math.nan)
        block = _block(warm, timing) if blocks else 1
        start, looking = clock.now(), 0.0
        while len(seconds) < timing.max_samples:
            seconds.append(clock.seconds(call, block) / block)
            if clock.launch_s is not None:
                launches.append(clock.launch_s / block)
            if tick is not None:
                begun = clock.now()
                tick()
                looking += clock.now() - begun
            elapsed = clock.now() - start - looking
            if len(seconds) < timing.min_samples or elapsed < timing.min_s:
                continue
            if half_width(seconds) <= timing.precision:
                stop = "precise"
                break
            if _plateau(seconds):
                stop = "plateau"
                break
            if elapsed >= timing.limit_s:
                stop = "limit"
                break
    calls = len(before) + warm.calls
    return Samples(tuple(seconds), block, before[0], calls, warm.steady, stop, tuple(launches))


def _block(warm: Warm, timing: Timing) -> int:
    """Return how many calls are timed together, so that they take `min_block_s`."""
    return max(1, min(MAX_BLOCK, math.ceil(timing.min_block_s / max(warm.call_s, 1e-9))))


def _plateau(seconds: Sequence[float]) -> bool:
    """Return whether the interval has stopped to narrow: the noise is no longer that of independent samples."""
    n = len(seconds)
    if n < PLATEAU_SAMPLES or n % 16:
        return False
    return half_width(seconds) > PLATEAU * half_width(seconds[: n // 2])


@dataclass(frozen=True, slots=True)
class Warm:
    """How a warm-up went: its calls, the seconds of one at its end, and whether it settled."""

    calls: int
    call_s: float
    steady: bool


def warm_up(call: Call, clock: Clock, timing: Timing, previous: float = math.nan) -> Warm:
    """Run windows of half the warm-up time until two in a row agree; at the bound, go on unsteady.

    `previous` is the time of a call before, where there was one; it counts as a window.
    """
    calls, start = 0, clock.now()
    while True:
        n, mean = _window(call, clock, timing.warmup_s / 2)
        calls += n
        elapsed = clock.now() - start
        steady = abs(mean - previous) <= STEADY * previous
        bound = elapsed >= WARMUP_BOUND * timing.warmup_s and not math.isnan(previous)
        if (steady and elapsed >= timing.warmup_s) or bound:
            return Warm(calls, mean, steady)
        previous = mean


def _window(call: Call, clock: Clock, length_s: float) -> tuple[int, float]:
    """Run at least `length_s`, in blocks that double; return the calls and their mean seconds."""
    calls, total, block = 0, 0.0, 1
    while total < length_s and calls < MAX_BLOCK:
        total += clock.seconds(call, block)
        calls += block
        block *= 2
    return calls, total / calls


def half_width(seconds: Sequence[float]) -> float:
    """Return half the 95 % interval of the median as a share of the median; infinite below 6 samples."""
    ranks = median_ranks(len(seconds))
    if ranks is None:
        return math.inf
    ordered = sorted(seconds)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return (ordered[ranks[1]] - ordered[ranks[0]]) / 2 / middle if middle else 0.0


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Keep Python from collecting garbage inside."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
