"""The frame: records as a long pandas table, one row a measurement of a record."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.machine import device_name
from bench.analysis.statistics import summarise
from bench.plan.card import ArchCard
from bench.plan.job import Job
from bench.records.record import Measurement, Record
from bench.records.store import Run, latest, uncollected

Attempts = Literal["latest", "all"]

PENDING = "pending"

_NO_CARD = ArchCard(name="", family="")


def to_frame(runs: Sequence[Run], attempts: Attempts = "latest") -> pd.DataFrame:
    """Return the long table of some runs.

    One row a measurement of a record, in file order; a record without any, and a planned job without a record
    (status `pending`), is one row whose `measurement` is missing. Missing text is None, missing numbers NaN.

    Args:
        runs: as `bench.records.store.read_run` gives them.
        attempts: `latest` keeps the last record of each job in a run, `all` keeps every one.

    Columns:
        run, job_id, label, task, arch, family, year, input_size and seed and the like: what was asked.
        series: of trainings, equal for those that differ in nothing but their seed.
        device ... epochs, recipe: settings of the task.
        status, stage, error, tip, attempt, started_at, duration_s, device_name: how it went.
        published_top1, published_top5 (fractions), published_source, published_classes: of the card.
        outputs: of trainings, the file with the answers to the test images, an absolute path, or None.
        measurement, unit, better, samples (tuple), flags (tuple), detail: what was seen.
        n, median, low, high, mean, sd: of the samples, see `bench.analysis.statistics.summarise`.
    """
    with uncollected():
        rows = [row for name, run in named(runs) for row in _rows(name, run, attempts)]
        asked = pd.DataFrame({name: _column(name, list(map(read, rows))) for name, read in _COLUMNS.items()})
        seen = [row.record.measurements if row.record else () for row in rows]
        counts = [max(1, len(measurements)) for measurements in seen]
        frame = asked.take(np.repeat(np.arange(len(rows)), counts)).reset_index(drop=True)
        return pd.concat([frame, _measured([m for each in seen for m in (each or (None,))])], axis=1)


def named(runs: Sequence[Run]) -> Iterator[tuple[str, Run]]:
    """Yield each run with a name of its own: the second `a` is called ``a #2``."""
    seen: Counter[str] = Counter()
    for run in runs:
        seen[run.name] += 1
        yield (run.name if seen[run.name] == 1 else f"{run.name} #{seen[run.name]}"), run


class _Row(NamedTuple):
    """What was asked of a job in a run, and its record where it has one."""

    run: str
    folder: Path
    job: Job
    card: ArchCard
    record: Record | None


def _rows(name: str, run: Run, attempts: Attempts) -> Iterator[_Row]:
    """Yield each record of a run, then each job that has none yet."""
    last = latest(run.records)
    folder = run.path.absolute()
    for record in run.records if attempts == "all" else last.values():
        yield _Row(name, folder, record.job, record.card, record)
    cards = {r.job.arch: r.card for r in run.records}
    for job in {j.id: j for j in run.planned}.values():
        if job.id not in last:
            yield _Row(name, folder, job, cards.get(job.arch, _NO_CARD), None)


def _setting(key: str) -> Callable[[_Row], Any]:
    return lambda row: row.job.settings.get(key)


def _batch_size(row: _Row) -> Any:
    """Return the batch size as asked, or what `max` came to."""
    asked = row.job.settings.get("batch_size")
    found = row.record.measurement("max_batch") if row.record and isinstance(asked, str) else None
    return found.samples[0] if found else asked


def _outputs(row: _Row) -> str | None:
    """Return the path of the test outputs that a training stored in the folder of its run, None without any."""
    top1 = row.record.measurement("top1") if row.record and row.job.task == "accuracy" else None
    name = top1.detail.get("outputs") if top1 else None
    return str(row.folder / name) if isinstance(name, str) else None


def _recipe(row: _Row) -> str | None:
    """Return ``std v2`` for the content of a recipe, or its bare name."""
    recipe = row.job.settings.get("recipe")
    if not isinstance(recipe, Mapping):
        return None if recipe is None else str(recipe)
    version = recipe.get("version")
    return str(recipe.get("name", "unnamed")) + (f" v{version}" if version is not None else "")


