"""Interleaving: calls that are sampled by turns, so that what drifts meanwhile is the same for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.plan.settings import Timing
from bench.timing._sampling import Sampling, Stop, half_width, take_in_turn
from bench.timing.clock import Clock, Workload


def interleave(
    calls: Mapping[str, Workload],
    clock: Clock,
    timing: Timing,
    *,
    blocks: bool = False,
    tick: Callable[[], None] | None = None,
) -> dict[str, Sampling]:
    """Time calls in turn, A B B A, until each one's ratio to the first is known to `timing.precision`, or the limit.

    `min_s`, `limit_s` and the counts of `timing` are for all calls together. The samples of a round stand at the same
    place in each one's; they are steady where all warm-ups settled. For the arguments see `sample`.
    """

    def enough(seconds: Sequence[Sequence[float]]) -> Stop | None:
        first, *others = seconds
        ratios = ([b / a for a, b in zip(first, other, strict=True)] for other in others)
        return "precise" if all(half_width(r) <= timing.precision for r in ratios) else None

    earlier_s = {name: [clock.seconds(call, 1)] for name, call in calls.items()}
    samplings = take_in_turn(calls, clock, timing, earlier_s, enough, blocks=blocks, tick=tick)
    steady = all(s.steady for s in samplings.values())
    return {name: replace(s, steady=steady) for name, s in samplings.items()}
