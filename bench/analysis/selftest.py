"""What the harness is worth on this machine: false alarms, what it finds, and the noise that is left."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.analysis.versus import process_ratios
from bench.records.record import Record, finite
from bench.records.store import Run, latest
from bench.stats.effects import Effect
from bench.stats.samples import median
from bench.stats.verdicts import of_ratios

SAME = "A again"
QUANTITIES = ("latency", "step_time")


@dataclass(frozen=True, slots=True)
class Trial:
    """Comparisons of a network with itself, made slower by `slowdown` (0 for not at all).

    Attributes:
        slowdown: as a share of its time.
        compared: how many comparisons.
        called: how many were called slower, or, where nothing was slowed down, different.
        ratio: median of the estimated ratios.
        reach: median half width of their intervals, as a share: the smallest effect that they resolve.
    """

    slowdown: float
    compared: int
    called: int
    ratio: float
    reach: float


@dataclass(frozen=True, slots=True)
class Selftest:
    """The whole: trials by rising slowdown, overhead over a bare loop (a ratio), the clock's step (s).

    `noise_floor` is the ratio less one that 95 % of the comparisons of equal networks stay below, and at least the
    smallest effect that they resolve. `doubts` are the flags of the times.
    """

    trials: tuple[Trial, ...]
    overhead: float
    timer_resolution: float
    noise_floor: float
    doubts: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values; what is not a number is None."""
        plain: dict[str, Any] = finite(asdict(self))
        return plain


def judge(run: Run) -> Selftest | None:
    """Return what the records of a self-test say; None where there are none."""
    records = [r for r in latest(run.records).values() if r.status == "ok" and r.job.settings.get("harness")]
    if not records:
        return None
    groups: defaultdict[int, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.job.settings["group"]].append(record)
    slowdowns = {n["label"]: n.get("slowdown", 0.0) for n in records[0].job.settings["networks"]}
    found = {
        label: [_effect(group, quantity, label) for group in groups.values() for quantity in QUANTITIES]
        for label in slowdowns
        if label != "A"
    }
    trials = tuple(_trial(slowdowns[label], effects) for label, effects in found.items())
    off = sorted(abs(math.log(e.estimate)) for e in found[SAME] if math.isfinite(e.estimate))
    worst = off[min(len(off) - 1, math.ceil(0.95 * len(off)) - 1)] if off else math.nan
    reach = next(t.reach for t in trials if t.slowdown == 0)
    floor = max(math.expm1(worst), reach) if math.isfinite(reach) else math.nan
    return Selftest(
        tuple(sorted(trials, key=lambda t: t.slowdown)),
        _median(records, "overhead"),
        _median(records, "timer_resolution"),
        floor,
        tuple(sorted({f for r in records for m in r.measurements if m.name in QUANTITIES for f in m.flags})),
    )


def _effect(records: Sequence[Record], quantity: str, label: str) -> Effect:
    ratios, _ = process_ratios(records, quantity, label, "A")
    return of_ratios(ratios, band=0.0)


def _trial(slowdown: float, effects: Sequence[Effect]) -> Trial:
    calls = ("slower",) if slowdown else ("slower", "faster")
    widths = [(e.high - e.low) / 2 for e in effects if math.isfinite(e.low)]
    return Trial(
        slowdown=slowdown,
        compared=len(effects),
        called=sum(e.verdict in calls for e in effects),
        ratio=median([e.estimate for e in effects]),
        reach=median(widths),
    )


def _median(records: Sequence[Record], name: str) -> float:
    return median([median(m.samples) for r in records for m in r.measurements if m.name == name])
