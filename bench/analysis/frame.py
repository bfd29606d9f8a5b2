"""The frame: records as a long pandas table, one row a measurement of a record."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.keys import apart
from bench.analysis.machine import device_name
from bench.io import JsonObject
from bench.plan.card import ArchCard, protocol_of
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.plan.task import tasks
from bench.records.record import Measurement, Record
from bench.records.store import RECORDS, Run, latest, uncollected
from bench.stats.intervals import summarise
from bench.tasks.accuracy import AccuracySettings, RecipeContent

_Attempts = Literal["latest", "all"]

PENDING = "pending"
RACES = "races"  # of the attributes of a frame: what the runs keep of their races, by their names
UNREADABLE = "unreadable"  # its record is there, on a line that was set aside

TIMED = frozenset(name for name, task in tasks().items() if task.timed)
_TRAINED = frozenset(name for name, task in tasks().items() if task.trained)
_KEEPING = frozenset(name for name, task in tasks().items() if task.keeps_files)

_NO_CARD = ArchCard(name="", family="")
_NOTHING: Any = SimpleNamespace(
    name=None, unit=None, better=None, samples=(), flags=(), detail={}
)  # no measurement


def to_frame(runs: Sequence[Run], attempts: _Attempts = "latest") -> pd.DataFrame:
    """Return the long table of some runs.

    One row a measurement of a record, in file order; a record without any, and a planned job without a record
    (status `pending`, or `unreadable` where its line was set aside), is one row whose `measurement` is missing. Missing
    text is None, missing numbers NaN.

    Args:
        runs: as `bench.records.store.read_run` gives them.
        attempts: `latest` keeps the last record of each job in a run, `all` keeps every one.

    Columns:
        run, job_id, label, task, arch, family, year, input_size and seed and the like: what was asked.
        series: of trainings, equal for those that differ in nothing but their seed.
        device ... epochs, recipe: settings of the task.
        status, stage, error, tip, attempt, started_at, duration_s, device_name: how it went.
        published_top1, published_top5 (fractions), published_source, published_protocol (how its images were tested),
            published_classes: of the card.
        outputs: of trainings and evaluations, the file with the answers to the images, an absolute path, or None.
        evaluation: of evaluations, their settings as JSON.
        measurement, unit, better, samples (tuple), flags (tuple), detail: what was seen.
        n, median, low, high, mean, sd: of the samples, see `bench.stats.intervals.summarise`.

    What runs keep of a race, see `bench.analysis.raced.drawn`, is in the attribute `RACES`.
    """
    with uncollected():
        rows = [row for name, run in named(runs) for row in _rows(name, run, attempts)]
        seen = [row.record.measurements for row in rows]
        counts = [max(1, len(measurements)) for measurements in seen]
        frame = _asked(rows).take(np.repeat(np.arange(len(rows)), counts)).reset_index(drop=True)
        frame = pd.concat([frame, _measured([m for each in seen for m in each or (_NOTHING,)])], axis=1)
        frame.attrs[RACES] = {name: race for name, run in named(runs) if (race := run.info.get("race"))}
        return frame


def named(runs: Sequence[Run]) -> Iterator[tuple[str, Run]]:
    """Yield each run with a name of its own: the second `a` is called ``a #2``."""
    seen: Counter[str] = Counter()
    for run in runs:
        seen[run.name] += 1
        yield (run.name if seen[run.name] == 1 else f"{run.name} #{seen[run.name]}"), run


