"""A lock for each device, so that two runs at once do not measure one another."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import BenchError

POLL_S = 0.2


def lock_folder() -> Path:
    """Return the folder of the locks: the environment's BENCH_LOCKS, or ~/.cache/bench/locks.

    Not a folder for temporary files or of a session, which differ between a terminal, a service and a batch job of the
    same user; only where there is no home to write to.

    Raises:
        BenchError: where it cannot be made.
    """
    given = os.environ.get("BENCH_LOCKS")
    try:
        folder = Path(given).expanduser() if given else Path.home() / ".cache" / "bench" / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    except (OSError, RuntimeError) as error:  # RuntimeError: no home at all
        if given:
            raise _refused(f"the folder of locks {given} cannot be made: {error}") from error
    folder = Path(tempfile.gettempdir()) / f"bench-locks-{os.getuid()}"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise _refused(f"the folder of locks {folder} cannot be made: {error}") from error
    return folder


@contextlib.contextmanager
def device_locks(
    hardware: Mapping[str, str], run: str, waiting: Callable[[str, str], None]
) -> Iterator[None]:
    """Hold devices for the length of a with block.

    Args:
        hardware: what each is called here, such as ``cuda:0``, by what it is called everywhere, such as its UUID.
        run: what they are held for.
        waiting: called once for each that another process holds, with its name and with who holds it since when.

    Raises:
        BenchError: where a lock cannot be had; with its path.
    """
    with contextlib.ExitStack() as stack:
        for name in sorted(hardware):  # in one order, so that no two runs wait for each other
            stack.enter_context(_device_lock(name, hardware[name], run, waiting))
        yield


@contextlib.contextmanager
def _device_lock(name: str, device: str, run: str, waiting: Callable[[str, str], None]) -> Iterator[None]:
    # A card's UUID is its own; other names are of this machine, and homes may be shared by several.
    known = name if name.startswith(("GPU-", "MIG-")) else f"{name}-{platform.node()}"
    path = lock_folder() / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', known)}.lock"
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise _refused(f"the lock {path} is a {'link' if path.is_symlink() else 'folder'}, not a file")
    lock = FileLock(path, mode=0o666)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting(device, _holder(path))
            lock.acquire(poll_interval=POLL_S)
    except OSError as error:
        raise _refused(f"the lock {path} cannot be taken, as one of another user cannot: {error}") from error
    since = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        with contextlib.suppress(OSError):  # it holds without a word as well
            path.write_text(f"run {run}, process {os.getpid()}, since {since}", encoding="utf-8")
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    """Return who holds a lock and since when, as it has written there."""
    return path.read_text(encoding="utf-8", errors="replace") or "which has just begun"


def _refused(what: str) -> BenchError:
    return BenchError(what, "remove it, or name a folder of your own in BENCH_LOCKS")
