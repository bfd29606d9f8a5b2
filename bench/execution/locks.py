"""A lock for each device, so that two runs at once do not measure one another."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

POLL_S = 0.2


@contextmanager
def device_lock(device: str, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the device for the length of a with block; call `waiting` once if another process holds it."""
    lock = FileLock(Path(tempfile.gettempdir()) / f"bench-{_hardware(device)}.lock", mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting(device)
        lock.acquire(poll_interval=POLL_S)
    try:
        yield
    finally:
        lock.release()


def _hardware(device: str) -> str:
    """Return one name for each piece of hardware: `cuda` is `cuda:0`, and that is the first card made visible."""
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return kind
    visible = [card.strip() for card in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if card.strip()]
    number = int(index or 0)
    return f"cuda-{visible[number] if number < len(visible) else number}"
