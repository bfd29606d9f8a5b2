"""Faults: what goes wrong, done on purpose, and what must be so after each of them.

A kind of fault is a function of a `Place` and a source of random numbers, registered by `fault`; the moment, the
victim and the damage are drawn. It asserts what is promised of its own; `Place.check` asserts what is promised always:
no stored record is lost, nothing runs on, no temporary file is left, and the same command measures what is missing.

    python -m pytest tests/faults                  # each kind once
    python -m tests.faults --faults 1000 --seed 0  # a campaign
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from bench.records.line import decode
from bench.records.store import RECORDS, read_run

sys.path.append(str(Path(__file__).resolve().parents[1]))  # as pytest has it, for `python -m tests.faults`
import warm

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLUGIN = HERE / "plugin"
KINDS = ("ends", "inputs", "kills", "networks", "stores", "surroundings")  # the modules that register faults
MARK = "BENCH_FAULT"
EXPERIMENT = "blocks:\n  - {task: cost, grid: {arch: [a, b], seed: [0, 1]}}\n"
JOBS = 4
WAIT_S = float(os.environ.get("BENCH_FAULT_WAIT_S", "150"))  # for what takes a second on an idle machine

Kind = Callable[["Place", random.Random], None]


@dataclass(frozen=True)
class Fault:
    """A registered kind; a campaign draws those of more weight more often."""

    run: Kind
    weight: int


FAULTS: dict[str, Fault] = {}


def fault(weight: int = 4) -> Callable[[Kind], Kind]:
    """Register a kind of fault under the name of its function."""

    def register(run: Kind) -> Kind:
        FAULTS[run.__name__] = Fault(run, weight)
        return run

    return register


def load_kinds() -> dict[str, Fault]:
    """Return all kinds."""
    for name in KINDS:
        importlib.import_module(f"{__name__}.{name}")
    return FAULTS


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: where it is not in time.
    """
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.01)


@dataclass
class Place:
    """A folder with an experiment of light jobs and its results, and what was stored there so far.

    Attributes:
        folder: all that is written is in it, temporary files too.
        name: of the run.
        lost_lines: whether the fault itself takes lines out of the store.
        fresh: whether all commands are fresh interpreters; else those are warm ones of which it does not matter what
            an interpreter does as it begins.
    """

    folder: Path
    name: str = "light"
    lost_lines: bool = False
    fresh: bool = True
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir(parents=True)
        (self.folder / "light.yaml").write_text(EXPERIMENT)

    @property
    def run(self) -> Path:
        return self.folder / "results" / self.name

    @property
    def records(self) -> Path:
        return self.run / RECORDS

    def environment(self, **more: str) -> dict[str, str]:
        paths = [str(ROOT), str(PLUGIN)]
        own = {"PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(self.temporary), MARK: str(self.folder)}
        # A full disk cuts off what Python compiles, without an error, and the next process would read it.
        own |= {"PYTHONDONTWRITEBYTECODE": "1", "BENCH_LOCKS": str(self.folder / "locks")}
        return {**os.environ, **own, **more}

    def start(self, *words: object, fresh: bool | None = None, **options: object) -> subprocess.Popen[bytes]:
        """Start `bench` with these words, its output to pipes, in a session of its own."""
        more: dict[str, str] = options.pop("environment", {})  # type: ignore[assignment]
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        command = [sys.executable, "-m", "bench", *map(str, words)]
        fresh = self.fresh if fresh is None else fresh
        by: Callable[..., Any] = subprocess.Popen if fresh else partial(warm.Popen, light=True)
        process: subprocess.Popen[bytes] = by(
            command, cwd=self.folder, env=self.environment(**more), start_new_session=True, **given
        )
        self.processes.append(process)
        return process

    def bench(self, *words: object, **options: object) -> tuple[int, str, str]:
        """Run `bench` to its end; return its exit code and what it printed."""
        return ended(self.start(*words, **options))

    def measuring(self, *more: object) -> list[object]:
        """Return the words that measure the light jobs."""
        plugin, light = PLUGIN / "light.py", ["--executor", "light", "--no-report", "--json"]
        return ["--plugin", plugin, "run", "-c", "light.yaml", "--name", self.name, *light, *more]

    def lines(self) -> list[bytes]:
        """Return the sound lines of the store."""
        lines = self.records.read_bytes().split(b"\n") if self.records.is_file() else []
        return [line for line in lines if is_sound(line)]

    def check(self, stored: Sequence[bytes]) -> None:
        """Assert what is promised after every fault.

        Args:
            stored: the lines that were there before, none of which may be missing.
        """
        self.nothing_runs()
        lines = self.lines()
        missing = [line for line in stored if line not in set(lines)]
        assert self.lost_lines or not missing, f"{len(missing)} stored records are lost"
        done = {record.job.id for record in map(decode, lines) if record and record.status == "ok"}
        code, out, err = ended(self.start(*self.measuring(), fresh=False))
        assert code == 0, f"the same command ends with {code}: {err}"
        assert json.loads(out)["reused"] >= len(done), "not all that was measured is used again"
        run = read_run(self.run)
        assert len(run.planned) == JOBS
        statuses = {record.job.id: record.status for record in run.records}
        assert [statuses.get(job.id) for job in run.planned] == ["ok"] * JOBS, statuses
        self.nothing_runs()
        left = [str(p) for p in self.temporary.rglob("*")]
        left += [str(p) for p in self.run.rglob(".*") if p.name != ".lock"]
        assert left == [], f"left behind: {left}"

    def nothing_runs(self) -> None:
        """Assert that no process of this place is left, a moment after its end."""
        for process in self.processes:
            assert process.poll() is not None, "a command has not ended"
        wait_for(lambda: not self.running(), f"the end of {self.running()}")

    def running(self) -> list[str]:
        return [str(p) for p in psutil.process_iter() if self._is_of_this(p)]

    def _is_of_this(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # A warm process, and what it forks, has the environment of another.
            marked = process.environ().get(MARK) == str(self.folder)
            return marked or Path(process.cwd()).is_relative_to(self.folder)
        except psutil.Error:
            return False

    def close(self) -> None:
        """End what a failed check has left."""
        for process in psutil.process_iter():
            if self._is_of_this(process):
                process.kill()
        for process in self.processes:
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def is_sound(line: bytes) -> bool:
    try:
        return decode(line) is not None
    except ValueError:
        return False


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    """Return the exit code of a process and what it printed, when it has ended; no traceback is among it."""
    try:
        out, err = process.communicate(timeout=WAIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("a command does not end") from None
    texts = [(text or b"").decode("utf-8", "replace") for text in (out, err)]
    assert "Traceback" not in texts[1], texts[1]
    assert "\x1b" not in texts[0] + texts[1]
    return process.returncode, texts[0], texts[1]


def inject(name: str, seed: int, folder: Path, *, fresh: bool = True) -> None:
    """Do one fault in a new place, and check what is promised; for `fresh` see `Place`.

    Raises:
        AssertionError: where it is not so.
    """
    place = Place(folder, fresh=fresh)
    try:
        load_kinds()[name].run(place, random.Random(seed))
    finally:
        place.close()
