"""Ctrl-C, SIGTERM and the end of the terminal: the first one ends a command in order, the second at once.

But where the first one has an answer follow, the second says what is kept, and the third ends the command at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

EXIT_CANCELLED = 130
GO_ON = "the same command goes on from there"

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class _Interrupts:
    """What is known of this command.

    Attributes:
        kept: the folder of the run that it measures, where it is one that does.
        count: how often it was interrupted.
        answers: whether an answer of what is known by then follows the first interrupt.
    """

    kept: Path | None = None
    count = 0
    answers = False


def heed() -> None:
    """Heed the signals from now on."""
    _Interrupts.kept, _Interrupts.count, _Interrupts.answers = None, 0, False
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            continue  # as under nohup; but a shell ignores SIGINT for all that it runs in the background
        signal.signal(number, _interrupt)


def keeping(folder: Path) -> None:
    """Note where the results of this command are kept."""
    _Interrupts.kept = folder


@contextmanager
def answering() -> Iterator[None]:
    """Let a command inside give its answer so far where it is interrupted, also where that was done twice."""
    _Interrupts.answers = True
    try:
        yield
    finally:
        _Interrupts.answers = False


def interrupted() -> bool:
    """Return whether this command was interrupted."""
    return _Interrupts.count > 0


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a signal handler's signature)
    _Interrupts.count += 1
    if _Interrupts.count == 1:
        raise KeyboardInterrupt
    if _Interrupts.count == 2 and _Interrupts.answers and _Interrupts.kept is not None:
        _say(f"the answer so far follows{_kept()}; once more stops at once")
    else:
        leave_at_once()


def leave_at_once() -> None:
    """Say what is kept, and end the process without a further step; its jobs end with it."""
    try:
        _say(f"stopped at once{_kept()}")
    finally:
        os._exit(EXIT_CANCELLED)


def _kept() -> str:
    kept = _Interrupts.kept
    return "" if kept is None else f"; what had been measured is kept in {kept}, and {GO_ON}"


def _say(words: str) -> None:
    """Write a line as a handler of a signal may, beside whatever is being written."""
    os.write(2, f"\n{words}\n".encode("utf-8", "replace"))
