"""The command line on a host of three different cards that are made up, for machines without any.

    python tests/three_cards.py env
    python tests/three_cards.py run lenet5 --config smoke --task infer --set energy_s=0
    python tests/three_cards.py plan --config gpu

The host has a T4, an A100 that may not be opened and an H100, which CUDA counts first; see `fake_card`. Jobs run one
after the other in this process, each as if it had one of its own. What they answer is computed on the CPU, and what
they take is by the clock of a card that is made up, see `fake_cuda`: it is work in a folder for temporary files.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

import pytest
from fake_card import FakeHost, mixed

from bench.execution import EXECUTORS, Ended, ExecutorKind, Send
from bench.execution._targets import load_target


class Walk:
    """Runs each call in this process, as if it had one of its own: one at a time, with what it sets taken back."""

    at_once = 4

    def __init__(self, host: FakeHost) -> None:
        self.host, self.lock = host, threading.Lock()

    def call(self, target: str, args: tuple[object, ...], *, timeout_s: float, on_event: Send) -> Ended:
        """Run the call on the host's cards."""
        with self.lock, self.host.device.at_work(), _environment():
            self.host.current = 0
            load_target(target)(on_event, *args)
        return Ended()

    def cancel(self) -> None:
        """Nothing can be ended."""

    def close(self) -> None:
        """Hold nothing."""


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        yield
    finally:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def be_there(host: FakeHost, patch: pytest.MonkeyPatch) -> None:
    """Let the commands of this process find a host, and run their jobs there."""
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    host.install(patch)
    EXECUTORS.load()
    patch.setitem(EXECUTORS._units, "process", ExecutorKind("made up", lambda *_: Walk(host)))


def main() -> None:
    """Run a command of `bench`, by the words of the command line."""
    from bench.cli.app import app

    folder = tempfile.mkdtemp(prefix="three-cards-")
    sys.stderr.write(f"cards that are made up; in {folder}:\n")
    host, *_ = mixed()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        be_there(host, patch)
        app()


if __name__ == "__main__":
    main()
