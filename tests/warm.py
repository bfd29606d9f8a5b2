"""Warm processes: forked from an interpreter that has imported what most of them need, which takes a fresh one seconds.

`Popen` is `subprocess.Popen` for ``[sys.executable, "-c", code, ...]`` and ``[sys.executable, "-m", module, ...]``.
Its processes are as real as others: they have a process id, signals, streams, a folder and an environment of their own.
The fork server of their jobs is forked from them, so that it need not import torch anew. What needs no torch is forked
from a `light` interpreter without it: a fork, and all that is written to after it, costs by the size of the process.
What a command imports, and how it is found and started, only a fresh interpreter shows, as of `subprocess`. Nor has
``/proc/PID/environ`` the environment of a process that did not begin with it.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import pickle
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from multiprocessing import forkserver, process, resource_tracker, util
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NoReturn

import cloudpickle

LIGHT = ("bench.cli._measuring", "bench.cli._progress", "bench.api", "bench.execution.runner")
LIGHT_UNITS = ("bench.tasks", "bench.execution.executors")
PRELOAD = (
    *LIGHT,
    *(
        "bench.execution._probe",
        "bench.execution._worker",
        "bench.training._parallel",
        "bench.tasks._accuracy",
    ),
    *("bench.analysis.answers", "bench.claims.table", "bench.report.facts", "fvcore.nn", "torchvision"),
)
UNITS = (
    *LIGHT_UNITS,
    *("bench.archs", "bench.archs.naming", "bench.backends", "bench.costs", "bench.datasets"),
    *("bench.report.exports", "bench.report.figures"),
)
AT_START = (
    "bench.execution.preload",
    "bench.execution.executors._server",
)  # look at whose process they are in
_LONELY_S = 1.0  # how long a server stays that no worker is connected to
PIPE, DEVNULL, TimeoutExpired = subprocess.PIPE, subprocess.DEVNULL, subprocess.TimeoutExpired


class Popen:
    """A warm process; see the module."""

    def __init__(
        self,
        args: Sequence[object],
        *,
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        cwd: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        text: bool = False,
        start_new_session: bool = False,
        preexec_fn: Callable[[], object] | None = None,
        light: bool = False,
    ) -> None:
        self.args = [str(word) for word in args]
        assert self.args[0] == sys.executable
        assert self.args[1] in ("-c", "-m")
        self.returncode: int | None = None
        ends = [_End(given, number) for number, given in enumerate((stdin, stdout, stderr))]
        request = {
            "args": self.args[1:],
            "cwd": os.fspath(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "session": start_new_session,
            "before": cloudpickle.dumps(preexec_fn),
        }
        self._ended, ended = os.pipe()
        self.pid = _server(light).start(request, [*(end.theirs for end in ends), ended])
        os.close(ended)
        for end in ends:
            end.let_go()
        mode = "" if text else "b"
        self.stdin, self.stdout, self.stderr = (
            None if end.ours is None else os.fdopen(end.ours, f"{'r' if number else 'w'}{mode}")
            for number, end in enumerate(ends)
        )

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code."""
        if self._look(timeout) is None:
            raise TimeoutExpired(self.args, timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[Any, Any]:
        """Wait for the end; return what was printed."""
        until = None if timeout is None else time.monotonic() + timeout
        if self.stdin is not None:
            self.stdin.close()
        streams = [stream for stream in (self.stdout, self.stderr) if stream is not None]
        texts: dict[int, Any] = {}
        readers = [threading.Thread(target=lambda s=s: texts.setdefault(id(s), s.read())) for s in streams]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if until is None else max(0.0, until - time.monotonic()))
            if reader.is_alive():
                raise TimeoutExpired(self.args, timeout or 0.0)
        self.wait(None if until is None else max(0.0, until - time.monotonic()))
        for stream in streams:
            stream.close()
        return texts.get(id(self.stdout)), texts.get(id(self.stderr))

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Popen:
        return self

    def __exit__(self, *error: object) -> None:
        for stream in (self.stdout, self.stderr, self.stdin):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.wait()

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            told = os.read(self._ended, 100)
            assert told, "the server of warm processes has ended"
            os.close(self._ended)
            self.returncode = int(told)
        return self.returncode


class _End:
    """The descriptor of a stream that the process is given, and that at the other end of a pipe."""

    def __init__(self, given: int | IO[Any] | None, number: int) -> None:
        self.ours: int | None = None
        self.own = given in (PIPE, DEVNULL)
        if given == PIPE:
            read, write = os.pipe()
            self.theirs, self.ours = (write, read) if number else (read, write)
        elif given == DEVNULL:
            self.theirs = os.open(os.devnull, os.O_RDWR)
        elif given is None:
            self.theirs = number
        else:
            self.theirs = given if isinstance(given, int) else given.fileno()

    def let_go(self) -> None:
        if self.own:
            os.close(self.theirs)


