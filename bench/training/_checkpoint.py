"""Checkpoints: the state of a training after an epoch, written atomically, read as data and never as code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from bench.errors import StoreError
from bench.io import atomic_write, is_there

_EVERY_S = 30.0  # least time between two checkpoints; epochs may be far shorter


class Writer:
    """Writes the checkpoints of a training: the last epoch's, others at most every `_EVERY_S`, and at an interruption.

    Seconds are of one clock, on which the training began at `start`. None are written without a path; for the key see
    `save`.
    """

    def __init__(
        self, path: Path | None, key: str, state: Callable[[], dict[str, object]], start: float
    ) -> None:
        self.path = path
        self.key = key
        self.state = state
        self.saved_at = start
        self.behind = False  # an epoch was done that is in no checkpoint

    def epoch_done(self, time: float, *, last: bool) -> None:
        """Write a checkpoint if one is due, of an epoch that was done at `time`.

        Raises:
            StoreError: if it cannot be written.
        """
        self.behind = True
        if last or time - self.saved_at >= _EVERY_S:
            self.saved_at = time
            self._write()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Write a checkpoint where the block, which must not train, ends with an exception."""
        try:
            yield
        except BaseException:
            if self.behind:
                self._write()
            raise

    def _write(self) -> None:
        self.behind = False
        if self.path is not None:
            _save(self.path, self.key, self.state())


def _save(path: Path, key: str, state: dict[str, object]) -> None:
    """Write `state` under `key`; whoever reads `path`, at any moment, finds the old state or the new one.

    Only a reader with the same key gets it back. It has tensors, numbers, texts, and lists and dictionaries of these.

    Raises:
        StoreError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            torch.save({"key": key, "state": state}, file)
    except (OSError, RuntimeError) as error:  # torch's own writer turns a full disk into a RuntimeError
        message = f"cannot write the checkpoint {path}: {error}"
        raise StoreError(message, "free space, or choose another folder") from error


def load(path: Path, key: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return the state under `path`, on the CPU, or the reason for which there is none to go on from.

    A path that does not exist is no state for no reason: (None, None).
    """
    try:
        if not is_there(path):
            return None, None
        content = torch.load(path, map_location="cpu", weights_only=True)
        owner, state = content["key"], content["state"]
    except Exception as error:  # a torn or foreign file fails in more ways than torch documents
        return None, f"the checkpoint {path.name} cannot be read ({type(error).__name__})"
    if owner != key:
        return None, f"the checkpoint {path.name} is of another training ({owner})"
    return state, None
