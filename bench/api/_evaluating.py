"""Evaluations: networks with their weights on images, those of a library, of a file, or of a training of one's own."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from bench.api._explaining import explained
from bench.api._objects import Network, names_of
from bench.api._running import Done, prepare, run, run_name
from bench.api.runs import open_executor
from bench.errors import BenchError, ConfigError, StoreError
from bench.execution import Executor
from bench.execution.catalog import ask
from bench.execution.runner import Observer
from bench.io import JsonObject, no_file
from bench.plan.config import Experiment
from bench.plan.corruption import NAMES, SEVERITIES
from bench.plan.job import Job
from bench.records.job_files import JobFile
from bench.records.record import Record
from bench.records.store import RECORDS, latest, read_run

_LIMIT_S = 24 * 3600.0  # of one evaluation, unless --set timeout_s says otherwise
_JOB = re.compile(r"[0-9a-f]{12}")
_TESTED = "test"  # the split whose images a training was tested on
_SHOW_S = 600.0


def evaluate(
    names: Network | Sequence[Network],
    *,
    data: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    weights: str | None = None,
    precision: str | None = None,
    backend: str | None = None,
    corruptions: bool = False,
    download: bool = False,
    explain: bool | None = None,
    show: Path | str | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
) -> Done:
    """Evaluate networks with their weights on images, and store what each says of every image.

    Args:
        names: networks; one of torchvision or timm has its default weights unless its name says which. A run, or the
            id of a job, stands for the trainings that have kept their weights there.
        data: a data set, or ``imagefolder:PATH``; None is what trainings were tested on.
        split: of it; None is `val`, and of trainings the images that they were tested on.
        limit: evaluate on so many images, balanced over the classes; None is all.
        weights: a file, for networks that are named.
        precision: of the calls; None is fp32, and of trainings what they were tested in.
        backend: how the networks are run; None is eager.
        corruptions: evaluate on the images as they are, and corrupted in 15 ways at five severities.
        download: fetch the trained weights that libraries have and this machine lacks.
        explain: where an accuracy is not the published one, evaluate again with one to three things changed; True does
            so also where nothing is published and the network declares no transform, False nowhere.
        show: draw the images as the networks get them into this file.
        overrides: `key=value`, as with `--set`.
        name: of the run; None is made of the names.
        results: the folder that holds runs.
        executor: a name of `EXECUTORS`, or an executor.
        observer: told of each step of the run.
        argv: the command line to note in `run.json`.

    Raises:
        BenchError: for whatever cannot be carried out as written; a network that fails is a record.

    Example:
        >>> run = bench.evaluate("torchvision:resnet50", data="imagefolder:PATH", limit=5000)
        >>> run.comparison[["network", "evaluated_top1", "evaluated_top1_low", "evaluated_top1_high"]]
    """
    if show is not None:
        _check_place(Path(show).absolute())
    names = names_of(names)
    if not names:
        tip = "such as bench evaluate torchvision:resnet50 --data imagefolder:PATH"
        raise ConfigError("no network is named", tip)
    options = {"limit": limit, "precision": precision, "backend": backend, "split": split}
    shared: dict[str, object] = {"task": "evaluate", "timeout_s": _LIMIT_S}
    shared |= {key: value for key, value in options.items() if value is not None}
    grid = {"corruption": [None, *(f"{c}:{s}" for c in NAMES for s in SEVERITIES)]} if corruptions else {}
    blocks = _blocks(names, data, weights, Path(results), shared=shared, grid=grid)
    experiment = Experiment.made(name or run_name("evaluate", names), blocks)
    with open_executor(executor, names) as opened:
        done = run(
            experiment,
            overrides=overrides,
            results=results,
            executor=opened,
            observer=observer,
            argv=argv,
            download=download,
        )
        if explain is not False:
            plan = partial(prepare, experiment, overrides=overrides, executor=opened)
            done = explained(done, plan, opened, observer, argv, assumed=explain is True)
        if show is not None:
            _draw(done, show, opened)
    return done


def _blocks(
    names: Sequence[str],
    data: str | None,
    weights: str | None,
    results: Path,
    *,
    shared: JsonObject,
    grid: JsonObject,
) -> list[dict[str, object]]:
    """Return the blocks of an experiment: one for all networks, and one for each training with weights."""
    # With weights of their own, names are those of networks.
    trained = {text: _trainings(text, results) if weights is None else None for text in names}
    networks = [text for text, records in trained.items() if records is None]
    if networks and data is None:
        raise ConfigError("no images to evaluate on are named", "such as --data imagefolder:PATH")
    blocks: list[dict[str, object]] = []
    if networks:
        own = {} if weights is None else {"weights": weights}
        blocks.append({**shared, "data": data, **own, "grid": {"arch": networks, **grid}})
    for record, file in chain.from_iterable(records or () for records in trained.values()):
        own_grid = {"arch": [record.job.arch], **grid}
        blocks.append({**_as_tested(record.job, data, file), **shared, "grid": own_grid})
    return blocks


def _check_place(file: Path) -> None:
    """Refuse a place where no file can be written, before the evaluations rather than after them.

    Raises:
        StoreError: if it is one.
    """
    place = next(place for place in (file, *file.parents) if os.path.exists(place))  # noqa: PTH110 - of any name
    what = no_file(file)
    if place != file and not place.is_dir():
        what = f"{place} is no folder"
    elif not os.access(place, os.W_OK):
        what = f"there is no right to write to {place}"
    if what:
        raise StoreError(f"cannot draw {file}: {what}", "name another file")


def _draw(done: Done, file: Path | str, executor: Executor) -> None:
    """Draw the images of a run's evaluations, as their networks got them, into a file."""
    jobs = {r.job.arch: r.job.to_json() for r in reversed(done.summary.records) if r.status == "ok"}
    if not jobs:
        raise BenchError(f"there is nothing to show in {file}: no evaluation succeeded")
    drawn = list(reversed(jobs.values()))
    ask(executor, str, "show_images", drawn, str(Path(file).absolute()), timeout_s=_SHOW_S)


