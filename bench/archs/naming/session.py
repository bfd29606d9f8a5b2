"""Objects of a Python session, such as a class that a notebook's cell defines, by name: ``session@1a2b3c4d:Net``.

Whoever holds the object leaves a file among temporary ones, from which processes make it again: `bench.api._objects`.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
from pathlib import Path

from bench.archs.naming._ways import NetworkName
from bench.archs.naming.sources import COPIES

DIGITS = 8
"""Of the digest that is in the name."""

_OBJECTS = "BENCH_OBJECTS"
"""The variable that names the folder of the objects, for the processes that a session begins."""


def objects() -> Path:
    """Return the folder of the objects, which stays what it was when first asked for, also where TMPDIR moves."""
    if not os.environ.get(_OBJECTS):
        os.environ[_OBJECTS] = str(Path(tempfile.gettempdir()) / f"bench-{_user()}")
    return Path(os.environ[_OBJECTS])


def name_for(content: bytes, target: str) -> NetworkName:
    """Return the name of an object: what it is called, and of what content."""
    return NetworkName("session", f"session@{hashlib.sha256(content).hexdigest()[:DIGITS]}", target)


def file_of(name: NetworkName) -> Path:
    """Return the path of the file that stands for an object; at another machine that of its copy, see `COPIES`."""
    file = Path(name.source.partition("@")[2]) / f"{name.target}.py"
    here = objects() / file
    copies = os.environ.get(COPIES)
    return next(Path(copies).rglob(str(file)), here) if copies else here


def _user() -> str:
    """Return the name of the user; its number where a container has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
