"""The frame: records as a long pandas table, one row a measurement of a record."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.entry import Dtype, Entry, documented
from bench.analysis.keys import apart
from bench.analysis.machine import device_name
from bench.io import JsonObject, uncollected
from bench.plan.card import ArchCard, protocol_of
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.plan.task import tasks
from bench.records.current import current
from bench.records.record import Measurement, Record
from bench.records.store import RECORDS, Run, latest
from bench.stats.intervals import summarise
from bench.tasks.accuracy import AccuracySettings, RecipeContent
from bench.units import DASH

_Attempts = Literal["latest", "all"]

PENDING = "pending"
RACES = "races"  # of the attributes of a frame: what the runs keep of their races, by their names
UNREADABLE = "unreadable"  # its record is there, on a line that was set aside

TIMED = frozenset(name for name, task in tasks().items() if task.timed)
_TRAINED = frozenset(name for name, task in tasks().items() if task.trained)
_KEEPING = frozenset(name for name, task in tasks().items() if task.keeps_files)

_NO_CARD = ArchCard(name="", family="")
_NOTHING: Any = SimpleNamespace(name=None, unit=None, better=None, samples=(), flags=(), detail={})


class _Kept(dict[str, JsonObject]):
    """What is read alone, and so is its own copy: pandas copies attributes with each row that it takes of a frame."""

    def __deepcopy__(self, memo: object) -> _Kept:
        return self


@uncollected()
def to_frame(runs: Sequence[Run], attempts: _Attempts = "latest") -> pd.DataFrame:
    """Return the long table of some runs.

    One row a measurement of a record, in file order; a record without any, and a planned job without a record
    (status `pending`, or `unreadable` where its line was set aside), is one row whose `measurement` is missing. Missing
    text is None, missing numbers NaN.

    Args:
        runs: as `bench.records.store.read_run` gives them.
        attempts: `latest` keeps the last record of each job in a run, and of a network in files that were edited what
            was measured since; `all` keeps every record.

    Columns are those of `entries`: what was asked, how it went, what was seen, and the statistics of that, see
    `bench.stats.intervals.summarise`. Here numbers are float64 and texts are objects, `samples` and `flags` are tuples
    and `detail` is a mapping; `bench.analysis.dictionary.typed` gives each column its dtype.

    What runs keep of a race, see `bench.analysis.raced.Raced.drawn`, is in the attribute `RACES`.
    """
    rows = [row for name, run in named(runs) for row in _rows(name, run, attempts)]
    by_record = [row.record.measurements or (_NOTHING,) for row in rows]
    counts = [len(measurements) for measurements in by_record]
    frame = _of_records(rows).take(np.repeat(np.arange(len(rows)), counts)).reset_index(drop=True)
    frame = pd.concat([frame, _of_measurements(list(chain.from_iterable(by_record)))], axis=1)
    kept = {name: race for name, run in named(runs) if (race := run.info.get("race"))}
    frame.attrs[RACES] = _Kept(kept)
    return frame


def named(runs: Sequence[Run]) -> Iterator[tuple[str, Run]]:
    """Yield each run with a name of its own: the second `a` is called ``a #2``."""
    counts: Counter[str] = Counter()
    for run in runs:
        counts[run.name] += 1
        yield (run.name if counts[run.name] == 1 else f"{run.name} #{counts[run.name]}"), run


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
    run = run if attempts == "all" else current(run)
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


class _Column(NamedTuple):
    """A column of a record rather than of one of its measurements.

    Attributes:
        source: where in a row, or "settings" for one of that name among those of the job, or a function of the row.
        about: what it holds; empty where the class that has a field of that name says it.
        dtype: as of `Entry`; numbers are float64 here, with NaN for what is missing.
        unit: as of `Entry`.
    """

    source: str | Callable[[_Row], object]
    about: str = ""
    dtype: Dtype = "string"
    unit: str = DASH


def _whole(source: str | Callable[[_Row], object], about: str = "", unit: str = "1") -> _Column:
    return _Column(source, about, "Int64", unit)


def _published(key: str) -> _Column:
    """Return the column of an accuracy as it is published."""
    about = f"published {key.replace('top', 'top-')} accuracy, a fraction"
    return _Column(lambda row: row.card.published.get(key), about, "float64", "1")


