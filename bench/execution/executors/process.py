"""The process executor: each call in a process of its own, forked from a server that has imported torch.

The process leads a group and a session of its own: Ctrl-C at the terminal does not reach it, and all that it
starts can be ended with it. The parent sleeps until an event, the end or the time limit. Where the parent is
killed, the process ends itself and its group.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

from bench.errors import BenchError
from bench.execution import EXECUTORS, Ended, Event, ExecutorKind, Send, load_target
from bench.execution.executors._orphans import adopt_orphans, end_orphans
from bench.processes import bare_main
from bench.records.environment import usable_cores

_GRACE_S = 1.0  # between the request to end and the kill
OUTPUT_BYTES = 4000


class ProcessExecutor:
    """Runs each call in a forked process; the server starts at once, and imports while the parent goes on.

    Raises:
        BenchError: where the current folder is gone, in which processes would start.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        try:
            Path.cwd()
        except OSError as error:
            raise BenchError("the current folder is not there any more", "go to one that is: cd ~") from error
        libraries = ["timm"] if any(name.startswith("timm:") for name in names) else []
        self.at_once = usable_cores()
        self._running: set[int] = set()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["bench.execution.preload", *libraries])
        with bare_main():
            forkserver.ensure_running()

    def call(self, target: str, args: tuple[object, ...], *, timeout_s: float, on_event: Send) -> Ended:
        """Run the call in a process of its own; at the time limit its whole group is ended."""
        receiver, sender = self._context.Pipe(duplex=False)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, receiver:
            output = Path(folder) / "output"
            before = _oom_kills()
            # No daemon in Python's sense: those may have no children, and trainings have some that load images.
            process = self._context.Process(target=_child, args=(sender, str(output), target, args))
            pid = _start(process)
            sender.close()
            self._running.add(pid)
            # A message that never comes to its end would hold the parent beyond the limit.
            guard = threading.Timer(timeout_s + _GRACE_S, _signal_group, (pid, signal.SIGKILL))
            guard.daemon = True
            guard.start()
            try:
                end = _listen(receiver, process.sentinel, time.monotonic() + timeout_s, on_event)
            finally:
                guard.cancel()
                self._running.discard(pid)
                exitcode = _end(process)
                _forget(pid)
            return Ended(
                exitcode=exitcode,
                timed_out=end == "limit",
                garbled=end == "garbled",
                output=_tail(output),
                oom_kill=_oom_kills() > before,
            )

    def cancel(self) -> None:
        """Ask the processes under way to end."""
        for pid in tuple(self._running):
            _signal_group(pid, signal.SIGTERM)

    def close(self) -> None:
        """Leave the server: it ends with this process, and the next executor uses it again."""


_jobs: set[int] = set()  # the processes of all jobs of this process, whichever executor they are of
_jobs_lock = threading.Lock()


_PAUSES_S = (
    0.05,
    0.2,
    1.0,
    4.0,
)  # before each further try: a server that was killed takes a moment to be gone


def _start(process: BaseProcess) -> int:
    """Start a job's process, and return its id; where the server has died, a new one starts it."""
    with _jobs_lock:  # so that no job is taken for an orphan before it is known
        for pause_s in _PAUSES_S:
            try:
                with bare_main():
                    process.start()
                break
            except (
                EOFError,
                OSError,
            ):  # the server has gone, and is noticed as gone once the kernel has ended it
                time.sleep(pause_s)
        else:
            with bare_main():
                process.start()
        pid = int(process.pid or 0)
        _jobs.add(pid)
        return pid


def _forget(pid: int) -> None:
    """End what a job has left behind, now that it has ended."""
    with _jobs_lock:
        _jobs.discard(pid)
        server = getattr(forkserver._forkserver, "_forkserver_pid", None)
        if server is not None:
            end_orphans(server, _jobs)


def _listen(
    receiver: connection.Connection, sentinel: int, deadline: float, on_event: Send
) -> Literal["end", "limit", "garbled"]:
    """Hand events on until the process has ended; return what came first: that, the time limit, or what is no event."""
    open_ends: list[connection.Connection | int] = [receiver, sentinel]
    while True:
        left_s = deadline - time.monotonic()
        ready = connection.wait(open_ends, timeout=max(0.0, left_s))
        if not ready or left_s < 0:
            return "limit"
        if receiver in ready:
            try:
                event = receiver.recv()
            except (EOFError, OSError):
                open_ends.remove(receiver)
            except Exception:  # the network has written into the pipe: unpickling that may raise anything
                return "garbled"
            else:
                on_event(event)
        elif sentinel in ready:
            return "end"


def _end(process: BaseProcess) -> int:
    """End the process and all of its group, politely and then for good; return its exit code."""
    pid = int(process.pid or 0)
    if process.is_alive():
        _signal_group(pid, signal.SIGTERM)
        process.join(_GRACE_S)
    _signal_group(pid, signal.SIGKILL)
    if process.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.join()
    exitcode = process.exitcode
    process.close()
    return int(exitcode or 0)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _child(sender: connection.Connection, output: str, target: str, args: tuple[object, ...]) -> None:
    """Be the process: a group of its own, what it prints kept apart, then the call."""
    os.setsid()
    adopt_orphans()
    _die_with_parent()
    fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 (as long as the process)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    faulthandler.enable(file=2)
    load_target(target)(partial(_send_as, os.getpid(), sender), *args)
    sender.close()
    # Leave without finalisers: a network's threads or exit hooks must not outlive the job.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _send_as(pid: int, sender: connection.Connection, event: Event) -> None:
    """Send an event from the process of this id; a copy of it, which a network forked and left running, is silent."""
    if os.getpid() == pid:
        sender.send(event)


def _die_with_parent() -> None:
    """Wait, in a thread that sleeps, for the parent's death, and end the whole group then."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _oom_kills() -> int:
    """Return how many processes the kernel has ended for want of memory, where it says so."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def _tail(file: Path) -> str:
    """Return the last of what was printed, which may be more than fits into memory."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - OUTPUT_BYTES))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


EXECUTORS.add("process", ExecutorKind("a process for each job, forked from a warm server", ProcessExecutor))
