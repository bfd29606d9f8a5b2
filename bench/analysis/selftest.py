"""What the harness's certainty is worth on this machine.

Two kinds of jobs tell. Comparisons run a network with itself, and with itself made slower, in turn in each of several
processes, as `bench compare` does. Rows are two networks, at batch 1 and at a larger one, in so many processes that two
or more runs could be made of them, as `bench run` does. The noise that it finds bounds what a comparison on the same
machine may call an effect.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bench.analysis.keys import grouped
from bench.analysis.versus import Ratio
from bench.errors import StoreError
from bench.io import ToJson, finite_json
from bench.plan.settings import Processes
from bench.records import environment
from bench.records.record import Record
from bench.records.store import RECORDS, Run, latest, read_run
from bench.stats.calibration import Calibration, Levels
from bench.stats.effects import Effect
from bench.stats.intervals import Proportion
from bench.stats.samples import median
from bench.stats.verdicts import BAND, of_ratios
from bench.tasks.versus import SLOWDOWNS

SELFTEST = "selftest"  # the run
_SAME = "A again"
_TIMES = ("latency", "step_time")


@dataclass(frozen=True, slots=True)
class Trial(ToJson):
    """Comparisons of a network with itself, made slower by `slowdown` (0 for not at all)."""

    slowdown: float  # as a share of its time
    called: Proportion  # how many comparisons called it slower, or, where nothing was slowed down, different
    ratio: float  # median of the estimated ratios
    reach: float  # median half width of their intervals, as a share: the smallest effect that they resolve


@dataclass(frozen=True, slots=True)
class Scatter(ToJson):
    """One time of one network: `latency` or `step_time`, and how it scatters; see `bench.stats.calibration.Levels`."""

    arch: str
    quantity: str
    batch_size: int | str  # images, or `max`
    levels: Levels

    @property
    def between(self) -> float:
        """Return the standard deviation of processes' medians, had each endless samples, as a share."""
        return math.sqrt(self.levels.between)

    def to_json(self) -> dict[str, object]:
        """Return plain values; standard deviations as shares, what is not a number is None."""
        levels = self.levels
        named = {"arch": self.arch, "quantity": self.quantity, "batch_size": self.batch_size}
        scatter = {"between": self.between, "within": levels.spread, "correlation": levels.correlation}
        return {**named, "processes": levels.processes, **finite_json(scatter)}


@dataclass(frozen=True, slots=True)
class Selftest(ToJson):
    """The whole."""

    trials: tuple[Trial, ...]  # comparisons, by rising slowdown
    overhead: float  # of a call in the harness over a bare loop's, a ratio
    timer_resolution: float  # the clock's step in s
    # the ratio less one that 95 % of the comparisons of equal networks stay below, and at least the smallest
    # effect that they resolve
    noise_floor: float
    doubts: tuple[str, ...] = ()  # flags of the times
    rows: tuple[Scatter, ...] = ()  # how times scatter; none in a self-test from before they were measured
    # what two runs of those rows say of each other; None where there are too few processes for two
    calibration: Calibration | None = None

    @classmethod
    def of(cls, run: Run, size: int = Processes().least) -> Selftest | None:
        """Return what the records of a self-test say; None where there are no comparisons.

        Args:
            run: as it is stored; where it says what was last to be measured, only that counts.
            size: processes of a run.
        """
        planned = {job.id for job in run.planned}
        last = [r for r in latest(run.records).values() if not planned or r.job.id in planned]
        records = [r for r in last if r.status == "ok"]
        comparisons = [r for r in records if r.job.settings.given.get("harness")]
        if not comparisons:
            return None
        trials = _trials(comparisons)
        rows, medians = _rows([r for r in records if r.job.task == "infer"])
        times = [m for r in records for m in r.measurements if m.name in _TIMES]
        calibration = Calibration.of(medians, size, SLOWDOWNS) if medians else None
        return cls(
            trials=trials,
            overhead=_median(comparisons, "overhead"),
            timer_resolution=_median(comparisons, "timer_resolution"),
            noise_floor=Calibration.noise_floor(_effects(comparisons, _SAME), trials[0].reach),
            doubts=tuple(sorted({f for m in times for f in m.flags})),
            rows=rows,
            calibration=calibration if calibration and calibration.alarms.of else None,
        )

    @staticmethod
    def beside(runs: Sequence[Run]) -> list[Selftest | StoreError | None]:
        """Return what the self-test in the folder of each run says of the machine that timed the run.

        None where nothing was timed, or no self-test was made there in an equal environment; of one that cannot be
        read, the error.
        """
        stored = cache(_stored)  # of many runs in one folder it is read once

        def said_of(run: Run) -> Selftest | StoreError | None:
            environments = _timed_in(run)
            try:
                return _selftest(stored(run.path.parent), environments) if environments else None
            except StoreError as error:
                return error

        return [said_of(run) for run in runs]

    @staticmethod
    def band_in(results: Path, environments: Collection[str], least: float = BAND) -> float:
        """Return the least effect that a comparison may call one: at least `least`, and above the noise.

        The noise is that of the self-test in the same folder of results, where one was made in an equal environment.

        Args:
            results: the folder that holds runs.
            environments: keys of those that the comparison is made in, see `bench.records.environment.key`.
            least: a ratio less one.
        """
        tested = _selftest(_stored(results), environments) if environments else None
        return max(least, tested.noise_floor) if tested and math.isfinite(tested.noise_floor) else least


