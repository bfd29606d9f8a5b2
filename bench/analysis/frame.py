"""The frame: records as a long pandas table, one row a measurement of a record."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

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

SETTINGS = (
    *("device", "batch_size", "precision", "memory_format", "backend", "threads", "dataset", "epochs"),
    "replicate",
)
NUMBERS = (
    *(
        "year",
        "input_size",
        "in_channels",
        "num_classes",
        "seed",
        "batch_size",
        "threads",
        "epochs",
        "replicate",
    ),
    *("attempt", "duration_s", "published_top1", "published_top5", "published_classes"),
)

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
        asked = pd.DataFrame(_columns([fields for fields, _ in rows], _ROW))
        counts = [max(1, len(measurements)) for _, measurements in rows]
        seen = [m for _, measurements in rows for m in (measurements or (None,))]
        frame = asked.take(np.repeat(np.arange(len(rows)), counts)).reset_index(drop=True)
        return pd.concat([frame, _measured(seen)], axis=1)


def named(runs: Sequence[Run]) -> Iterator[tuple[str, Run]]:
    """Yield each run with a name of its own: the second `a` is called ``a #2``."""
    seen: Counter[str] = Counter()
    for run in runs:
        seen[run.name] += 1
        yield (run.name if seen[run.name] == 1 else f"{run.name} #{seen[run.name]}"), run


_Row = tuple[dict[str, Any], tuple[Measurement, ...]]


def _rows(name: str, run: Run, attempts: Attempts) -> Iterator[_Row]:
    """Yield the fields and measurements of each record of a run, then of each job that has none yet."""
    last = latest(run.records)
    folder = run.path.absolute()
    for record in run.records if attempts == "all" else last.values():
        fields = _from_record(name, record)
        fields["outputs"] = _outputs(folder, record)
        yield fields, record.measurements
    cards = {r.job.arch: r.card for r in run.records}
    for job in {j.id: j for j in run.planned}.values():
        if job.id not in last:
            fields = {**_from_job(name, job), **_from_card(cards.get(job.arch, _NO_CARD)), "status": PENDING}
            yield fields, ()


def _from_record(run: str, record: Record) -> dict[str, Any]:
    fields = _from_job(run, record.job)
    fields |= _found_batch(record)
    fields |= _from_card(record.card)
    fields |= {
        "status": record.status,
        "stage": record.stage,
        "error": _message(record.error),
        "tip": (record.error or {}).get("tip"),
        "attempt": record.attempt,
        "started_at": record.started_at,
        "duration_s": record.duration_s,
        "device_name": device_name(record.environment, record.job.device),
    }
    return fields


def _found_batch(record: Record) -> dict[str, Any]:
    """Return the batch size that `max` came to."""
    found = [m.samples[0] for m in record.measurements if m.name == "max_batch"]
    return {"batch_size": found[-1]} if found else {}


def _outputs(folder: Path, record: Record) -> str | None:
    """Return the path of the test outputs that a training stored in the folder of its run, None without any."""
    top1 = record.measurement("top1") if record.job.task == "accuracy" else None
    name = top1.detail.get("outputs") if top1 else None
    return str(folder / name) if isinstance(name, str) else None


def _from_job(run: str, job: Job) -> dict[str, Any]:
    settings = job.settings
    return {
        "run": run,
        "job_id": job.id,
        "label": job.label(),
        "series": _series(job) if job.task == "accuracy" else None,
        "task": job.task,
        "arch": job.arch,
        "input_size": job.input_size,
        "in_channels": job.in_channels,
        "num_classes": job.num_classes,
        "seed": job.seed,
        "recipe": _recipe(settings.get("recipe")),
        **{key: settings.get(key) for key in SETTINGS},
    }


def _from_card(card: ArchCard) -> dict[str, Any]:
    return {
        "family": card.family or None,
        "year": card.year,
        "published_top1": card.published.get("top1"),
        "published_top5": card.published.get("top5"),
        "published_source": card.published.get("source"),
        "published_classes": card.num_classes,
    }


def _series(job: Job) -> str:
    """Return what a job asks but for its seed, as one string."""
    return _sorted({**job.content(), "seed": None})


_sorted = json.JSONEncoder(sort_keys=True).encode


def _recipe(recipe: Any) -> str | None:
    """Return ``std v2`` for the content of a recipe, or its bare name."""
    if not isinstance(recipe, Mapping):
        return None if recipe is None else str(recipe)
    version = recipe.get("version")
    return str(recipe.get("name", "unnamed")) + (f" v{version}" if version is not None else "")


def _message(error: Mapping[str, Any] | None) -> str | None:
    """Return ``type: message`` of an error, or what there is of it."""
    if not error:
        return None
    return ": ".join(str(error[k]) for k in ("type", "message") if error.get(k)) or None


_ROW = (
    *("run", "job_id", "label", "series", "task", "arch", "family", "year"),
    *("input_size", "in_channels", "num_classes", "seed", *SETTINGS, "recipe"),
    *("status", "stage", "error", "tip", "attempt", "started_at", "duration_s", "device_name"),
    *("published_top1", "published_top5", "published_source", "published_classes"),
    "outputs",
)
"""Columns that belong to the record rather than to one of its measurements."""


def _columns(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if name in NUMBERS:
            columns[name] = np.array([_number(v) for v in values], dtype=np.float64)
        else:
            whole = [v if not isinstance(v, str) or v.isascii() else _whole(v) for v in values]
            columns[name] = pd.Series(whole, dtype=object)
    return columns


def _whole(text: str) -> str:
    """Return text without lone surrogates, such as of a file name that is not UTF-8: no table can hold them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _number(value: Any) -> float:
    """Return a number, and NaN for anything else, such as a batch size of ``max``."""
    return float(value) if isinstance(value, int | float) else math.nan


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
