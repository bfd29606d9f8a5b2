"""What the process executor is tested with: functions that end in every way there is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

import bench


def facts(send: Any) -> None:
    send(
        (
            "facts",
            {
                "pid": os.getpid(),
                "group": os.getpgid(0),
                "session": os.getsid(0),
                "preloaded": "process_server" in sys.modules,
                "argv0": sys.argv[0],
            },
        )
    )


def talk(send: Any) -> None:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    os.write(1, b"to descriptor 1\n")
    send(("done", None))


def die(send: Any, number: int) -> None:
    send(("before", None))
    os.kill(os.getpid(), number)


def leave(send: Any, code: int) -> None:
    os._exit(code)


def hang(send: Any) -> None:
    send(("before", None))
    time.sleep(600)


def hang_deaf(send: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    send(("before", None))
    time.sleep(600)


def leave_a_child(send: Any) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    send(("child", child.pid))


def hang_with_a_child(send: Any) -> None:
    leave_a_child(send)
    time.sleep(600)


def fork_and_go_on(send: Any) -> None:
    os.fork()
    send(("measured", None))


def fork_in_each_pass(send: Any) -> None:
    """Have a file of bench call what forks, six times without an event; send how often anybody came back from it."""
    read, write = os.pipe()
    code = "for _ in range(6):\n    forks()\n    comes_back()"
    back = {"forks": lambda: os.fork() and None, "comes_back": lambda: os.write(write, b"1")}
    exec(compile(code, str(Path(bench.__file__).with_name("passes.py")), "exec"), back)
    with contextlib.suppress(ChildProcessError):
        while os.wait():
            pass
    send(("passes", len(os.read(read, 100))))


def leave_a_session(send: Any) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    send(("child", subprocess.Popen(command, start_new_session=True).pid))


def leave_a_daemon(send: Any) -> None:
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(write, str(os.getpid()).encode())
            time.sleep(600)
        os._exit(0)
    os.wait()
    send(("child", int(os.read(read, 20))))


def crash_with_a_daemon(send: Any) -> None:
    leave_a_daemon(send)
    os.kill(os.getpid(), signal.SIGSEGV)


def kill_the_parent(send: Any) -> None:
    send(("before", None))
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def kill_the_server(send: Any) -> None:
    send(("before", None))
    os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL)
    time.sleep(0.5)
    send(("after", None))


def write_everywhere(send: Any) -> None:
    """Write junk into every descriptor but its own pipe, then send."""
    for descriptor in range(3, 256):
        with contextlib.suppress(OSError):
            if descriptor != send.args[1].fileno():
                os.write(descriptor, b"junk\n" * 3)
    send(("after", None))


def close_everything(send: Any) -> None:
    send(("before", None))
    os.closerange(3, 256)
    send(("after", None))


def hold_the_pipe(send: Any) -> None:
    """Leave a daemon that has begun to write an event and holds the pipe."""
    send(("before", None))
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(send.args[1].fileno(), b"\0\0")
            time.sleep(600)
        os._exit(0)
    os.wait()
    time.sleep(0.2)


def work_a_while(send: Any, seconds: float) -> None:
    send(("pid", os.getpid()))
    time.sleep(seconds)
    send(("after", None))


def multiply(send: Any) -> None:
    import torch

    torch.set_num_threads(2)
    send(("sum", float((torch.ones(600, 600) @ torch.ones(600, 600)).sum())))


def write_junk(send: Any, junk: bytes) -> None:
    """Write into the pipe of the events, as a network that writes into every descriptor does, and go on."""
    send(("before", None))
    os.write(send.args[1].fileno(), junk)  # of the partial: the process, the pipe
    time.sleep(600)


def print_much(send: Any, count: int) -> None:
    for _ in range(count):
        print("x" * 999)
    print("the end")


def load_files(send: Any, name: str) -> None:
    multiply(send)  # the processes that decode are forked after a matrix product
    from bench.datasets import find, read

    send(("images", len(read(find(name, 8), "train"))))
