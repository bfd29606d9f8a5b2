"""Runs: an experiment is planned, measured and stored."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import bench
from bench.api._objects import Network, names_of
from bench.api.runs import open_executor, run_folder
from bench.errors import ConfigError, UnknownNameError, nearest
from bench.execution import Executor
from bench.execution.catalog import ask, catalog_for, with_counts, without_refused
from bench.execution.data import fetch_all, without
from bench.execution.places import Remote, places_for
from bench.execution.runner import Observer, Summary, reusable, run_plan
from bench.io import JsonObject, uncollected
from bench.plan.config import Experiment
from bench.plan.expand import Catalog, Planned, expand, in_rounds
from bench.plan.files import experiments
from bench.plan.task import TASKS
from bench.records.machines import by_machine, machine_of, machines_of
from bench.records.record import Record
from bench.records.store import RECORDS, Run, Store, read_info, read_run

if TYPE_CHECKING:
    import pandas as pd

    from bench.report.notebook import Comparison, Records

_ALL = "all"
_DEFAULT = "default"
_TRAINING_LIMIT = 24 * 3600.0  # s of one training, unless --set timeout_s says otherwise


@dataclass(frozen=True, slots=True)
class Prepared:
    """An experiment, a catalog of the machine and the networks, and the jobs that follow from both."""

    experiment: Experiment
    catalog: Catalog
    plan: tuple[Planned, ...]


@dataclass(frozen=True, repr=False)
class Done:
    """A run that has ended: its folder, and a summary of the invocation.

    Attributes:
        path: the folder of the run.
        summary: the records of this invocation's jobs, in the order of the plan.
    """

    path: Path
    summary: Summary

    def __repr__(self) -> str:
        """Return where the run is, and how many jobs of this invocation ended how."""
        counts = ", ".join(f"{n} {status}" for status, n in self.summary.counts.items())
        return f"<run {str(self.path)!r}: {counts or 'no job'}>"

    def _repr_html_(self) -> str:
        """Return the run's table, for a notebook."""
        return self.frame._repr_html_()

    @cached_property
    def run(self) -> Run:
        """The run as it was stored, with records of earlier invocations."""
        return read_run(self.path)

    @cached_property
    def info(self) -> JsonObject:
        """What `run.json` says of the run, but for its jobs."""
        return read_info(self.path)

    @property
    def here(self) -> Run:
        """Return the run with the records of the machine of this invocation alone, where its folder has several."""
        here = {machine_of(record.environment) for record in self.summary.records[-1:]}
        runs = by_machine(self.run)
        return next((run for run in runs if here & machines_of(run.records).keys()), runs[-1])

    @property
    def invocation(self) -> Run:
        """Return the run with the records of this invocation's jobs alone."""
        return Run(self.path.resolve().name, self.path, tuple(self.summary.records), info=self.info)

    @property
    def frame(self) -> Records:
        """Return the run as a frame, one row a measurement, as `bench.load` does."""
        from bench.api._reading import load

        return load(self.path)

    @property
    def comparison(self) -> Comparison:
        """Return the run as a report's table has it: one row a network and way of running it, numbers as numbers."""
        return self.frame.comparison

    @property
    def ratios(self) -> pd.DataFrame:
        """Return what `bench.compare` came to, one row a baseline and quantity; none where nothing was compared."""
        from bench.analysis.dictionary import typed
        from bench.analysis.versus import Ratio

        return typed(Ratio.table(Ratio.in_run(self.here)), "ratios")

    def to_json(self, report: Path | None) -> dict[str, object]:
        """Return plain values, of all but the records; `report` is the page that was written, if any."""
        summary = self.summary
        return {
            "run": str(self.path),
            "report": None if report is None else str(report),
            "counts": summary.counts,
            "reused": summary.reused,
            "pending": summary.pending,
            "cancelled": summary.cancelled,
        }


def prepare(
    experiment: str | Experiment = "default",
    names: Sequence[str] = (),
    *,
    tasks: Sequence[str] = (),
    overrides: Sequence[str] = (),
    executor: Executor,
) -> Prepared:
    """Read an experiment and plan it for this machine; nothing is measured.

    Args:
        experiment: name of a shipped experiment, path of a YAML file, or an experiment itself.
        names: architectures instead of its line-up; none, or ``["all"]``, keeps it. The name of a shipped experiment
            alone stands for that one.
        tasks: only these, such as ``["cost"]``.
        overrides: `key=value`, as with `--set`.
        executor: where networks are inspected.

    Raises:
        BenchError: for whatever cannot be carried out as written.
    """
    whole, archs = _read(experiment, names)
    narrowed = whole.narrowed(archs=archs, tasks=tasks, overrides=overrides)
    try:
        catalog = catalog_for(narrowed, executor)
    except UnknownNameError as error:
        tip = error.tip or ""
        close = nearest(archs[0], experiments(), 1) if len(archs) == 1 and "did you mean" not in tip else []
        if meant := next((name for name in archs if name in experiments()), None):
            tip = f"{meant} is an experiment: --config {meant}"
        elif meant := next((name for name in archs if name in TASKS), None):
            tip = f"{meant} is a task: --task {','.join([*tasks, meant])}"
        elif close:
            tip = f"did you mean the experiment {close[0]}? ({error.tip})"
        raise UnknownNameError(error.message, tip or None) from None
    plan = in_rounds(with_counts(without_refused(expand(narrowed, catalog), executor), executor))
    if narrowed.study and not (archs or tasks):
        narrowed.study.check([p.job for p in plan])
    return Prepared(narrowed, catalog, plan)


