"""A race on this machine: networks are measured until it is known which is the most accurate within a budget.

Counts come first, of networks of which none are published. Then rounds of processes, of those networks alone that may
matter, see `bench.analysis.racing`, until all is decided or the time that was granted is over. Records are those of any
run: the same command again goes on with them.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.api._objects import Network, names_of
from bench.api._running import Done, Prepared, info_of, run_name
from bench.api.runs import open_executor, run_folder
from bench.errors import BenchError, ConfigError, unknown_name
from bench.execution import Executor
from bench.execution.catalog import catalog_for
from bench.execution.places import places_for
from bench.execution.runner import Observer, Summary, reusable, run_plan
from bench.plan.config import Experiment
from bench.plan.expand import Planned, expand
from bench.records.record import Record
from bench.records.store import Run, Store, read_run

if TYPE_CHECKING:
    from bench.analysis.choosing import Budget
    from bench.analysis.raced import End, Raced
    from bench.analysis.racing import Race
    from bench.facts.entrants import Known

_AMONG = ("torchvision:*",)  # where none is named
_ROUND = 8  # networks, after which it is thought again
_JOB_S = 120.0  # of one process at most, unless --set timeout_s says otherwise
_ALONE = {"least": 1, "most": 1}
_TIMING = {"warmup_s": 0.15, "min_s": 0.1, "limit_s": 0.2, "min_samples": 2}  # as in the default experiment
_CALLS = (
    12  # of a slow network in a process: to check, to warm up, to time, and to count the bytes of its tensors
)
_ONE, _SEVERAL = 1, {"cpu": 4, "cuda": 64}
_BATCHES: dict[str, object] = {"latency": _ONE, "throughput": _SEVERAL, "energy": _SEVERAL}
_SOURCES = {"latency": "latency", "throughput": "step_time", "memory": "tensor_memory", "energy": "energy"}


@dataclass(frozen=True)
class Chosen(Done):
    """A race that has ended: its run, and what it came to.

    Attributes:
        raced: the choice, and how certain it is.
        known: the networks with their accuracies.
    """

    raced: Raced
    known: Known


def race(
    budgets: Sequence[Budget] = (),
    among: Network | Sequence[Network] = (),
    *,
    accuracy: str = "top1",
    minutes: float = 10.0,
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Chosen:
    """Measure networks until it is decided which is the most accurate within the budgets, and store the records.

    Args:
        budgets: each of a quantity of `bench.analysis.choosing.COSTS`; the front is of the first that is measured, or
            else of the latency.
        among: names and globs of networks; none for those of the run that the accuracies are of, or else `_AMONG`.
        accuracy: of `bench.facts.candidates.ACCURACIES`, or the folder or name of a run with trainings or evaluations.
        minutes: that the race may take.
        overrides: `key=value`, as with `--set`.
        name: of the run, by default made of the networks.
        results: the folder that holds runs.
        executor: a name of `EXECUTORS`, or an executor; one given as a name is closed at the end.
        observer: told of each step of the run.
        argv: the command line to note in `run.json`.
        clock: tells seconds.

    Raises:
        BenchError: for whatever cannot be carried out as written; a job that fails is a record, not an error.
    """
    from bench.facts.entrants import Known, names_in
    from bench.report.race import race_sentences

    if not (math.isfinite(minutes) and minutes > 0):
        raise ConfigError(f"--minutes {minutes:g} is no time to race in", "such as --minutes 10")
    if any(text.partition("=")[0].strip().endswith("batch_size") for text in overrides):
        raise ConfigError(
            "the batch of a race is not to be set: it is 1 for a latency, for a throughput 4 on a CPU and 64 on a GPU",
            "leave it out, or choose from a run of yours: bench choose --on RUN",
        )
    begin, run = clock(), _run_of(accuracy, Path(results))
    names = names_of(among) or (list(_AMONG) if run is None else names_in(run))
    path = run_folder(results, name or run_name("choose", names))
    with open_executor(executor, names) as opened:
        content = {"name": path.name, "blocks": [{"task": "cost", "grid": {}}, _timed(_ONE)]}
        experiment = Experiment.parse(content, "choose").narrowed(archs=names, overrides=overrides)
        catalog = catalog_for(experiment, opened)
        cards = {card.name: card for cards in catalog.archs.values() for card in cards}
        known = Known.published(list(cards), accuracy) if run is None else Known.measured(list(cards), run)
        catalog = replace(catalog, archs={card.name: (card,) for card in cards.values()})
        prepared = Prepared(experiment, catalog, ())
        course = _Course(known, budgets, overrides, prepared, opened, observer or Observer())
        with Store(path) as store:
            info = info_of(prepared, store.run, argv)
            store.write_info(info)
            course.observer.planned((), store.run, catalog.environment)
            raced = course.conclude(course.run(store, lambda: begin + 60 * minutes - clock()))
            jobs = [planned.job.to_json() for planned in course.plan]
            kind = f"{known.accuracy.capitalize()}, {known.origin}"
            store.write_info({**info, "jobs": jobs, "race": raced.drawn(kind, race_sentences(raced, known))})
        return Chosen(path, course.summary, raced, known)


def choose(
    among: Network | Sequence[Network] = (),
    *,
    accuracy: str = "top1",
    minutes: float = 10.0,
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    **budgets: str,
) -> Chosen:
    """Race networks on this machine for the most accurate one within budgets, and store the records; see `race`.

    Args:
        among: names and globs of networks; none for torchvision's.
        accuracy: as of `race`.
        minutes: as of `race`.
        overrides: as of `race`.
        name: as of `race`.
        results: as of `race`.
        executor: as of `race`.
        observer: as of `race`.
        budgets: what it may cost, with the unit: latency="20ms", throughput, memory, parameters, macs, energy and
            file_size.

    Raises:
        BenchError: as `race` does, and for a budget of what is not measured.

    Example:
        >>> chosen = bench.choose("torchvision:*", latency="20ms", minutes=5)
        >>> chosen.comparison[["network", "latency", "latency_low", "latency_high"]]
    """
    from bench.analysis.choosing import COSTS, Budget

    for quantity in budgets:
        if quantity not in COSTS:
            raise unknown_name("budget", quantity, COSTS, f"there are {', '.join(COSTS)}")
    return race(
        [Budget.read(quantity, text) for quantity, text in budgets.items()],
        among,
        accuracy=accuracy,
        minutes=minutes,
        overrides=overrides,
        name=name,
        results=results,
        executor=executor,
        observer=observer,
    )


def _block(batch: object, shape: dict[str, object]) -> dict[str, object]:
    return {**_timed(batch), **shape}


def _timed(batch: object) -> dict[str, object]:
    processes = {"timing": _TIMING, "processes": _ALONE, "timeout_s": _JOB_S}
    return {"task": "infer", "batch_size": batch, **processes, "grid": {}}


def _run_of(accuracy: str, results: Path) -> Run | None:
    """Return the run that accuracies are of; None where they are published.

    Raises:
        UnknownNameError: where they are neither.
    """
    from bench.facts.candidates import ACCURACIES

    if accuracy in ACCURACIES:
        return None
    folder = results / accuracy if (results / accuracy).is_dir() else Path(accuracy)
    if not folder.is_dir():
        hint = f"there are {', '.join(ACCURACIES)}, or name a run that has trained or evaluated them"
        raise unknown_name("accuracy", accuracy, ACCURACIES, hint)
    return read_run(folder)


@dataclass(slots=True)
class _Course:
    """A race under way.

    Attributes:
        known: the networks with their accuracies.
        budgets: that are to be held.
        overrides: of settings.
        prepared: the experiment and the catalog.
        executor: runs jobs.
        observer: told what happens.
        summary: of this invocation.
        plan: all jobs so far.
        entered: rows of the table that race.
        timed: of each entrant its jobs, without a number of their process.
        batches: what each of those jobs times, by its series.
        race: what was measured, by entrant.
        reasons: of failures, by entrant.
        disturbed: how many times were slowed down by other work on the machine.
        table: of `known`, with what was counted here.
    """

    known: Known
    budgets: Sequence[Budget]
    overrides: Sequence[str]
    prepared: Prepared
    executor: Executor
    observer: Observer
    summary: Summary = field(default_factory=Summary)
    plan: list[Planned] = field(default_factory=list)
    entered: list[int] = field(default_factory=list)
    timed: list[list[Planned]] = field(default_factory=list)
    batches: dict[str, object] = field(default_factory=dict)
    race: Race = field(init=False)
    reasons: dict[int, str] = field(default_factory=dict)
    disturbed: int = 0
    table: Any = None

    def run(self, store: Store, left: Callable[[], float]) -> End:
        """Count, then measure until all is decided, the time is over or it is cancelled."""
        self.table = self.known.table.copy()
        counted = self._count(store)
        self._enter()
        if not counted:
            return "cancelled"
        self._take_stored(store)
        while further := self._next():
            for entrant in further:
                if left() <= 0:
                    return "time"
                if not self._measure(entrant, store):
                    return "cancelled"
        return "decided"

    def _next(self) -> list[int]:
        """Return which entrants to measure next: first those that are drawn, or others where all of those failed."""
        if not self.entered:
            return []
        race = self.race
        untried = [
            i for i in range(len(self.entered)) if i not in race.failed and not race.costs[0].samples[i]
        ]
        if first := [i for i in race.first() if i in set(untried)]:
            return first[:_ROUND]
        if not any(race.costs[0].samples):
            return untried[:_ROUND]
        return race.further(
            race.standing(), _ROUND, _CALLS * max(self._images(batch) for batch in self._batches())
        )

    def _images(self, batch: object) -> int:
        """Return the images of a call."""
        if not isinstance(batch, dict):
            return 1
        kinds = {one.job.device_kind for own in self.timed for one in own} or {"cpu"}
        return max(int(batch[kind]) for kind in kinds)

    def _count(self, store: Store) -> bool:
        """Count the networks of which no counts are published; return whether that was not cancelled."""
        from bench.facts.candidates import FP32

        rows = [i for i, macs in enumerate(self.table["macs"]) if math.isnan(macs)]
        planned = self._planned(rows, lambda size: {"task": "cost", **size, "grid": {}})
        jobs = {one.job.id: row for row, own in planned.items() for one in own}
        records = self._carry_out([one for own in planned.values() for one in own], store)
        for record in records:
            columns = {"macs": "macs", "activations": "matrix_activations", "parameters": "parameters"}
            for column, quantity in columns.items():
                if record.job.id in jobs and (measured := record.measurement(quantity)) is not None:
                    self.table.loc[jobs[record.job.id], column] = float(measured.samples[0])
        self.table["file_size"] = FP32 * self.table["parameters"]
        return not self.summary.cancelled

    def _planned(
        self, rows: Sequence[int], block: Callable[[dict[str, object]], dict[str, object]]
    ) -> dict[int, list[Planned]]:
        """Return by row of the table the jobs of a block, at its size of images."""
        of: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
        for row in rows:
            one = self.table.loc[row]
            of[int(one["input_size"]), int(one["in_channels"]), int(one["num_classes"])].append(row)
        planned: defaultdict[int, list[Planned]] = defaultdict(list)
        for (size, channels, classes), some in of.items():
            shape: dict[str, object] = {"input_size": size}
            shape |= {"in_channels": channels} if channels else {}
            shape |= {"num_classes": classes} if classes else {}
            by_name = {self.table.loc[row, "name"]: row for row in some}
            experiment = Experiment.parse({"name": "choose", "blocks": [block(shape)]}, "choose")
            own = [text for text in self.overrides if _known_to(text, experiment.blocks[0].task)]
            experiment = experiment.narrowed(archs=list(by_name), overrides=own)
            for one in expand(experiment, self.prepared.catalog):
                planned[by_name[one.job.arch]].append(one)
        return dict(planned)

    def _enter(self) -> None:
        """Let those race that hold the budgets of counts."""
        import numpy as np

        from bench.analysis.expected_cost import CostModel, Entrants
        from bench.analysis.raced import RACED, log_cost
        from bench.analysis.racing import Race, RacedCost

        counted = [budget for budget in self.budgets if budget.quantity not in RACED]
        self.entered = [
            row
            for row in self.table.index
            if all(b.excess(self.table.loc[[row], b.quantity]).iloc[0] <= 1 for b in counted)
        ]
        self.timed = [[] for _ in self.entered]
        rows = self.table.loc[self.entered]
        entrants = Entrants(
            names=tuple(name.rpartition(":")[2].partition(".")[0] for name in rows["name"]),
            accuracy=rows["accuracy"].to_numpy(np.float64),
            counts=rows[["macs", "activations", "parameters", "input_size"]].to_numpy(np.float64),
            times=rows[list(self.known.machines)].to_numpy(np.float64),
        )
        if not self.entered:
            self.race = Race(entrants, [])
            return
        limits = {budget.quantity: log_cost(budget.quantity, budget.limit) for budget in self.budgets}
        nothing: list[list[list[float]]] = [[[] for _ in self.entered] for _ in self.quantities]
        self.race = Race(
            entrants,
            [
                RacedCost(CostModel(entrants), own, limits.get(quantity), exact=quantity == "memory")
                for quantity, own in zip(self.quantities, nothing, strict=True)
            ],
        )
        for batch in self._batches():
            planned = self._planned(self.entered, partial(_block, batch))
            self.batches |= {one.job.series(): batch for own in planned.values() for one in own}
            for entrant, row in enumerate(self.entered):
                self.timed[entrant] += planned.get(row, ())
        for entrant, jobs in enumerate(self.timed):
            if refused := next((job for job in jobs if job.status is not None), None):
                self._fail(entrant, f"{refused.status}: {refused.reason}")

    @property
    def quantities(self) -> list[str]:
        """What is raced: the measured quantities of the budgets, or else the latency; the front is of the first."""
        from bench.analysis.raced import RACED

        measured = [budget.quantity for budget in self.budgets if budget.quantity in RACED]
        times = [quantity for quantity in measured if quantity != "memory"] or ["latency"]
        return list(dict.fromkeys([*times, *measured]))

    def _batches(self) -> list[object]:
        """Return the batches that are timed; memory is of the largest of them."""
        wanted = [_BATCHES[quantity] for quantity in self.quantities if quantity in _BATCHES]
        return [batch for batch in (_ONE, _SEVERAL) if batch in wanted]

    def _take_stored(self, store: Store) -> None:
        """Take what the store has from before."""
        jobs = [one for own in self.timed for one in own if one.status is None]
        if not jobs:
            return
        places = places_for(jobs, self.executor, self.prepared.catalog)
        here = reusable(store.run.records, [place.environment for place in places], jobs)
        series = {one.job.series(): one for one in jobs}
        found = [record for record in here.values() if record.job.series() in series]
        self.plan += [replace(series[record.job.series()], job=record.job) for record in found]
        self.summary.reused += len(found)
        self.summary.records += found
        self.observer.reused(found)
        self._take(found)

    def _measure(self, entrant: int, store: Store) -> bool:
        """Measure an entrant in one more process; return whether that was not cancelled."""
        done = Counter(planned.job.series() for planned in self.plan)
        jobs = [planned.in_process(done[planned.job.series()]) for planned in self.timed[entrant]]
        self._take(self._carry_out(jobs, store))
        return not self.summary.cancelled

    def _carry_out(self, jobs: Sequence[Planned], store: Store) -> list[Record]:
        """Carry out a part of the run, and return its records."""
        if not jobs:
            return []
        part = run_plan(
            jobs, self.executor, store, self.prepared.catalog, self.observer, part_after=len(self.plan)
        )
        self.plan += jobs
        self.summary.records += part.records
        self.summary.reused += part.reused
        self.summary.cancelled |= part.cancelled
        return part.records

    def _take(self, records: Sequence[Record]) -> None:
        """Take what processes gave; what failed races no more."""
        from bench.analysis.raced import log_cost

        entrants = {one.job.series(): entrant for entrant, own in enumerate(self.timed) for one in own}
        for record in records:
            entrant = entrants.get(record.job.series())
            if entrant is None or record.status == "cancelled":
                continue
            self.disturbed += record.is_disturbed
            if record.status != "ok":
                self._fail(
                    entrant, f"{record.status}: {(record.error or {}).get('message') or 'without a reason'}"
                )
                continue
            for quantity, cost in zip(self.quantities, self.race.costs, strict=True):
                if self._is_of(quantity, record):
                    value = _value(quantity, record)
                    if value is None:
                        self._fail(entrant, f"no {quantity} was measured")
                    else:
                        cost.samples[entrant].append(log_cost(quantity, value))

    def _is_of(self, quantity: str, record: Record) -> bool:
        """Return whether a job measures a quantity: its batch is the one that this is of."""
        return self.batches[record.job.series()] == _BATCHES.get(quantity, self._batches()[-1])

    def _fail(self, entrant: int, reason: str) -> None:
        self.race.failed.add(entrant)
        self.reasons.setdefault(entrant, reason)

    def conclude(self, end: End) -> Raced:
        """Return what the race has come to.

        Raises:
            BenchError: where nobody has what a budget is of, such as energy on a machine without a meter.
        """
        from bench.analysis.raced import Raced

        lacking = [f"no {quantity} was measured" for quantity in self.quantities]
        reasons = set(self.reasons.values())
        if self.reasons and reasons <= set(lacking) and len(self.reasons) == len(self.entered):
            raise BenchError(
                f"{next(iter(reasons))}, of any network: this machine has no meter of it",
                "leave that budget out",
            )
        return Raced.of(
            self.race,
            self.table,
            entered=self.entered,
            quantities=self.quantities,
            budgets=self.budgets,
            images=self.known.images,
            reasons=self.reasons,
            end=end,
            disturbed=self.disturbed,
        )


def _known_to(override: str, task: str) -> bool:
    """Return whether an override is of a task: that of another one is not."""
    from bench.plan.task import TASKS

    key = override.partition("=")[0].strip()
    head, _, rest = key.partition(".")
    if head in TASKS.names() and rest:
        return head == task
    return head in TASKS.get(task).key_names


def _value(quantity: str, record: Record) -> float | None:
    """Return what a process measured, of a throughput its rate; None where it did not."""
    measured = record.measurement(_SOURCES[quantity])
    if measured is None or not measured.samples:
        return None
    value = float(median(measured.samples))
    if not (math.isfinite(value) and value > 0):
        return None
    if quantity == "throughput":
        return float(record.job.settings.given["batch_size"]) / value
    return value
