"""The process executor ends whatever it is given, keeps what was sent before, and leaves nothing behind."""

from __future__ import annotations

import ast
import multiprocessing.forkserver
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.contracts import check_executor
from bench.errors import BenchError
from bench.execution import EXECUTORS, Ended, Event
from bench.execution.executors import process
from bench.execution.executors.process import _OUTPUT_BYTES, ProcessExecutor

HERE = Path(__file__).parent
PRELOAD = ProcessExecutor.preload
PATHS = os.pathsep.join(filter(None, [str(HERE), *sys.path]))


@pytest.fixture(scope="module", autouse=True)
def light_server() -> Iterator[None]:
    """Let the server import what these jobs need: to fork it takes a tenth of one with torch, to start it too."""
    stop = multiprocessing.forkserver._forkserver._stop  # type: ignore[attr-defined]
    stop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProcessExecutor, "preload", "process_server")
        patch.setenv("PYTHONPATH", PATHS)
        yield
    stop()


@pytest.fixture(scope="module")
def executor(light_server: None) -> Iterator[ProcessExecutor]:
    one = ProcessExecutor()
    yield one
    one.close()


def call(executor: Any, function: str, *args: Any, timeout_s: float = 60.0) -> tuple[list[Event], Ended]:
    events: list[Event] = []
    ended = executor.call(f"process_targets:{function}", args, timeout_s=timeout_s, on_event=events.append)
    return events, ended


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_current_folder_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone_folder = tmp_path / "gone"
    gone_folder.mkdir()
    monkeypatch.chdir(gone_folder)
    gone_folder.rmdir()
    with pytest.raises(BenchError, match="the current folder is not there any more") as caught:
        ProcessExecutor()
    assert caught.value.tip


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.02)


@pytest.mark.parametrize("name", EXECUTORS.names())
def test_every_executor_keeps_the_contract(name: str) -> None:
    check_executor(name)


def test_the_process_is_its_own_and_warm(executor: ProcessExecutor) -> None:
    ((_, facts),), _ = call(executor, "facts")
    assert facts["pid"] != os.getpid()
    assert facts["group"] == facts["session"] != os.getpgid(0)
    assert facts["preloaded"]


def test_the_server_begins_neither_cuda_nor_threads_which_no_process_that_it_forks_could_use_then() -> None:
    code = (
        "import os, torch\n"
        "begun = []\n"
        "for name in ('_cuda_init', '_cuda_getDeviceCount'):\n"
        "    setattr(torch._C, name, lambda *_, name=name: begun.append(name) or 0)\n"
        "import bench.execution.preload\n"
        "from bench.records import environment\n"
        "assert not begun, begun\n"
        "assert not torch.cuda.is_initialized()\n"
        "assert not environment._nvml.cache_info().currsize\n"
        "if not os.fork():\n"
        "    torch.set_num_threads(2)\n"
        "    total = (torch.ones(600, 600) @ torch.ones(600, 600)).sum()\n"
        "    os._exit(int(total != 600.0**3))\n"
        "assert os.wait()[1] == 0\n"
        "torch.cuda.is_available()\n"
        "assert begun or not torch.backends.cuda.is_built()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert PRELOAD == "bench.execution.preload"


def test_what_is_printed_is_kept_apart(executor: ProcessExecutor, capfd: pytest.CaptureFixture[str]) -> None:
    _, ended = call(executor, "talk")
    assert set(ended.output.split("\n")) == {"to stdout", "to stderr", "to descriptor 1", ""}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_death_by_a_signal_is_told(executor: ProcessExecutor, number: int) -> None:
    events, ended = call(executor, "die", int(number))
    assert events == [("before", None)]
    assert ended.exitcode == -number
    assert not ended.timed_out


def test_an_exit_code_is_told(executor: ProcessExecutor) -> None:
    assert call(executor, "leave", 7)[1].exitcode == 7


@pytest.mark.parametrize("function", ["hang", "hang_deaf"])
def test_the_time_limit_ends_it(executor: ProcessExecutor, function: str) -> None:
    events, ended = call(executor, function, timeout_s=0.5)
    assert events == [("before", None)]
    assert ended.timed_out


@pytest.mark.parametrize(
    "function",
    ["leave_a_child", "hang_with_a_child", "leave_a_session", "leave_a_daemon", "crash_with_a_daemon"],
)
def test_nothing_that_it_started_outlives_it(executor: ProcessExecutor, function: str) -> None:
    ((_, pid),), _ = call(executor, function, timeout_s=1.0)
    wait_until_gone(pid)


def test_a_copy_that_forked_and_went_on_says_nothing(executor: ProcessExecutor) -> None:
    events, ended = call(executor, "fork_and_go_on")
    assert events == [("measured", None)]
    assert ended.exitcode == 0


def test_a_copy_that_a_pass_has_forked_does_not_come_back_into_bench(executor: ProcessExecutor) -> None:
    """Else six passes would be 63 of 32 processes, and those of a training as many as the machine has room for."""
    assert call(executor, "fork_in_each_pass") == ([("passes", 6)], Ended())


def test_what_a_job_leaves_behind_is_ended_beside_another_that_runs(executor: ProcessExecutor) -> None:
    begun, events = threading.Event(), list[Event]()

    def hear(event: Event) -> None:
        events.append(event)
        begun.set()

    def run_on() -> None:
        executor.call("process_targets:hang_with_a_child", (), timeout_s=60.0, on_event=hear)

    other = threading.Thread(target=run_on)
    other.start()
    assert begun.wait(60)
    ((_, left),), _ = call(executor, "leave_a_daemon")
    wait_until_gone(left)
    ((_, child),) = events
    assert not gone(child)
    executor.cancel()
    other.join()
    wait_until_gone(child)


def server() -> int:
    return multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]


