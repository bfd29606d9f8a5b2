"""Trainings with stored test outputs, for the tests of comparisons, ensembles and studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from conftest import make_job, make_record

from bench.plan.job import Job
from bench.records.job_files import JobFile
from bench.records.outputs import Outputs, save_outputs
from bench.records.record import Measurement, Record
from bench.records.store import Run
from bench.units import Better

RECIPE = {"name": "std", "version": 1}


def training(arch: str, seed: int = 0, **settings: Any) -> Job:
    """Return an accuracy job on digits."""
    usual = {"dataset": "digits", "recipe": RECIPE, "epochs": 4, "device": "cpu"}
    return make_job(task="accuracy", arch=arch, seed=seed, settings={**usual, **settings})


def told(name: str, value: float, better: Better = "lower", **detail: Any) -> Measurement:
    """Return a measurement of one number of a training."""
    return Measurement(name=name, unit="1", better=better, samples=(value,), detail=detail)


def trained(arch: str, seed: int, top1: float, *more: Measurement, **settings: Any) -> Record:
    """Return the record of a training that ended well, without outputs."""
    return make_record(
        job=training(arch, seed, **settings), measurements=(told("top1", top1, "higher"), *more)
    )


def diverged(arch: str, seed: int, **settings: Any) -> Record:
    """Return the record of a training that diverged."""
    return make_record(job=training(arch, seed, **settings), status="diverged", measurements=())


def with_outputs(
    folder: Path,
    arch: str,
    seed: int,
    said: Sequence[int],
    labels: Sequence[int],
    classes: int = 3,
    **settings: Any,
) -> Record:
    """Return the record of a training that told the classes `said` of the test images, which are kept in `folder`."""
    logits = np.zeros((len(said), classes), dtype=np.float32)
    logits[np.arange(len(said)), list(said)] = 4.0
    return with_logits(folder, arch, seed, logits, labels, **settings)


def with_logits(
    folder: Path,
    arch: str,
    seed: int,
    logits: npt.NDArray[np.float32],
    labels: Sequence[int],
    **settings: Any,
) -> Record:
    """Return the record of a training with these logits [N, K], which are kept in `folder`."""
    names = tuple(str(k) for k in range(logits.shape[1]))
    content, digest = Outputs(logits, np.array(labels, dtype=np.int64), None, names).encode()
    job = training(arch, seed, **settings)
    save_outputs(JobFile.outputs.path(folder, job.id), content)
    right = float(np.mean(logits.argmax(axis=1) == np.array(labels)))
    top1 = told("top1", right, "higher", outputs_sha256=digest, n=len(labels))
    return make_record(job=job, measurements=(top1,))


def run_of(
    *records: Record,
    path: Path = Path("results/t"),
    planned: Sequence[Job] = (),
    info: Mapping[str, Any] | None = None,
) -> Run:
    """Return a run with these records."""
    return Run(path.name, path, records, tuple(planned), info=info or {})
