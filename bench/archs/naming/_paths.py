"""Paths of the user's files, here or in a copy of another machine's."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from bench.archs.naming.sources import COPIES
from bench.errors import UnknownNameError, nearest
from bench.io import expanded, no_file


def users_path(text: str) -> Path:
    """Return the path that a name means; where files of another machine lie here, that of their copy."""
    copies = os.environ.get(COPIES)
    if copies and text.startswith(("/", "~")) and (copy := Path(copies) / text.lstrip("/")).exists():
        return copy
    return expanded(text)


def existing(asked: str, what: str = "file", otherwise: str = "") -> Path:
    """Return the path of a file, which messages call `what`.

    The tip is `otherwise` where no file beside it has a similar name; without that, some of the same kind.

    Raises:
        UnknownNameError: if there is none.
    """
    file = users_path(asked)
    if file.is_file():
        return file
    if other := no_file(file):
        raise UnknownNameError(f"no {what} {asked!r}: {other}", otherwise or "name a file")
    if not file.parent.is_dir():
        raise UnknownNameError(f"no {what} {asked!r}", otherwise or f"there is no folder {file.parent}")
    there = sorted(p.name for p in file.parent.iterdir() if p.is_file())
    alike = [name for name in there if Path(name).suffix == file.suffix or Path(name).stem == file.stem]
    near = nearest(file.name, alike) or ([] if otherwise else alike[:3])
    close = [str(file.parent / name) for name in near]
    tip = f"did you mean {', '.join(close)}?" if close else otherwise or f"there is none in {file.parent}"
    raise UnknownNameError(f"no {what} {asked!r}", tip)


def is_script(file: Path) -> bool:
    """Return whether a file is TorchScript: an archive with code in it."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False
