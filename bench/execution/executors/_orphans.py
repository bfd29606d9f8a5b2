"""What a job leaves behind in sessions of their own: processes that the end of its group does not take along.

On Linux, a process without a parent goes to the nearest process above that adopts. A job adopts while it lives, and
the fork server after that; whoever is the server's child and no job that runs was left behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Collection

import psutil

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


def adopt_orphans() -> None:
    """Let this process be the parent of all below it that lose theirs; elsewhere than on Linux, do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans(server: int, jobs: Collection[int]) -> None:
    """End the children of the fork server, with all below them, that are no jobs which run.

    Args:
        server: its process id.
        jobs: the process ids of the jobs that run.
    """
    with contextlib.suppress(psutil.Error):
        for orphan in psutil.Process(server).children():
            if orphan.pid not in jobs:
                _end_tree(orphan)


def _end_tree(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        below = process.children(recursive=True)
        process.kill()
        for child in below:
            _end_tree(child)
