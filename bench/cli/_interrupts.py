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

_NOTHING = "nothing was measured yet, what is stored is as it was, and the same command begins again"

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class _Interrupts:
    """What is known of this command.

    Attributes:
        measures: whether it is one that measures.
        kept: the folder of the run that it measures, once it is known.
        count: how often it was interrupted.
        follows: what follows the first interrupt all the same, in words; empty for nothing.
    """

    measures = False
    kept: Path | None = None
    count = 0
    follows = ""


def heed() -> None:
    """Heed the signals from now on."""
    _Interrupts.measures, _Interrupts.kept, _Interrupts.count, _Interrupts.follows = False, None, 0, ""
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            continue  # as under nohup; but a shell ignores SIGINT for all that it runs in the background
        signal.signal(number, _interrupt)


def measuring() -> None:
    """Note that this command measures, though where its results are kept is not known yet."""
    _Interrupts.measures = True


def keeping(folder: Path) -> None:
    """Note where the results of this command are kept."""
    _Interrupts.kept = folder


@contextmanager
def following(what: str) -> Iterator[None]:
    """Let a command inside do what follows where it was interrupted, such as its answer, also where that was twice."""
    before, _Interrupts.follows = _Interrupts.follows, what
    try:
        yield
    finally:
        _Interrupts.follows = before


def interrupted() -> bool:
    """Return whether this command was interrupted."""
    return _Interrupts.count > 0


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a signal handler's signature)
    _Interrupts.count += 1
    if _Interrupts.count == 1:
        raise KeyboardInterrupt
    if _Interrupts.count == 2 and _Interrupts.follows and _Interrupts.kept is not None:
        _say(f"{_Interrupts.follows} follows{left()}; once more stops at once")
    else:
        leave_at_once()


def leave_at_once() -> None:
    """Say what is kept, and end the process without a further step; its jobs end with it."""
    try:
        _say(f"stopped at once{left()}")
    finally:
        os._exit(EXIT_CANCELLED)


def left() -> str:
    """Return what an interrupted command leaves and how to go on, behind a word on it; nothing where it only reads."""
    if (kept := _Interrupts.kept) is not None:
        return f"; what had been measured is kept in {kept}, and {GO_ON}"
    return f" before the first job; {_NOTHING}" if _Interrupts.measures else ""


def _say(words: str) -> None:
    """Write a line as a handler of a signal may, beside whatever is being written."""
    os.write(2, f"\n{words}\n".encode("utf-8", "replace"))
