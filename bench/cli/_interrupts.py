"""Ctrl-C, SIGTERM and the end of the terminal: the first one ends a command in order, the second at once."""

from __future__ import annotations

import os
import signal
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
    """

    kept: Path | None = None
    count = 0


def heed() -> None:
    """Heed the signals from now on."""
    _Interrupts.kept, _Interrupts.count = None, 0
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            continue  # as under nohup; but a shell ignores SIGINT for all that it runs in the background
        signal.signal(number, _interrupt)


def keeping(folder: Path) -> None:
    """Note where the results of this command are kept."""
    _Interrupts.kept = folder


def interrupted() -> bool:
    """Return whether this command was interrupted."""
    return _Interrupts.count > 0


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a signal handler's signature)
    _Interrupts.count += 1
    if _Interrupts.count == 1:
        raise KeyboardInterrupt
    leave_at_once()


def leave_at_once() -> None:
    """Say what is kept, and end the process without a further step; its jobs end with it."""
    kept = _Interrupts.kept
    words = "" if kept is None else f"; what had been measured is kept in {kept}, and {GO_ON}"
    try:
        os.write(2, f"\nstopped at once{words}\n".encode("utf-8", "replace"))
    finally:
        os._exit(EXIT_CANCELLED)
