"""Evidence: the numbers that a run has for one test of a study, one a record, and the estimate that suits them.

A number is what was measured, or derived of it; an infinity what was never reached, or the worst that there is, of a
training that diverged.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.comparison import STATUS_WORDS
from bench.analysis.counts import COUNTS
from bench.analysis.ensembles import gain
from bench.analysis.trainings import differing_keys, read_trainings, series_of, settings_of
from bench.plan.job import Job
from bench.plan.study import Selector, StudyTest, matches
from bench.plan.task import tasks
from bench.records.record import Measurement, Record
from bench.records.store import Run, latest
from bench.stats.effects import Effect, Kind, correlation, none, two_groups
from bench.stats.samples import mean_with_misses, median
from bench.units import Better

# --- one number of a record ---


@dataclass(frozen=True, slots=True)
class StudyQuantity:
    """What a study asks of records.

    Attributes:
        value: the number of a record; None where it has none.
        source: the measurement that it comes from.
        unit: of the number; empty for the measurement's.
        better: which direction is an improvement; None for the measurement's.
        censored: whether it may never be reached, so that only ranks can tell.
    """

    value: Callable[[Record], float | None]
    source: str
    unit: str = ""
    better: Better | None = None
    censored: bool = False


def study_quantity(name: str, arguments: tuple[str, ...] = ()) -> StudyQuantity:
    """Return the quantity of a name and its arguments, see `bench.plan.study`."""
    if derived := _DERIVED.get(name):
        return derived(*arguments)
    return StudyQuantity(lambda r: _number(r.measurement(name)), name, censored=name == "time_to_accuracy")


def _number(measurement: Measurement | None) -> float | None:
    if measurement is None:
        return None
    if "missed" in measurement.flags:
        return -math.inf if measurement.better == "higher" else math.inf
    value = median(measurement.samples)
    return None if math.isnan(value) else value


def _epochs_to(name: str, goal: str) -> StudyQuantity:
    """Return the number (from 1) of the first epoch at whose end a goal was reached; infinite where none was."""

    def value(record: Record) -> float | None:
        measurement = record.measurement(name)
        by_epoch = None if measurement is None else measurement.detail.get("by_epoch")
        if measurement is None or not by_epoch:
            return None
        sign = 1 if measurement.better == "higher" else -1
        reached = (
            i for i, v in enumerate(by_epoch, start=1) if v is not None and sign * v >= sign * float(goal)
        )
        return float(next(reached, math.inf))

    return StudyQuantity(value, name, "epochs", "lower", censored=True)


def _gradient_first(when: str = "start") -> StudyQuantity:
    return _gradient(when, lambda first, _last: first)


def _gradient_ratio(when: str = "start") -> StudyQuantity:
    return _gradient(when, lambda first, last: first / last if last > 0 else math.nan)


def _gradient_imbalance(when: str = "start") -> StudyQuantity:
    """Return by what factor the first layer's gradient differs from the last's, whichever is larger: at least 1."""
    return _gradient(
        when, lambda first, last: max(first, last) / low if (low := min(first, last)) > 0 else math.inf
    )


def _gradient(when: str, of: Callable[[float, float], float]) -> StudyQuantity:
    name = f"gradient_norm_{when}"

    def value(record: Record) -> float | None:
        measurement = record.measurement(name)
        layers = [] if measurement is None else measurement.detail.get("by_layer") or []
        if not layers or layers[0][1] is None or layers[-1][1] is None:
            return None
        number = of(layers[0][1], layers[-1][1])
        return None if math.isnan(number) else number

    return StudyQuantity(value, name, "1", "neither")


def _throughput() -> StudyQuantity:
    def value(record: Record) -> float | None:
        step, largest = record.measurement("step_time"), record.measurement("max_batch")
        batch = largest.samples[-1] if largest else record.job.settings.given.get("batch_size")
        if step is None or not isinstance(batch, int | float):
            return None
        return batch / median(step.samples)

    return StudyQuantity(value, "step_time", "1/s", "higher")


_DERIVED: Mapping[str, Callable[..., StudyQuantity]] = {
    "epochs_to": _epochs_to,
    "gradient_first": _gradient_first,
    "gradient_imbalance": _gradient_imbalance,
    "gradient_ratio": _gradient_ratio,
    "throughput": _throughput,
}

# --- all numbers of a test ---


@dataclass(frozen=True, slots=True)
class Evidence:
    """The effect that a test is about, the unit of its difference, how many numbers there are, and what is to be said.

    `sides` are the jobs compared: two sides, or one of a trend and of an ensemble.
    """

    effect: Effect
    unit: str
    n_of: int
    n_against: int = 0
    notes: tuple[str, ...] = ()
    sides: tuple[tuple[Job, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """The jobs that one side of a test is about: those planned, their last records, and what they came to.

    Attributes:
        jobs: of one task.
        records: that have the quantity, or diverged; as many as `values`.
        values: infinite where a goal was missed or a training diverged.
        problem: why they cannot be taken together; empty where they can.
        notes: what is missing, diverged or missed.
    """

    jobs: tuple[Job, ...] = ()
    records: tuple[Record, ...] = ()
    values: tuple[float, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = ()


def gather(run: Run, test: StudyTest) -> Evidence:
    """Return what a run has for a test.

    Raises:
        StoreError: for test outputs that cannot be read.
    """
    name, arguments = test.function
    if name == "ensemble_gain":
        return _ensemble(run, test.of)
    quantity = study_quantity(name, arguments)
    if test.trend is not None:
        return _trend(run, test, quantity)
    sides = [_side(run, selector, quantity) for selector in (test.of, test.against or {})]
    notes = [
        f"{label}: {note}"
        for label, side in zip(("of", "against"), sides, strict=True)
        for note in side.notes
    ]
    problem = next((side.problem for side in sides if side.problem), "")
    effect = none(problem) if problem else _effect(name, quantity, sides, as_ratio=test.measure == "ratio")
    jobs = tuple(side.jobs for side in sides)
    return Evidence(
        effect, _unit(quantity, sides), len(sides[0].values), len(sides[1].values), tuple(notes), jobs
    )


def conditions(sides: Sequence[Sequence[Job]]) -> dict[str, str]:
    """Return under what jobs were compared: their networks, and of trainings the data set and the scale.

    ``{"networks": "plain56 against plain20", "dataset": "cifar10", "train_images": "all", "input_size": "32",
    "epochs": "20"}``; several values of one key are joined by commas, and networks that are alike told once.
    """
    jobs = [job for side in sides for job in side]
    networks = dict.fromkeys(_joined([job.arch for job in side]) for side in sides)
    values = {"networks": " against ".join(networks)}
    if jobs and all(job.task == "accuracy" for job in jobs):
        values["dataset"] = _joined([job.settings.given.get("dataset") for job in jobs])
        values["train_images"] = _joined([job.settings.given.get("train_images") or "all" for job in jobs])
        values["input_size"] = _joined([job.input_size for job in jobs])
        values["epochs"] = _joined([job.settings.given.get("epochs") for job in jobs])
    return values


def _joined(values: Sequence[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))


def _effect(name: str, quantity: StudyQuantity, sides: Sequence[Side], *, as_ratio: bool) -> Effect:
    task = next((r.job.task for side in sides for r in side.records), None)
    kind: Kind = "ranks" if quantity.censored or task != "accuracy" else "means"
    unit = "trainings" if task == "accuracy" else "processes"
    of, against = (side.values for side in sides)
    return two_groups(of, against, unit, by="counts" if name in COUNTS else kind, as_ratio=as_ratio)


def _side(run: Run, selector: Selector, quantity: StudyQuantity) -> Side:
    """Return the jobs of one task that match; the first task that has the quantity, unless one is named."""
    last = latest(run.records)
    jobs = [j for j in _planned(run) if matches(selector, j)]
    having = {j.task for j in jobs if j.id in last and last[j.id].measurement(quantity.source)}
    task = next((t for t in tasks() if t in having), None)
    if task is None:
        return Side(problem=f"no {quantity.source} of {selector_words(selector) or 'any job'} is stored")
    jobs = [j for j in jobs if j.task == task]
    records = [last[j.id] for j in jobs if j.id in last]
    measured = _measurement(quantity, records)
    better: Better = quantity.better or (measured.better if measured else "neither")
    pairs = [(r, v) for r in records if (v := _value(r, quantity, better)) is not None]
    return Side(
        jobs=tuple(jobs),
        records=tuple(r for r, _ in pairs),
        values=tuple(v for _, v in pairs),
        problem=_differing(jobs),
        notes=_notes(jobs, records, [v for r, v in pairs if r.status == "ok"]),
    )


def _planned(run: Run) -> tuple[Job, ...]:
    """Return the jobs that the run last planned; where that is not known, all that have a record."""
    return run.planned or tuple(r.job for r in latest(run.records).values())


def _measurement(quantity: StudyQuantity, records: Sequence[Record]) -> Measurement | None:
    """Return the first measurement that a quantity comes from."""
    return next((m for r in records if (m := r.measurement(quantity.source)) is not None), None)


def _unit(quantity: StudyQuantity, sides: Sequence[Side]) -> str:
    measured = _measurement(quantity, [r for side in sides for r in side.records])
    return quantity.unit or (measured.unit if measured else "1")


def _value(record: Record, quantity: StudyQuantity, better: Better) -> float | None:
    """Return the number of a record: of a training that diverged the worst that there is."""
    if record.status == "diverged" and better != "neither":
        return -math.inf if better == "higher" else math.inf
    return quantity.value(record) if record.status in ("ok", "diverged") else None


def _notes(jobs: Sequence[Job], records: Sequence[Record], values: Sequence[float]) -> tuple[str, ...]:
    states = Counter(r.status for r in records)
    pending = len(jobs) - len(records)
    notes = [f"{n} of {len(jobs)} {STATUS_WORDS[s]}" for s, n in states.items() if s != "ok"]
    missed = sum(map(math.isinf, values))
    notes += [f"reached by {len(values) - missed} of {len(values)}"] if missed else []
    return (*notes, *([f"{pending} of {len(jobs)} pending"] if pending else []))


def _differing(jobs: Sequence[Job]) -> str:
    """Return what the jobs differ in beside their seeds and replicates; empty where they are alike."""
    if len({job.series() for job in jobs}) < 2:
        return ""
    keys = differing_keys([{"arch": job.arch, **settings_of(job)} for job in jobs])
    keys = [k for k in keys if k != "replicate"] or ["network"]
    return f"the jobs differ in {', '.join(keys)}: name one in the study"


def _trend(run: Run, test: StudyTest, quantity: StudyQuantity) -> Evidence:
    """Return the rank correlation of two quantities over networks, with the mean over the trainings of each."""
    side = _side(run, test.of, quantity)
    scale = study_quantity(str(test.trend))
    networks: defaultdict[str, list[int]] = defaultdict(list)
    for i, record in enumerate(side.records):
        networks[record.job.series()].append(i)
    firsts = [side.records[places[0]] for places in networks.values()]
    values = [mean_with_misses([side.values[i] for i in places]) for places in networks.values()]
    points = zip([_of_network(run, record, scale) for record in firsts], values, strict=True)
    known = [(x, y) for x, y in points if x is not None and not math.isnan(y)]
    if len({record.job.arch for record in firsts}) < len(firsts):
        effect = none(f"one network has several points: {side.problem}")
    elif side.problem and not side.records:
        effect = none(side.problem)
    else:
        effect = correlation([x for x, _ in known], [y for _, y in known])
    lost = len(firsts) - len(known)
    notes = (*side.notes, *([f"{lost} networks without {test.trend}"] if lost else []))
    return Evidence(effect, "rho", len(known), notes=notes, sides=(side.jobs,))


def _of_network(run: Run, record: Record, scale: StudyQuantity) -> float | None:
    """Return a quantity of the network of a record: its own, or that of another record of it at the same input size."""
    own = scale.value(record)
    if own is not None:
        return own
    shape = (record.job.arch, record.job.input_size)
    others = [r for r in latest(run.records).values() if (r.job.arch, r.job.input_size) == shape]
    values = (scale.value(r) for r in others if r.status == "ok")
    return next((v for v in values if v is not None), None)


def _ensemble(run: Run, selector: Selector) -> Evidence:
    """Return the gain of the ensemble of the seeds of one network over its mean member."""
    planned = {job.id for job in _planned(run)}
    series = [s for s in series_of(run) if any(j.id in planned and matches(selector, j) for j in s.jobs)]
    if len(series) != 1:
        what = "no training is stored" if not series else f"{len(series)} kinds of trainings match: name one"
        return Evidence(none(f"{selector_words(selector) or 'any job'}: {what}"), "1", 0)
    [one] = series
    members = read_trainings(run, one)
    few = f"{len(members)} trainings have test outputs: an ensemble needs 2"
    effect = gain(members) if len(members) > 1 else none(few)
    return Evidence(effect, "1", len(members), notes=_notes(one.jobs, one.records, ()), sides=(one.jobs,))


def selector_words(selector: Selector) -> str:
    """Return ``arch plain56, epochs 20``."""
    return ", ".join(f"{key} {value}" for key, value in selector.items())
