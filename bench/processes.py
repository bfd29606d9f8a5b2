"""Processes of Python: started without running the user's script anew in them, deaf to Ctrl-C; and their limits."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from typing import TypeAlias

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def bare_main() -> Iterator[None]:
    """Hide the main module while a process starts: multiprocessing would run it anew in the child.

    All that a child runs is in importable modules, so it needs no main; and a script that calls `bench.run`
    without a guard would otherwise start itself again and again.
    """
    with _one_at_a_time:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Let a process that starts here never hear Ctrl-C: whoever starts it ends it.

    Ctrl-C at the terminal reaches it too, and it would tell where it was in its imports.
    """
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def open_standard_descriptors() -> None:
    """Open those of 0, 1 and 2 that were closed when the process began, as by ``2>&-``, for it and all that it starts.

    Else the next file or pipe has such a number, and what is printed goes there.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


_Limits: TypeAlias = Mapping[str, tuple[int, int]]
"""Of open files, memory and the like, the least and the most that the system grants a process."""


def limits() -> _Limits:
    """Return the limits of this process, by the names that `resource` has for them; none where there are none."""
    names = {
        getattr(resource, name): name for name in sorted(dir(resource), reverse=True) if name[:7] == "RLIMIT_"
    }
    return {name: resource.getrlimit(limit) for limit, name in names.items()}


def set_limits(before: _Limits) -> None:
    """Set limits back as they were, or as far as this user may."""
    for name, pair in before.items():
        limit = getattr(resource, name)
        with contextlib.suppress(ValueError, OSError):
            if resource.getrlimit(limit) != pair:
                most = resource.getrlimit(limit)[1]
                resource.setrlimit(limit, (most, most))
                resource.setrlimit(limit, pair)
