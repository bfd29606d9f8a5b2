"""Sampling: warm up until times are steady, then take samples until they are precise enough, and say why it stopped."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple

from bench.plan.settings import Timing
from bench.records.flags import NOISY
from bench.stats.intervals import median_ranks
from bench.timing.clock import Clock, Workload

_STEADY = 0.02  # two windows agree when their means differ by at most this share
_WARMUP_BOUND = 4  # times the least warm-up, then it goes on unsteady
_MAX_BLOCK = 10_000
_PLATEAU_SAMPLES = 64  # least count from which a plateau may be seen
_PLATEAU = 0.95  # twice the samples must narrow the interval to less than this; independent ones give 0.71
_LAUNCH_BOUND = 0.95  # share of a call's time that the host needs to launch it

Stop = Literal["precise", "plateau", "limit", "max_samples"]


@dataclass(frozen=True, slots=True)
class LaunchOverhead:
    """The time of a call that does next to nothing: `seconds` in all, of which `wait_s` after it was launched."""

    seconds: float
    wait_s: float


@dataclass(frozen=True, slots=True)
class Sampling:
    """Samples of a call's time, raw and in order, and how they were taken.

    Attributes:
        seconds: of one call, a sample each: a block's time over its calls.
        block: calls in a block.
        first_call_s: of the very first call, which pays for loading and choosing algorithms; not a sample.
        warmup_calls: calls before the first sample, the first call included.
        steady: whether two successive windows of the warm-up agreed.
        stop: why the sampling ended; a plateau is where twice the samples have not narrowed the interval.
        host_s: seconds that the host needed for one call of each sample; without its wait for the device, so that on
            a GPU it is the time of launching.
        overhead: of launching a call and waiting for it; None where calls are not launched, or not waited for.
    """

    seconds: tuple[float, ...]
    block: int
    first_call_s: float
    warmup_calls: int
    steady: bool
    stop: Stop
    host_s: tuple[float, ...] = ()
    overhead: LaunchOverhead | None = None

    @property
    def launch_share(self) -> float | None:
        """The share of the time that the host needs to launch the work; None where it does the work itself."""
        return sum(self.host_s) / sum(self.seconds) if self.host_s and sum(self.seconds) else None

    @property
    def launch_bound(self) -> bool:
        """Whether the host sets the pace.

        However slow its launching is, a call that is waited for ends with a kernel and the host's way back. The least
        time that these take is no work of the network's, and counts as the host's.
        """
        wait_s = self.overhead.wait_s if self.overhead else 0.0
        return (
            self.launch_share is not None
            and self.launch_share + wait_s / median(self.seconds) >= _LAUNCH_BOUND
        )

    def detail(self, clock: Clock) -> dict[str, object]:
        """Return what stands beside the samples in a measurement."""
        return {
            "clock": clock.name,
            "calls_per_sample": self.block,
            "first_call_s": self.first_call_s,
            "warmup_calls": self.warmup_calls,
            "steady": self.steady,
            "stop": self.stop,
            **({} if self.launch_share is None else {"launch_share": self.launch_share}),
            **({} if self.overhead is None else {"floor_s": self.overhead.seconds}),
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


def sample(
    call: Workload,
    clock: Clock,
    timing: Timing,
    *,
    blocks: bool = False,
    tick: Callable[[], None] | None = None,
    earlier_s: Sequence[float] = (),
) -> Sampling:
    """Warm `call` up and time it until the median is known to `timing.precision`, or the limit.

    Args:
        call: what to time.
        clock: measures it.
        timing: how long.
        blocks: time blocks of calls without synchronisation between them, rather than each call alone.
        tick: called between samples, for whoever looks on.
        earlier_s: seconds of the calls so far, by the same clock, the very first included; a slow network is warm after
            few calls, and need not repeat them.
    """

    def enough(seconds: Sequence[Sequence[float]]) -> Stop | None:
        if half_width(seconds[0]) <= timing.precision:
            return "precise"
        return "plateau" if _plateau(seconds[0]) else None

    return take_in_turn({"": call}, clock, timing, {"": earlier_s}, enough, blocks=blocks, tick=tick)[""]


def take_in_turn(
    calls: Mapping[str, Workload],
    clock: Clock,
    timing: Timing,
    earlier_s: Mapping[str, Sequence[float]],
    enough: Callable[[Sequence[Sequence[float]]], Stop | None],
    *,
    blocks: bool,
    tick: Callable[[], None] | None,
) -> dict[str, Sampling]:
    """Warm calls up and time them in turn until their samples are `enough`, or the limit.

    Every second round goes backwards, so that drift and neighbours take from each alike. The time of ticks is none of
    the sampling's.
    """
    earlier_s = {name: earlier_s[name] or [clock.seconds(call, 1)] for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    launches: dict[str, list[float]] = {name: [] for name in calls}
    stop: Stop | None = None
    with _no_garbage_collection():  # before the warm-up: a collection leaves the caches cold
        warm = {name: _warm_up(call, clock, timing, earlier_s[name]) for name, call in calls.items()}
        sizes = {name: min(_MAX_BLOCK, _block(w.call_s, timing)) if blocks else 1 for name, w in warm.items()}
        start, ticking_s, rounds = clock.now(), 0.0, 0
        while rounds < timing.max_samples and stop is None:
            for name in reversed(list(calls)) if rounds % 2 else calls:
                seconds[name].append(clock.seconds(calls[name], sizes[name]) / sizes[name])
                if clock.launch_s is not None:
                    launches[name].append(clock.launch_s / sizes[name])
                if tick is not None:
                    begin = clock.now()
                    tick()
                    ticking_s += clock.now() - begin
            rounds += 1
            elapsed = clock.now() - start - ticking_s
            if rounds >= timing.min_samples and elapsed >= timing.min_s:
                stop = enough(list(seconds.values())) or ("limit" if elapsed >= timing.limit_s else None)
    return {
        name: Sampling(
            seconds=tuple(seconds[name]),
            block=sizes[name],
            first_call_s=earlier_s[name][0],
            warmup_calls=len(earlier_s[name]) + warm[name].calls,
            steady=warm[name].steady,
            stop=stop or "max_samples",
            host_s=tuple(launches[name]),
        )
        for name in calls
    }


def _block(call_s: float, timing: Timing) -> int:
    """Return how many calls of so many seconds are timed together, so that they take `min_block_s`."""
    return math.ceil(timing.min_block_s / max(call_s, 1e-9))


def _plateau(seconds: Sequence[float]) -> bool:
    """Return whether the interval no longer narrows: the noise is not that of independent samples."""
    n = len(seconds)
    if n < _PLATEAU_SAMPLES or n % 16:
        return False
    return half_width(seconds) > _PLATEAU * half_width(seconds[: n // 2])


class _Warm(NamedTuple):
    """How a warm-up went: its calls, the seconds of one at its end, and whether it settled."""

    calls: int
    call_s: float
    steady: bool


def _warm_up(call: Workload, clock: Clock, timing: Timing, earlier_s: Sequence[float] = ()) -> _Warm:
    """Run windows of half the warm-up time until two in a row agree; at the bound, go on unsteady.

    `earlier_s` are the seconds of calls before. The very first of them loads and chooses; the others have warmed the
    network up as well, of a slow one perhaps as long as is needed, and the last two count as windows.
    """
    previous, mean = (math.nan, math.nan, *earlier_s[1:])[-2:]
    calls, spent_s = 0, sum(earlier_s[1:])
    while True:
        steady = abs(mean - previous) <= _STEADY * previous
        bound = spent_s >= _WARMUP_BOUND * timing.warmup_s and not math.isnan(previous)
        if (steady and spent_s >= timing.warmup_s) or bound:
            return _Warm(calls, mean, steady)
        previous = mean
        n, mean = _window(call, clock, timing.warmup_s / 2)
        calls, spent_s = calls + n, spent_s + n * mean


def _window(call: Workload, clock: Clock, length_s: float) -> tuple[int, float]:
    """Run at least `length_s`, in blocks that double as long as that is not too much; return calls and mean seconds."""
    calls, total, block = 0, 0.0, 1
    while total < length_s and calls < _MAX_BLOCK:
        total += clock.seconds(call, block)
        calls += block
        rest = math.ceil((length_s - total) / max(total / calls, 1e-9))
        block = max(1, min(2 * block, rest))
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
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