def test_a_job_that_kills_its_parent_ends_itself_alone(executor: ProcessExecutor) -> None:
    call(executor, "facts")
    before = server()
    events, ended = call(executor, "kill_the_parent")
    assert events == [("before", None)]
    assert ended.exitcode == -signal.SIGKILL
    call(executor, "facts")
    assert server() == before


def test_a_job_that_writes_into_every_descriptor_reaches_no_other(
    executor: ProcessExecutor, capfd: pytest.CaptureFixture[str]
) -> None:
    call(executor, "facts")
    before = server()
    assert call(executor, "write_everywhere")[0] == [("after", None)]
    assert call(executor, "facts")[0][0][0] == "facts"
    assert server() == before
    assert capfd.readouterr() == ("", "")


def test_a_job_that_closes_every_descriptor_ends_itself(executor: ProcessExecutor) -> None:
    events, ended = call(executor, "close_everything")
    assert events == [("before", None)]
    assert ended.exitcode == 1
    assert "Bad file descriptor" in ended.output


def test_whoever_holds_the_pipe_does_not_hold_the_parent(executor: ProcessExecutor) -> None:
    events, ended = call(executor, "hold_the_pipe")
    assert events == [("before", None)]
    assert not ended.timed_out


def test_the_server_s_death_ends_no_job_and_the_next_has_a_new_server() -> None:
    executor = ProcessExecutor()
    begun, beside = threading.Event(), list[Event]()

    def hear(event: Event) -> None:
        beside.append(event)
        begun.set()

    def run_on() -> None:
        executor.call("process_targets:work_a_while", (1.5,), timeout_s=60, on_event=hear)

    other = threading.Thread(target=run_on)
    other.start()
    assert begun.wait(60)
    before = server()
    events, _ = call(executor, "kill_the_server")
    assert events == [("before", None), ("after", None)]
    assert [kind for kind, _ in call(executor, "facts")[0]] == ["facts"]
    other.join()
    assert [kind for kind, _ in beside] == ["pid", "after"]
    assert server() != before
    wait_until_gone(beside[0][1])


@pytest.mark.parametrize("whole", [False, True], ids=["its socket", "the folder"])
def test_a_server_whose_socket_was_cleaned_away_is_started_anew(
    executor: ProcessExecutor, whole: bool
) -> None:
    assert [name for name, _ in call(executor, "facts")[0]] == ["facts"]
    before, address = server(), Path(multiprocessing.forkserver._forkserver._forkserver_address)  # type: ignore[attr-defined]
    shutil.rmtree(address.parent) if whole else address.unlink()
    assert [name for name, _ in call(executor, "facts")[0]] == ["facts"]
    assert server() != before
    assert Path(multiprocessing.forkserver._forkserver._forkserver_address).exists()  # type: ignore[attr-defined]


