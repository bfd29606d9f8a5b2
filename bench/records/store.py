"""The store: a run is a folder with `run.json` and an append-only `records.jsonl`, one line a record.

Each line is flushed and fsynced before `append` returns, so that a kill loses at most the job under way.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from filelock import Timeout

from bench.errors import StoreError, nearest
from bench.io import JsonObject, atomic_write, is_there, sweep_drafts, uncollected
from bench.plan.job import Job
from bench.records.line import Count, decode, decode_text, encode, jobs_of, json_document
from bench.records.lock import soft_path, take_lock
from bench.records.record import Record

RECORDS = "records.jsonl"
_REJECTED = "rejected.jsonl"
_BOM = b"\xef\xbb\xbf"
INFO = "run.json"
_INFO_SCHEMA = 1
_LOCK = ".lock"


_DELETE = "delete it; the records do not depend on it"
_JOB_ID = re.compile(rb'"job":\s*\{\s*"id":\s*"([0-9a-f]{12})"')


@dataclass(frozen=True, slots=True)
class _Rejected:
    """A line that is no sound record: its number (from 1), why it was set aside, and of which job it seems to be."""

    line: int
    reason: str
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as read: all attempts in file order, the jobs last asked for, and what was set aside.

    `seen` tells its files as they were when they were read, see `Store`.
    """

    name: str
    path: Path
    records: tuple[Record, ...]
    planned: tuple[Job, ...] = ()
    rejected: tuple[_Rejected, ...] = ()
    info: JsonObject = field(default_factory=dict)
    seen: object = field(default=None, compare=False, repr=False)

    @property
    def set_aside(self) -> str:
        """Return one sentence on the lines of a run that were set aside."""
        first, count = self.rejected[0], len(self.rejected)
        lines = f"line {first.line}" if count == 1 else f"{count} lines, the first of them line {first.line},"
        return f"{lines} of {self.path / RECORDS} set aside: {first.reason}"


def run_called(text: str | Path, results: Path | str) -> Path | None:
    """Return the folder of a run, given by name or path; a name in the results folder comes first. None without one."""
    try:
        return next((place for place in (Path(results) / text, Path(text)) if place.is_dir()), None)
    except OSError:  # a name that no folder can have
        return None


@uncollected()
def read_run(path: Path | str) -> Run:
    """Read a run; lines that are not sound are set aside with their number and reason, the rest still read.

    Raises:
        StoreError: if the folder is no run, cannot be read, or was written by a newer version.
    """
    path = Path(path)
    try:
        if not any([is_there(path / RECORDS), is_there(path / INFO)]):
            raise _no_run(path)
        seen = _seen(path)
        info, planned = _read_info(path / INFO)
        records, rejected = _read_records(path / RECORDS)
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {error.strerror or error}", "name a folder that you may read"
        ) from error
    return Run(path.resolve().name, path, tuple(records), planned, tuple(rejected), info, seen)


def _seen(path: Path) -> object:
    """Return what tells whether the files of a run were written to: which they are, how long, and since when."""
    files = [path / name for name in (RECORDS, INFO)]
    told = [file.stat() if file.exists() else None for file in files]
    return [one and (one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns) for one in told]


class _Planned(msgspec.Struct, gc=False):
    """A job of `run.json`; keys that this version does not know are left out."""

    task: str
    arch: str
    input_size: Count
    in_channels: Count = 3
    num_classes: Count | None = 1000
    seed: int = 0
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    source_sha256: str | None = None

    def job(self) -> Job:
        return Job(**msgspec.structs.asdict(self))


class _Info(msgspec.Struct):
    """What is checked of `run.json`; all other keys are kept as they are."""

    schema: int = _INFO_SCHEMA
    jobs: list[_Planned] = msgspec.field(default_factory=list)
    invocations: list[dict[str, Any]] = msgspec.field(default_factory=list)
    experiment: dict[str, Any] | None = None
    band: float | None = None


