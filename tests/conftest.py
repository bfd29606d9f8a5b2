"""What the tests share: a catalog without torch, jobs and records, and a script for the fake executor."""

from __future__ import annotations

import atexit
import gc
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_executor import FakeExecutor
from hypothesis import HealthCheck, settings
from typer.testing import CliRunner, Result

from bench.execution import EXECUTORS, Ended, Event
from bench.execution import _probe as probe
from bench.plan.card import ArchCard, DatasetCard
from bench.plan.expand import Catalog, Planned
from bench.plan.job import Job
from bench.plan.task import TASKS
from bench.records.record import Measurement, Record, count

# There is a worker for each core: threads that wait for one another there took up to four times the time of one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# To compile the headers beforehand takes half a minute, and each job, with its fresh cache, would use them once.
os.environ.setdefault("TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS", "0")
# To compile and load a program that looks whether there are the vector units that the CPU says takes 4 s a process.
os.environ.setdefault("TORCHINDUCTOR_VEC_ISA_OK", "1")
os.environ.pop("COLUMNS", None)  # which the workers of pytest-xdist are given
# Else each worker, and each interpreter that it starts, compiles 600 files anew, with all the assertions: 10 s a time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
gc.disable()  # until all is imported, which stays; no test looks for garbage there
DIGITS = DatasetCard(
    name="digits", num_classes=10, in_channels=1, size=8, train=1437, test=360, source="test"
)
ENVIRONMENT = {"cpu": {"model": "test", "cores": 2}, "packages": {"torch": "2.11"}, "gpu": []}


# How long a test takes on a busy machine says nothing of what it tests.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# Functions of tests, and whole files, that `-m "not slow"` leaves out: see `--write-slow`.
SLOW_LIST = Path(__file__).with_name("slow.txt")
SLOW = frozenset(SLOW_LIST.read_text("utf-8").split())
SLOW_FIXTURES = {"facts"}  # that take seconds to make
# The files that take longest, begun first, so that no worker is left with one of them at the end.
LONGEST = (
    *(
        "test_as_written",
        "test_faults",
        "test_cli",
        "test_process_executor",
        "test_parallel",
        "test_figures",
        "test_report_cli",
        "test_report",
    ),
    *("test_backends", "test_plugins", "test_receptive_field", "test_wild_networks", "test_figures_cost"),
    *("test_racing", "test_exported", "test_layer_times", "test_python", "test_evaluate", "test_width"),
    *("test_gpu_walk", "test_archs", "test_page", "test_contracts", "test_datasets", "test_torchrun"),
)


LONGEST_S, SHORTEST_S = 0.1, 0.05  # a test that takes longer is slow; one that is shorter is no longer


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which an idle machine tells which tests are slow."""
    help_ = f"write to {SLOW_LIST.name} which of the tests that run take more than {LONGEST_S} s"
    parser.addoption("--write-slow", action="store_true", help=help_)


class _Durations:
    """How long each test took, with what it set up, by its function."""

    def __init__(self) -> None:
        self.tests: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown" or not report.skipped:
            self.tests[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        longest: defaultdict[str, float] = defaultdict(float)
        for name, seconds in self.tests.items():
            longest[_function(name)] = max(longest[_function(name)], seconds)
        slow = {name for name in SLOW if longest.get(name, LONGEST_S) >= SHORTEST_S}
        slow |= {name for name, seconds in longest.items() if seconds > LONGEST_S and not _is_slow(name)}
        SLOW_LIST.write_text("".join(f"{name}\n" for name in sorted(slow)), "utf-8")


def _function(nodeid: str) -> str:
    """Return the function of a test as the list has it, such as ``test_ranks.py::test_a_pair``."""
    return nodeid.partition("[")[0].removeprefix("tests/")


def _is_slow(function: str) -> bool:
    return function in SLOW or function.partition("::")[0] in SLOW


def pytest_xdist_auto_num_workers() -> int:
    """Return one worker more than there are cores: tests of processes wait for these, a fifth of the time of all."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Take times where they are asked for; the workers of xdist report to the process that started them, and test."""
    is_worker = hasattr(config, "workerinput")
    if config.getoption("--write-slow") and not is_worker:
        config.pluginmanager.register(_Durations())
    if is_worker or config.getoption("dist") == "no":
        _prepare()


def _prepare() -> None:
    """Import what measures, so that no test is slow for it, and let it wait less; who starts workers needs no torch."""
    from bench.tasks import _engines
    from bench.timing import _sampling

    TASKS.load()
    # Plans that tests make may be of a machine that is known less well.
    probe._LOOK_S, probe._SIDE = 0.01, 64
    # In a process that has imported all, a look for garbage takes longer than what is timed after it.
    _sampling.gc = SimpleNamespace(  # type: ignore[attr-defined]
        collect=lambda: None, isenabled=gc.isenabled, disable=gc.disable, enable=gc.enable
    )
    _engines._BUSY_S = 0.03  # a fifth: which threads work on a call of a small network shows at once


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that are listed and those with slow fixtures as slow; put the longest files first."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
    for item in items:
        if _is_slow(_function(item.nodeid)) or SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Look for garbage from now on, as all is imported that is imported at the top."""
    atexit.register(gc.unfreeze)
    gc.enable()
    gc.set_threshold(
        100_000, 50, 100
    )  # a twentieth of the time of all tests went into looking as often as usual


@pytest.fixture(scope="module", autouse=True)
def nothing_old_is_garbage() -> None:
    """Leave all that is there out of the search for garbage, with which each measurement begins."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder() -> Iterator[None]:
    """Give the tests a temporary folder of their own: they wait for no lock of a run on this machine, and leave nothing.

    Its name is short, as names of sockets must be. pytest's folders of failed tests stay where they were.
    """
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="bt-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setenv("BENCH_LOCKS", f"{folder}/locks")
        patch.setenv("BENCH_CACHE", f"{folder}/cache")
        tempfile.tempdir = None
        yield
    tempfile.tempdir = None
    # After multiprocessing has removed its own folder in it, which it does at the priority of -100.
    Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=-200)


