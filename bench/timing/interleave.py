"""Several calls sampled in turn, A B B A, so that drift and neighbours take from each alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.plan.settings import Timing
from bench.timing.clock import Call, Clock
from bench.timing.sampling import half_width, launch_share, no_garbage_collection, warm_up


@dataclass(frozen=True, slots=True)
class Interleaved:
    """Seconds of one call, by name, one a round; the samples of a round belong together.

    Attributes:
        seconds: for each name as many samples as there were rounds.
        blocks: calls in a sample, by name.
        steady: whether all warm-ups settled.
        stop: "precise", "limit" or "max_samples".
        launch_shares: by name, the share of its time that the host needs to launch it; None where it does the work.
    """

    seconds: Mapping[str, tuple[float, ...]]
    blocks: Mapping[str, int]
    steady: bool
    stop: str
    launch_shares: Mapping[str, float | None]


def interleave(
    calls: Mapping[str, Call],
    clock: Clock,
    timing: Timing,
    *,
    blocks: bool = False,
    tick: Callable[[], None] | None = None,
) -> Interleaved:
    """Time the calls in turn until each one's ratio to the first is known to `timing.precision`, or the limit.

    Every second round goes backwards. `min_s`, `limit_s` and the counts of `timing` are for all calls together.

    Args:
        calls: what to time, by name; the first is what the others are compared with.
        clock: measures them.
        timing: how long.
        blocks: time blocks of unsynchronised calls of at least `timing.min_block_s`, rather than single calls.
        tick: called between samples, for whoever looks on.
    """
    names = list(calls)
    for call in calls.values():
        clock.seconds(call, 1)
    warm = {name: warm_up(calls[name], clock, timing) for name in names}
    sizes = {n: math.ceil(timing.min_block_s / max(warm[n].call_s, 1e-9)) if blocks else 1 for n in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    host_s: dict[str, list[float]] = {name: [] for name in names}
    start, stop, rounds = clock.now(), "max_samples", 0
    with no_garbage_collection():
        while rounds < timing.max_samples:
            for name in names if rounds % 2 == 0 else reversed(names):
                seconds[name].append(clock.seconds(calls[name], sizes[name]) / sizes[name])
                if clock.launch_s is not None:
                    host_s[name].append(clock.launch_s / sizes[name])
                if tick is not None:
                    tick()
            rounds += 1
            elapsed = clock.now() - start
            if rounds < timing.min_samples or elapsed < timing.min_s:
                continue
            if _precise(seconds, names, timing.precision):
                stop = "precise"
                break
            if elapsed >= timing.limit_s:
                stop = "limit"
                break
    taken = {name: tuple(values) for name, values in seconds.items()}
    shares = {name: launch_share(host_s[name], seconds[name]) for name in names}
    return Interleaved(taken, sizes, all(w.steady for w in warm.values()), stop, shares)


def _precise(seconds: Mapping[str, list[float]], names: list[str], precision: float) -> bool:
    """Return whether the median ratio of each call to the first is known well enough."""
    first = seconds[names[0]]
    ratios = ([b / a for a, b in zip(first, seconds[n], strict=True)] for n in names[1:])
    return all(half_width(r) <= precision for r in ratios)