def _no_run(path: Path) -> StoreError:
    siblings = (
        [p.name for p in path.parent.glob("*/") if (p / RECORDS).is_file()] if path.parent.is_dir() else []
    )
    close = nearest(path.name, siblings) or sorted(siblings)[:6]
    tip = f"runs there: {', '.join(close)}" if close else "measure one first: bench run smoke"
    inside = sorted(p.name for p in path.glob("*/") if (p / RECORDS).is_file()) if path.is_dir() else []
    if inside:
        tip = f"name a run in it: {', '.join(str(path / name) for name in inside[:3])}"
    if (path.parent / RECORDS).is_file():
        tip = f"name the run's folder: {path.parent}"
    for place in (path.parent / "results" / path.name, path.parent.parent / "results" / path.name):
        if place != path and (place / RECORDS).is_file():
            tip = f"a run of that name is in {place}"
    return StoreError(f"no run in {path}: it has neither {RECORDS} nor {INFO}", tip)


def read_info(path: Path) -> JsonObject:
    """Return what `run.json` says of a run, but for its jobs; empty where there is none.

    Raises:
        StoreError: if it cannot be read.
    """
    return _read_info(path / INFO)[0]


_pieces = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _read_info(file: Path) -> tuple[JsonObject, tuple[Job, ...]]:
    """Return the same, and the jobs."""
    try:
        if not is_there(file):
            return {}, ()
        text = file.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror or error}", _DELETE) from error
    try:  # as this version writes it
        pieces = _pieces(text)
        jobs = jobs_of(pieces.pop("jobs", b"[]"))
        info = {key: decode_text(piece) for key, piece in pieces.items()}
    except (ValueError, RecursionError):
        info, jobs = _any_info(file, text), None
    if isinstance(schema := info.get("schema"), int) and schema > _INFO_SCHEMA:
        raise StoreError(
            f"{file} is of a newer version: its schema is {schema}, not {_INFO_SCHEMA}", "update bench"
        )
    try:
        checked = msgspec.convert(info, _Info)
        planned = tuple(job.job() for job in checked.jobs) if jobs is None else jobs
    except (ValueError, TypeError, OverflowError) as error:  # settings are their task's to check
        raise StoreError(f"{file} is not as bench writes it: {error}", _DELETE) from error
    return {key: value for key, value in info.items() if key != "jobs"}, planned


def _any_info(file: Path, text: bytes) -> dict[str, Any]:
    try:
        info = decode_text(text)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{file} is not JSON: {error}", _DELETE) from error
    if not isinstance(info, dict):
        raise StoreError(f"{file} is not a JSON object", _DELETE)
    return info


def _read_records(file: Path) -> tuple[list[Record], list[_Rejected]]:
    records: list[Record] = []
    rejected: list[_Rejected] = []
    for _, content in _lines(file):
        if isinstance(content, Record):
            records.append(content)
        else:
            rejected.append(content)
    return records, rejected


def sound_lines(file: Path, most_bytes: int | None = None) -> Iterator[tuple[bytes, Record]]:
    """Yield each sound line of a file of records, without its end, and its record.

    Args:
        file: of the records; one that is not there has none.
        most_bytes: bytes at its end that are read; None is all of it.

    Raises:
        StoreError: if it was written by a newer version.
        OSError: if it cannot be read, or is no file.
    """
    for line, content in _lines(file, most_bytes):
        if isinstance(content, Record):
            yield line.strip(), content


def _lines(file: Path, most_bytes: int | None = None) -> Iterator[tuple[bytes, Record | _Rejected]]:
    if not is_there(file):
        return
    with file.open("rb", buffering=1 << 20) as lines:
        if most_bytes is not None and (before := file.stat().st_size - most_bytes) > 0:
            lines.seek(before)
            lines.readline()  # what is left of a line
        for number, line in enumerate(lines, start=1):
            content = line
            # Line ends, and the mark of an editor, are no content; stripped without need, a line would be copied.
            if not (line.startswith(b"{") and line.endswith(b"}\n")):
                content = line.removeprefix(_BOM).strip()
            if not content:
                continue
            try:
                record: Record | _Rejected = decode(content)
            except (ValueError, OverflowError, RecursionError) as error:
                job = _JOB_ID.search(content)
                record = _Rejected(number, str(error), job[1].decode() if job else None)
            except StoreError as error:
                raise StoreError(f"{file}, line {number}: {error.message}", error.tip) from error
            yield content, record


