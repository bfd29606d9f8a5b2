"""Merging: the records of several runs in a new store; the runs stay as they are."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import bench
from bench.errors import StoreError
from bench.io import JsonObject, atomic_write, is_there
from bench.records.job_files import JobFile
from bench.records.line import json_document
from bench.records.machines import machines_of
from bench.records.record import Record
from bench.records.store import INFO, RECORDS, Run, latest, read_info, read_run, sound_lines


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to.

    Attributes:
        path: the folder of the new run.
        records: how many it has.
        repeated: how many were in several of the runs, and are there once.
        set_aside: lines that are no sound records, by the folder of their run; they are not in the new one.
        replaced: jobs that several runs have of one machine, or of equal ones: the later record stands.
        machines: how many there are.
        notes: what the runs differ in, and is in none of the new one's tables.
    """

    path: Path
    records: int
    repeated: int
    set_aside: Mapping[Path, int]
    replaced: int
    machines: int
    notes: tuple[str, ...] = ()


def merge_runs(paths: Sequence[Path], into: Path) -> Merged:
    """Write the records of some runs into a new one, line by line as they are.

    Runs come in the order of their last records, so that of what two of them have of one machine the later stands.
    The records' file is written last and at once: a merge that was cut short left no run, and can be given again.

    Args:
        paths: folders of the runs.
        into: folder of the new one.

    Raises:
        StoreError: if a run cannot be read, the new one is there already or cannot be written.
    """
    cut_short = not (into / RECORDS).exists() and "merged" in read_info(into)
    if not cut_short and ((into / RECORDS).exists() or (into / INFO).exists()):
        raise StoreError(f"there is a run in {into} already", "choose another --name")
    runs = sorted((read_run(path) for path in paths), key=_ended)
    lines: dict[bytes, Record] = {}
    total = 0
    for run in runs:
        for line, record in sound_lines(run.path / RECORDS):
            total += 1
            lines.setdefault(line, record)
    try:
        into.mkdir(parents=True, exist_ok=True)
        for run in runs:
            _copy_kept(run, into)
        with atomic_write(into / INFO) as file:
            file.write(json_document(_info(runs, into.name)) + b"\n")
        with atomic_write(into / RECORDS) as file:
            file.writelines(line + b"\n" for line in lines)
    except OSError as error:
        raise StoreError(
            f"cannot write to {into}: {error.strerror or error}",
            "the runs are as they were; mend it and try again",
        ) from error
    return Merged(
        path=into,
        records=len(lines),
        repeated=total - len(lines),
        set_aside={run.path: len(run.rejected) for run in runs if run.rejected},
        replaced=_replaced(runs),
        machines=len(machines_of(list(lines.values()))),
        notes=tuple(_differences(runs)),
    )


def _ended(run: Run) -> str:
    """Return when the last record of a run was begun."""
    return max((record.started_at for record in run.records), default="")


def _replaced(runs: Sequence[Run]) -> int:
    """Return how many jobs have different standing records of one machine in several runs."""
    standing: dict[tuple[object, str], set[str]] = {}
    for run in runs:
        for machine, records in machines_of(run.records).items():
            for job_id, record in latest(records).items():
                standing.setdefault((machine, job_id), set()).add(f"{record.started_at} {record.duration_s}")
    return sum(len(records) > 1 for records in standing.values())


def _copy_kept(run: Run, into: Path) -> None:
    """Copy what jobs said of each image, and their weights; of those that two runs have of one job, each is kept."""
    for kind in (JobFile.outputs, JobFile.weights):
        for file, record, sha256 in kind.all_in(run.path, run.records):
            place = kind.path(into, record.job.id)
            if is_there(place) and hashlib.sha256(place.read_bytes()).hexdigest() != sha256:
                place = place.with_stem(f"{place.stem}-{sha256[:12]}")
            if not is_there(place):
                place.parent.mkdir(exist_ok=True)
                with file.open("rb") as source, atomic_write(place, synced=False) as copy:
                    shutil.copyfileobj(source, copy)


def _info(runs: Sequence[Run], name: str) -> dict[str, object]:
    """Return `run.json` of the new run: the jobs and invocations of all, and what they agree in."""
    infos = [run.info for run in runs]
    jobs = {job.id: job.to_json() for run in runs for job in run.planned}
    bands = {info["band"] for info in infos if "band" in info}
    return {
        **({"band": bands.pop()} if len(bands) == 1 else {}),
        "schema": 1,
        "bench_version": bench.__version__,
        "versions": infos[-1].get("versions", {}),
        "invocations": [one for info in infos for one in info.get("invocations", ())],
        "merged": [
            {"run": run.name, "records": len(run.records), "set_aside": len(run.rejected)} for run in runs
        ],
        "experiment": _experiment(infos, name),
        "jobs": list(jobs.values()),
    }


def _experiment(infos: Sequence[JsonObject], name: str) -> JsonObject:
    """Return the experiment of all runs, where it is one; else the blocks of all, without a study."""
    experiments: list[JsonObject] = [info["experiment"] for info in infos if info.get("experiment")]
    if experiments and all(one == experiments[0] for one in experiments):
        return experiments[0]
    blocks: list[object] = []
    for block in (block for one in experiments for block in one.get("blocks", ())):
        blocks += [] if block in blocks else [block]
    return {"name": name, "about": "", "blocks": blocks, "skip": []}


def _differences(runs: Sequence[Run]) -> Iterator[str]:
    """Yield what cannot be kept, since the runs differ in it."""
    if len({run.info["band"] for run in runs if "band" in run.info}) > 1:
        yield "the runs were judged by different bands; the usual one holds for all of them now"
    experiments = [run.info.get("experiment") or {} for run in runs]
    if any("study" in one for one in experiments) and any(one != experiments[0] for one in experiments):
        yield "the runs are of different experiments; the verdicts of their studies are told by their own reports"
