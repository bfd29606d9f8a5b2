"""What the process executor is tested with: functions that end in every way there is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any


def facts(send: Any) -> None:
    send(
        (
            "facts",
            {
                "pid": os.getpid(),
                "group": os.getpgid(0),
                "torch": "torch" in sys.modules,
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


def multiply(send: Any) -> None:
    import torch

    torch.set_num_threads(2)
    send(("sum", float((torch.ones(600, 600) @ torch.ones(600, 600)).sum())))


def load_files(send: Any, name: str) -> None:
    multiply(send)  # the processes that decode are forked after a matrix product
    from bench.datasets import load

    send(("images", len(load(name, "train", 8))))
