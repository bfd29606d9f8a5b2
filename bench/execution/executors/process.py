"""The process executor: each call in a process of its own, forked from a server that has imported torch.

The process is in a group and a session of its own: Ctrl-C at the terminal does not reach it, and all that it starts
can be ended with it, see `_child`. The parent sleeps until an event, the end or the time limit; now and then it looks
whether what is printed has become too much.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import math
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess, current_process
from multiprocessing.util import Finalize, get_temp_dir
from pathlib import Path
from typing import Literal

import psutil

from bench.archs.naming.session import objects
from bench.errors import MORE_PROCESSES, BenchError
from bench.execution import EXECUTORS, Ended, ExecutorKind, Send
from bench.execution._events import LAST, Inbox
from bench.execution.executors._child import GRACE_S, begin
from bench.execution.executors._orphans import SWEEP_S, end_children
from bench.execution.executors._server import OF
from bench.processes import bare_main, deaf, open_standard_descriptors
from bench.records.environment import usable_cores

_LEAVE_S = 5.0  # that a job may take to leave once it has sent its last event
_END_S = GRACE_S + SWEEP_S + 1.0  # that a keeper may take to end its job and itself
_OUTPUT_BYTES = 4000  # of what was printed that are kept
_OUTPUT_LIMIT = 64 << 20  # bytes of the file of it, which is begun anew beyond
_LOOK_S = 2.0  # between looks at its size


class ProcessExecutor:
    """Runs each call in a forked process; the server starts at once, and imports while the parent goes on.

    Raises:
        BenchError: where the current folder is gone, in which processes would start.
    """

    preload = "bench.execution.preload"  # what the server imports

    def __init__(self, names: Sequence[str] = ()) -> None:
        try:
            Path.cwd()
        except OSError as error:
            raise BenchError("the current folder is not there any more", "go to one that is: cd ~") from error
        if sys.platform == "linux" and not Path(f"/proc/{os.getpid()}").exists():
            problem = "the system tells nothing of its processes, by which jobs are watched and ended"
            raise BenchError(problem, "mount /proc: mount -t proc proc /proc")
        libraries = ["timm"] if any(name.startswith("timm:") for name in names) else []
        self.at_once = usable_cores()
        self._running: set[int] = set()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([self.preload, *libraries])
        with _starting():
            pass

    def call(self, target: str, args: tuple[object, ...], *, timeout_s: float, on_event: Send) -> Ended:
        """Run the call in a process of its own; at the time limit its whole group is ended."""
        receiver, sender = self._context.Pipe(duplex=False)
        with receiver, _output_file() as output:
            before = _oom_kills()
            # A connection is what can be handed to a process; it closes its descriptor.
            printed = connection.Connection(os.dup(output), readable=False)
            # No daemon in Python's sense: those may have no children, and trainings have some that load images.
            process = self._context.Process(target=begin, args=(sender, printed, target, args))
            pid = _start(process)
            sender.close()
            printed.close()
            self._running.add(pid)
            try:
                end = _listen(receiver, process, time.monotonic() + timeout_s, on_event, output)
            finally:
                self._running.discard(pid)
                exitcode = _end(process)
                _forget(pid)
            return Ended(
                exitcode=exitcode,
                timed_out=end == "limit",
                garbled=end == "garbled",
                output=_tail(output).decode("utf-8", "replace"),
                oom_kill=_oom_kills() > before,
            )

    def cancel(self) -> None:
        """Ask the processes under way to end."""
        for pid in tuple(self._running):
            _signal_group(pid, signal.SIGTERM)

    def close(self) -> None:
        """Leave the server: it ends with this process, and the next executor uses it again."""


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """Start the server where none runs, and then processes of it.

    It is told the folder of its sockets, to remove it where this process is killed, and where objects lie.
    """
    open_standard_descriptors()
    objects()
    with bare_main():
        os.environ[OF] = f"{os.getpid()} {_sockets()}"
        try:
            with deaf():
                forkserver.ensure_running()
        finally:
            os.environ.pop(OF, None)
        yield


# Bytes of TMPDIR: a socket's path has 104 at most on macOS, 108 on Linux, and 42 of them follow.
_LONGEST = 60


def _sockets() -> str:
    """Return multiprocessing's folder, with this process in its name; remove those of processes that were killed."""
    config = current_process()._config  # type: ignore[attr-defined]
    if config.get("tempdir") is None:
        given = tempfile.gettempdir()
        place = given if len(os.fsencode(given)) <= _LONGEST else "/tmp"
        for left in Path(place).glob("bench-*-*"):
            pid = left.name.split("-")[1]
            if pid.isdecimal() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(left, ignore_errors=True)
        folder = config["tempdir"] = tempfile.mkdtemp(prefix=f"bench-{os.getpid()}-", dir=place)
        Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=-100)
    return get_temp_dir()


def _server() -> int | None:
    """Return the process id of the fork server, where there is one."""
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)
    return pid


@atexit.register
def _end_server() -> None:
    """End the server with this process, also in the midst of its imports."""
    pid = _server()
    if pid is not None and _parent == os.getpid():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


_parent = os.getpid()
_jobs: set[int] = set()  # the processes of all jobs of this process, whichever executor they are of
_jobs_lock = threading.Lock()

