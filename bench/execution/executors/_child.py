"""The side of the processes: a keeper, forked from the server, and the job, forked from the keeper.

The keeper leads a group and a session of its own, in which the job is. It does nothing but wait: for the job's end, to
end all that the job has left behind and then end as the job did; and for the end of the process that runs it all, to
end the job and itself. A network that kills its parent kills its keeper, and no other job's.
"""

from __future__ import annotations

import contextlib
import faulthandler
import math
import multiprocessing
import os
import resource
import signal
import sys
import time
from functools import partial
from multiprocessing import connection, forkserver, resource_tracker
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

import bench
from bench.execution import Event
from bench.execution import _events as events
from bench.execution._targets import load_target
from bench.execution.executors._orphans import adopt_orphans, end_children

GRACE_S = 1.0  # between the request to end and the kill

_leave, _pid = os._exit, os.getpid  # as they are before a network has replaced them


def begin(
    sender: connection.Connection, output: connection.Connection, target: str, args: tuple[object, ...]
) -> None:
    """Be the process that the server has forked: a keeper, with a job that is another one.

    Args:
        sender: the pipe of the events.
        output: the file for all that is printed.
        target: what the job calls, see `bench.execution.Executor`.
        args: what it is given.
    """
    os.setsid()
    adopt_orphans()
    _let_go()
    nothing = os.open(os.devnull, os.O_RDONLY)  # what is typed, or comes through a pipe, is not for a network
    os.dup2(nothing, 0)
    os.close(nothing)
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    output.close()
    job = os.fork()
    if job == 0:
        _do(sender, target, args)
    sender.close()
    _keep(job)


def _let_go() -> None:
    """Let go of what a job has in common with the server and with other jobs: what it wrote there would end them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    ends: list[tuple[object, str]] = [
        (forkserver._forkserver, "_forkserver_alive_fd"),
        (resource_tracker._resource_tracker, "_fd"),
    ]
    for owner, name in ends:
        with contextlib.suppress(OSError, TypeError):
            os.close(getattr(owner, name))
        setattr(owner, name, None)  # whoever needs one starts one of its own


def _keep(job: int) -> NoReturn:
    """Wait for the job's end, the request to end it, or the parent's end; leave nothing behind, and end as it did."""
    signals, parent = _signals(), multiprocessing.parent_process()
    ends = [signals] if parent is None else [signals, parent.sentinel]
    deadline = math.inf
    while (status := _reap(job)) is None and (left_s := deadline - time.monotonic()) > 0:
        ready = connection.wait(ends, None if math.isinf(left_s) else left_s)
        if parent is not None and parent.sentinel in ready:
            break
        if signals in ready and signal.SIGTERM in os.read(signals, 1 << 12):  # the job has it too
            deadline = min(deadline, time.monotonic() + GRACE_S)
    _sweep()
    _end_as(signal.SIGKILL if status is None else status)


def _signals() -> int:
    """Return the end of a pipe from which the numbers of the signals can be read that come from now on."""
    ready, full = os.pipe()
    os.set_blocking(full, False)
    signal.set_wakeup_fd(full, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return ready


def _reap(job: int) -> int | None:
    """Take leave of all children that have ended; return the job's status where it is among them."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == job:
                status = ended[1]
    return status


def _sweep() -> None:
    """End all that is below this process, and take leave of it."""
    end_children(os.getpid())
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _end_as(status: int) -> NoReturn:
    """End with the exit code, or of the signal, of a status."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # there is one of the job, where any is wanted
        with contextlib.suppress(OSError):  # of SIGKILL, whose handler is nobody's
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


def _do(sender: connection.Connection, target: str, args: tuple[object, ...]) -> NoReturn:
    """Be the job: call the target, and leave without finalisers, as no thread or exit hook may outlive the job."""
    code, streams = 1, list[TextIO]()
    try:
        streams += [open(number, "w", buffering=1, closefd=False) for number in (1, 2)]  # noqa: SIM115 (as long as it)
        sys.stdout, sys.stderr = streams
        faulthandler.enable(file=2)
        os.register_at_fork(after_in_child=_end_copy)
        load_target(target)(partial(_send_as, _pid(), sender), *args)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            for stream in streams:
                stream.flush()
        finally:
            _leave(code)


_BENCH = str(Path(bench.__file__).parent)


def _end_copy() -> None:
    """Let a copy of the job, which a network has forked, end where it would come back into bench, and measure as well.

    One that forks in each pass would else have twice as many processes with each. Those of multiprocessing come back to
    nobody, and load images the slower for being watched.
    """
    caller = sys._getframe(1)
    back: FrameType | None = caller
    while back is not None and not back.f_code.co_filename.startswith(_BENCH):
        back = back.f_back
    if back is None or caller.f_globals.get("__name__") == "multiprocessing.popen_fork":
        return

    def leave(frame: FrameType, event: str, _: object) -> None:
        if event == "return" and frame.f_back is back:
            _leave(0)

    sys.setprofile(leave)


def _send_as(pid: int, sender: connection.Connection, event: Event) -> None:
    """Send an event from the process of this id; a copy of it, which a network forked and left running, ends here."""
    if _pid() != pid:
        _leave(0)
    events.send(sender.fileno(), event)