def band_of(results: Path, run: Run, least: float = BAND) -> float:
    """Return the least effect that a comparison in `run` may call one, see `Selftest.band_in`."""
    return Selftest.band_in(results, _timed_in(run), least)


def _stored(results: Path) -> Run | None:
    """Return the run of the self-test in a folder of results, None where there is none."""
    return read_run(results / SELFTEST) if (results / SELFTEST / RECORDS).exists() else None


def _selftest(run: Run | None, environments: Collection[str]) -> Selftest | None:
    """Return what a self-test says of some environments."""
    if run is None:
        return None
    records = tuple(r for r in run.records if not _keys(r).isdisjoint(environments))
    return Selftest.of(replace(run, records=records))


def _timed_in(run: Run) -> set[str]:
    """Return the environments in which a run timed anything."""
    return set[str]().union(*(_keys(r) for r in run.records if r.job.task != "cost"))


def _keys(record: Record) -> set[str]:
    return environment.keys(record.environment, record.job.devices)


def _trials(records: Sequence[Record]) -> tuple[Trial, ...]:
    slowdowns = {n.label: n.slowdown for n in records[0].job.settings.given["networks"]}
    trials = [_trial(share, _effects(records, label)) for label, share in slowdowns.items() if label != "A"]
    return tuple(sorted(trials, key=lambda t: t.slowdown))


def _effects(records: Sequence[Record], label: str) -> list[Effect]:
    """Return the effects of all comparisons of a label with A, of latency and of step time."""
    groups = grouped(records, lambda record: record.job.settings.given["group"])
    pairs = [Ratio.of_processes(group, name, label, "A")[0] for group in groups.values() for name in _TIMES]
    return [of_ratios(ratios, band=0.0) for ratios in pairs]


def _trial(slowdown: float, effects: Sequence[Effect]) -> Trial:
    calls = ("slower",) if slowdown else ("slower", "faster")
    return Trial(
        slowdown=slowdown,
        called=Proportion.over([e.verdict in calls for e in effects]),
        ratio=median([e.estimate for e in effects]),
        reach=median([(e.high - e.low) / 2 for e in effects]),
    )


def _rows(records: Sequence[Record]) -> tuple[tuple[Scatter, ...], list[list[float]]]:
    """Return how each time scatters, and the medians of its processes, in the order of their numbers."""

    def place(record: Record) -> tuple[str, str, int]:
        settings = record.job.settings.given
        return record.job.arch, str(settings["batch_size"]), int(settings.get("replicate", 0))

    rows, medians = [], []
    for group in grouped(sorted(records, key=place), lambda record: record.job.series()).values():
        arch, batch = group[0].job.arch, group[0].job.settings.given["batch_size"]
        name = "latency" if batch == 1 else "step_time"
        samples = [m.samples for r in group if (m := r.measurement(name)) is not None]
        rows.append(Scatter(arch, name, batch, Levels.of(samples)))
        medians.append([median(s) for s in samples])
    return tuple(rows), medians


def _median(records: Sequence[Record], name: str) -> float:
    return median([median(m.samples) for r in records for m in r.measurements if m.name == name])
