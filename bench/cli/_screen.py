"""Who draws on a terminal: a command that is alone there; where there are several, each prints lines."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: whoever asks may draw
    fcntl = None  # type: ignore[assignment]

_PATIENCE_S = 2.0  # that a command waits for one which draws to see it
_POLL_S = 0.02


class Screen:
    """The right to draw on a terminal; files that are locked tell the commands there of each other.

    Whoever draws holds one file alone, and all who print lines hold another together. When their processes end,
    however they end, the locks end too.

    Args:
        stream: what is drawn on.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._drawing: int | None = None
        self._beside: int | None = None
        self._name = ""

    def take(self) -> bool:
        """Return whether this command may draw: on a terminal that can, where no other one is."""
        if not self._stream.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
            return False
        if fcntl is None or not self._in_front():
            return fcntl is None
        try:
            self._name = f"bench-{os.getuid()}-terminal-{os.fstat(self._stream.fileno()).st_rdev:x}"
            self._drawing = self._lock("draws", fcntl.LOCK_EX)
            if self._drawing is not None and self.alone():
                return True
            self.step_aside()
        except OSError:  # no folder for temporary files: whoever is there cannot be known
            self.leave()
        return False

    def alone(self) -> bool:
        """Return whether no command prints lines there, nor the shell, as it does before one in the background."""
        if fcntl is None:
            return True
        if not self._in_front() or (other := self._lock("lines", fcntl.LOCK_EX)) is None:
            return False
        os.close(other)
        return True

    def step_aside(self) -> None:
        """Draw no more, but print lines; what another command draws, it takes away before this one prints."""
        if fcntl is None:
            return
        deadline = time.monotonic() + _PATIENCE_S
        self._beside = self._beside or self._lock("lines", fcntl.LOCK_SH)
        while self._beside is None and time.monotonic() < deadline:  # the other one looks at this moment
            time.sleep(_POLL_S)
            self._beside = self._lock("lines", fcntl.LOCK_SH)
        while self._drawing is None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            self._drawing = self._lock("draws", fcntl.LOCK_EX)
        _close(self._drawing)
        self._drawing = None

    def _in_front(self) -> bool:
        """Return whether this command has the terminal, as no command in the background has."""
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except OSError:  # it belongs to no shell
            return True

    def leave(self) -> None:
        """Be no longer there."""
        for file in (self._drawing, self._beside):
            _close(file)
        self._drawing = self._beside = None

    def _lock(self, what: str, how: int) -> int | None:
        """Return the open file that is locked now; None where others hold it."""
        assert fcntl is not None
        path = Path(tempfile.gettempdir()) / f"{self._name}.{what}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return None
        return file


def _close(file: int | None) -> None:
    if file is not None:
        with contextlib.suppress(OSError):
            os.close(file)
