"""Checkpoints: the state of a training after an epoch, written atomically, read as data and never as code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from bench.errors import StoreError


def save(path: Path, key: str, state: dict[str, Any]) -> None:
    """Write `state` under `key`; whoever reads `path`, at any moment, finds the old state or the new one.

    Args:
        path: of the checkpoint; its folder is made.
        key: what the state belongs to; only a reader with the same key gets it back.
        state: tensors, numbers, texts, and lists and dictionaries of these.

    Raises:
        StoreError: if it cannot be written.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            torch.save({"key": key, "state": state}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except (OSError, RuntimeError) as error:  # torch's own writer turns a full disk into a RuntimeError
        draft.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write the checkpoint {path}: {error}", "free space, or choose another folder"
        ) from error


def load(path: Path, key: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return the state under `path`, on the CPU, or the reason for which there is none to go on from.

    A path that does not exist is no state for no reason: (None, None).
    """
    if not path.exists():
        return None, None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        owner, state = found["key"], found["state"]
    except Exception as error:  # a torn or foreign file fails in more ways than torch documents
        return None, f"the checkpoint {path.name} cannot be read ({type(error).__name__})"
    if owner != key:
        return None, f"the checkpoint {path.name} is of another training ({owner})"
    return state, None
