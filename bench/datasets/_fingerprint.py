"""Fingerprints of folders of images: of the names of their files, the sizes, and what they hold.

A digest of each file is kept in the user's cache, by its place, its size and when it was last changed: what was read
once is then known by looking at the folder. Of a folder beyond 2 GB the beginning, the middle and the end of each file
are read, of a smaller one all: images that are no copies of each other differ there too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from bench.errors import StoreError
from bench.io import cache_folder, read_file, write_file
from bench.records.environment import usable_cores

_WHOLE = 2 << 30  # bytes of a folder whose files are read whole
_PART = 4096  # bytes of each of three parts of a file otherwise
_BLOCK = 1 << 20
_CHUNK = 256  # files that a thread takes at a time
# File systems count so coarsely: what was changed a moment ago may change again unseen.
_FRESH_NS = 2_000_000_000
_ENTRY = struct.Struct("16s16s")  # of the cache: a file as it lies there, and the digest of what it holds
_UNREADABLE = bytes(16)


class File(NamedTuple):
    """An image file: its path, its size in bytes, a number that all links to it share, when it was changed, in ns."""

    path: str
    size: int
    place: int
    changed: int


def fingerprint(root: str, parts: Mapping[str, Sequence[File]]) -> str:
    """Return the SHA-256 of a line for each file: part, name below `root`, size in bytes, digest of its content."""
    files = list(chain(*parts.values()))
    digests = _digests(root, files)
    whole = hashlib.sha256()
    for part, own in parts.items():
        for file in own:
            line = f"{part}\t{os.path.relpath(file.path, root)}\t{file.size}\t{next(digests).hex()}\n"
            whole.update(line.encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _digests(root: str, files: Sequence[File]) -> Iterator[bytes]:
    """Return the digest of the content of each file, those that are not in the cache by reading it."""
    in_full = sum(file.size for file in files) <= _WHOLE
    cache = cache_folder() / "images" / hashlib.sha256(os.fsencode(Path(root).resolve())).hexdigest()[:24]
    known, keys = _kept(cache), [_key(file, in_full) for file in files]
    files_of = dict(zip(keys, files, strict=True))  # which several links may lead to
    if unknown := [key for key in files_of if key not in known]:
        start = time.time_ns()
        known |= zip(unknown, _read([files_of[key] for key in unknown], in_full), strict=True)
        lasting = (
            _ENTRY.pack(key, known[key])
            for key, file in files_of.items()
            if file.changed < start - _FRESH_NS and known[key] != _UNREADABLE
        )
        with contextlib.suppress(StoreError):  # no room, or no right: it is read again the next time
            write_file(cache, b"".join(lasting))
    return (known[key] for key in keys)


def _key(file: File, in_full: bool) -> bytes:
    text = f"{file.place}\t{file.size}\t{file.changed}\t{in_full}"
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _kept(cache: Path) -> dict[bytes, bytes]:
    """Return what the cache holds of a folder: digests by what `_key` returns."""
    try:
        content = read_file(cache)
    except OSError:
        return {}
    return dict(_ENTRY.iter_unpack(content)) if len(content) % _ENTRY.size == 0 else {}


def _read(files: Sequence[File], in_full: bool) -> Iterator[bytes]:
    chunks = [files[at : at + _CHUNK] for at in range(0, len(files), _CHUNK)]
    with ThreadPoolExecutor(usable_cores()) as pool:
        yield from chain(*pool.map(lambda chunk: [_digest(file, in_full) for file in chunk], chunks))


def _digest(file: File, in_full: bool) -> bytes:
    """Return a digest of 16 bytes of a file's content; zeros where it cannot be read, as its decoder will say."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(file.path, "rb", buffering=0) as content:  # noqa: PTH123 - a million of them, as text
            if in_full or file.size <= 3 * _PART:
                while block := content.read(_BLOCK):
                    digest.update(block)
            else:
                for start in (0, (file.size - _PART) // 2, file.size - _PART):
                    content.seek(start)
                    digest.update(content.read(_PART))
    except OSError:
        return _UNREADABLE
    return digest.digest()
