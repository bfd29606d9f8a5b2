"""Where the files of known data sets lie, and how those that are missing are fetched.

They are looked for in the user's data folder, where other libraries keep theirs, and where packages of the system put
them. Nothing is written but into the user's own folder, and a file stands there whole or not at all.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from bench.errors import UnsupportedError
from bench.io import expanded

_CACHE = "~/.cache/bench/data"
_LIBRARIES = ("~/.keras/datasets", "~/.fastai/data")
_SYSTEM = ("/usr/local/share/datasets", "/usr/share/datasets")  # of Debian's packages dataset-*
_DIRECT = (".", "raw")  # of the data folder, where it is itself the folder of the one set that it holds
_TIMEOUT_S = 30.0  # without an answer from a server; torchvision would wait for ever

_Download = Callable[[Path, Path], object]


@dataclass(frozen=True)
class Kept:
    """How the files of a data set are kept, so that they can be missing.

    Attributes:
        name: of the data set.
        folders: in a data folder, where its files may lie, the best first; archives that are read as they are, too.
        lacking: `(place)` to the names of the files that are not there; None where there is nothing of the set.
        download: `(draft, data folder)` brings the files into the folder `draft`, laid out as in a data folder.
        expression: of Python, for users; it brings the files into the folder {folder}.
        package: of Debian, that holds them.
    """

    name: str
    folders: tuple[str, ...]
    lacking: Callable[[Path], list[str] | None]
    download: _Download
    expression: str
    package: str = ""

    def find(self, root: Path) -> Path | None:
        """Return the first place that has all files; None where no place has."""
        return next((place for place, lacking in self._places(root) if not lacking), None)

    def found(self, root: Path) -> Path:
        """Return that place; where there is none, raise the error that `missing` returns."""
        if (place := self.find(root)) is None:
            raise self.missing(root)
        return place

    def missing(self, root: Path, why: str = "") -> UnsupportedError:
        """Return the error that says that there is no place with all files, how to bring them, and why that failed."""
        partly = next((f" whole: {p} lacks {', '.join(names[:3])}" for p, names in self._places(root)), "")
        failed = f"{',' if partly else ''} and cannot be fetched: {why}" if why else ""
        return UnsupportedError(f"{self.name} is not on this machine{partly}{failed}", self.tip(root))

    def tip(self, root: Path) -> str:
        """Return the command that would bring the files, and where else they may be put."""
        folder = _own_folder(root)
        code = self.expression.format(folder=str(folder))
        plain = not re.search(r"[\"$`!\\]", code)  # to a shell, between double quotes
        command = "python -c " + (f'"{code}"' if plain else shlex.quote(code))
        if self.package and shutil.which("apt"):
            command = f"apt install {self.package}"
        return (
            f"`{command}` brings it; or put its files into {folder / self.folders[0]}, "
            "or name the folder that holds them in BENCH_DATA"
        )

    def _places(self, root: Path) -> Iterator[tuple[Path, list[str]]]:
        """Yield each place where there is something of the set, with the names of the files that it lacks."""
        for folder in filter(Path.is_dir, data_folders(root)):
            for name in (*self.folders, *(_DIRECT if folder == root else ())):
                lacking = self.lacking(folder / name)
                if lacking is not None:
                    yield folder / name, lacking


def data_folders(root: Path) -> list[Path]:
    """Return the folders in which data sets are looked for: `root`, those of libraries, those of the system."""
    return list(dict.fromkeys([root, *(expanded(p) for p in (_CACHE, *_LIBRARIES, *_SYSTEM))]))


def _own_folder(root: Path) -> Path:
    """Return the folder into which is fetched: `root`, or the user's cache where `root` is the system's."""
    is_systems = root.resolve().is_relative_to("/usr") or (root.is_dir() and not os.access(root, os.W_OK))
    return expanded(_CACHE) if is_systems else root


def fetch(kept: Kept, root: Path) -> None:
    """Bring the files of a data set into the user's own folder, one process at a time, unless they are on this machine.

    What lies there already is left as it is.

    Raises:
        UnsupportedError: if they cannot be had.
    """
    folder = _own_folder(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{kept.name}.lock"):
            if kept.find(root) is not None:
                return
            for left in folder.glob(f".{kept.name}-*"):  # of a process that was killed; only one is in here
                shutil.rmtree(left, ignore_errors=True)
            with TemporaryDirectory(dir=folder, prefix=f".{kept.name}-") as draft:
                with _socket_timeout():
                    kept.download(Path(draft), root)
                for part in Path(draft).iterdir():
                    _move(part, folder / part.name)
    except Exception as error:  # no network, no right to write, a wrong checksum: it cannot be had
        raise kept.missing(root, one_line(error)) from error
    if kept.find(root) is None:
        raise kept.missing(root, f"files of other contents lie in {folder}")


def _move(source: Path, target: Path) -> None:
    """Move a file or a folder to where it belongs, beside what is there."""
    if not target.exists():
        source.rename(target)
    elif target.is_dir() and source.is_dir():
        for part in source.iterdir():
            _move(part, target / part.name)


def by_torchvision(name: str, **options: str) -> tuple[_Download, str]:
    """Return what downloads a data set of torchvision's, and the same as an expression of Python."""
    words = "".join(f", {key}={value!r}" for key, value in options.items())
    call = f"{name}({{folder!r}}{words}, download=True)"
    return partial(_download, name, options), f"from torchvision.datasets import {name}; {call}"


def _download(name: str, options: dict[str, str], draft: Path, root: Path) -> None:  # noqa: ARG001
    import torchvision.datasets

    getattr(torchvision.datasets, name)(draft, **options, download=True)


@contextmanager
def _socket_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into an error that names it, and says what to do."""
    try:
        yield
    except Exception as error:  # gzip, tarfile, pickle and NumPy raise many kinds
        problem = f"{file} cannot be read: {one_line(error)}"
        if file.resolve().is_relative_to("/usr"):
            raise UnsupportedError(problem, "install the package that it belongs to again") from error
        raise UnsupportedError(problem, "remove it, and the next run fetches it anew") from error


def one_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
