"""What a comparison says: of each baseline and quantity a ratio, its interval, and a verdict in one word.

The networks ran in turn within each of several processes. A process gives one number a pair and quantity, the median
of the ratios of its rounds; the processes are what is tested. Memory is that of tensors, which is counted: what a
process takes beside it is the library's, and stands in the reason alone. What was measured of another definition of
the network, or with other settings, is left out.
"""

from __future__ import annotations

import math
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

from bench.analysis.members import conditions_of
from bench.analysis.trainings import Comparison, compare_trainings
from bench.records.flags import doubts, spoken
from bench.records.record import Measurement, Record, finite
from bench.records.store import Run, latest
from bench.stats.effects import Effect, none
from bench.stats.samples import median, median_ratio
from bench.stats.verdicts import BAND, corrected, direction, of_means, of_ratios
from bench.units import Better, show

QUANTITIES: Mapping[str, str] = {
    "latency": "latency",
    "throughput": "throughput",
    "tensor_memory": "memory of tensors",
    "parameters": "parameters",
    "macs": "MACs",
    "accuracy": "accuracy",
}
"""All that two networks are compared in, with their names."""

TRAIN_ON = "fashion_mnist"  # for a network whose accuracy was never measured

Overall = Literal["dominates", "dominated", "same", "traded", "undecided"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a comparison.

    Attributes:
        arch: the network that is compared.
        baseline: with whom.
        quantity: of `QUANTITIES`.
        effect: of the ratio, the network's over the baseline's; its p is corrected for the number of tests (Holm).
        flags: what is told of the measurements, see `bench.records.flags`.
        band: a ratio of times so near to one is the same.
    """

    arch: str
    baseline: str
    quantity: str
    effect: Effect
    flags: tuple[str, ...] = ()
    band: float = BAND

    @property
    def standing(self) -> int:
        """1 where the network is certainly better, -1 where it is certainly worse, else 0."""
        sign = {"faster": 1, "slower": -1, "lower": 1, "higher": -1}.get(self.effect.verdict, 0)
        return -sign if self.quantity == "accuracy" else sign

    @property
    def decided(self) -> bool:
        """Whether it is certain that the network is better, worse or the same, and no flag puts it in doubt."""
        return (self.standing != 0 or self.effect.verdict in ("same", "equal")) and not doubts(self.flags)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; what is not a number is None."""
        names = {"arch": self.arch, "baseline": self.baseline, "quantity": self.quantity}
        numbers = finite(self.effect.to_json("ratio"))
        return {**names, **numbers, "n": self.effect.n, "flags": list(self.flags), "band": self.band}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a network stands to a baseline in all quantities together: `verdict` is the word, `sentence` says it whole.

    `dominates` and `dominated` are said only where every quantity is decided, accuracy among them.
    """

    arch: str
    baseline: str
    verdict: Overall
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as a line of the comparison of the quantity `all`."""
        names = {"arch": self.arch, "baseline": self.baseline, "quantity": "all"}
        return {**names, "verdict": self.verdict, "reason": self.sentence}


def stored_band(run: Run) -> float:
    """Return by how much a ratio of times may be off one and is the same, as the run was told; else the usual."""
    stored = run.info.get("band")
    return float(stored) if isinstance(stored, int | float) and 0 <= stored <= 1 else BAND


def compare_run(run: Run) -> list[Row]:
    """Return the lines of a run of `bench compare`, by baseline, judged by the band that is stored with it."""
    records = [r for r in latest(run.records).values() if r.status in ("ok", "diverged")]
    timed = [r for r in records if r.job.task == "versus"]
    if not timed:
        return []
    settings = timed[-1].job.settings.content
    compared = _Compared(
        records=records,
        timed=[r for r in timed if _asked(r) == _asked(timed[-1])],
        settings=settings,
        networks={one["label"]: one for one in settings["networks"]},
        band=stored_band(run),
    )
    first, *others = settings["labels"]
    rows = [row for other in others for row in compared.rows(first, other)]
    effects = corrected([row.effect for row in rows])
    rows = [replace(row, effect=e, band=compared.band) for row, e in zip(rows, effects, strict=True)]
    return _beside_images(rows, run)


def _asked(record: Record) -> dict[str, Any]:
    """Return what a process was asked but for its number, which chooses who is first."""
    settings = dict(record.job.settings.content)
    networks = sorted(settings.pop("networks"), key=lambda one: str(one["label"]))
    return {**settings, "replicate": None, "networks": networks}


def _beside_images(rows: list[Row], run: Run) -> list[Row]:
    """Return the lines, those of accuracies with what the choice of test images alone would do to them."""
    if not any(row.quantity == "accuracy" for row in rows):
        return rows
    trained = {(c.network, c.baseline): c for c in compare_trainings(run)}
    return [_with_images(row, trained.get((row.arch, row.baseline))) for row in rows]


def _with_images(row: Row, trained: Comparison | None) -> Row:
    if row.quantity != "accuracy" or trained is None or math.isnan(trained.image_low):
        return row
    ends = f"{100 * trained.image_low:+.2f} to {100 * trained.image_high:+.2f} points"
    return replace(row, effect=replace(row.effect, reason=f"{row.effect.reason}; over test images {ends}"))


@dataclass(frozen=True, slots=True)
class _Compared:
    """What was measured of some networks: the processes that timed them in turn, and the records of each alone."""

    records: Sequence[Record]
    timed: Sequence[Record]
    settings: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, Any]]
    band: float

    def rows(self, first: str, other: str) -> Iterator[Row]:
        for name, quantity in (("latency", "latency"), ("step_time", "throughput")):
            ratios, flags = process_ratios(self.timed, name, first, other)
            better: Better = "lower" if quantity == "latency" else "higher"
            ratios = ratios if quantity == "latency" else [1 / r for r in ratios]
            unit = "s" if quantity == "latency" else "1/s"
            effect = of_ratios(ratios, self.band, better=better, unit=unit)
            yield Row(first, other, quantity, effect, flags + self._unequal(first, other))
        for task, name in (("infer", "tensor_memory"), ("cost", "parameters"), ("cost", "macs")):
            yield from self._counted(task, name, first, other)
        yield from self._accuracy(first, other)

    def _unequal(self, first: str, other: str) -> tuple[str, ...]:
        """Return the doubt of two networks that were timed on images of different sizes."""
        sizes = {self.networks[label].get("input_size") for label in (first, other)}
        return ("other_input",) if len(sizes) > 1 else ()

    def _of(self, label: str, task: str) -> list[Record]:
        """Return the records of a network alone, as it was defined and, where it ran, set when it was timed."""
        network = self.networks[label]
        keys = (
            "arch",
            "source_sha256",
            *(("input_size", "in_channels", "num_classes") if task != "accuracy" else ()),
        )
        ran = ("batch_size", *_WAYS) if task == "infer" else ()
        return [
            r
            for r in self.records
            if r.job.task == task
            and all(getattr(r.job, key) == network.get(key) for key in keys)
            and all(r.job.settings.content.get(key) == self.settings.get(key) for key in ran)
        ]

    def _value(self, label: str, task: str, name: str) -> Measurement | None:
        """Return what was measured last, where it is a number above zero."""
        measured = [m for r in self._of(label, task) if (m := r.measurement(name)) and m.samples]
        return measured[-1] if measured and measured[-1].samples[0] > 0 else None

    def _counted(self, task: str, name: str, first: str, other: str) -> Iterator[Row]:
        """Yield the line of a count."""
        sides = [self._value(label, task, name) for label in (first, other)]
        if not (sides[0] and sides[1]):
            return
        ratio = sides[0].samples[0] / sides[1].samples[0]
        word = "equal" if ratio == 1 else direction(ratio, "lower", "1")
        reason = self._peaks(first, other) if name == "tensor_memory" else "counted"
        flags = tuple(dict.fromkeys((*sides[0].flags, *sides[1].flags, *self._unequal(first, other))))
        yield Row(first, other, name, Effect(ratio, n=1, reason=reason, verdict=word, counted=True), flags)

    def _peaks(self, first: str, other: str) -> str:
        """Return how memory was counted, with the high-water marks of the processes, which decide nothing."""
        told = f"counted, of tensors alive at once at batch {self.settings.get('batch_size')}"
        peaks = [self._value(label, "infer", "peak_memory") for label in (first, other)]
        if peaks[0] and peaks[1]:
            marks = " and ".join(show(median(m.samples), "B") for m in peaks if m)
            told += f"; the peaks of their processes, {marks}, are the library's as well"
        return told

    def _accuracy(self, first: str, other: str) -> Iterator[Row]:
        """Yield the line of the last training that both had alike."""
        sides = [self._trained(label) for label in (first, other)]
        alike = [condition for condition in sides[0] if condition in sides[1]]
        if not alike:
            return
        of, against = (side[alike[-1]] for side in sides)
        effect = of_means(of, against, band=0.0)
        diverged = [sum(map(math.isnan, values)) for values in (of, against)]
        if any(diverged):
            reason = f"{diverged[0]} and {diverged[1]} trainings diverged, which no mean can tell"
            effect = none(reason, effect.estimate, effect.n)
        yield Row(first, other, "accuracy", effect)

    def _trained(self, label: str) -> dict[str, list[float]]:
        """Return the top-1 accuracy of each training by what was asked but for the seed; NaN of one that diverged."""
        trained: defaultdict[str, list[float]] = defaultdict(list)
        for record in self._of(label, "accuracy"):
            top1 = record.measurement("top1")
            if record.status == "diverged":
                trained[conditions_of(record.job)].append(math.nan)
            elif top1 is not None:
                trained[conditions_of(record.job)].append(top1.samples[-1])
        return trained


