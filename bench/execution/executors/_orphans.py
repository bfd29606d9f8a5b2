"""What a job leaves behind in sessions of their own: processes that the end of its group does not take along.

On Linux, a process without a parent goes to the nearest process above that adopts. A job's keeper adopts while the job
lives, and the fork server after that; whoever is the server's child and no job that runs was left behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import time
from collections.abc import Collection

import psutil

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


def adopt_orphans() -> None:
    """Let this process be the parent of all below it that lose theirs; elsewhere than on Linux, do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


SWEEP_S = 3.0  # the longest that what goes on forking is ended
_PAUSE_S = 0.002  # between looks at what is left


def end_children(parent: int, but: Collection[int] = ()) -> None:
    """End the children of a process, with all below them, until none is left or `SWEEP_S` are over.

    Args:
        parent: its process id.
        but: the ids of children that are left alone.
    """
    until = time.monotonic() + SWEEP_S
    while (living := _living_below(parent, but)) and time.monotonic() < until:
        for process in living:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(_PAUSE_S)


def _living_below(parent: int, but: Collection[int]) -> list[psutil.Process]:
    """Return what is below a process at one look: to look anew at each of 300 took forty seconds.

    Where children are to stay, it is the others alone: what is below these comes to whoever adopts once they are
    gone, and what those start between two looks would be taken for others'.
    """
    with contextlib.suppress(psutil.Error):
        below = psutil.Process(parent).children(recursive=not but)
        return [process for process in below if process.pid not in but and _lives(process)]
    return []


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
