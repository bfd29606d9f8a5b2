"""The agent: what does the jobs of a run on another machine, in a process that a cluster has started there.

It does them as a run on that machine would. Each record, and the files that its job has left, stay in a folder of the
machine until they are known to be in the store of whoever leads the run: whoever is killed and begins again asks first
what lies there, so that nothing is lost and nothing is measured twice.

    ~/.cache/bench/jobs/<run>/<job id>/<agent>/<name of the run>/    a run of one job; or below BENCH_JOBS
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, TypeAlias

from bench.errors import BenchError
from bench.execution import Executor
from bench.execution._files import files_of
from bench.execution._locks import SharedLocks
from bench.execution.catalog import ask
from bench.execution.data import fetch_all, without
from bench.execution.places import Place
from bench.execution.runner import Observer, run_at
from bench.io import cache_folder, write_file
from bench.plan.expand import Catalog, Planned
from bench.plan.job import Job
from bench.records.job_files import JobFile
from bench.records.line import encode
from bench.records.store import RECORDS, Store, read_run

Message: TypeAlias = tuple[Literal["stage", "progress", "waiting", "file", "record"], Any]
"""What is told of a job: its stage, its epochs, for whom it waits, a file of it, and last its record as a line."""

_Told: TypeAlias = "SimpleQueue[Message | BaseException | None]"


@dataclass(frozen=True, slots=True)
class Left:
    """What of a job lies on a machine: its records as lines of the store, and its files by their path in a run."""

    job: str
    lines: tuple[bytes, ...]
    files: Mapping[str, bytes]


def jobs_folder() -> Path:
    """Return the folder of this machine in which records lie: the environment's BENCH_JOBS, or ~/.cache/bench/jobs."""
    return cache_folder("BENCH_JOBS", "jobs")


class Agent:
    """Does jobs on this machine for a run that another one leads.

    Args:
        executor: where calls run here.
        folder: in which records lie until they are stored.
    """

    def __init__(self, executor: Executor, folder: Path) -> None:
        self.executor, self.folder = executor, folder
        self.cancelled = threading.Event()
        self._locks = SharedLocks()
        self._fetching = threading.Lock()
        self._refused: dict[str, dict[str, BenchError]] = {}
        self._machine: Catalog | None = None

    def machine(self) -> Catalog:
        """Return what this machine is, and what it has.

        Raises:
            BenchError: if it cannot be probed.
        """
        machine = ask(self.executor, Catalog, "probe_machine", [], [])
        self._machine = machine
        return machine

    def work(self, run: str, name: str, planned: Planned, files: Mapping[str, bytes]) -> Iterator[Message]:
        """Do a job, and yield what is to be told of it as it comes.

        Args:
            run: what tells the run from all others.
            name: of the run, for whoever waits for a device of this machine.
            planned: the job.
            files: of it, to go on from, by their path in a run.

        Raises:
            BenchError: if its record cannot be kept, such as on a full disk.
        """
        told: _Told = SimpleQueue()
        own = f"{platform.node()}-{os.getpid()}"  # disks may be shared, also with one that is believed to be gone

        def do() -> None:
            try:
                self._do(self.folder / run / planned.job.id / own / name, planned, files, told)
                told.put(None)
            except BaseException as error:
                told.put(error)

        threading.Thread(target=do, daemon=True).start()
        while (message := told.get()) is not None:
            if isinstance(message, BaseException):
                raise message
            yield message

    def _do(self, folder: Path, planned: Planned, files: Mapping[str, bytes], told: _Told) -> None:
        place = self._place()
        with Store(folder) as store:
            for path, content in files.items():
                write_file(folder / path, content)
            telling = _Telling(told, folder, planned.job)
            record = run_at(
                place,
                self._with_data(planned),
                store,
                telling,
                locks=self._locks,
                cancelled=self.cancelled,
            )
            store.append(record)
            telling.files(finished=record.status in {"ok", "diverged"})
        told.put(("record", encode(record)))

    def _place(self) -> Place:
        machine = self._machine or self.machine()
        return Place(
            name="", executor=self.executor, environment=machine.environment, cores=self.executor.at_once
        )

    def _with_data(self, planned: Planned) -> Planned:
        """Return the job, once its images are here; marked as unsupported where they cannot be had."""
        if planned.status is not None:
            return planned
        for dataset in planned.datasets:
            with self._fetching:
                if dataset not in self._refused:
                    missing = ask(self.executor, Catalog, "probe_machine", [], [dataset]).missing
                    self._refused[dataset] = fetch_all(missing, self.executor, lambda _: None)
            (planned,) = without((planned,), self._refused[dataset])
        return planned

    def lying(self, run: str) -> Iterator[Left]:
        """Yield what lies here of the jobs of a run."""
        for folder in sorted((self.folder / run).glob("*/*/*/")):
            paths = [path for kind in JobFile for path in (folder / kind.value).glob("[!.]*")]
            records = read_run(folder).records if (folder / RECORDS).is_file() else ()
            yield Left(
                job=folder.parents[1].name,
                lines=tuple(encode(record) for record in records),
                files={path.relative_to(folder).as_posix(): path.read_bytes() for path in paths},
            )

    def stored(self, run: str, jobs: Sequence[str]) -> None:
        """Let go of what lies here of some jobs, now that it is stored where it was asked for."""
        for job in jobs:
            shutil.rmtree(self.folder / run / job, ignore_errors=True)
        with contextlib.suppress(OSError):
            (self.folder / run).rmdir()  # only once it is empty

    def cancel(self) -> None:
        """End the jobs under way."""
        self.cancelled.set()
        self.executor.cancel()


class _Telling(Observer):
    """Passes on what happens to a job, and the checkpoints that it writes."""

    def __init__(self, told: _Told, folder: Path, job: Job) -> None:
        self.told, self.folder = told, folder
        self.checkpoint, *self.results = files_of(folder, job)
        self.written_ns = _changed_ns(self.checkpoint)

    def stage(self, name: str) -> None:
        self.told.put(("stage", name))

    def progress(self, done: int, total: int) -> None:
        self.told.put(("progress", (done, total)))
        if done < total:
            self._tell_checkpoint()

    def waiting(self, device: str, holder: str) -> None:
        self.told.put(("waiting", (device, holder)))

    def files(self, *, finished: bool) -> None:
        """Pass on what the job has left; a training that has finished goes on from nothing."""
        if not finished:
            self._tell_checkpoint()
        for file in self.results:
            if file is not None and file.is_file():
                self._tell(file)

    def _tell_checkpoint(self) -> None:
        changed_ns = _changed_ns(self.checkpoint)
        if self.checkpoint is not None and changed_ns != self.written_ns:
            self.written_ns = changed_ns
            self._tell(self.checkpoint)

    def _tell(self, file: Path) -> None:
        self.told.put(("file", (file.relative_to(self.folder).as_posix(), file.read_bytes())))


def _changed_ns(file: Path | None) -> int:
    """Return when a file was last written; 0 where there is none."""
    try:
        return 0 if file is None else file.stat().st_mtime_ns
    except OSError:
        return 0
