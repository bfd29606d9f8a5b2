"""The files of a job in the folder of its run, while it is carried out; see `bench.records.job_files`."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from multiprocessing.util import get_temp_dir
from pathlib import Path

from bench.plan.job import Job
from bench.plan.task import TASKS
from bench.records.job_files import JobFile
from bench.records.record import Record


def files_of(folder: Path, job: Job) -> tuple[Path | None, Path | None, Path | None]:
    """Return where a job keeps its checkpoint, its answers to each image, and its weights; None for what it lacks."""
    if not TASKS.get(job.task).keeps_files:
        return None, None, None
    weights = JobFile.weights.path(folder, job.id) if job.settings.given.get("keep_weights") else None
    return JobFile.checkpoint.path(folder, job.id), JobFile.outputs.path(folder, job.id), weights


def clear_checkpoint(folder: Path, record: Record) -> None:
    """Remove the checkpoint of a training that came to its own end; one that was cut short goes on from it."""
    path, *_ = files_of(folder, record.job)
    if path is not None and record.status in {"ok", "diverged"}:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def checkpoints_cleared(folder: Path) -> Iterator[None]:
    """Remove the folder of checkpoints at the end of a with block, if it is empty; not while a job may write there."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / JobFile.checkpoint.value).rmdir()


@contextlib.contextmanager
def artefacts_folder() -> Iterator[Path | None]:
    """Yield a folder for what backends make of networks, gone at the end of a with block; None where there is no room.

    It is within multiprocessing's own, which also goes where this process is killed.
    """
    with contextlib.ExitStack() as stack:
        folder = None
        with contextlib.suppress(OSError):
            own = tempfile.TemporaryDirectory(
                prefix="artefacts-", dir=get_temp_dir(), ignore_cleanup_errors=True
            )
            folder = Path(stack.enter_context(own))
        yield folder
