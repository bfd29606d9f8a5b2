"""The interface from Python: the same as the commands, returning frames and records.

import bench
done = bench.run("smoke", names=["resnet18", "my_net.py:Net"], results="results")
frame = bench.load("results/smoke")
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench
from bench.errors import ConfigError
from bench.execution import EXECUTORS, Executor
from bench.execution.catalog import catalog_for
from bench.execution.runner import Observer, Summary, run_plan
from bench.plan.config import Experiment, load_experiment, narrow, parse_experiment
from bench.plan.expand import Catalog, Planned, expand
from bench.plan.order import in_rounds
from bench.plan.study import check_study
from bench.plan.versus import SELFTEST_TIMING, enough, labelled, versus
from bench.records.store import Run, Store, read_run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from bench.report.notebook import Records

ALL = "all"
SELFTEST = "selftest"
TRAINING_LIMIT = 24 * 3600.0  # s of one training, unless --set timeout_s says otherwise
SLOWDOWNS = (0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An experiment, what is known of the machine, and the jobs that come of both."""

    experiment: Experiment
    catalog: Catalog
    plan: tuple[Planned, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """A run that has ended: where it is kept, and what it came to."""

    path: Path
    summary: Summary

    @property
    def run(self) -> Run:
        """Return the run as it is stored, with records of earlier invocations."""
        return read_run(self.path)

    @property
    def frame(self) -> pd.DataFrame:
        """Return the run as a frame, one row a measurement."""
        return load(self.path)


def prepare(
    experiment: str | Experiment = "default",
    names: Sequence[str] = (),
    *,
    tasks: Sequence[str] = (),
    overrides: Sequence[str] = (),
    executor: Executor,
) -> Prepared:
    """Read an experiment and find out what its plan is on this machine; nothing is measured.

    Args:
        experiment: name of a shipped experiment, path of a YAML file, or one as it was read.
        names: architectures instead of its line-up; none, or ``["all"]``, keeps it.
        tasks: only these, such as ``["cost"]``.
        overrides: `key=value`, as with `--set`.
        executor: where networks are looked at.

    Raises:
        BenchError: for whatever cannot be carried out as written.
    """
    archs = [] if list(names) == [ALL] else list(names)
    if ALL in archs:
        raise ConfigError(
            "`all` stands for the whole line-up and cannot be joined with other names", "leave it out"
        )
    read = load_experiment(experiment) if isinstance(experiment, str) else experiment
    loaded = narrow(read, archs=archs, tasks=tasks, overrides=overrides)
    catalog = catalog_for(loaded, executor)
    plan = in_rounds(expand(loaded, catalog))
    if loaded.study and not (archs or tasks):
        check_study(loaded.study, [p.job for p in plan])
    return Prepared(loaded, catalog, plan)


def run(
    experiment: str | Experiment = "default",
    names: Sequence[str] = (),
    *,
    tasks: Sequence[str] = (),
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
) -> Done:
    """Plan, measure what is not measured yet, and store.

    Args:
        experiment: see `prepare`, as for `names`, `tasks` and `overrides`.
        names: see `prepare`.
        tasks: see `prepare`.
        overrides: see `prepare`.
        name: of the run, by default the experiment's.
        results: the folder that holds runs.
        executor: a name of `EXECUTORS`, or an executor; one given as a name is closed at the end.
        observer: told what happens.
        argv: the words to note in `run.json`, by default those of this process.

    Raises:
        BenchError: for whatever cannot be carried out as written; a job that fails is a record, not an error.
    """
    with _executor(executor, names) as where:
        prepared = prepare(experiment, names, tasks=tasks, overrides=overrides, executor=where)
        path = Path(results) / (name or prepared.experiment.name)
        return _carry_out(prepared, path, where, observer, argv)


@contextlib.contextmanager
def _executor(asked: str | Executor, names: Sequence[str] = ()) -> Iterator[Executor]:
    """Give the executor; one that was asked for by its name is closed at the end."""
    where = EXECUTORS.get(asked).make(names) if isinstance(asked, str) else asked
    try:
        yield where
    finally:
        if isinstance(asked, str):
            where.close()


def _carry_out(
    prepared: Prepared, path: Path, where: Executor, observer: Observer | None, argv: Sequence[str] | None
) -> Done:
    """Run what is not measured yet of a plan, and store it in the folder of a run."""
    observer = observer or Observer()
    with Store(path) as store:
        store.write_info(_info(prepared, store.run, argv))
        observer.planned(prepared.plan, store.run)
        return Done(store.path, run_plan(prepared.plan, where, store, prepared.catalog, observer))


def compare(
    names: Sequence[str],
    *,
    batch_size: int | None = None,
    processes: int | None = None,
    train: str | None = None,
    epochs: int | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
) -> Done:
    """Measure what it takes to compare the first network with the others, and store it.

    Costs and memory of each alone; latency and throughput of all in turn, in several processes.

    Args:
        names: the network in question, then its baselines.
        batch_size: for the throughput; None means 8 on the CPU and 64 on a GPU.
        processes: how often all is timed anew; None means as often as a verdict needs, at least 8.
        train: data set of a short training with three seeds; None for none.
        epochs: of that training; None means the recipe's.
        overrides: `key=value`, as with `--set`, of `infer` jobs.
        name: of the run, by default made of the names.
        results: the folder that holds runs.
        executor: see `run`.
        observer: see `run`.
        argv: see `run`.

    Raises:
        BenchError: for whatever cannot be carried out as written.
    """
    batch: Any = batch_size or {"cpu": 8, "cuda": 64}
    blocks: list[dict[str, Any]] = [
        {"task": "cost", "grid": {}},
        {
            "task": "infer",
            "grid": {},
            "batch_size": batch,
            "timing": {"warmup_s": 0.1, "min_s": 0.1, "limit_s": 0.3},
        },
    ]
    if train:
        length = {} if epochs is None else {"epochs": epochs}
        blocks.append({"task": "accuracy", "dataset": train, "grid": {"seed": [0, 1, 2]}, **length})
    content = {"name": name or run_name("compare", names), "blocks": blocks}
    with _executor(executor, names) as where:
        asked = narrow(parse_experiment(content, "compare"), archs=list(names), overrides=overrides)
        catalog = catalog_for(asked, where)
        alone = expand(asked, catalog)
        timed = {p.job.arch: p for p in alone if p.job.task == "infer"}
        order = [card.name for n in names for card in catalog.archs[n]]
        for one in timed.values():
            if one.status is not None:
                raise ConfigError(f"{one.job.arch} cannot be compared: {one.reason}", one.tip)
        plan = (*alone, *versus(labelled([timed[n] for n in order]), processes or enough(len(order) - 1)))
        prepared = Prepared(asked, catalog, plan)
        return _carry_out(prepared, Path(results) / asked.name, where, observer, argv)


def train(
    names: Sequence[str],
    *,
    dataset: str,
    recipe: str | None = None,
    epochs: int | None = None,
    seeds: int = 3,
    target: float | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
) -> Done:
    """Train networks from scratch, each with several seeds, and store what comes of it.

    Args:
        names: the networks.
        dataset: that they are trained on.
        recipe: how; None means the standard one.
        epochs: passes over the training images; None means the recipe's.
        seeds: trainings of each network, with the seeds 0, 1, ...
        target: a top-1 accuracy, to measure the time until it is reached.
        overrides: `key=value`, as with `--set`.
        name: of the run, by default ``train-DATASET``.
        results: see `run`, as for `executor`, `observer` and `argv`; the run resumes.
        executor: see `run`.
        observer: see `run`.
        argv: see `run`.

    Raises:
        BenchError: for whatever cannot be carried out as written.
    """
    asked = {"recipe": recipe, "epochs": epochs, "target": target}
    block = {
        "task": "accuracy",
        "dataset": dataset,
        "timeout_s": TRAINING_LIMIT,
        **{key: value for key, value in asked.items() if value is not None},
        "grid": {"seed": list(range(seeds))},
    }
    experiment = parse_experiment({"name": name or run_name("train", [dataset]), "blocks": [block]})
    return run(
        experiment,
        names,
        overrides=overrides,
        results=results,
        executor=executor,
        observer=observer,
        argv=argv,
    )


def ensembles(path: Path | str, networks: Sequence[str] = ()) -> pd.DataFrame:
    """Return what the trained networks of a run come to together, one row an ensemble; torch is not imported.

    Args:
        path: the folder of the run.
        networks: names or globs; none for all of the run.

    Raises:
        BenchError: where no test outputs are stored, or they are of different test images.
    """
    from bench.analysis.ensembles import ensembles as of_run
    from bench.analysis.ensembles import to_table

    return to_table(of_run(read_run(path), networks))


def selftest(
    *,
    arch: str = "resnet20",
    comparisons: int = 10,
    processes: int = 8,
    overrides: Sequence[str] = (),
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
) -> Done:
    """Let the harness compare a network with itself, and with itself made slower, and store what comes of it.

    Args:
        arch: a small network.
        comparisons: how many, each of latency and of throughput.
        processes: of each comparison.
        overrides: see `run`.
        results: see `run`; the run is called ``selftest``, and resumes.
        executor: see `run`.
        observer: see `run`.
        argv: see `run`.

    Raises:
        BenchError: for whatever cannot be carried out as written.
    """
    content = {
        "name": SELFTEST,
        "blocks": [{"task": "infer", "grid": {}, "batch_size": {"cpu": 4, "cuda": 64}}],
    }
    with _executor(executor) as where:
        asked = narrow(parse_experiment(content, SELFTEST), archs=[arch], overrides=overrides)
        catalog = catalog_for(asked, where)
        one = expand(asked, catalog)[0]
        networks = {"A": one, "A again": one, **{f"+{100 * s:g} %": one for s in SLOWDOWNS}}
        slowdown = {f"+{100 * s:g} %": s for s in SLOWDOWNS}
        plan = tuple(
            job
            for group in range(comparisons)
            for job in versus(
                networks, processes, timing=SELFTEST_TIMING, slowdown=slowdown, group=group, harness=True
            )
        )
        prepared = Prepared(asked, catalog, plan)
        return _carry_out(prepared, Path(results) / SELFTEST, where, observer, argv)


def run_name(kind: str, names: Sequence[str]) -> str:
    """Return a name for a folder, made of the names of networks."""
    words = [re.sub(r"[^\w.-]+", "-", n.rpartition(":")[2] or n).strip("-") for n in names]
    return "-".join([kind, *words])[:80].rstrip("-.")


def _info(prepared: Prepared, before: Run, argv: Sequence[str] | None) -> dict[str, Any]:
    invocation = {
        "argv": list(argv) if argv is not None else [Path(sys.argv[0]).name, *sys.argv[1:]],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    packages = prepared.catalog.environment.get("packages", {})
    return {
        "schema": 1,
        "bench_version": bench.__version__,
        "versions": packages,
        "invocations": [*before.info.get("invocations", ()), invocation],
        "experiment": prepared.experiment.to_json(),
        "jobs": [p.job.to_json() for p in prepared.plan],
    }


def load(*paths: Path | str, where: str | Sequence[str] = ()) -> Records:
    """Return the records of one or several runs as a frame, one row a measurement; torch is not imported.

    It is shown as the comparison that it comes to, which is its `comparison`.

    Args:
        paths: folders of runs.
        where: conditions on jobs or networks, as of `bench report`, such as ``"family == 'resnet'"``.

    Raises:
        StoreError: for a folder that is no run.
        BenchError: for a condition that cannot be read, or a column that is not there.
    """
    from bench.analysis.frame import to_frame
    from bench.analysis.narrow import narrow_runs
    from bench.report.notebook import Records

    conditions = [where] if isinstance(where, str) else where
    return Records(to_frame(narrow_runs([read_run(p) for p in paths], conditions)))


def figure(name: str, frame: pd.DataFrame, style: Mapping[str, Any] | None = None) -> Figure | None:
    """Return a figure of a frame as matplotlib's object; None where there is nothing to draw.

    Args:
        name: see `bench list figures`.
        frame: of `load`, or a selection of its rows.
        style: settings of matplotlib that replace the report's own.

    Raises:
        UnknownNameError: for a name that no figure has.
    """
    from bench.report.notebook import draw

    return draw(name, frame, style)
