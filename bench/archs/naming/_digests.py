"""Digests of files: which content a name stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from bench.io import read_file

_LARGE = 64 * 2**20  # bytes of a file from which its size and time stand for what it holds


def digest(file: Path) -> str | None:
    """Return the SHA-256 of a file's content, of its size and time where it is large; None where it cannot be read."""
    try:
        state = file.stat()
        return _digest(file, state.st_size, state.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _digest(file: Path, size: int, changed_ns: int) -> str:
    content = f"{size} {changed_ns}".encode() if size >= _LARGE else read_file(file)
    return hashlib.sha256(content).hexdigest()


def together(digests: Mapping[str, str]) -> str:
    """Return one SHA-256 of some files: that of the file where there is one alone."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    return hashlib.sha256("\n".join(f"{name} {sha}" for name, sha in digests.items()).encode()).hexdigest()