_COLUMNS: Mapping[str, _Column] = {
    "run": _Column("run", "name of the run; the second of a name is called `NAME #2`"),
    "job_id": _Column("job.id", "hash of what was asked; equal for the same job of two runs"),
    "label": _Column(lambda row: row.job.label(), "what was asked, in a line"),
    "series": _Column(
        lambda row: row.job.series() if row.job.task in _TRAINED else None,
        "of trainings, equal for those that differ in nothing but their seed",
    ),
    "task": _Column("job.task"),
    "arch": _Column("job.arch"),
    "family": _Column(lambda row: row.card.family or None),
    "year": _whole("card.year", "of the network's paper"),
    "input_size": _whole("job.input_size", unit="px"),
    "in_channels": _whole("job.in_channels"),
    "num_classes": _whole("job.num_classes"),
    "seed": _whole("job.seed"),
    "device": _Column("settings"),
    "batch_size": _whole(_batch_size, "images a call; of `max` the largest that fits, once that is known"),
    "precision": _Column("settings"),
    "memory_format": _Column("settings"),
    "backend": _Column("settings"),
    "cudnn_benchmark": _Column(
        lambda row: None if row.job.task not in TIMED else "on" if row.job.settings.tries_kernels else "off",
        "on where cuDNN tries its algorithms before anything is timed, else off",
    ),
    "threads": _whole("settings"),
    "dataset": _Column("settings"),
    "epochs": _whole("settings"),
    "replicate": _whole("settings"),
    "recipe": _Column(
        _recipe,
        "name and version of how it was trained, and on how many images where others had another count",
    ),
    "status": _Column("record.status", "how the job ended, see `bench explain statuses`"),
    "stage": _Column("record.stage"),
    "error": _Column(lambda row: _message(row.record.error), "why it did not end well"),
    "tip": _Column(lambda row: row.record.error and row.record.error.get("tip"), "what to do about that"),
    "attempt": _whole("record.attempt"),
    "started_at": _Column("record.started_at", "when the job began", "datetime64[ns, UTC]"),
    "duration_s": _Column("record.duration_s", "", "float64", "s"),
    "device_name": _Column(
        lambda row: device_name(row.record.environment, row.job.device), "model of the CPU or card"
    ),
    "published_top1": _published("top1"),
    "published_top5": _published("top5"),
    "published_source": _Column(lambda row: row.card.published.get("source"), "who published it"),
    "published_protocol": _Column(
        lambda row: protocol_of(row.card.published), "how the images of the published accuracy were tested"
    ),
    "published_size": _whole("card.input_size", "side of the images that it was published for", "px"),
    "published_channels": _whole("card.in_channels", "channels of these"),
    "published_classes": _whole("card.num_classes", "classes of the network as it was published"),
    "outputs": _Column(_outputs, "file with the answers to each test image, an absolute path"),
    "evaluation": _Column(
        lambda row: (
            json.dumps(row.job.settings.content, sort_keys=True) if row.job.task == "evaluate" else None
        ),
        "settings of an evaluation, as JSON",
    ),
}

_OF_THE_ROW = "`unit`"  # the unit of numbers of which each row has one of its own, in the column of that name
_OF_MEASUREMENTS = (
    Entry("measurement", about="name of the quantity, see `bench explain quantities`"),
    Entry("unit"),
    Entry("better"),
    Entry("value", "float64", _OF_THE_ROW, "the number: the median of the samples"),
    Entry("samples", "object", _OF_THE_ROW, each="float64"),
    Entry("flags", "object", each="string"),
    Entry("detail", about="what the number includes and leaves out, and what it was computed from, as JSON"),
    Entry("n", "Int64", "1", "count of the samples that are numbers"),
    Entry("median", "float64", _OF_THE_ROW, "of the samples"),
    Entry(
        "low", "float64", _OF_THE_ROW,
        "lower end of the 95 % interval of the median of independent samples, from six on; of fewer the least",
    ),
    Entry("high", "float64", _OF_THE_ROW, "upper end; of fewer than six samples the largest"),
    Entry("mean", "float64", _OF_THE_ROW, "of the samples"),
    Entry("sd", "float64", _OF_THE_ROW, "standard deviation of the samples, with n - 1"),
)  # fmt: skip