def _read(experiment: str | Experiment, names: Sequence[str]) -> tuple[Experiment, list[str]]:
    """Return the experiment that is meant, and the networks instead of its line-up, see `prepare`."""
    archs = [] if list(names) == [_ALL] else list(names)
    if experiment == _DEFAULT and len(archs) == 1 and archs[0] in experiments():
        experiment, archs = archs[0], []
    if _ALL in archs:
        message = "`all` stands for the whole line-up and cannot be joined with other names"
        raise ConfigError(message, "leave it out")
    return (Experiment.load(experiment) if isinstance(experiment, str) else experiment), archs


class WarnsOfWaiting(Observer):
    """Warns of what would otherwise look as if nothing happened, where nobody is told of the steps."""

    def waiting(self, device: str, holder: str) -> None:
        """Warn of another run that holds the device."""
        warnings.warn(f"waiting: another bench is measuring on {device} ({holder})", stacklevel=2)


def run(
    experiment: str | Experiment = "default",
    names: Network | Sequence[Network] = (),
    *,
    tasks: Sequence[str] = (),
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
    download: bool = False,
) -> Done:
    """Plan, measure what is not measured yet, and store.

    Args:
        experiment: see `prepare`, as for `tasks` and `overrides`.
        names: see `prepare`; a network may also be a `torch.nn.Module`, or a function that returns one.
        tasks: see `prepare`.
        overrides: see `prepare`.
        name: of the run, by default the experiment's.
        results: the folder that holds runs.
        executor: a name of `EXECUTORS`, or an executor; one given as a name is closed at the end.
        observer: told of each step of the run; without one, a wait for a device of another run is a warning.
        argv: the command line to note in `run.json`, by default that of this process.
        download: fetch the trained weights that libraries have and this machine lacks.

    Raises:
        BenchError: for whatever cannot be carried out as written; a job that fails is a record, not an error.

    Example:
        >>> run = bench.run("smoke", ["lenet5", "resnet20"], tasks=["cost"])
        >>> run
        <run 'results/smoke': 2 ok>
        >>> run.comparison[["network", "parameters"]].values.tolist()
        [['lenet5', 61706], ['resnet20', 269722]]
    """
    names = names_of(names)
    observer = observer or WarnsOfWaiting()
    with open_executor(executor, names) as opened:
        whole, archs = _read(experiment, names)
        path = run_folder(results, whole.name if name is None else name)
        before = read_run(path) if (path / RECORDS).is_file() else None  # while the executor's server imports
        plan = partial(prepare, whole, archs, tasks=tasks, overrides=overrides, executor=opened)
        prepared = plan()
        if prepared.catalog.missing and (missing := _lacking(prepared, _done(before, prepared, opened))):
            refused = fetch_all(missing, opened, observer.fetching)
            if len(refused) < len(missing):
                prepared = plan()  # what is in the files may be part of a job
            prepared = replace(prepared, plan=without(prepared.plan, refused))
        if download:
            prepared = replace(prepared, plan=_with_weights(prepared.plan, opened, observer.fetching))
        return carry_out(prepared, path, opened, observer, argv, before=before)


def _with_weights(
    plan: Sequence[Planned], executor: Executor, begin: Callable[[str], None]
) -> tuple[Planned, ...]:
    """Return the plan once the libraries' weights that its jobs need are here, or are known not to be had."""
    names = list(dict.fromkeys(p.job.arch for p in plan if p.status is None and p.card.weights))
    lacking = ask(executor, list[str], "lacking_weights", names) if names else []
    return without(plan, fetch_all(lacking, executor, begin, "weights"))


def _lacking(prepared: Prepared, done: Mapping[str, Record]) -> list[str]:
    """Return the data sets that are not here and that jobs of a plan need, but for the jobs that are done."""
    needed = {name for p in prepared.plan if p.status is None and p.job.id not in done for name in p.datasets}
    return [name for name in prepared.catalog.missing if name in needed]


