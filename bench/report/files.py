"""Writing a report: each file whole or not at all."""

from __future__ import annotations

from pathlib import Path

from bench.errors import StoreError
from bench.io import atomic_write


def make_folder(path: Path) -> None:
    """Make a folder and those above it.

    Raises:
        StoreError: if it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def save(path: Path, data: bytes | str) -> Path:
    """Write a file so that a reader sees the old content or the new one and nothing between.

    Raises:
        StoreError: if it cannot be written.
    """
    try:
        with atomic_write(path, synced=False) as file:  # many small files, which can be drawn again
            file.write(data.encode("utf-8", "replace") if isinstance(data, str) else data)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    return path


def remove(path: Path) -> None:
    """Delete a file that an earlier report left behind."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write a report to {folder}: {error.strerror or error}",
        "choose another folder for reports; the results are untouched",
    )
