"""Two runs at once on one device wait for each other; on two devices they do not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import make_catalog, make_job, make_planned, scripted

from bench.api._running import WarnsOfWaiting
from bench.errors import BenchError
from bench.execution import _locks as locks
from bench.execution._locks import _lock_folder, device_locks
from bench.execution.runner import Observer, run_plan
from bench.records.store import Store

A, B = {"GPU-a": "cuda:0"}, {"GPU-b": "cuda:0"}
BOTH = {"GPU-b": "cuda:0", "GPU-a": "cuda:1"}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(locks, "_POLL_S", 0.005)


def unexpected(device: str, holder: str) -> None:
    pytest.fail(f"{device} is held by {holder}")


def waited(first: Mapping[str, str], second: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what `second`, asked for while `first` is held, was told to wait for."""
    free, told = threading.Event(), []

    def waiting(device: str, holder: str) -> None:
        told.append((device, holder))
        free.set()

    def hold() -> None:
        with device_locks(second, "second", waiting):
            free.set()

    with device_locks(first, "first", unexpected):
        other = threading.Thread(target=hold)
        other.start()
        assert free.wait(10)
    other.join(10)
    assert not other.is_alive()
    return told


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"cpu": "cpu"}, {"cpu": "cpu"}, ["cpu"]),
        (A, {"GPU-a": "cuda:3"}, ["cuda:3"]),  # another number, the same card
        (A, B, []),
        ({"cpu": "cpu"}, A, []),
        (B, BOTH, ["cuda:0"]),
        (BOTH, A, ["cuda:0"]),
        (A, {}, []),
    ],
)
def test_one_card_is_one_lock_whatever_its_number(
    first: Mapping[str, str], second: Mapping[str, str], expected: list[str]
) -> None:
    assert [device for device, _ in waited(first, second)] == expected


def test_who_waits_for_the_first_of_two_cards_holds_none_of_them() -> None:
    """In whichever order it counts them: of two runs that each held one, neither would go on."""
    free = threading.Event()

    def waiting(device: str, _: str) -> None:
        with device_locks(B, "third", unexpected):
            assert device == "cuda:1"
        free.set()

    def hold() -> None:
        with device_locks(BOTH, "second", waiting):
            pass

    with device_locks(A, "first", unexpected):
        other = threading.Thread(target=hold)
        other.start()
        assert free.wait(10)
    other.join(10)
    assert not other.is_alive()


def test_who_waits_is_told_for_whom() -> None:
    ((_, holder),) = waited(A, A)
    assert holder.startswith(f"run first, process {os.getpid()}, since 2")


_HOLD = """
import sys
from bench.execution._locks import device_locks
with device_locks({"GPU-a": "cuda:0"}, "other", print):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_processes_with_other_temporary_folders_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_LOCKS")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "tmp").mkdir()
    own = {"TMPDIR": str(tmp_path / "tmp"), "XDG_RUNTIME_DIR": str(tmp_path / "tmp")}
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD],
        env={**os.environ, **own, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    told = []

    def waiting(_device: str, holder: str) -> None:
        told.append(holder)
        process.communicate()  # its input ends, and so does it

    with device_locks(A, "this", waiting):
        assert told[0].startswith(f"run other, process {process.pid}, since ")


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_lock_that_is_no_file_is_refused(kind: str) -> None:
    path = _lock_folder() / "GPU-a.lock"
    path.mkdir() if kind == "folder" else path.symlink_to("/dev/null")
    with (
        pytest.raises(BenchError, match=f"GPU-a.lock is a {kind}, not a file") as caught,
        device_locks(A, "r", unexpected),
    ):
        pass
    assert caught.value.tip == "remove it, or name a folder of your own in BENCH_LOCKS"


def test_a_lock_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_args: object, **_more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("filelock.FileLock.acquire", denied)
    with pytest.raises(BenchError, match="another user.*Permission denied"), device_locks(A, "r", unexpected):
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENCH_LOCKS", str(tmp_path / "file" / "locks"))
    with pytest.raises(BenchError, match="the folder of locks .*file/locks cannot be made"):
        _lock_folder()


def test_without_a_home_the_locks_are_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv("BENCH_LOCKS")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert _lock_folder() == tmp_path / f"bench-locks-{os.getuid()}"


def test_a_run_holds_the_cards_of_all_its_ranks_and_none_to_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[dict[str, str]] = []

    def hold(_: object, hardware: dict[str, str], run: str, waiting: object, cancelled: object) -> object:
        held.append(hardware)
        return device_locks(hardware, run, unexpected)

    monkeypatch.setattr(locks.SharedLocks, "hold", hold)
    catalog = make_catalog(environment={"gpu": [{"uuid": "GPU-b"}, {"uuid": "GPU-a"}, {"uuid": None}]})
    settings = [{"device": "cuda:0", "ranks": 3}, {"device": "cuda:1"}, {"device": "cpu"}]
    jobs = [make_planned(task="accuracy", settings=s) for s in settings]
    with Store(tmp_path / "run") as store:
        run_plan([*jobs, make_planned()], scripted(), store, catalog, Observer())
    assert held == [
        {"GPU-b": "cuda:0", "GPU-a": "cuda:1", "cuda:2": "cuda:2"},
        {"GPU-a": "cuda:1"},
        {"cpu": "cpu"},
        {},
    ]
    assert make_job().devices == ("cpu",)


def test_who_is_told_of_no_step_is_warned_of_a_wait() -> None:
    with pytest.warns(UserWarning, match=r"waiting: another bench is measuring on cpu \(first\)"):
        WarnsOfWaiting().waiting("cpu", "first")
