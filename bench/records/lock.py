"""Locks of files, also where the file system has none, such as NFS without its lock service."""

from __future__ import annotations

import errno
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def take_lock(path: Path, *, within_s: float = 0.0, poll_s: float = 0.05, mode: int = 0o644) -> BaseFileLock:
    """Return the lock of a file, held; any thread may release it.

    Where the file system has no locks, a file beside it stands for one, see `soft_path`: it is there as long as the
    lock is held, and a process that is killed leaves it there. That is noticed on its own machine, on no other.

    Args:
        path: of the file; made where it is missing.
        within_s: how long to wait.
        poll_s: how often to look meanwhile.
        mode: of a file that is made.

    Raises:
        Timeout: where another process holds it.
        OSError: if it cannot be had at all.
    """
    try:
        return _taken(FileLock(path, mode=mode, thread_local=False), within_s, poll_s)
    except (OSError, NotImplementedError) as error:
        has_none = isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS
        if isinstance(error, Timeout) or not has_none:
            raise
    return _taken(SoftFileLock(soft_path(path), mode=mode, thread_local=False), within_s, poll_s)


def _taken(lock: BaseFileLock, within_s: float, poll_s: float) -> BaseFileLock:
    lock.acquire(timeout=within_s, poll_interval=poll_s)
    return lock


def soft_path(path: Path) -> Path:
    """Return the file that stands for the lock of another where the file system has none."""
    return path.with_name(f"{path.name}-held")
