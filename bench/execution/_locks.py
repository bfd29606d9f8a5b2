"""A lock for each device, so that two runs at once do not measure one another."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from filelock import BaseFileLock, Timeout

from bench.errors import BenchError
from bench.io import cache_folder
from bench.records.lock import take_lock

_POLL_S = 0.2


def _lock_folder() -> Path:
    """Return the folder of the locks: the environment's BENCH_LOCKS, or ~/.cache/bench/locks.

    Not a folder for temporary files or of a session, which differ between a terminal, a service and a batch job of the
    same user; only where there is no home to write to.

    Raises:
        BenchError: where it cannot be made.
    """
    usual = cache_folder("BENCH_LOCKS", "locks")
    for folder in (usual, Path(tempfile.gettempdir()) / f"bench-locks-{os.getuid()}"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        except OSError as error:
            failure = _refused(f"the folder of locks {folder} cannot be made: {error}")
        if os.environ.get("BENCH_LOCKS"):
            break
    raise failure


@contextlib.contextmanager
def device_locks(
    hardware: Mapping[str, str],
    run: str,
    waiting: Callable[[str, str], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Hold devices for the length of a with block.

    Args:
        hardware: what each is called here, such as ``cuda:0``, by what it is called everywhere, such as its UUID.
        run: what they are held for.
        waiting: called once for each that another process holds, with its name and with who holds it since when.
        cancelled: asked while it waits, whether to go on waiting.

    Raises:
        BenchError: where a lock cannot be had; with its path.
        KeyboardInterrupt: once it is cancelled.
    """
    with contextlib.ExitStack() as stack:
        for name in sorted(hardware):  # in one order, so that no two runs wait for each other
            stack.enter_context(_device_lock(name, hardware[name], run, waiting, cancelled))
        yield


@dataclass(slots=True)
class _Shared:
    guard: threading.Lock = field(default_factory=threading.Lock)
    jobs: int = 0
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


class SharedLocks:
    """The same for jobs of one run in several threads, which may share a device: it is held while any of them is."""

    def __init__(self) -> None:
        self._devices: dict[str, _Shared] = {}

    @contextlib.contextmanager
    def hold(
        self,
        hardware: Mapping[str, str],
        run: str,
        waiting: Callable[[str, str], None],
        cancelled: Callable[[], bool],
    ) -> Iterator[None]:
        """Hold devices for the length of a with block, see `device_locks`."""
        with contextlib.ExitStack() as stack:
            for name in sorted(hardware):
                lock = device_locks({name: hardware[name]}, run, waiting, cancelled)
                stack.enter_context(self._share(name, lock))
            yield

    @contextlib.contextmanager
    def _share(self, name: str, lock: contextlib.AbstractContextManager[None]) -> Iterator[None]:
        shared = self._devices.setdefault(name, _Shared())
        with shared.guard:
            if not shared.jobs:
                shared.held.enter_context(lock)
            shared.jobs += 1
        try:
            yield
        finally:
            with shared.guard:
                shared.jobs -= 1
                if not shared.jobs:
                    shared.held.close()


@contextlib.contextmanager
def _device_lock(
    name: str, device: str, run: str, waiting: Callable[[str, str], None], cancelled: Callable[[], bool]
) -> Iterator[None]:
    # A card's UUID is its own; other names are of this machine, and homes may be shared by several.
    known = name if name.startswith(("GPU-", "MIG-")) else f"{name}-{platform.node()}"
    path = _lock_folder() / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', known)}.lock"
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise _refused(f"the lock {path} is a {'link' if path.is_symlink() else 'folder'}, not a file")
    try:
        if (lock := _taken(path, 0.0)) is None:
            holder = path.read_text(encoding="utf-8", errors="replace")  # as it has written there
            waiting(device, holder or "which has just begun")
        while lock is None:
            if cancelled():
                raise KeyboardInterrupt
            lock = _taken(path, _POLL_S)
    except OSError as error:
        raise _refused(f"the lock {path} cannot be taken, as one of another user cannot: {error}") from error
    since = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        with contextlib.suppress(OSError):  # it holds without a word as well
            path.write_text(f"run {run}, process {os.getpid()}, since {since}", encoding="utf-8")
        yield
    finally:
        lock.release()


def _taken(path: Path, within_s: float) -> BaseFileLock | None:
    try:
        return take_lock(path, within_s=within_s, poll_s=_POLL_S, mode=0o666)
    except Timeout:
        return None


def _refused(what: str) -> BenchError:
    return BenchError(what, "remove it, or name a folder of your own in BENCH_LOCKS")
