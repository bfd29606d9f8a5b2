"""What a comparison says: of each baseline and quantity a ratio, its interval, and a verdict in one word.

The networks ran in turn within each of several processes. A process gives one number a pair and quantity, the median
of the ratios of its rounds; the processes are what is tested.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.trainings import Comparison, compare_trainings
from bench.records.record import Measurement, Record, finite
from bench.records.store import Run, latest
from bench.stats.effects import Effect
from bench.stats.samples import median_ratio
from bench.stats.verdicts import BAND, corrected, direction, of_means, of_ratios
from bench.units import Better

MEMORY_BAND = 0.05  # a process's high-water mark varies by some MB
_STANDING = {
    "faster": 1,
    "slower": -1,
    "lower": 1,
    "higher": -1,
}  # of costs; of accuracies the other way round


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a comparison.

    Attributes:
        arch: the network that is compared.
        baseline: with whom.
        quantity: `latency`, `throughput`, `peak_memory`, `parameters`, `macs` or `accuracy`.
        effect: of the ratio, the network's over the baseline's; its p is corrected for the number of tests (Holm).
        flags: doubts of the measurements.
    """

    arch: str
    baseline: str
    quantity: str
    effect: Effect
    flags: tuple[str, ...] = ()

    @property
    def standing(self) -> int:
        """1 where the network is certainly better, -1 where it is certainly worse, else 0."""
        sign = _STANDING.get(self.effect.verdict, 0)
        return -sign if self.quantity == "accuracy" else sign

    def to_json(self) -> dict[str, Any]:
        """Return plain values; what is not a number is None."""
        names = {"arch": self.arch, "baseline": self.baseline, "quantity": self.quantity}
        numbers = finite(self.effect.to_json("ratio"))
        return {**names, **numbers, "n": self.effect.n, "flags": list(self.flags)}


def compare_run(run: Run, band: float = BAND) -> list[Row]:
    """Return the lines of a run of `bench compare`, by baseline.

    Args:
        run: as it is stored.
        band: a ratio so near to one is the same to a user.
    """
    records = [r for r in latest(run.records).values() if r.status == "ok"]
    versus = [r for r in records if r.job.task == "versus"]
    if not versus:
        return []
    first, *others = versus[-1].job.settings["labels"]
    rows = [row for other in others for row in _rows(records, versus, first, other, band)]
    effects = corrected([row.effect for row in rows])
    rows = [replace(row, effect=e) for row, e in zip(rows, effects, strict=True)]
    return _beside_images(rows, run)


def _beside_images(rows: list[Row], run: Run) -> list[Row]:
    """Return the lines, those of accuracies with what the choice of test images alone would do to them."""
    if not any(row.quantity == "accuracy" for row in rows):
        return rows
    seen = {(c.network, c.baseline): c for c in compare_trainings(run)}
    return [_with_images(row, seen.get((row.arch, row.baseline))) for row in rows]


def _with_images(row: Row, seen: Comparison | None) -> Row:
    if row.quantity != "accuracy" or seen is None or math.isnan(seen.image_low):
        return row
    ends = f"{100 * seen.image_low:+.2f} to {100 * seen.image_high:+.2f} points"
    return replace(row, effect=replace(row.effect, reason=f"{row.effect.reason}; over test images {ends}"))


def _rows(
    records: Sequence[Record], versus: Sequence[Record], first: str, other: str, band: float
) -> Iterator[Row]:
    for name, quantity in (("latency", "latency"), ("step_time", "throughput")):
        better: Better = "lower" if quantity == "latency" else "higher"
        ratios, flags = process_ratios(versus, name, first, other)
        flags += _unequal(versus, first, other)
        if quantity == "throughput":
            ratios = [1 / r for r in ratios]
        unit = "s" if quantity == "latency" else "1/s"
        effect = of_ratios(ratios, band, better=better, unit=unit)
        yield Row(first, other, quantity, effect, flags)
    for name in ("peak_memory", "parameters", "macs"):
        a, b = (_value(records, label, name) for label in (other, first))
        if a and b:
            yield _exact(first, other, name, b / a, MEMORY_BAND if name == "peak_memory" else 0.0)
    seeds = _seeds(records, first), _seeds(records, other)
    if all(seeds):
        yield Row(first, other, "accuracy", of_means(*seeds, band=0.0))


def _unequal(versus: Sequence[Record], first: str, other: str) -> tuple[str, ...]:
    """Return the doubt of two networks that were timed on images of different sizes."""
    sizes = {one["label"]: one.get("input_size") for one in versus[-1].job.settings["networks"]}
    return ("other_input",) if sizes.get(first) != sizes.get(other) else ()


def process_ratios(
    versus: Sequence[Record], name: str, first: str, other: str
) -> tuple[list[float], tuple[str, ...]]:
    """Return of each process the median ratio of its rounds, the first network's time over the other's."""
    ratios, flags = [], set[str]()
    for record in versus:
        by_label = {m.detail["label"]: m for m in record.measurements if m.name == name}
        if first in by_label and other in by_label:
            ratios.append(median_ratio(by_label[first].samples, by_label[other].samples))
            flags |= {*by_label[first].flags, *by_label[other].flags}
    return ratios, tuple(sorted(flags))


def _exact(first: str, other: str, quantity: str, ratio: float, band: float) -> Row:
    """Return the line of a quantity that is not tested: a count, or memory, which hardly varies."""
    same = 1 / (1 + band) <= ratio <= 1 + band
    word = ("equal" if band == 0 else "same") if same else direction(ratio, "lower", "1")
    reason = "counted" if band == 0 else f"of one process each; within ±{100 * band:g} % is the same"
    effect = Effect(ratio, n=1, reason=reason, verdict=word, counted=band == 0)
    return Row(first, other, quantity, effect)


def _measurements(records: Sequence[Record], label: str, task: str) -> Iterator[tuple[Record, Measurement]]:
    arch = label.rpartition(" #")[0] or label
    for record in records:
        if record.job.task == task and record.job.arch == arch:
            yield from ((record, m) for m in record.measurements)


def _value(records: Sequence[Record], label: str, name: str) -> float | None:
    task = "infer" if name == "peak_memory" else "cost"
    return next((m.samples[0] for _, m in _measurements(records, label, task) if m.name == name), None)


def _seeds(records: Sequence[Record], label: str) -> list[float]:
    return [m.samples[-1] for _, m in _measurements(records, label, "accuracy") if m.name == "top1"]


def standings(rows: Sequence[Row]) -> Mapping[str, str]:
    """Return for each baseline one sentence: who dominates whom, or what is traded for what."""
    by_baseline: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_baseline[row.baseline].append(row)
    return {baseline: _sentence(baseline, lines) for baseline, lines in by_baseline.items()}


def _sentence(baseline: str, rows: Sequence[Row]) -> str:
    arch = rows[0].arch
    won, lost = ([r.quantity for r in rows if r.standing == sign] for sign in (1, -1))
    if won and lost:
        return f"{arch} is better than {baseline} in {_words(won)}, worse in {_words(lost)}"
    if won:
        return f"{arch} dominates {baseline}: better in {_words(won)}, worse in nothing"
    if lost:
        return f"{arch} is dominated by {baseline}: worse in {_words(lost)}, better in nothing"
    return f"no certain difference between {arch} and {baseline}"


def _words(quantities: Sequence[str]) -> str:
    return ", ".join(q.replace("_", " ") for q in quantities)