def wide(rows: pd.DataFrame, keys: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Return one row for each key, in their order, with the last medians of the named measurements as columns."""
    keys = list(keys)
    places = rows.groupby(keys, dropna=False, sort=False).ngroup().to_numpy()
    table = rows[keys].drop_duplicates(ignore_index=True)
    for name in names:
        here = (rows["measurement"] == name).to_numpy()
        medians = np.full(len(table), np.nan)
        medians[places[here]] = rows["median"].to_numpy()[here]  # of those with equal keys the last
        table[name] = medians
    return table


class _Pending(NamedTuple):
    """Stands for the record of a job that has none, or none that can be read.

    Its environment is that in which the run would go on.
    """

    status: str = PENDING
    stage: None = None
    attempt: None = None
    started_at: None = None
    duration_s: None = None
    error: JsonObject | None = None
    environment: Mapping[str, object] = {}
    measurements: tuple[Measurement, ...] = ()

    def measurement(self, _name: str) -> None:
        return None


class _Row(NamedTuple):
    """What was asked of a job in a run, and its record."""

    run: str
    folder: Path
    job: Job
    card: ArchCard
    record: Record | _Pending


def _rows(name: str, run: Run, attempts: _Attempts) -> Iterator[_Row]:
    """Yield each record of a run, then each job that has none yet."""
    last = latest(run.records)
    folder = run.path.absolute()
    for record in run.records if attempts == "all" else last.values():
        yield _Row(name, folder, record.job, record.card, record)
    cards = {r.job.arch: r.card for r in run.records}
    machine = run.records[-1].environment if run.records else {}
    unread = {line.job_id: line for line in run.rejected}
    for job in {j.id: j for j in run.planned}.values():
        if job.id not in last:
            lacking = _Pending(environment=machine)
            if line := unread.get(job.id):
                message = f"its record, line {line.line} of {RECORDS}, is set aside: {line.reason}"
                error = {"message": message, "tip": "give the command of the run again to measure it anew"}
                lacking = lacking._replace(status=UNREADABLE, error=error)
            yield _Row(name, folder, job, cards.get(job.arch, _NO_CARD), lacking)


def _batch_size(row: _Row) -> object:
    """Return the batch size as asked, or what `max` came to."""
    settings = row.job.settings
    if not isinstance(settings, Timed) or "batch_size" not in settings.content:
        return None
    largest = row.record.measurement("max_batch") if settings.batch_size == "max" else None
    return largest.samples[0] if largest else settings.batch_size


def _outputs(row: _Row) -> str | None:
    """Return the path of what a job stored of each test image in the folder of its run, None without any."""
    top1 = row.record.measurement("top1") if row.job.task in _KEEPING else None
    name = top1.detail.get("outputs") if top1 else None
    return str(row.folder / name) if isinstance(name, str) else None


def _recipe(row: _Row) -> str | None:
    """Return ``std v2`` for the content of a recipe, or its bare name."""
    recipe = row.job.settings.recipe if isinstance(row.job.settings, AccuracySettings) else None
    if isinstance(recipe, RecipeContent):
        return recipe.name + (f" v{recipe.version}" if recipe.version is not None else "")
    return recipe or None


def _message(error: JsonObject | None) -> str | None:
    """Return ``type: message`` of an error, or what there is of it."""
    if not error:
        return None
    return ": ".join(str(error[k]) for k in ("type", "message") if error.get(k)) or None


_COLUMNS: Mapping[str, str | Callable[[_Row], object]] = {
    "run": "run",
    "job_id": "job.id",
    "label": lambda row: row.job.label(),
    "series": lambda row: row.job.series() if row.job.task in _TRAINED else None,
    "task": "job.task",
    "arch": "job.arch",
    "family": lambda row: row.card.family or None,
    "year": "card.year",
    "input_size": "job.input_size",
    "in_channels": "job.in_channels",
    "num_classes": "job.num_classes",
    "seed": "job.seed",
    "device": "settings",
    "batch_size": _batch_size,
    "precision": "settings",
    "memory_format": "settings",
    "backend": "settings",
    "cudnn_benchmark": lambda row: (
        None if row.job.task not in TIMED else "on" if row.job.settings.tries_kernels else "off"
    ),
    "threads": "settings",
    "dataset": "settings",
    "epochs": "settings",
    "replicate": "settings",
    "recipe": _recipe,
    "status": "record.status",
    "stage": "record.stage",
    "error": lambda row: _message(row.record.error),
    "tip": lambda row: row.record.error and row.record.error.get("tip"),
    "attempt": "record.attempt",
    "started_at": "record.started_at",
    "duration_s": "record.duration_s",
    "device_name": lambda row: device_name(row.record.environment, row.job.device),
    "published_top1": lambda row: row.card.published.get("top1"),
    "published_top5": lambda row: row.card.published.get("top5"),
    "published_source": lambda row: row.card.published.get("source"),
    "published_protocol": lambda row: protocol_of(row.card.published),
    "published_classes": "card.num_classes",
    "outputs": _outputs,
    "evaluation": lambda row: (
        json.dumps(row.job.settings.content, sort_keys=True) if row.job.task == "evaluate" else None
    ),
}
"""Columns of a record rather than of one of its measurements: where in a row, or among its settings, or a function."""

_NUMBERS = frozenset(
    (
        *("year", "input_size", "in_channels", "num_classes", "seed", "attempt", "duration_s"),
        *("batch_size", "threads", "epochs", "replicate"),
        *("published_top1", "published_top5", "published_classes"),
    )
)


def _asked(rows: Sequence[_Row]) -> pd.DataFrame:
    """Return one row a record with `_COLUMNS`."""
    settings = [name for name, source in _COLUMNS.items() if source == "settings"]
    made = {name: source for name, source in _COLUMNS.items() if callable(source)}
    paths = {
        name: source for name, source in _COLUMNS.items() if isinstance(source, str) and name not in settings
    }
    lookup, makers = attrgetter(*paths.values()), tuple(made.values())
    # Row by row, as the parts of a record lie close in memory: column by column takes twice as long.
    cells = [
        (*lookup(row), *map(row.job.settings.given.get, settings), *[make(row) for make in makers])
        for row in rows
    ]
    values = dict(zip((*paths, *settings, *made), zip(*cells, strict=True), strict=True)) if cells else {}
    if cells:
        values["dataset"] = _datasets(rows, values["dataset"])
    return pd.DataFrame({name: _column(name, values.get(name, ())) for name in _COLUMNS})


def _datasets(rows: Sequence[_Row], names: Sequence[str | None]) -> tuple[str | None, ...]:
    """Return the names of data sets, with a digest where a folder held other images another time."""
    digests = apart(names, [row.job.settings.given.get("dataset_sha256") for row in rows])
    return tuple(
        f"{name} ({digest})" if digest else name for name, digest in zip(names, digests, strict=True)
    )


def _column(name: str, values: Sequence[Any]) -> Any:
    if name not in _NUMBERS:
        return pd.Series(_whole(values), dtype=object)
    try:
        numbers = np.array(values, dtype=np.float64)  # None is NaN
    except (TypeError, ValueError):  # words, such as a batch size of `max` that was not found
        numbers = None
    if numbers is not None and numbers.ndim == 1:
        return numbers
    return np.array([v if isinstance(v, int | float) else math.nan for v in values], dtype=np.float64)


def _whole(values: Sequence[Any]) -> Sequence[Any]:
    """Return texts without lone surrogates, such as of a file name that is not UTF-8: no table can hold them."""
    try:
        "".join(filter(None, values)).encode()
    except (TypeError, UnicodeEncodeError):
        return [v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for v in values]
    return values


def _measured(seen: Sequence[Measurement]) -> pd.DataFrame:
    """Return one row a measurement, with the statistics of its samples."""
    names = ("name", "unit", "better", "samples", "flags", "detail")
    columns = dict(zip(names, zip(*map(attrgetter(*names), seen), strict=True), strict=True)) if seen else {}
    summary = summarise(columns.get("samples", ()))
    asked = {"measurement" if n == "name" else n: pd.Series(columns.get(n, ()), dtype=object) for n in names}
    return pd.DataFrame(
        asked | {k: getattr(summary, k) for k in ("n", "median", "low", "high", "mean", "sd")}
    )


# --- counts: the same in every process and on every machine ---
