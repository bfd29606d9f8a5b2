"""Evidence: the numbers that a run has for one test of a study, and the estimate that suits them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.comparison import COUNTS, STATUS_WORDS
from bench.analysis.ensembles import gain
from bench.analysis.members import members, settings_of, trainings_of
from bench.analysis.quantities import Quantity, quantity
from bench.plan.job import Job
from bench.plan.study import Selector, StudyTest, matches
from bench.plan.task import tasks
from bench.records.record import Record
from bench.records.store import Run, latest
from bench.stats.effects import Effect, correlation, exact, none, rank_sums, ratio, welch
from bench.stats.samples import mean
from bench.units import Better


@dataclass(frozen=True, slots=True)
class Evidence:
    """The effect that a test is about, the unit of its difference, how many numbers there are, and what is to be said.

    `sides` are the jobs compared: two sides, or one of a trend and of an ensemble.
    """

    effect: Effect
    unit: str
    n_of: int
    n_against: int
    notes: tuple[str, ...] = ()
    sides: tuple[tuple[Job, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """The jobs that one side of a test is about: those asked for, their last records, and what they came to.

    Attributes:
        jobs: of one task.
        records: that have the quantity, or diverged; as many as `values`.
        values: infinite where a goal was missed or a training diverged.
        problem: why they cannot be taken together; empty where they can.
        notes: what is missing, diverged or missed.
    """

    jobs: tuple[Job, ...]
    records: tuple[Record, ...]
    values: tuple[float, ...]
    problem: str
    notes: tuple[str, ...]


def gather(run: Run, test: StudyTest) -> Evidence:
    """Return what a run has for a test.

    Raises:
        StoreError: for test outputs that cannot be read.
    """
    name, arguments = test.function
    if name == "ensemble_gain":
        return _ensemble(run, test.of)
    asked = quantity(name, arguments)
    if test.trend is not None:
        return _trend(run, test, asked)
    sides = [_side(run, selector, asked) for selector in (test.of, test.against or {})]
    notes = tuple(
        f"{label}: {note}"
        for label, side in zip(("of", "against"), sides, strict=True)
        for note in side.notes
    )
    problem = next((side.problem for side in sides if side.problem), "")
    effect = none(problem) if problem else _effect(name, asked, sides, log=test.measure == "ratio")
    jobs = tuple(side.jobs for side in sides)
    return Evidence(effect, _unit(asked, sides), len(sides[0].values), len(sides[1].values), notes, jobs)


def conditions(sides: Sequence[Sequence[Job]]) -> dict[str, str]:
    """Return under what jobs were compared: their networks, and of trainings the data set and the scale.

    ``{"networks": "plain56 against plain20", "dataset": "cifar10", "train_images": "all", "input_size": "32",
    "epochs": "20"}``; several values of one key are joined by commas, and networks that are alike told once.
    """
    jobs = [job for side in sides for job in side]
    networks = dict.fromkeys(_joined([job.arch for job in side]) for side in sides)
    told = {"networks": " against ".join(networks)}
    if jobs and all(job.task == "accuracy" for job in jobs):
        told["dataset"] = _joined([job.settings.given.get("dataset") for job in jobs])
        told["train_images"] = _joined([job.settings.given.get("train_images") or "all" for job in jobs])
        told["input_size"] = _joined([job.input_size for job in jobs])
        told["epochs"] = _joined([job.settings.given.get("epochs") for job in jobs])
    return told


def _joined(values: Sequence[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))


def _effect(name: str, asked: Quantity, sides: Sequence[Side], *, log: bool) -> Effect:
    """Return the effect by what suits the quantity: exact, by ranks or by means; a ratio is of geometric means."""
    of, against = (np.array(side.values, dtype=np.float64) for side in sides)
    if log and min(of.min(initial=1), against.min(initial=1)) <= 0:
        return none("a ratio needs numbers above zero")
    if log:
        of, against = np.log(of), np.log(against)
    task = next((r.job.task for side in sides for r in side.records), None)
    unit = "trainings" if task == "accuracy" else "processes"
    by_ranks = asked.censored or task != "accuracy" or bool(np.isinf([*of, *against]).any())
    if name in COUNTS:
        effect = exact(of, against)
    else:
        effect = rank_sums(of, against, unit) if by_ranks else welch(of, against, unit)
    return ratio(effect) if log else effect


def _side(run: Run, selector: Selector, asked: Quantity) -> Side:
    """Return the jobs of one task that match; the first of them that has the quantity, unless one is named."""
    last = latest(run.records)
    jobs = [j for j in _asked_for(run) if matches(selector, j)]
    having = {j.task for j in jobs if j.id in last and last[j.id].measurement(asked.source)}
    task = next((t for t in tasks() if t in having), None)
    if task is None:
        return Side((), (), (), f"no {asked.source} of {_words(selector)} is stored", ())
    jobs = [j for j in jobs if j.task == task]
    found = [last[j.id] for j in jobs if j.id in last]
    better = _better(asked, found)
    pairs = [(r, v) for r in found if (v := _value(r, asked, better)) is not None]
    notes = _notes(jobs, found, [v for r, v in pairs if r.status == "ok"])
    return Side(tuple(jobs), tuple(r for r, _ in pairs), tuple(v for _, v in pairs), _differing(jobs), notes)


def _asked_for(run: Run) -> tuple[Job, ...]:
    """Return the jobs that the run last asked for; where that is not known, all that have a record."""
    return run.planned or tuple(r.job for r in latest(run.records).values())


def _better(asked: Quantity, records: Sequence[Record]) -> Better:
    if asked.better is not None:
        return asked.better
    seen = (r.measurement(asked.source) for r in records)
    return next((m.better for m in seen if m is not None), "neither")


def _value(record: Record, asked: Quantity, better: Better) -> float | None:
    """Return the number of a record: of a training that diverged the worst that there is."""
    if record.status == "diverged" and better != "neither":
        return -math.inf if better == "higher" else math.inf
    return asked.value(record) if record.status in ("ok", "diverged") else None


def _notes(jobs: Sequence[Job], records: Sequence[Record], values: Sequence[float]) -> tuple[str, ...]:
    states = Counter(r.status for r in records)
    pending = len(jobs) - len(records)
    told = [f"{n} of {len(jobs)} {STATUS_WORDS[s]}" for s, n in states.items() if s != "ok"]
    missed = sum(map(math.isinf, values))
    told += [f"reached by {len(values) - missed} of {len(values)}"] if missed else []
    return (*told, *([f"{pending} of {len(jobs)} pending"] if pending else []))


def _differing(jobs: Sequence[Job]) -> str:
    """Return what the jobs differ in beside their seeds and replicates; empty where they are alike."""
    if len({job.series() for job in jobs}) < 2:
        return ""
    told = [{"arch": job.arch, **settings_of(job)} for job in jobs]
    keys = [k for k in dict.fromkeys(k for t in told for k in t) if len({str(t.get(k)) for t in told}) > 1]
    keys = [k for k in keys if k != "replicate"] or ["network"]
    return f"the jobs differ in {', '.join(keys)}: name one in the study"


def _unit(asked: Quantity, sides: Sequence[Side]) -> str:
    if asked.unit:
        return asked.unit
    seen = (r.measurement(asked.source) for side in sides for r in side.records)
    return next((m.unit for m in seen if m is not None), "1")


def _trend(run: Run, test: StudyTest, asked: Quantity) -> Evidence:
    """Return the rank correlation of two quantities over networks, with the mean over the trainings of each."""
    side = _side(run, test.of, asked)
    scale = quantity(str(test.trend))
    networks: defaultdict[str, list[int]] = defaultdict(list)
    for i, record in enumerate(side.records):
        networks[record.job.series()].append(i)
    archs = [side.records[at[0]].job.arch for at in networks.values()]
    points = [
        (_of_network(run, side.records[at[0]], scale), _central([side.values[i] for i in at]))
        for at in networks.values()
    ]
    known = [(x, y) for x, y in points if x is not None and not math.isnan(y)]
    if len(set(archs)) < len(archs):
        effect = none(f"one network has several points: {side.problem}")
    elif side.problem and not side.records:
        effect = none(side.problem)
    else:
        effect = correlation([x for x, _ in known], [y for _, y in known])
    lost = len(points) - len(known)
    notes = (*side.notes, *([f"{lost} networks without {test.trend}"] if lost else []))
    return Evidence(effect, "rho", len(known), 0, notes, (side.jobs,))


def _central(values: Sequence[float]) -> float:
    """Return the mean, or an infinity where there is one: the network's place among the others is then the last."""
    return next((v for v in values if math.isinf(v)), mean(values))


def _of_network(run: Run, record: Record, scale: Quantity) -> float | None:
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
    asked = {job.id for job in _asked_for(run)}
    found = [t for t in trainings_of(run) if any(j.id in asked and matches(selector, j) for j in t.jobs)]
    if len(found) != 1:
        what = "no training is stored" if not found else f"{len(found)} kinds of trainings match: name one"
        return Evidence(none(f"{_words(selector)}: {what}"), "1", 0, 0)
    [trainings] = found
    some = members(run, trainings)
    estimate = (
        gain(some) if len(some) > 1 else none(f"{len(some)} trainings have test outputs: an ensemble needs 2")
    )
    notes = _notes(trainings.jobs, trainings.records, ())
    return Evidence(estimate, "1", len(some), 0, notes, (tuple(trainings.jobs),))


def _words(selector: Selector) -> str:
    return ", ".join(f"{key} {value}" for key, value in selector.items()) or "any job"