def _as_tested(job: Job, data: str | None, file: Path) -> dict[str, object]:
    """Return the keys of a block that looks at images as a training did."""
    given = job.settings.given
    kept = {key: given[key] for key in ("precision", "memory_format", "threads") if key in given}
    if data in (None, given["dataset"]):
        return {**kept, "data": given["dataset"], "split": _TESTED, "weights": str(file)}
    return {**kept, "data": data, "weights": str(file)}


def _trainings(text: str, results: Path) -> list[tuple[Record, Path]] | None:
    """Return the trainings with weights that a run or the id of a job stands for; None where it is neither.

    Raises:
        ConfigError: if it is one, and no weights were kept.
        StoreError: if the weights are not those of the record.
    """
    wanted = _JOB.fullmatch(text)
    if wanted:
        folders = [file.parent.parent for file in sorted(results.glob(f"*/weights/{text}*.safetensors"))]
        if not folders:
            raise ConfigError(f"no run in {results} has kept weights of a job {text}", _KEEP)
        folder = folders[0]
    else:
        places = [Path(text), results / text] if "(" not in text and ":" not in text else []
        folder = next((place for place in places if (place / RECORDS).is_file()), Path())
        if folder == Path():
            return None
    records = (r for r in latest(read_run(folder).records).values() if r.job.task == "accuracy")
    kept = (record for record in records if not wanted or record.job.id == text)
    found = [(record, file) for record in kept if (file := _weights_of(folder, record)) is not None]
    if not found:
        raise ConfigError(f"the run {folder} has kept no weights of trainings", _KEEP)
    return found


_KEEP = "train with --keep-weights, or --set keep_weights=true"


def _weights_of(folder: Path, record: Record) -> Path | None:
    """Return the file of a training's weights; None where it has kept none."""
    top1 = record.measurement("top1")
    sha256 = top1 and top1.detail.get("weights_sha256")
    if not sha256:
        return None
    path = JobFile.weights.path(folder, record.job.id)
    file = JobFile.whole(path, str(sha256))
    if file is None:
        what = "are not those of its record" if path.exists() else "are gone"
        raise StoreError(f"the weights {path} {what}", "train it again with --keep-weights")
    return file