# Before each further try, at most: a server that was killed takes a moment to be gone.
_PAUSES_S = (0.05, 0.2, 1.0, 4.0)


def _start(process: BaseProcess) -> int:
    """Start a job's process, and return its id; where the server has died, a new one starts it.

    Raises:
        BenchError: where each server ends before it has started one.
    """
    with _jobs_lock:  # so that no job is taken for an orphan before it is known
        for pause_s in (*_PAUSES_S, None):
            try:
                with _starting():
                    process.start()
                break
            except (EOFError, OSError) as error:  # the server has gone: noticed once the kernel has ended it
                if pause_s is not None:
                    _end_unreachable()
                    _await_end(pause_s)
                elif isinstance(error, EOFError):
                    problem = "the server from which jobs are forked ends as soon as it is started"
                    raise BenchError(
                        problem, f"see what the system logged of it, and {MORE_PROCESSES}"
                    ) from error
                else:
                    raise
        pid = int(process.pid or 0)
        _jobs.add(pid)
        return pid


def _await_end(limit_s: float) -> None:
    """Wait until the server is gone."""
    pid, until = _server(), time.monotonic() + limit_s
    while pid is not None and _runs(pid) and time.monotonic() < until:
        time.sleep(0.01)


def _end_unreachable() -> None:
    """End a server whose socket is gone, as where somebody has cleaned temporary files away; jobs under way go on."""
    pid, address = _server(), getattr(forkserver._forkserver, "_forkserver_address", None)
    if pid is None or not address or address.startswith("\0") or Path(address).exists():
        return
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
    config = current_process()._config  # type: ignore[attr-defined]
    if not Path(config.get("tempdir") or "/").is_dir():
        config["tempdir"] = None  # the next server has a folder of its own


def _forget(pid: int) -> None:
    """End what a job has left behind, now that it has ended."""
    with _jobs_lock:
        _jobs.discard(pid)
        server = _server()
        if server is not None:
            end_children(server, but=_jobs)


def _listen(
    receiver: connection.Connection, process: BaseProcess, deadline: float, on_event: Send, output: int
) -> Literal["end", "limit", "garbled"]:
    """Hand events on until the process has ended; return what came first: that, the time limit, or what is no event.

    One that does not leave, though all has been said, is at its end.
    """
    inbox = Inbox(receiver.fileno())
    open_ends, last = [inbox.descriptor, process.sentinel], math.inf
    while open_ends:
        left_s = min(deadline, last) - time.monotonic()
        if left_s < 0:
            return "limit" if math.isinf(last) else "end"
        ready = connection.wait(open_ends, timeout=min(left_s, _LOOK_S))
        if inbox.descriptor in ready:
            try:
                for event in inbox.read():
                    on_event(event)
                    if event[0] in LAST:
                        last = min(last, time.monotonic() + _LEAVE_S)
            except ValueError:
                return "garbled"
            if inbox.ended:
                open_ends.remove(inbox.descriptor)
        elif process.sentinel in ready:
            if not _runs(process.pid):
                return "end"
            open_ends.remove(process.sentinel)  # it was the server that has died, and the job goes on
        _shorten(output)
    return "end"


def _end(process: BaseProcess) -> int:
    """End the process and all of its group, politely and then for good; return its exit code."""
    pid = int(process.pid or 0)
    until = time.monotonic() + _END_S
    if _runs(pid):
        _signal_group(pid, signal.SIGTERM)
        _signal_group(pid, signal.SIGCONT)  # what was stopped would not hear of it
    process.join(_END_S)
    while _runs(pid) and time.monotonic() < until:  # the server that knew of its end has died
        time.sleep(0.02)
    _signal_group(pid, signal.SIGKILL)
    process.join()
    exitcode = process.exitcode
    process.close()
    return int(exitcode or 0)


def _runs(pid: int | None) -> bool:
    """Return whether a process still runs, also where the server that would know of its end has died."""
    try:
        return psutil.Process(pid or 0).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _oom_kills() -> int:
    """Return how many processes the kernel has ended for want of memory, where it says so."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


@contextlib.contextmanager
def _output_file() -> Iterator[int]:
    """Yield the descriptor of a file without a name, which is gone with whoever has it open.

    Raises:
        BenchError: where there is no place for it.
    """
    try:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed below)
    except OSError as error:
        problem = f"no file can be made for what a job prints: {error.strerror or error}"
        raise BenchError(problem, "free space, or name another folder in TMPDIR") from error
    with file:
        flags = fcntl.fcntl(file, fcntl.F_GETFL)
        fcntl.fcntl(file, fcntl.F_SETFL, flags | os.O_APPEND)  # so that it can be begun anew
        yield file.fileno()


def _tail(output: int) -> bytes:
    """Return the last of what was printed."""
    return os.pread(output, _OUTPUT_BYTES, max(0, os.fstat(output).st_size - _OUTPUT_BYTES))


def _shorten(output: int) -> None:
    """Keep but the last of what was printed, where it has become too much."""
    if os.fstat(output).st_size > _OUTPUT_LIMIT:
        tail = _tail(output)
        os.ftruncate(output, 0)
        os.write(output, tail)


EXECUTORS.add("process", ExecutorKind("a process for each job, forked from a warm server", ProcessExecutor))