def _done(before: Run | None, prepared: Prepared, executor: Executor) -> Mapping[str, Record]:
    """Return by job id the records of a run of jobs that will not run again."""
    places = places_for(prepared.plan, executor, prepared.catalog)
    return reusable(before.records if before else (), [place.environment for place in places], prepared.plan)


def carry_out(
    prepared: Prepared,
    path: Path,
    executor: Executor,
    observer: Observer | None,
    argv: Sequence[str] | None,
    *,
    band: float | None = None,
    before: Run | None = None,
) -> Done:
    """Run what is not measured yet of a plan, and store it in the folder of a run.

    `band` is that of a comparison, and `before` the run as it was read already.
    """
    observer = observer or WarnsOfWaiting()
    for place, reason in prepared.catalog.unused:
        observer.unused(place, reason)
    if isinstance(executor, Remote) and (records := executor.collect(path)):
        observer.collected(records)
    with Store(path, before) as store:
        store.write_info(info_of(prepared, store.run, argv, band))
        observer.planned(prepared.plan, store.run, prepared.catalog)
        return Done(store.path, run_plan(prepared.plan, executor, store, prepared.catalog, observer))


def train(
    names: Network | Sequence[Network],
    *,
    dataset: str,
    recipe: str | None = None,
    epochs: int | None = None,
    seeds: int = 3,
    target: float | None = None,
    keep_weights: bool = False,
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
) -> Done:
    """Train networks from scratch, each with several seeds, and store the records.

    On a CPU, several trainings run side by side with few threads each, since small networks gain little from more;
    ``overrides=["threads=8"]`` gives each of them so many. Beside the arguments of `run` there are:

    dataset: that they are trained on.
    recipe: name or YAML file; None means the standard one.
    epochs: passes over the training images; None means the recipe's.
    seeds: trainings of each network, with the seeds 0, 1, ...
    target: a top-1 accuracy, to measure the time until it is reached.
    keep_weights: keep the weights of each training, for `evaluate`.

    Raises:
        BenchError: for whatever cannot be carried out as written.

    Example:
        >>> run = bench.train(["resnet20", "plain20"], dataset="digits", seeds=3)
        >>> run.comparison[["network", "accuracy", "accuracy_low", "accuracy_high", "n_ok"]]
    """
    at_least(1, seeds=seeds)
    names = names_of(names)
    if names in ([], [_ALL]):
        message = "no network to train is named"
        raise ConfigError(message, "such as bench train resnet20 plain20 --dataset digits")
    # For at most eight side by side; not by their count, so that more seeds can follow.
    threads = max(1, (os.cpu_count() or 1) // 8)
    options = {"recipe": recipe, "epochs": epochs, "target": target, "keep_weights": keep_weights or None}
    block = {
        "task": "accuracy",
        "dataset": dataset,
        "timeout_s": _TRAINING_LIMIT,
        **{key: value for key, value in options.items() if value is not None},
        **({"threads": {"cpu": threads, "cuda": None}} if seeds * len(names) > 1 else {}),
        "grid": {"seed": list(range(seeds))},
    }
    experiment = Experiment.made(name or run_name("train", [dataset]), [block])
    return run(
        experiment,
        names,
        overrides=overrides,
        results=results,
        executor=executor,
        observer=observer,
        argv=argv,
    )


def at_least(least: int, **counts: object) -> None:
    """Refuse arguments that are no counts, as the options of commands do; None is what was not given.

    Raises:
        ConfigError: for one that is less than `least`, or no whole number.
    """
    for name, count in counts.items():
        if count is not None and not (isinstance(count, int) and count >= least):
            raise ConfigError(f"{name}: {count!r} is no number from {least} on", "give one, or leave it out")


def run_name(kind: str, names: Sequence[str]) -> str:
    """Return a name for a folder, made of the names of networks, each once."""

    def word(text: str) -> str:
        return re.sub(r"[^\w.-]+", "-", text).strip("-")

    # Of `timm:*` the first half.
    words = [word(name.rpartition(":")[2]) or word(name) for name in dict.fromkeys(names)]
    return "-".join([kind, *filter(None, words)])[:80].rstrip("-.")


@uncollected()
def info_of(
    prepared: Prepared, before: Run, argv: Sequence[str] | None, band: float | None = None
) -> dict[str, object]:
    """Return what `run.json` says of a run: what was asked, in which words, with which versions."""
    invocation = {
        "argv": list(argv) if argv is not None else [Path(sys.argv[0]).name, *sys.argv[1:]],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    packages = prepared.catalog.environment.get("packages", {})
    band = before.info.get("band") if band is None else band
    return {
        **({} if band is None else {"band": band}),
        "bench_version": bench.__version__,
        "versions": packages,
        "invocations": [*before.info.get("invocations", ()), invocation],
        "experiment": prepared.experiment.to_json(),
        "jobs": [p.job.to_json() for p in prepared.plan],
    }