_WAYS = ("device", "precision", "memory_format", "backend", "cudnn_benchmark", "threads")


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


def standings(rows: Sequence[Row]) -> list[Standing]:
    """Return for each baseline of a run how the network stands to it."""
    return [_standing(list(part)) for _, part in groupby(rows, key=lambda row: row.baseline)]


def _standing(rows: Sequence[Row]) -> Standing:
    arch, baseline = rows[0].arch, rows[0].baseline
    signs = {row.standing for row in rows}
    complete = {row.quantity for row in rows if row.decided} == QUANTITIES.keys()
    word: Overall = "undecided"
    if signs >= {1, -1}:
        word = "traded"
    elif complete:
        word = "dominates" if 1 in signs else "dominated" if -1 in signs else "same"
    heads = {"dominates": f"{arch} dominates {baseline}", "dominated": f"{arch} is dominated by {baseline}"}
    parts = [*_decided(rows), *_open(rows)]
    return Standing(
        arch, baseline, word, f"{heads.get(word, f'{arch} against {baseline}')}: {'; '.join(parts)}"
    )


_SAID = {"lower": "smaller", "higher": "larger", "same": "the same", "equal": "the same"}


def _decided(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what is certain, such as ``faster in latency, throughput``, the better things first."""
    said: defaultdict[str, list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: -row.standing or 2):
        word = _SAID.get(row.effect.verdict, row.effect.verdict)
        if row.standing and row.quantity == "accuracy":
            word = "better" if row.standing > 0 else "worse"
        if row.standing or row.effect.verdict in ("same", "equal"):
            flags = spoken(*doubts(row.flags))
            said[word].append(QUANTITIES[row.quantity] + (f" (in doubt: {flags})" if flags else ""))
    for word, quantities in said.items():
        yield f"{word} in {', '.join(quantities)}"


def _open(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what is undecided and what was never measured, with the command that would tell."""
    names = [row.split(" #")[0] for row in (rows[0].arch, rows[0].baseline)]
    pair = " ".join(map(shlex.quote, names))
    undecided = {row.quantity: row for row in rows if row.effect.verdict == "undecided"}
    if undecided:
        timed = [undecided[q].effect.n for q in ("latency", "throughput") if q in undecided]
        more = f" (to know: bench compare {pair} --processes {2 * max(8, *timed)})" if timed else ""
        yield f"undecided in {', '.join(QUANTITIES[q] for q in undecided)}{more}"
    missing = [q for q in QUANTITIES if q not in {row.quantity for row in rows}]
    if missing:
        how = f" (to know: bench compare {pair} --train {TRAIN_ON})" if "accuracy" in missing else ""
        yield f"never measured: {', '.join(QUANTITIES[q] for q in missing)}{how}"