def run(
    args: Sequence[object], *, timeout: float | None = None, check: bool = False, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run a warm process to its end, as `subprocess.run` with ``capture_output=True`` does."""
    with Popen(args, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, **options) as one:
        try:
            out, err = one.communicate(timeout)
        except BaseException:
            one.kill()
            raise
    code = one.wait()
    if check and code:
        raise subprocess.CalledProcessError(code, one.args, out, err)
    return subprocess.CompletedProcess(one.args, code, out, err)


# --- the server ---


class _Server:
    """The process that forks, of all workers of these tests; it ends soon after the last of them."""

    def __init__(self, light: bool) -> None:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", os.getpid())
        address = f"\0bench-warm-{run}-{'light' if light else 'all'}"  # of no file
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(address)
            except ConnectionRefusedError:
                self.socket.close()
                _begin(address, light)
            else:
                return

    def start(self, request: Mapping[str, object], descriptors: Sequence[int]) -> int:
        """Fork a process; return its id."""
        content = pickle.dumps(request)
        socket.send_fds(self.socket, [len(content).to_bytes(8, "big")], descriptors)
        self.socket.sendall(content)
        return int.from_bytes(_exactly(self.socket, 8), "big")


def _begin(address: str, light: bool) -> None:
    """Start the process, unless another worker has just done so."""
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(address)
        except OSError:
            time.sleep(0.01)
            return
        listener.listen()
        command = [sys.executable, "-W", "ignore", __file__, str(listener.fileno()), *["light"] * light]
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.Popen(
            command, pass_fds=[listener.fileno()], stdin=DEVNULL, stdout=DEVNULL, env={**os.environ, **paths}
        ).returncode = 0  # nobody waits for it


@cache
def _server(light: bool) -> _Server:
    server = _Server(light)
    atexit.register(server.socket.close)
    return server


def _exactly(stream: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        part = stream.recv(count - len(content))
        if not part:
            raise EOFError
        content += part
    return content


def _serve(listener: socket.socket) -> dict[str, Any]:
    """Fork a process for each request; return in each of them, with what it is to do."""
    base, ends, streams = list(sys.path), dict[int, int](), set[socket.socket]()
    wake, woken = os.pipe()
    for descriptor in (wake, woken):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    while True:
        ready, _, _ = select.select([listener, wake, *streams], [], [], None if streams else _LONELY_S)
        if not ready:
            os._exit(0)
        if wake in ready:
            os.read(wake, 1000)
            _reap(ends)
        if listener in ready:
            streams.add(listener.accept()[0])
        for stream in streams.intersection(ready):
            head, descriptors, _, _ = socket.recv_fds(stream, 8, 4)
            if not head:
                streams.remove(stream)
                stream.close()
                continue
            request: dict[str, Any] = pickle.loads(_exactly(stream, int.from_bytes(head, "big")))
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for number in range(3):
                    os.dup2(descriptors[number], number)
                for descriptor in (*descriptors, wake, woken, *ends.values()):
                    os.close(descriptor)
                for one in (listener, *streams):
                    one.close()
                sys.path[:] = base
                return request
            *given, ends[pid] = descriptors
            for descriptor in given:
                os.close(descriptor)
            stream.sendall(pid.to_bytes(8, "big"))


def _reap(ends: dict[int, int]) -> None:
    """Tell of the processes that have ended with what code."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        if (end := ends.pop(pid, None)) is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(end, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(end)


def _become(request: Mapping[str, Any]) -> None:
    """Do what a fresh interpreter would do now."""
    if request["session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.dont_write_bytecode = bool(request["env"].get("PYTHONDONTWRITEBYTECODE"))
    # Those that there are know the files of the server, which can be sought in.
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    if (before := pickle.loads(request["before"])) is not None:
        before()
    tempfile.tempdir = None
    process.ORIGINAL_DIR = request["cwd"]  # type: ignore[attr-defined] # where processes of its own begin
    util.spawnv_passfds = _spawn
    how, what, *words = request["args"]
    given = [path for path in request["env"].get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = ["" if how == "-c" else request["cwd"], *given, *sys.path]
    gc.enable()
    if how == "-m":
        sys.argv = [what, *words]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *words]
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), main.__dict__)


_spawn_fresh = util.spawnv_passfds


def _spawn(path: bytes, args: Sequence[Any], descriptors: Sequence[int]) -> int:
    """Start what multiprocessing starts: a fork server by forking this process, all else as a program of its own."""
    if "multiprocessing.forkserver" not in str(args[-1]):
        return _spawn_fresh(path, args, descriptors)
    pid = os.fork()
    if pid == 0:
        try:
            _serve_forks(args[-1], {0, 1, 2, *descriptors})
        finally:
            os._exit(1)
    return pid


def _serve_forks(code: str, kept: set[int]) -> NoReturn:
    """Be a fork server that knows nothing of the process that it was."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for descriptor in {int(path.name) for path in Path("/proc/self/fd").iterdir()} - kept:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    atexit._clear()
    util._finalizer_registry.clear()
    process._current_process, process._children = type(process.current_process())(), set()  # type: ignore[attr-defined]
    forkserver._forkserver.__init__()  # type: ignore[attr-defined,misc]
    resource_tracker._resource_tracker.__init__()  # type: ignore[attr-defined,misc]
    importlib.import_module("bench.processes")._one_at_a_time = threading.Lock()
    for name in AT_START:
        sys.modules.pop(name, None)
    sys.argv, sys.modules["__main__"] = ["-c"], ModuleType("__main__")
    _end_after(lambda: exec(compile(code, "<string>", "exec"), {}))


def _end_after(run: Callable[[], object]) -> NoReturn:
    """Run it and end as an interpreter does, but for taking all modules down, which takes longer than most runs."""
    code: object = 0
    try:
        run()
    except SystemExit as error:
        code = error.code or 0
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        code = 1
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stdout.flush()
    os._exit(code & 0xFF)


def _preload(light: bool) -> None:
    """Import what most processes need, and make the command line, which takes as long as to import it."""
    for name in LIGHT if light else PRELOAD:
        importlib.import_module(name)
    for package in LIGHT_UNITS if light else UNITS:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{package}.{module.name}")
    if not light:
        probe = importlib.import_module("bench.execution._probe")
        probe._LOOK_S, probe._SIDE = 0.01, 64  # as in conftest
    typer = importlib.import_module("typer.main")
    typer.get_command = cache(typer.get_command)
    typer.get_command(importlib.import_module("bench.cli.app").app)


if __name__ == "__main__":
    gc.disable()
    _preload("light" in sys.argv)
    gc.freeze()
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    _end_after(lambda: _become(request))