class Store:
    """A run's folder, open for writing; use as a context manager. One writer at a time holds its lock.

    Args:
        path: the folder; made where it is missing.
        known: the run as it was read a moment ago: where its files are as they were, it is not read again.

    Raises:
        StoreError: if it cannot be written, or another process is writing to it.
    """

    def __init__(self, path: Path | str, known: Run | None = None) -> None:
        self.path = Path(path)
        self._known = known
        self.file = self.path / RECORDS
        self._attempts: Counter[str] = Counter()

    def __enter__(self) -> Store:
        with ExitStack() as held:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                held.callback(take_lock(self.path / _LOCK).release)
                for name in (RECORDS, INFO, _REJECTED, _LOCK):
                    is_there(self.path / name)
                self._stream = held.enter_context(self.file.open("ab", buffering=0))
                self._repair()
                sweep_drafts(self.path)
            except Timeout as error:
                raise StoreError(
                    f"another bench is writing to {self.path}",
                    "wait for it, or choose another --name" + _left_behind(self.path / _LOCK),
                ) from error
            except OSError as error:
                raise self._unwritable(error) from error
            known, self._known = self._known, None
            self.run = known if known and known.seen == _seen(self.path) else read_run(self.path)
            self._attempts.update(r.job.id for r in self.run.records)
            self._held = held.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._held.close()

    def attempts(self, job_id: str) -> int:
        """Return how many records of this job the store has."""
        return self._attempts[job_id]

    def append(self, record: Record) -> None:
        """Write a record; when this returns it is on the disk.

        Raises:
            StoreError: if it could not be written whole; the store stays readable.
        """
        try:
            self._write(encode(record))
            _sync(self._stream.fileno())
        except OSError as error:
            raise self._unwritable(error) from error
        self._attempts[record.job.id] += 1

    def write_info(self, info: Mapping[str, object]) -> None:
        """Replace `run.json` at once: its schema, what was asked, in which words, with which versions."""
        try:
            with atomic_write(self.path / INFO) as file:
                file.write(json_document({"schema": _INFO_SCHEMA, **info}) + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:  # an unbuffered write may take a part
            rest = rest[self._stream.write(rest) :]

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"cannot write to {self.path}: {error.strerror or error}",
            "what was measured before is kept; mend it or choose another --results folder, then run again",
        )

    def _repair(self) -> None:
        """Set a torn last line aside, so that the next record starts on a line of its own.

        A link's file may be another run's, which writes to it at this moment: it is not cut.
        """
        torn = _torn_tail(self.file)
        if not torn:
            return
        if self.file.is_symlink():
            self._write(b"\n")
            return
        try:
            decode(torn)  # whole but for its line end
            self._write(b"\n")
        except ValueError:
            with (self.path / _REJECTED).open("ab") as aside:
                aside.write(torn + b"\n")
            os.truncate(self.file, self.file.stat().st_size - len(torn))


def _left_behind(lock: Path) -> str:
    """Return what to do where a file stands for the lock: whoever was killed on another machine has left it."""
    held = soft_path(lock)
    return f"; if none runs, on any machine, delete {held}" if held.exists() else ""


def _sync(descriptor: int) -> None:
    """Have a file on its disk, as far as its file system knows how to."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def _torn_tail(file: Path) -> bytes:
    """Return what follows the last line end; empty where the file ends with one."""
    size = file.stat().st_size
    tail = b""
    with file.open("rb") as stream:
        while len(tail) < size:
            step = min(1 << 16, size - len(tail))
            stream.seek(size - len(tail) - step)
            tail = stream.read(step) + tail
            if b"\n" in tail:
                break
    return tail.rpartition(b"\n")[2]


def latest(records: Sequence[Record]) -> dict[str, Record]:
    """Return the record of each job that stands: the last.

    But one that was cancelled, one that only shows how the machine drifts, and a second try that failed or that
    others slowed down even more, replace none that is ok.
    """
    last: dict[str, Record] = {}
    for record in records:
        before = last.get(record.job.id)
        if before is None or before.status != "ok" or _replaces(record, before):
            last[record.job.id] = record
    return last


def _replaces(record: Record, before: Record) -> bool:
    """Return whether a record stands instead of an earlier one that is ok."""
    if record.role == "repeated":
        slower = record.is_disturbed and _seconds(record) > _seconds(before)
        return record.status == "ok" and not slower
    return record.status != "cancelled" and record.role != "drift_control"


def _seconds(record: Record) -> float:
    """Return the median time of a call, NaN where none was timed."""
    timed = record.measurement("step_time") or record.measurement("latency")
    return median(timed.samples) if timed and timed.samples else math.nan