def test_a_server_that_dies_while_a_process_starts_is_started_anew(
    executor: ProcessExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = multiprocessing.get_context("forkserver").Process
    starts: list[int] = []

    def start(process: Any) -> None:
        starts.append(1)
        if len(starts) == 1:
            raise EOFError  # as the server's death is met
        if len(starts) < 4:
            raise ConnectionRefusedError  # it has closed its socket, and is not gone yet
        BaseProcess.start(process)

    monkeypatch.setattr(kind, "start", start, raising=False)
    monkeypatch.setattr("bench.execution.executors.process._PAUSES_S", (0, 0, 0, 0))
    assert [name for name, _ in call(executor, "facts")[0]] == ["facts"]
    assert len(starts) == 4


def test_an_error_of_the_target_is_an_exit_code_with_its_text(executor: ProcessExecutor) -> None:
    _, ended = call(executor, "no_such_function")
    assert ended.exitcode == 1
    assert "no_such_function" in ended.output


@pytest.mark.parametrize(
    ("junk", "garbled"),
    [(b"\0\0\0\3abc", True), (b"\xff\0\0\0", True), (b"\0\0\0\0", True), (b"\0\0\0\x09abc", False)],
    ids=["no event", "endless", "empty", "torn"],
)
def test_junk_among_the_events_ends_the_job_and_nothing_else(
    executor: ProcessExecutor, junk: bytes, garbled: bool
) -> None:
    events, ended = call(executor, "write_junk", junk, timeout_s=60 if garbled else 0.8)
    assert events == [("before", None)]
    assert (ended.garbled, ended.timed_out) == (garbled, not garbled)
    assert call(executor, "leave", 7)[1].exitcode == 7


@pytest.mark.parametrize("limit", [1000, 1 << 30], ids=["begun anew", "whole"])
def test_of_much_that_is_printed_the_end_is_kept(
    executor: ProcessExecutor, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("bench.execution.executors.process._OUTPUT_LIMIT", limit)
    _, ended = call(executor, "print_much", 100)
    assert ended.output.endswith("x\nthe end\n")
    assert len(ended.output) == _OUTPUT_BYTES


def test_what_is_printed_takes_no_more_than_its_file_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_OUTPUT_LIMIT", 5000)
    with process._output_file() as output:
        for size in (5000, 5001, 100_000):
            os.write(output, b"x" * (size - os.fstat(output).st_size - 1) + b"\n")
            process._shorten(output)
            assert os.fstat(output).st_size == (size if size <= 5000 else _OUTPUT_BYTES)
            assert process._tail(output).endswith(b"\n")


def test_the_parent_sleeps_while_the_child_runs(executor: ProcessExecutor) -> None:
    before = time.process_time()
    call(executor, "hang", timeout_s=0.6)
    assert time.process_time() - before < 0.2


SCRIPT = """
    from bench.execution.executors.process import ProcessExecutor
    ProcessExecutor.preload = "process_server"
    print("main runs", flush=True)
    ProcessExecutor().call("process_targets:hang_with_a_child", (), timeout_s=600, on_event=lambda e: print(e[1], flush=True))
"""


def test_kill_9_of_the_parent_ends_the_job_and_no_script_runs_twice(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(textwrap.dedent(SCRIPT))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "main runs\n"
    grandchild = int(process.stdout.readline())  # not a second `main runs`
    job = psutil.Process(grandchild).parent()
    assert job is not None
    process.kill()
    process.wait()
    wait_until_gone(job.pid)
    wait_until_gone(grandchild)
    process.stdout.close()


WITHOUT_STREAMS = """\
from pathlib import Path
from bench.execution.executors.process import ProcessExecutor

ProcessExecutor.preload = "process_server"
executor, events = ProcessExecutor(), []
ended = executor.call("process_targets:talk", (), timeout_s=60.0, on_event=events.append)
executor.close()
Path({result!r}).write_text(repr((ended.exitcode, events, sorted(ended.output.split()))))
"""


@pytest.mark.parametrize("closed", [(1,), (1, 2), (0, 1, 2)])
def test_a_process_without_standard_streams_has_jobs_as_any_other(
    tmp_path: Path, closed: tuple[int, ...]
) -> None:
    result = tmp_path / "result"
    script = WITHOUT_STREAMS.format(result=str(result))
    subprocess.run(
        [sys.executable, "-c", script], check=True, preexec_fn=lambda: [os.close(number) for number in closed]
    )
    words = sorted(["to", "stdout", "to", "stderr", "to", "descriptor", "1"])
    assert ast.literal_eval(result.read_text()) == (0, [("done", None)], words)