def _message(error: Mapping[str, Any] | None) -> str | None:
    """Return ``type: message`` of an error, or what there is of it."""
    if not error:
        return None
    return ": ".join(str(error[k]) for k in ("type", "message") if error.get(k)) or None


_COLUMNS: Mapping[str, Callable[[_Row], Any]] = {
    "run": lambda row: row.run,
    "job_id": lambda row: row.job.id,
    "label": lambda row: row.job.label(),
    "series": lambda row: row.job.series() if row.job.task == "accuracy" else None,
    "task": lambda row: row.job.task,
    "arch": lambda row: row.job.arch,
    "family": lambda row: row.card.family or None,
    "year": lambda row: row.card.year,
    "input_size": lambda row: row.job.input_size,
    "in_channels": lambda row: row.job.in_channels,
    "num_classes": lambda row: row.job.num_classes,
    "seed": lambda row: row.job.seed,
    "device": _setting("device"),
    "batch_size": _batch_size,
    "precision": _setting("precision"),
    "memory_format": _setting("memory_format"),
    "backend": _setting("backend"),
    "threads": _setting("threads"),
    "dataset": _setting("dataset"),
    "epochs": _setting("epochs"),
    "replicate": _setting("replicate"),
    "recipe": _recipe,
    "status": lambda row: row.record.status if row.record else PENDING,
    "stage": lambda row: row.record and row.record.stage,
    "error": lambda row: row.record and _message(row.record.error),
    "tip": lambda row: row.record and row.record.error and row.record.error.get("tip"),
    "attempt": lambda row: row.record and row.record.attempt,
    "started_at": lambda row: row.record and row.record.started_at,
    "duration_s": lambda row: row.record and row.record.duration_s,
    "device_name": lambda row: row.record and device_name(row.record.environment, row.job.device),
    "published_top1": lambda row: row.card.published.get("top1"),
    "published_top5": lambda row: row.card.published.get("top5"),
    "published_source": lambda row: row.card.published.get("source"),
    "published_classes": lambda row: row.card.num_classes,
    "outputs": _outputs,
}
"""Columns that belong to the record rather than to one of its measurements, and how each is read."""

_NUMBERS = frozenset(
    (
        *("year", "input_size", "in_channels", "num_classes", "seed", "attempt", "duration_s"),
        *("batch_size", "threads", "epochs", "replicate"),
        *("published_top1", "published_top5", "published_classes"),
    )
)


def _column(name: str, values: list[Any]) -> Any:
    if name not in _NUMBERS:
        return pd.Series(_whole(values), dtype=object)
    try:
        numbers = np.array(values, dtype=np.float64)  # None is NaN
    except (TypeError, ValueError):  # words, such as a batch size of `max` that was not found
        numbers = None
    if numbers is not None and numbers.ndim == 1:
        return numbers
    return np.array([v if isinstance(v, int | float) else math.nan for v in values], dtype=np.float64)


def _whole(values: list[Any]) -> list[Any]:
    """Return texts without lone surrogates, such as of a file name that is not UTF-8: no table can hold them."""
    try:
        "".join(filter(None, values)).encode()
    except (TypeError, UnicodeEncodeError):
        return [v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for v in values]
    return values


def _measured(seen: Sequence[Measurement | None]) -> pd.DataFrame:
    """Return one row a measurement, with the statistics of its samples; None is an empty row."""
    columns: dict[str, Any] = {
        "measurement": [m and m.name for m in seen],
        "unit": [m and m.unit for m in seen],
        "better": [m and m.better for m in seen],
        "samples": [m.samples if m else () for m in seen],
        "flags": [m.flags if m else () for m in seen],
        "detail": [m.detail if m else {} for m in seen],
    }
    summary = summarise(columns["samples"])
    columns = {name: pd.Series(values, dtype=object) for name, values in columns.items()}
    statistics = {k: getattr(summary, k) for k in ("n", "median", "low", "high", "mean", "sd")}
    return pd.DataFrame(columns | statistics)
