"""Writing: files that are whole at every moment, and numbers that JSON lacks."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import math
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar, cast, overload

from bench.errors import StoreError

_K = TypeVar("_K")

JsonObject: TypeAlias = Mapping[str, Any]
"""An object of a JSON document that was read: whoever takes a value from it knows, or checks, what it is.

For documents whose shape is another's to say: environments, details of measurements, settings of jobs of all versions.
What is written is a ``dict[str, object]``.
"""


@contextlib.contextmanager
def atomic_write(path: Path, *, synced: bool = True) -> Iterator[BinaryIO]:
    """Yield a draft of the file at `path`, and put it in its place when the block ends without an exception.

    Whoever reads `path`, at any moment and after a kill, finds the old content or the new one. A link stays one, to the
    new content; what is no file, such as a pipe or a device, is written to as it is.

    Args:
        path: of the file; its folder exists.
        synced: whether the content is on the disk when the block has ended.

    Raises:
        OSError: if it cannot be written; the old file is there as before, and no draft.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            yield file
        return
    if path.is_symlink():
        path = Path(os.path.realpath(path))
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            yield file
            if synced:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):  # its folder may be none, which the first error says
            draft.unlink(missing_ok=True)


def is_there(path: Path) -> bool:
    """Return whether there is a file of this path, before it is opened: a pipe would wait for its other end.

    Raises:
        OSError: if it is something else: a pipe, a device, a socket or a folder.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISREG(mode):
        return True
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, f"{path.name} is a folder, and no file")
    raise OSError(errno.EINVAL, f"{path.name} is a pipe, a device or a socket, and no file")


def no_file(path: Path) -> str | None:
    """Return what stands in the place of a file, in words; None where a file does, or nothing."""
    try:
        is_there(path)
    except OSError as error:
        return error.strerror
    except ValueError:  # a name that no file can have
        return None
    return None


def read_file(path: Path) -> bytes:
    """Return the content of a file that a user has named or could have made.

    Raises:
        OSError: if it is not there or no file, see `is_there`, or cannot be read.
    """
    is_there(path)
    return path.read_bytes()


_DRAFT = re.compile(r"\..+\.(\d{1,9})")


def sweep_drafts(folder: Path) -> None:
    """Remove the drafts that killed processes have left in a folder and in those within."""
    for file in folder.rglob(".*"):
        draft = _DRAFT.fullmatch(file.name)
        if draft and not _runs(int(draft[1])):
            with contextlib.suppress(OSError):
                file.unlink()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def write_file(
    path: Path, content: bytes, *, what: str = "", tip: str = "free space there, then run again"
) -> None:
    """Write a file and the folders above it; a reader finds the old content or the new one, and nothing between.

    Raises:
        StoreError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        raise StoreError(f"cannot write {what}{path}: {error.strerror or error}", tip) from error


def expanded(text: str) -> Path:
    """Return the path that a user has written, with ``~`` as the home; where there is none it stays, as in a shell."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 (which Path refuses then)


def cache_folder(variable: str = "BENCH_CACHE", *parts: str) -> Path:
    """Return the folder of what can be made again: the one that a variable of the environment names, or ~/.cache/bench.

    Whoever has no home at all, as in a container, has one among temporary files.

    Args:
        variable: that names it.
        parts: below ~/.cache/bench, where the variable names none.
    """
    if given := os.environ.get(variable):
        return expanded(given)
    try:
        own = Path.home() / ".cache" / "bench"
    except RuntimeError:
        own = Path(tempfile.gettempdir()) / f"bench-of-{os.getuid()}"
    return own.joinpath(*parts)


_NOT_PLAIN = re.compile(r"[^\x00-\x7e]")


def ascii_json(text: bytes) -> bytes:
    """Return JSON with what is not ASCII escaped, and what a terminal would take for DEL."""
    if text.isascii() and b"\x7f" not in text:
        return text
    return _NOT_PLAIN.sub(lambda found: json.dumps(found[0])[1:-1], text.decode()).encode()


class ToJson:
    """A dataclass that becomes plain values, and so do those among its fields."""

    __slots__ = ()

    def to_json(self) -> dict[str, object]:
        """Return the fields as plain values; what is not a number is None."""
        values = {one.name: getattr(self, one.name) for one in fields(cast(Any, self))}
        return {name: finite_json(value) for name, value in values.items()}


@overload
def finite_json(value: Mapping[_K, object]) -> dict[str, object]: ...
@overload
def finite_json(value: object) -> object: ...
def finite_json(value: object) -> object:
    """Return plain values: tuples as lists, and every NaN or infinity as None, as JSON has no such numbers."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, ToJson):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(k): finite_json(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite_json(v) for v in value]
    return value


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector from running inside, where many objects are made and none of them in a cycle.

    It would walk all of them again and again, which takes as long as making them.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # There and back moves all objects to the oldest generation; else the next collection walks them as young ones.
        gc.freeze()
        gc.unfreeze()
        if running:
            gc.enable()
