"""The fork server: it ends with the process that started it, and leaves nothing that jobs have left behind.

While it imports what jobs need, it looks now and then whether that process is still there; after that, Python's own
loop notices.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator
from types import TracebackType

import psutil

from bench.execution.executors._orphans import adopt_orphans, end_children

OF = "BENCH_SERVER_OF"  # the variable that tells the process that starts it, and the folder of its sockets

_SERVER = os.getpid()
_PARENT, _, _FOLDER = os.environ.pop(OF, "").partition(" ")
_LOOK_S = 0.2


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import within this block, and be the parent of all that jobs leave behind from then on."""
    atexit.register(_leave)
    # Whoever started bench may block them: then no end of a job would be heard of, and no job would hear of its own.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM, signal.SIGCHLD, signal.SIGTERM})
    _look()
    signal.signal(signal.SIGALRM, _look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_S, _LOOK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    adopt_orphans()
    sys.excepthook = _quiet
    # An orphan's end is not what the server of Python waits for.
    warnings.filterwarnings("ignore", "forkserver: waitpid returned unexpected pid")


def _quiet(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say nothing of what whoever asked for a job is told in a record or an error of its own.

    A request may be torn, as by one who has no open file left to send it, and a job's process may find no folder to
    begin in.
    """
    told = EOFError | OSError if os.getpid() == _SERVER else FileNotFoundError
    if not isinstance(error, told):
        sys.__excepthook__(kind, error, trace)


def _look(*_: object) -> None:
    """Leave where the parent has ended."""
    if _is_alone():
        _leave()
        os._exit(1)


def _is_alone() -> bool:
    try:
        return bool(_PARENT) and psutil.Process(int(_PARENT)).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _leave() -> None:
    """End what jobs have left; where the parent was killed, remove the folder of its sockets, as it could not."""
    if os.getpid() == _SERVER:
        end_children(_SERVER)
        if _is_alone() and _FOLDER:
            shutil.rmtree(_FOLDER, ignore_errors=True)
