"""A race on this machine: networks are measured until it is known which is the most accurate within a budget.

Counts come first, of networks of which none are known, for a part of the time that was granted; what is not counted by
then is expected the less exactly. Then rounds of processes, of those networks alone that may matter, see
`bench.analysis.racing`, until all is decided or the time is over. Records are those of any run: the same command again
goes on with them.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.api._objects import Network, names_of
from bench.api._running import Done, Prepared, WarnsOfWaiting, info_of, run_name
from bench.api.runs import open_executor, run_folder
from bench.errors import BenchError, ConfigError
from bench.execution import Executor
from bench.execution.catalog import catalog_for, without_refused
from bench.execution.places import places_for
from bench.execution.runner import Observer, Summary, reusable, run_plan
from bench.plan.config import Experiment
from bench.plan.expand import Planned, expand
from bench.plan.task import INPUT, TASKS
from bench.records.history import records_beside
from bench.records.record import Record
from bench.records.store import Store, read_run

if TYPE_CHECKING:
    from bench.analysis.choosing import Budget
    from bench.analysis.raced import End, Raced
    from bench.analysis.racing import Race
    from bench.facts.entrants import Known

_AMONG = ("torchvision:*",)  # where none is named
_clock = time.monotonic
_ROUND = 8  # networks, after which it is thought again
_JOB_S = 120.0  # of one process at most, unless --set timeout_s says otherwise
_COUNTING = 1 / 3  # of the time that was granted, at most, goes into counts before anything is timed
_ALONE = {"least": 1, "most": 1}
_TIMING = {"warmup_s": 0.15, "min_s": 0.1, "limit_s": 0.2, "min_samples": 2}  # as in the default experiment
_CALLS = 12  # of a slow network in a process: to check, warm up, time, and count the bytes of its tensors
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
    argv: Sequence[str] | None = None,
    explain: Sequence[str] = (),
    **budgets: str,
) -> Chosen:
    """Race networks on this machine for the most accurate one within budgets, and store the records.

    They are measured until it is decided which that is.

    Args:
        among: names and globs of networks; none for those of the run that the accuracies are of, or else `_AMONG`.
        accuracy: a kind that is published, such as ``top1`` or ``real``, or the name or folder of a run with trainings
            or evaluations.
        minutes: that the race may take, counting included; the process that is under way then has ten seconds more.
        overrides: `key=value`, as with `--set`.
        name: of the run, by default made of the networks.
        results: the folder that holds runs.
        executor: a name of `EXECUTORS`, or an executor; one given as a name is closed at the end.
        observer: told of each step of the run.
        argv: the command line to note in `run.json`.
        explain: names and globs of networks that will be asked for: that they are there is known before it begins.
        budgets: what it may cost, with the unit: latency="20ms", throughput, memory, parameters, macs, energy and
            file_size; the front is of the first that is measured, or else of the latency.

    Raises:
        BenchError: for whatever cannot be carried out as written, and for a budget of what is not measured; a job that
            fails is a record, not an error.

    Example:
        >>> chosen = bench.choose("torchvision:*", latency="20ms", minutes=5)
        >>> chosen.comparison[["network", "latency", "latency_low", "latency_high"]]
    """
    from bench.analysis.choosing import Budget
    from bench.facts.accuracy import Accuracies
    from bench.facts.entrants import Known
    from bench.report.race import check_explained, race_sentences, why_not

    if not (math.isfinite(minutes) and minutes > 0):
        raise ConfigError(f"--minutes {minutes:g} is no time to race in", "such as --minutes 10")
    if any(text.partition("=")[0].strip().endswith("batch_size") for text in overrides):
        raise ConfigError(
            "the batch of a race is not to be set: it is 1 for a latency, for a throughput 4 on a CPU and 64 on a GPU",
            "leave it out, or choose from a run of yours: bench choose --on RUN",
        )
    limits = Budget.of_each(budgets)
    begin, accuracies = _clock(), Accuracies.called(accuracy, results)
    names = names_of(among) or (list(accuracies.rows["network"].unique()) if accuracies.run else list(_AMONG))
    path = run_folder(results, name or run_name("choose", names))
    with open_executor(executor, names) as opened:
        blocks = [{"task": "cost", "grid": {}}, _timed(_ONE, {})]
        experiment = Experiment.made(path.name, blocks).narrowed(archs=names, overrides=overrides)
        catalog = catalog_for(experiment, opened)
        cards = {card.name: card for cards in catalog.archs.values() for card in cards}
        known = Known.of(list(cards), accuracies.of(cards.values()))
        check_explained(known, explain)
        archs = {card.name: (card,) for card in known.cards_of(cards.values())}
        catalog = replace(catalog, archs=archs)
        prepared = Prepared(experiment, catalog, ())
        course = _Course(
            known, limits, overrides, prepared, opened, observer or WarnsOfWaiting(),
            granted_s=60 * minutes, left=lambda: begin + 60 * minutes - _clock(),
        )  # fmt: skip
        with Store(path) as store:
            info = info_of(prepared, store.run, argv)
            store.write_info(info)
            course.observer.planned((), store.run, catalog)
            course.observer.granted(course.left, len(known.table))
            raced = course.answer(store)
            jobs = [planned.job.to_json() for planned in course.plan]
            kind = f"{known.accuracy.capitalize()}, {known.origin}"
            kept = raced.drawn(kind, race_sentences(raced, known), why_not(raced))
            store.write_info({**info, "jobs": jobs, "race": kept})
        return Chosen(path, course.summary, raced, known)


def _timed(batch: object, shape: Mapping[str, object]) -> dict[str, object]:
    """Return the block that times networks in a batch."""
    processes = {"timing": _TIMING, "processes": _ALONE, "timeout_s": _JOB_S}
    return {"task": "infer", "batch_size": batch, **processes, "grid": {}, **shape}


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
        granted_s: seconds that it may take.
        left: tells how many of them are left.
        summary: of this invocation.
        plan: all jobs so far.
        counting: of rows of the table that are not counted, the job that would.
        entered: rows of the table that race.
        timed: of each entrant its jobs, without a number of their process.
        batches: what each of those jobs times, by its series.
        race: what was measured, by entrant.
        reasons: of failures, by entrant.
        uncountable: of failed counts, by row.
        disturbed: how many times were slowed down by other work on the machine.
        table: of `known`, with what was counted here.
    """

    known: Known
    budgets: Sequence[Budget]
    overrides: Sequence[str]
    prepared: Prepared
    executor: Executor
    observer: Observer
    granted_s: float
    left: Callable[[], float]
    summary: Summary = field(default_factory=Summary)
    plan: list[Planned] = field(default_factory=list)
    counting: dict[int, Planned] = field(default_factory=dict)
    entered: list[int] = field(default_factory=list)
    timed: list[list[Planned]] = field(default_factory=list)
    batches: dict[str, object] = field(default_factory=dict)
    race: Race = field(init=False)
    reasons: dict[int, str] = field(default_factory=dict)
    uncountable: dict[int, str] = field(default_factory=dict)
    disturbed: int = 0
    table: Any = None

    def answer(self, store: Store) -> Raced:
        """Race, and return what it came to; also where it is cancelled, at whatever moment that is.

        Raises:
            BenchError: where nobody has what a budget is of, such as energy on a machine without a meter.
        """
        self.table = self.known.table.copy()
        try:
            return self._concluded(self._run(store))
        except KeyboardInterrupt:  # between two jobs, where the runner does not see it
            self.summary.cancelled = True
            if not hasattr(self, "race"):
                self._enter()
            self._take_stored(store)
            return self._concluded("cancelled")

    def _run(self, store: Store) -> End:
        """Count, then measure until all is decided, the time is over or it is cancelled."""
        self._count(store)
        self._enter()
        if self.summary.cancelled:
            return "cancelled"
        self._plan_times()
        self._take(self._stored([one for own in self.timed for one in own], store))
        while further := self._next():
            for entrant in further:
                if self.left() <= 0:
                    return "time" if self.plan else "unbegun"
                if not self._measure(entrant, store):
                    return "cancelled"
        return "decided"

    def _take_stored(self, store: Store) -> None:
        """Take what was stored by now and not taken yet, as the race was cancelled between the two."""
        taken = {record.job.id for record in self.summary.records}
        planned = {one.job.id for one in self.plan}
        jobs = {one.job.series(): one for own in (list(self.counting.values()), *self.timed) for one in own}
        new = read_run(store.path).records[len(store.run.records) :]
        last = {record.job.id: record for record in new if record.job.series() in jobs}
        rest = [record for job, record in last.items() if job not in taken]
        ran = [record.job for record in rest if record.job.id not in planned]
        self.plan += [replace(jobs[job.series()], job=job) for job in ran]
        self.summary.records += rest
        self._take_counts(rest)
        self._take(rest)

    def _next(self) -> list[int]:
        """Return which entrants to measure next: first those that are drawn, or others where all of those failed."""
        if not self.entered:
            return []
        race = self.race
        untried = [i for i in range(len(self.entered)) if i not in race.failed and not race.costs[0].tries(i)]
        if first := [i for i in race.first() if i in set(untried)]:
            return first[:_ROUND]
        if not race.begun:
            return untried[:_ROUND]
        calls = _CALLS * max(map(self._images, self._batches()))
        return race.further(race.standing(), _ROUND, calls)

    def _images(self, batch: object) -> int:
        """Return the images of a call."""
        if not isinstance(batch, dict):
            return 1
        kinds = {one.job.device_kind for own in self.timed for one in own} or {"cpu"}
        return max(int(batch[kind]) for kind in kinds)

    def _count(self, store: Store) -> None:
        """Count the networks of which no counts are known, the smallest first, for a part of the time at most."""
        unknown = self.table[self.table["macs"].isna()]
        by_size = (unknown["parameters"] * unknown["input_size"] ** 2).sort_values(kind="stable")
        planned = self._planned(list(by_size.index), lambda size: {"task": "cost", **size, "grid": {}})
        self.counting = {row: own[0] for row in by_size.index if (own := planned.get(row))}
        self._take_counts(self._stored(list(self.counting.values()), store))
        self._take_counts(self._stored(list(self.counting.values()), store, records_beside(store.path)))

        def left() -> float:
            return self.left() - (1 - _COUNTING) * self.granted_s

        jobs, step = list(self.counting.values()), self.executor.at_once
        for i in range(0, len(jobs), step):
            if self.summary.cancelled or left() <= 0:
                return
            self._take_counts(self._carry_out(jobs[i : i + step], store, left))

    def _take_counts(self, records: Sequence[Record]) -> None:
        """Take what was counted."""
        from bench.facts.candidates import FP32

        columns = {"macs": "macs", "activations": "matrix_activations", "parameters": "parameters"}
        rows = {planned.job.id: row for row, planned in self.counting.items()}
        for record in records:
            if (row := rows.get(record.job.id)) is None or record.status == "cancelled":
                continue
            del self.counting[row]
            if record.status != "ok":
                self.uncountable[row] = _failure(record)
            for column, quantity in columns.items():
                if (measured := record.measurement(quantity)) is not None:
                    self.table.loc[row, column] = float(measured.samples[0])
        self.table["file_size"] = FP32 * self.table["parameters"]

    def _planned(
        self, rows: Sequence[int], block: Callable[[dict[str, object]], dict[str, object]]
    ) -> dict[int, list[Planned]]:
        """Return by row of the table the jobs of a block, at its size of images."""
        of: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for row in rows:
            of[tuple(int(self.table.loc[row, key]) for key in INPUT)].append(row)
        planned: defaultdict[int, list[Planned]] = defaultdict(list)
        for values, some in of.items():
            shape: dict[str, object] = {k: v for k, v in zip(INPUT, values, strict=True) if v}
            by_name = {self.table.loc[row, "name"]: row for row in some}
            experiment = Experiment.made("choose", [block(shape)])
            own = [text for text in self.overrides if _known_to(text, experiment.blocks[0].task)]
            experiment = experiment.narrowed(archs=list(by_name), overrides=own)
            for one in without_refused(expand(experiment, self.prepared.catalog), self.executor):
                planned[by_name[one.job.arch]].append(one)
        return dict(planned)

    def _enter(self) -> None:
        """Let those race that hold the budgets of counts, or may, as they are not counted."""
        import numpy as np

        from bench.analysis.expected_cost import CostModel, Entrants
        from bench.analysis.raced import log_cost, over_counts
        from bench.analysis.racing import Race, RacedCost

        over = over_counts(self.table, self.budgets)
        self.entered = [row for row in self.table.index if not over[row]]
        self.timed = [[] for _ in self.entered]
        rows = self.table.loc[self.entered]
        entrants = Entrants(
            names=tuple(name.rpartition(":")[2].partition(".")[0] for name in rows["name"]),
            accuracy=rows["accuracy"].to_numpy(np.float64),
            counts=rows[["macs", "activations", "parameters", "input_size"]].to_numpy(np.float64),
            times=rows[list(self.known.machines)].to_numpy(np.float64),
        )
        limits = {budget.quantity: log_cost(budget.quantity, budget.limit) for budget in self.budgets}
        costs = [
            RacedCost(CostModel(entrants), [[] for _ in self.entered], limits.get(one), exact=one == "memory")
            for one in (self.quantities if self.entered else ())
        ]
        self.race = Race(entrants, costs, counted=not {*limits} <= {*self.quantities})

    def _plan_times(self) -> None:
        """Plan what times each entrant."""
        for batch in self._batches():
            planned = self._planned(self.entered, partial(_timed, batch))
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

    def _stored(
        self, jobs: Sequence[Planned], store: Store, beside: Iterable[Record] | None = None
    ) -> list[Record]:
        """Return what there is of jobs from before: in the run, or `beside` it, which the run has then, too."""
        jobs = [one for one in jobs if one.status is None]
        if not jobs:
            return []
        places = places_for(jobs, self.executor, self.prepared.catalog)
        records = store.run.records if beside is None else tuple(beside)
        here = reusable(records, [place.environment for place in places], jobs)
        series = {one.job.series(): one for one in jobs}
        found = [record for record in here.values() if record.job.series() in series]
        if beside is not None:
            found = [record.changed(card=series[record.job.series()].card) for record in found]
            for record in found:
                store.append(record)
        self.plan += [replace(series[record.job.series()], job=record.job) for record in found]
        self.summary.reused += len(found)
        self.summary.records += found
        self.observer.reused(found)
        return found

    def _measure(self, entrant: int, store: Store) -> bool:
        """Measure an entrant in one more process; return whether that was not cancelled."""
        if self._holds_counts(entrant, store):
            planned = {one.job.id for one in self.plan}
            each = [map(one.in_process, count()) for one in self.timed[entrant]]
            jobs = [next(one for one in own if one.job.id not in planned) for own in each]
            self._take(self._carry_out(jobs, store))
        return not self.summary.cancelled

    def _holds_counts(self, entrant: int, store: Store) -> bool:
        """Return whether an entrant is to be timed: it holds the budgets of counts, for which it is counted first."""
        from bench.analysis.raced import RACED, over_counts

        row = self.entered[entrant]
        counts = [budget.quantity for budget in self.budgets if budget.quantity not in RACED]

        def unknown() -> list[str]:
            return [quantity for quantity in counts if math.isnan(self.table.loc[row, quantity])]

        if not unknown():
            return True
        if row in self.counting:
            self._take_counts(self._carry_out([self.counting[row]], store))
        if self.summary.cancelled or self.left() <= 0:
            return False
        if left := unknown():
            self._fail(entrant, self.uncountable.get(row) or f"no {left[0]} were counted")
        elif over_counts(self.table.loc[[row]], self.budgets).any():
            self.race.failed.add(entrant)
        return entrant not in self.race.failed

    def _carry_out(
        self, jobs: Sequence[Planned], store: Store, left: Callable[[], float] | None = None
    ) -> list[Record]:
        """Carry out a part of the run, and return its records; not those of what was cut off as the time was over.

        Args:
            jobs: the part.
            store: of records.
            left: seconds that the part may take; None for those that the race has left.
        """
        if not jobs:
            return []
        left = left or self.left
        part = run_plan(
            jobs,
            self.executor,
            store,
            self.prepared.catalog,
            self.observer,
            part_after=len(self.plan),
            left=left,
        )
        self.plan += jobs
        cut = ("timeout", "cancelled") if left() <= 0 else ()
        records = [record for record in part.records if record.status not in cut]
        self.summary.records += records
        self.summary.reused += part.reused
        self.summary.cancelled |= part.cancelled and self.left() > 0
        return records

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
                self._fail(entrant, _failure(record))
                continue
            for quantity, cost in zip(self.quantities, self.race.costs, strict=True):
                if self.batches[record.job.series()] != _BATCHES.get(quantity, self._batches()[-1]):
                    continue
                if (value := _value(quantity, record)) is not None:
                    disturbed, clean = cost.disturbed, cost.samples[entrant]
                    own = disturbed.setdefault(entrant, []) if record.is_disturbed else clean
                    own.append(log_cost(quantity, value))
                elif not (cost.exact and record.job.settings.given.get("replicate")):  # of the first alone
                    self._fail(entrant, f"no {quantity} was measured")

    def _fail(self, entrant: int, reason: str) -> None:
        self.race.failed.add(entrant)
        self.reasons.setdefault(entrant, reason)

    def _concluded(self, end: End) -> Raced:
        """Return what the race has come to."""
        from bench.analysis.raced import Raced

        lacking = [f"no {quantity} was measured" for quantity in self.quantities]
        reasons = set(self.reasons.values())
        if self.reasons and reasons <= set(lacking) and len(self.reasons) == len(self.entered):
            message = f"{next(iter(reasons))}, of any network: this machine has no meter of it"
            raise BenchError(message, "leave that budget out")
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


def _failure(record: Record) -> str:
    """Return how a job ended that failed, and why."""
    return f"{record.status}: {(record.error or {}).get('message') or 'without a reason'}"


def _known_to(override: str, task: str) -> bool:
    """Return whether an override is of a task: that of another one is not."""
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
    return record.job.settings.given["batch_size"] / value if quantity == "throughput" else value
