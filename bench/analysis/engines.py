"""Engines: one network as several engines run it, held against eager in single precision: speed, agreement, accuracy.

Each was timed in processes of its own, which took turns with all others. A process gives one number; Welch's t of
their logarithms decides, corrected for the number of engines of the run, see `bench.stats.verdicts`. Accuracy is of the
images that both have answered, paired. `worth it` is said of what is faster for certain and has lost at most one point
of accuracy for certain; where no accuracy was measured nothing is.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from bench.analysis.keys import grouped
from bench.errors import listed
from bench.io import finite_json
from bench.plan.settings import Timed
from bench.records.current import current
from bench.records.flags import NOISY, doubts, joined_flags, spoken
from bench.records.outputs import Answers
from bench.records.record import Measurement, Record
from bench.records.store import Run, latest
from bench.stats.comparisons import matched
from bench.stats.effects import Effect
from bench.stats.intervals import Interval
from bench.stats.samples import finite, median, process_spread
from bench.stats.verdicts import corrected, differ, show_p

_EAGER = ("eager", "fp32")
_LOSS = 0.01
"""What an engine may lose of accuracy, as a share of the images."""

_PACKAGES = ("onnx", "onnxruntime", "openvino", "nncf", "torch", "torchao", "executorch", "tensorrt")
"""Whose versions the detail of a preparation has."""

_Worth = Literal["worth it", "not worth it", "open"]
_Way = tuple[str, str, str]  # backend, precision, memory format


@dataclass(frozen=True, slots=True)
class _Accuracy:
    """What is left of a network's accuracy, on the images that eager has answered as well.

    Attributes:
        data: the data set and its split.
        correct: images that it tells right.
        images: of so many.
        lost: eager's share of right answers less its own, with McNemar's p; one that decides nothing for eager itself.
        flags: doubts about it that eager's has not, and those about the network itself: how images and classes are read
            puts no difference in doubt where both have it in common.
    """

    data: str
    correct: int
    images: int
    lost: Effect
    flags: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """The share of images that it tells right."""
        return self.correct / self.images if self.images else math.nan


@dataclass(frozen=True)
class EngineRow:
    """One network as one engine runs it.

    Attributes:
        network, backend, precision: what and how; `way` adds the layout of images where that is not the usual one.
        status: of its last job that did not end well, else `ok`.
        reason: why there is no time, as the engine says it; empty where there is one.
        tip: what to do about that; empty where nobody said.
        latency: s at batch 1, over processes; None where there is none.
        speedup: eager's time over its own, 2 is twice as fast; its verdict is corrected for all engines of the run.
        throughput: images/s at `batch`.
        batch: the largest that was timed.
        values: what else was measured of it, by the name of the measurement: the median of its processes, or the worst.
        operators: how many of those that multiply run in which type of number.
        versions: of the packages that made and run it.
        calibration: the images on which ranges were taken; empty without such.
        accuracy: on real images; None where that was not measured.
        untested: why it was not, although it was to be.
        flags: of all that was measured of it.
    """

    network: str
    backend: str
    precision: str
    status: str
    reason: str = ""
    tip: str = ""
    latency: Interval | None = None
    speedup: Effect = field(default_factory=lambda: Effect.none("not timed"))
    throughput: float = math.nan
    batch: int = 1
    values: Mapping[str, float] = field(default_factory=dict)
    operators: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    calibration: str = ""
    accuracy: _Accuracy | None = None
    untested: str = ""
    flags: tuple[str, ...] = ()

    @property
    def way(self) -> str:
        """The engine and its precision, such as ``openvino int8``."""
        return f"{self.backend} {self.precision}"

    @property
    def is_eager(self) -> bool:
        """Whether it is what all others are held against."""
        return (self.backend, self.precision) == _EAGER

    @cached_property
    def worth(self) -> _Worth:
        """Whether it is worth it to take it instead of eager."""
        if self.latency is None or doubts(self.flags_of_time):
            return "open"
        if self.speedup.verdict in ("suspected", "undecided"):
            return "open"
        if self.speedup.verdict != "faster":
            return "not worth it"
        if self.accuracy is None or math.isnan(self.accuracy.lost.low) or doubts(self.accuracy.flags):
            return "open"
        if self.accuracy.lost.high <= _LOSS:
            return "worth it"
        return "not worth it" if self.accuracy.lost.low > _LOSS else "open"

    @property
    def shortfall(self) -> str:
        """Its reason without the tip."""
        before, lacks, _ = self.reason.partition(_MISSING)
        return before + lacks.removesuffix("; ")

    @property
    def flags_of_time(self) -> tuple[str, ...]:
        """Its flags but for those that are about its answers or its memory alone."""
        return tuple(flag for flag in self.flags if flag not in ("with_preparation", "calibrated_on_noise"))

    @cached_property
    def sentence(self) -> str:
        """What is said of it in words."""
        if self.is_eager:
            return f"{self.network} in eager is what its engines are compared with."
        if self.latency is None:
            why = [self.status] * (self.status != "ok") + [self.reason.removesuffix(".")]
            return f"{self.network} by {self.way}: {': '.join(why)}."
        return f"{self.network} by {self.way} {self._speed()}; {self._left()}: {self.worth}."

    @property
    def _doubted(self) -> str:
        words = spoken(*doubts(self.flags_of_time))
        return f", in doubt: {words}" if words else ""

    def _speed(self) -> str:
        effect = self.speedup
        if math.isnan(effect.estimate):
            return f"cannot be compared with eager ({effect.reason})"
        ends = "" if math.isnan(effect.low) else f" ({effect.low:.2f} to {effect.high:.2f})"
        certain = "" if self._doubted else " for certain"
        differs = effect.verdict in ("faster", "slower")
        told = f"{effect.verdict}{certain}" if differs else f"which is {effect.verdict}"
        return f"is {effect.estimate:.2f} times as fast as eager{ends}, {told}{self._doubted}"

    def _left(self) -> str:
        one = self.accuracy
        if one is None:
            return f"its accuracy was not tested ({self.untested or 'to know: --data'})"
        lost = one.lost
        if math.isnan(lost.low):
            return f"its accuracy was not compared with eager's ({lost.reason})"
        doubt = f", in doubt: {spoken(*doubts(one.flags))}" if doubts(one.flags) else ""
        return (
            f"it loses {100 * lost.estimate:.2f} points of accuracy ({100 * lost.low:.2f} to {100 * lost.high:.2f}, "
            f"{one.images} images of {one.data}, McNemar's {show_p(lost.p, named=True)}){doubt}"
        )

    def to_json(self) -> dict[str, object]:
        """Return plain values; what is not a number is None."""
        one = self.accuracy
        names = {
            "network": self.network, "backend": self.backend, "precision": self.precision, "status": self.status,
            "reason": self.reason or None, "worth": None if self.is_eager else self.worth, "sentence": self.sentence,
        }  # fmt: skip
        numbers: dict[str, object] = {
            "latency": self.latency
            and {"s": self.latency.estimate, "low": self.latency.low, "high": self.latency.high},
            "speedup": self.speedup.to_json("ratio"),
            "throughput": self.throughput,
            "batch": self.batch,
            **self.values,
            "accuracy": one and {"data": one.data, "top1": one.value, "images": one.images},
            "untested": self.untested or None,
            "lost": one and one.lost.to_json("points"),
        }
        told = {
            "operators": dict(self.operators), "versions": dict(self.versions), "calibration": self.calibration or None,
            "flags": list(self.flags),
        }  # fmt: skip
        return {**names, **finite_json(numbers), **told}

    @classmethod
    def in_run(cls, run: Run) -> list[EngineRow]:
        """Return a row for each network and engine of a run in which one of them was to be held against eager.

        A network that was planned in eager alone, or without it, has none. Rows of a network stand together, eager
        first.

        Raises:
            StoreError: for answers of evaluations that cannot be read.
        """
        every = current(run).records
        records = [_with_preparation(record, every) for record in latest(every).values()]
        evaluated = [r for r in records if r.job.task == "evaluate"]
        timed = [r for r in records if r.job.task == "infer" and isinstance(r.job.settings, Timed)]
        groups = grouped(timed, _network_key)
        times = map(_latencies, grouped(timed, lambda record: record.job.series()).values())
        spread = process_spread([[math.log(time) for time in own if time > 0] for own in times])
        rows = [row for group in groups.values() for row in _of_network(run, group, evaluated, spread)]
        tested = corrected([row.speedup for row in rows], "suspected")
        return [replace(row, speedup=effect) for row, effect in zip(rows, tested, strict=True)]

    @staticmethod
    def notes(rows: Sequence[EngineRow]) -> list[str]:
        """Return a sentence for each engine that was timed, what all are held against, and what is to be installed."""
        if not rows:
            return []
        timed = [row for row in rows if not row.is_eager and row.latency is not None]
        tested = any(row.accuracy for row in rows)  # else it is said once, of all
        notes = [
            row.sentence if tested else f"{row.network} by {row.way} {row._speed()}; {row.worth}."
            for row in timed
        ]
        notes.append(
            "Times are compared with eager in fp32, over interleaved processes, by Welch's t of logarithms, corrected "
            f"for all engines of the run. Worth it is what is faster for certain and loses at most {100 * _LOSS:g} "
            "point of accuracy for certain, on images that both have answered."
        )
        if not tested:
            of = [row for row in rows if row.is_eager or row.latency is not None]  # of others all is said
            why = "; ".join(dict.fromkeys(row.untested for row in of if row.untested)) or "to know: --data"
            notes.append(
                f"No accuracy was tested ({why}), without which none is worth it; agreement is on noise, and "
                "says little of real images."
            )
        notes += [
            f"{way}: {', '.join(f'{name} {version}' for name, version in versions.items())}."
            for way, versions in {row.way: row.versions for row in rows if row.versions}.items()
        ]
        notes += [
            f"{row.way} took its ranges on {row.calibration}."
            for row in {row.way: row for row in rows if row.calibration}.values()
        ]
        engines: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for row in rows:
            engines[row.tip][row.backend] = None
        notes += [f"To have {', '.join(of)}: {tip}" for tip, of in engines.items() if tip]
        return notes

    @staticmethod
    def reasons(rows: Sequence[EngineRow]) -> list[str]:
        """Return a sentence for each way and reason why there is no time, with the networks of which that is so."""
        networks: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        for row in rows:
            if row.latency is None:
                networks[row.way, row.status, row.shortfall.removesuffix(".")].append(row.network)
        return [
            f"{way}, of {listed(of)}: {f'{status}: ' if status != 'ok' else ''}{reason}."
            for (way, status, reason), of in networks.items()
        ]


_MISSING = " missing; "  # between what an engine lacks and how to install it, see `refusal_on_cpu`

_VALUES = (
    *("peak_memory", "prepare_time", "load_time", "artefact_size", "threads_used", "precision_share"),
    *("clipped_share", "output_difference", "mean_difference", "other_answers"),
)
"""What else is told of an engine, by the name of the measurement."""


def _with_preparation(record: Record, every: Sequence[Record]) -> Record:
    """Return a record that has what its job took to prepare, where an earlier try prepared and this one loaded that."""
    if record.measurement("load_time") is None:
        return record
    tries = (r for r in every if r.job.id == record.job.id and r.status == "ok")
    made = next((m for r in tries if (m := r.measurement("prepare_time")) is not None), None)
    return record if made is None else record.changed(measurements=(*record.measurements, made))


def _network_key(record: Record) -> str:
    job = record.job
    own = (job.arch, job.source_sha256, job.input_size, job.in_channels, job.num_classes, job.device)
    return json.dumps([*own, job.settings.given.get("threads")])


def _of_network(
    run: Run, records: Sequence[Record], evaluated: Sequence[Record], spread: float
) -> Iterator[EngineRow]:
    ways: defaultdict[_Way, list[Record]] = defaultdict(list)
    for record in records:
        settings = record.job.settings
        assert isinstance(settings, Timed)
        if settings.memory_format == "contiguous" or (settings.backend, settings.precision) != _EAGER:
            ways[settings.backend, settings.precision, settings.memory_format].append(record)
    eager = (*_EAGER, "contiguous")
    if eager not in ways or len({way[0] for way in ways}) < 2:
        return
    answers = _Answered(run, [r for r in evaluated if r.job.arch == records[0].job.arch])
    before = _latencies(ways[eager])
    for way in sorted(ways, key=lambda way: (way != eager, way[0], way[1] != "fp32", way[1])):
        row = _row(way, ways[way], answers)
        speedup = (
            Effect.none("eager itself")
            if way == eager
            else differ(_latencies(ways[way]), before, better="higher", unit="1/s", spread=spread)
        )
        yield replace(row, speedup=speedup)


def _latencies(records: Sequence[Record]) -> list[float]:
    """Return the median time of one image in each process that ended well."""
    measured = (r.measurement("latency") for r in records if r.status == "ok" and _batch(r) == 1)
    return finite([median(m.samples) for m in measured if m is not None])


def _batch(record: Record) -> int:
    """Return the images of a call; of `max` the most that fit."""
    given, largest = record.job.settings.given.get("batch_size"), record.measurement("max_batch")
    if largest is not None and largest.samples:
        return int(largest.samples[0])
    return given if isinstance(given, int) else 1


def _row(way: _Way, records: Sequence[Record], answers: _Answered) -> EngineRow:
    backend, precision, memory_format = way
    failed = [r for r in records if r.status != "ok"]
    ok = [r for r in records if r.status == "ok"]
    latencies = _latencies(records)
    latency = Interval.over_processes(latencies) if latencies else None
    batch = max(map(_batch, ok), default=1)
    largest = [r for r in ok if _batch(r) == batch]
    steps = finite([median(m.samples) for r in largest if (m := r.measurement("step_time"))])
    values = {name: _value(largest, name) for name in _VALUES}
    of_one = [r for r in ok if _batch(r) == 1] or ok
    values |= {name: _value(of_one, name) for name in _VALUES if name != "peak_memory"}
    reason = "it was not timed with one image" if ok else "it has not run yet"
    if failed and failed[-1].error:
        reason = _message(failed[-1])
    detail = _detail(of_one, "prepare_time") or _detail(of_one, "load_time")
    return EngineRow(
        network=records[0].job.arch,
        backend=backend if memory_format == "contiguous" else f"{backend} {memory_format}",
        precision=precision,
        status=failed[-1].status if failed else "ok",
        reason=reason if latency is None else "",
        tip=_tip(failed[-1]) if failed and latency is None else "",
        latency=latency,
        throughput=batch / median(steps) if steps else math.nan,
        batch=batch,
        values={name: value for name, value in values.items() if math.isfinite(value)},
        operators=_detail(of_one, "precision_share").get("operators", {}),
        versions={name: str(detail[name]) for name in _PACKAGES if name in detail},
        calibration=str(detail.get("calibration", "")),
        accuracy=answers.of(backend, precision),
        untested=answers.untested(backend, precision),
        flags=_flags(of_one, latency),
    )


def _message(record: Record) -> str:
    return str((record.error or {}).get("message", ""))


def _tip(record: Record) -> str:
    """Return what to do about a failure: how to install what is lacking, or as the error says."""
    return _message(record).partition(_MISSING)[2] or str((record.error or {}).get("tip") or "")


def _measurements(records: Sequence[Record], name: str) -> list[Measurement]:
    return [m for r in records if (m := r.measurement(name)) is not None and m.samples]


def _value(records: Sequence[Record], name: str) -> float:
    """Return the median over processes; of what puts a time in doubt that of the worst process."""
    values = [float(m.samples[0]) for m in _measurements(records, name)]
    return _WORST.get(name, median)([v for v in values if not math.isnan(v)] or [math.nan])


_WORST: Mapping[str, Callable[[Sequence[float]], float]] = {
    "threads_used": min,
    "precision_share": min,
    "clipped_share": max,
    "output_difference": max,
}


def _detail(records: Sequence[Record], name: str) -> Mapping[str, dict[str, int]]:
    measured = _measurements(records, name)
    return measured[0].detail if measured else {}


def _flags(records: Sequence[Record], latency: Interval | None) -> tuple[str, ...]:
    """Return the flags of all that was measured of one image, those of a time over all of its processes."""
    several = latency is not None and latency.n > 1
    wide = several and latency is not None and latency.high - latency.low > 2 * NOISY * latency.estimate
    raised = [m.flags for r in records for m in r.measurements if m.name != "step_time"]
    flags = joined_flags(raised, several=several, wide=wide)
    return (*flags, *(["one_process"] * (latency is not None and not several)))


class _Answered:
    """What a network said of images, by backend and precision; held against what it said in eager."""

    def __init__(self, run: Run, evaluations: Sequence[Record]) -> None:
        self.run, self.data = run, ""
        every: dict[tuple[str, str], Record] = {}
        if evaluations:
            last = ([r for r in evaluations if r.status == "ok"] or evaluations)[-1]
            given = last.job.settings.given
            self.data = f"{given.get('data', '')} {given.get('split', 'val')}"
            for record in evaluations:
                given = record.job.settings.given
                if _images(record) == _images(last):
                    every[given.get("backend", "eager"), given.get("precision", "fp32")] = record
        self.records = {way: r for way, r in every.items() if r.status == "ok"}
        self.failed = {way: r for way, r in every.items() if r.status != "ok"}

    @cached_property
    def eager(self) -> Answers | None:
        """What eager said."""
        record = self.records.get(_EAGER)
        return None if record is None else Answers.read(self.run.path, record)

    def of(self, backend: str, precision: str) -> _Accuracy | None:
        """Return the accuracy of an engine, of the images that eager has answered as well; None where it has none."""
        record = self.records.get((backend, precision))
        top1 = None if record is None else record.measurement("top1")
        if record is None or top1 is None:
            return None
        counted = int(top1.detail["correct"]), int(top1.detail["images"])
        if (backend, precision) == _EAGER:
            return _Accuracy(self.data, *counted, Effect.none("eager itself"), top1.flags)
        eagers = self.records[_EAGER].measurement("top1") if _EAGER in self.records else None
        of_both = () if eagers is None else set(eagers.flags) - _OF_NETWORK
        flags = tuple(flag for flag in top1.flags if flag not in of_both)
        own = Answers.read(self.run.path, record)
        if own is None or self.eager is None:
            why = self.untested(*_EAGER)
            lacks = f"eager's was not tested: {why}" if why else "no answers of both are stored"
            return _Accuracy(self.data, *counted, Effect.none(lacks), flags)
        places = zip((self.eager, own), self.eager.places_shared(own), strict=True)
        of_eager, right = (one.top5[at, 0] == one.labels[at] for one, at in places)
        return _Accuracy(self.data, int(right.sum()), len(right), matched(of_eager, right), flags)

    def untested(self, backend: str, precision: str) -> str:
        """Return how the evaluation of an engine failed; empty where it did not, or none was asked for."""
        record = self.failed.get((backend, precision))
        if record is None:
            return ""
        said, tip = f"{record.status}: {_message(record)}".removesuffix("."), _tip(record)
        return said if not tip or tip in said else f"{said}; {tip}"


_OF_NETWORK = {"random_weights", "answers_vary", "changes_itself"}
"""Doubts about a network's answers: where they say nothing, nothing is left or lost of them."""


def _images(record: Record) -> str:
    """Return what tells the images of an evaluation from others, those that lay in a folder before among them."""
    given = record.job.settings.content
    return json.dumps([given.get(key) for key in _OF_IMAGES], sort_keys=True)


_OF_IMAGES = ("data", "split", "limit", "data_sha256", "transform", "corruption")
