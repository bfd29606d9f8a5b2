"""What a job leaves behind in sessions of their own: processes that the end of its group does not take along.

On Linux, a process without a parent goes to the nearest process above that adopts. A job's keeper adopts while the job
lives, and the fork server after that; whoever is the server's child and no job that runs was left behind.
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


def end_children(parent: int, but: Collection[int] = ()) -> None:
    """End the children of a process, with all below them.

    Args:
        parent: its process id.
        but: the ids of children that are left alone.
    """
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(parent).children():
            if child.pid not in but:
                _end_tree(child)


def _end_tree(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        below = process.children(recursive=True)
        process.kill()
        for child in below:
            _end_tree(child)