def entries() -> tuple[Entry, ...]:
    """Return what each column holds; `value` is among them, which `bench.analysis.dictionary.typed` adds."""
    settings = [task.settings for _, task in sorted(tasks().items(), key=lambda one: one[0] != "infer")]
    known = documented(Job, Record, Measurement, ArchCard, *settings)
    of_records = (Entry(name, c.dtype, c.unit, c.about) for name, c in _COLUMNS.items())
    every = (*of_records, *_OF_MEASUREMENTS)
    return tuple(replace(one, about=one.about or known.get(one.column, "")) for one in every)


def _of_records(rows: Sequence[_Row]) -> pd.DataFrame:
    """Return one row a record with `_COLUMNS`."""
    sources = {name: column.source for name, column in _COLUMNS.items()}
    settings = [name for name, source in sources.items() if source == "settings"]
    made = {name: source for name, source in sources.items() if callable(source)}
    paths = {n: source for n, source in sources.items() if isinstance(source, str) and n not in settings}
    lookup, makers = attrgetter(*paths.values()), tuple(made.values())
    # Row by row, as the parts of a record lie close in memory: column by column takes twice as long.
    cells = [
        (*lookup(row), *map(row.job.settings.given.get, settings), *[make(row) for make in makers])
        for row in rows
    ]
    values = dict(zip((*paths, *settings, *made), zip(*cells, strict=True), strict=True)) if cells else {}
    if cells:
        values["dataset"] = _datasets(rows, values["dataset"])
        values["recipe"] = _recipes(rows, values["dataset"], values["recipe"])
    return pd.DataFrame({name: _column(name, values.get(name, ())) for name in _COLUMNS})


def _datasets(rows: Sequence[_Row], names: Sequence[str | None]) -> tuple[str | None, ...]:
    """Return the names of data sets, with a digest where a folder held other images another time."""
    digests = apart(names, [row.job.settings.given.get("dataset_sha256") for row in rows])
    return tuple(
        f"{name} ({digest})" if digest else name for name, digest in zip(names, digests, strict=True)
    )


def _recipes(
    rows: Sequence[_Row], datasets: Sequence[str | None], names: Sequence[str | None]
) -> tuple[str | None, ...]:
    """Return the names of recipes, with the count of training images where others of that name had another one."""
    images = [row.job.settings.given.get("train_images") for row in rows]
    several: defaultdict[tuple[str | None, str | None], set[object]] = defaultdict(set)
    for dataset, name, count in zip(datasets, names, images, strict=True):
        several[dataset, name].add(count)
    return tuple(
        f"{name}, {count:,} images"
        if name and isinstance(count, int) and len(several[dataset, name]) > 1
        else name
        for dataset, name, count in zip(datasets, names, images, strict=True)
    )


def _column(name: str, values: Sequence[Any]) -> Any:
    if _COLUMNS[name].dtype not in ("Int64", "float64"):
        return pd.Series(encodable(values), dtype=object)
    try:
        numbers = np.array(values, dtype=np.float64)  # None is NaN
    except (TypeError, ValueError):  # words, such as a batch size of `max` that was not found
        numbers = None
    if numbers is not None and numbers.ndim == 1:
        return numbers
    return np.array([v if isinstance(v, int | float) else math.nan for v in values], dtype=np.float64)


def encodable(values: Sequence[Any]) -> Sequence[Any]:
    """Return texts without lone surrogates, such as of a file name that is not UTF-8: no table can hold them."""
    try:
        "".join(filter(None, values)).encode()
    except (TypeError, UnicodeEncodeError):
        return [v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for v in values]
    return values


def _of_measurements(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """Return one row a measurement, with the statistics of its samples."""
    names = ("name", "unit", "better", "samples", "flags", "detail")
    cells = zip(*map(attrgetter(*names), measurements), strict=True)
    columns = dict(zip(names, cells, strict=True)) if measurements else {}
    summary = summarise(columns.get("samples", ()))
    own = {"measurement" if n == "name" else n: pd.Series(columns.get(n, ()), dtype=object) for n in names}
    return pd.DataFrame(own | {k: getattr(summary, k) for k in ("n", "median", "low", "high", "mean", "sd")})