def make_catalog(*names: str, **fields: Any) -> Catalog:
    """Return a catalog that knows these names, at 32 px, and one data set."""
    archs = {n: (ArchCard(name=n, input_size=32, num_classes=10),) for n in names}
    return Catalog(
        **{"archs": archs, "datasets": {"digits": DIGITS}, "environment": ENVIRONMENT, "threads": 2, **fields}
    )


def make_job(**fields: Any) -> Job:
    """Return a cost job of `net`, with the given fields changed."""
    return Job(**{"task": "cost", "arch": "net", "input_size": 32, "num_classes": 10, **fields})


def make_planned(**fields: Any) -> Planned:
    """Return a planned job of `net`."""
    job = make_job(**fields)
    return Planned(job=job, card=ArchCard(name=job.arch, input_size=32, num_classes=10), timeout_s=60.0)


def make_record(**fields: Any) -> Record:
    """Return a sound record of a cost job."""
    defaults: dict[str, Any] = {
        "job": make_job(),
        "card": ArchCard(name="net"),
        "environment": ENVIRONMENT,
        "started_at": "2026-01-01T00:00:00+00:00",
        "duration_s": 1.5,
        "status": "ok",
        "stage": "done",
        "measurements": (count("parameters", 10), count("macs", 100, "MAC")),
        "bench_version": "0.1.0",
    }
    return Record(**{**defaults, **fields})


def sound_line(data: dict[str, Any]) -> bytes:
    """Return the line of some values with the checksum that it should have."""
    body = json.dumps(data)
    return f'{body[:-1]},"checksum":"{hashlib.sha256(body.encode()).hexdigest()[:16]}"}}\n'.encode()


def seconds(name: str, *samples: float) -> Measurement:
    """Return a measurement in seconds."""
    return Measurement(name=name, unit="s", better="lower", samples=samples)


def ok_events(*measurements: Measurement) -> list[Event]:
    """Return what a worker sends when all goes well."""
    found = [("measurement", m) for m in measurements or (count("parameters", 10), count("macs", 100, "MAC"))]
    return [("stage", "build"), *found, ("stage", "done"), ("outcome", ("ok", None))]


def scripted(*ends: tuple[Sequence[Event], Ended] | BaseException) -> FakeExecutor:
    """Return an executor that gives these ends to its jobs in order, and is well with all jobs after them."""
    script = list(ends)

    def play(target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
        if target.endswith(":probe_machine"):
            return [("answer", make_catalog(*args[0], no_cuda="the test has none"))], Ended()
        if target.endswith(":probe_arch"):
            return [("answer", (ArchCard(name=args[0], input_size=32, num_classes=10),))], Ended()
        if target.endswith(":probe_macs"):
            return [("answer", [1e6 for _ in args[0]])], Ended()
        end = script.pop(0) if script else (ok_events(), Ended())
        if isinstance(end, BaseException):
            raise end
        return end

    return FakeExecutor(play)


_counted = probe._counted
_kept = cache(_counted)


@pytest.fixture
def counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `bench verify` count a network that is in no file once in this process: it counts over a hundred."""
    monkeypatch.setattr(probe, "_counted", lambda name: (_counted if ".py" in name else _kept)(name))


@pytest.fixture
def inline_jobs(monkeypatch: pytest.MonkeyPatch, counted_once: None) -> None:
    """Let commands run their jobs in this process: a server of processes takes seconds to start."""
    from bench.timing import ceilings

    EXECUTORS.load()
    monkeypatch.setitem(EXECUTORS._units, "process", EXECUTORS.get("inline"))
    # Ceilings of the machine, which no such test is about, need no large matrices.
    monkeypatch.setattr(ceilings, "_LONGEST_S", 0.01)
    monkeypatch.setitem(ceilings._COPY_BYTES, "cpu", 8 << 20)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let networks be built without drawing weights, for tests of their form, or of weights that are loaded then.

    All are one number: what happens to lie in memory may be denormal, and then takes ages.
    """
    from torch.nn import init

    for drawn in (
        "kaiming_uniform_",
        "kaiming_normal_",
        "xavier_uniform_",
        "uniform_",
        "normal_",
        "trunc_normal_",
    ):
        monkeypatch.setattr(init, drawn, lambda tensor, *_, **__: tensor.data.fill_(0.01))


@pytest.fixture(autouse=True)
def threads_as_they_were() -> Iterator[None]:
    """Set torch's threads back after the test: jobs that run in this process set theirs."""
    import torch

    before = torch.get_num_threads()
    yield
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)


Bench = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """Return the command line, in a folder that is empty."""
    from bench.cli.app import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return lambda *words: CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Return an experiment file of three cost jobs."""
    file = tmp_path / "three.yaml"
    file.write_text("blocks:\n  - task: cost\n    grid: {arch: [a, b, c]}\n")
    return file


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """Return a folder with the images and the network of `shades`."""
    from shades import draw

    draw(tmp_path)
    return tmp_path
