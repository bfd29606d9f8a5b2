"""Registries: one new unit is one new file; no second list names it.

Units of somebody else's come from installed packages, by an entry point in the group that is called after the room
(``bench.archs``, ``bench.datasets``, ``bench.backends``, ``bench.costs``, ``bench.tasks``, ``bench.executors``,
``bench.figures``, ``bench.exports``; ``bench.naming`` for ways to name a network), or from files that `PLUGINS` names;
importing either registers its units.
"""

from __future__ import annotations

import fnmatch
import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Generic, TypeVar

from bench.errors import BenchError, typed_text, unknown_name
from bench.io import no_file

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_T = TypeVar("_T")

PLUGINS = "BENCH_PLUGINS"
"""The variable that names files which register units, one behind the other as in PATH; ``--plugin`` adds to it."""


def _import_file(file: str) -> ModuleType:
    """Return the module of a file, imported once under a name of its own."""
    path = Path(file).resolve()
    if what := no_file(path):  # a pipe would wait for its other end
        raise ImportError(what)
    name = f"bench_plugin_{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:12]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} is no file of Python")
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


@cache
def _entry_points(paths: tuple[str, ...]) -> dict[str, Sequence[EntryPoint]]:  # noqa: ARG001 (where packages are)
    """Return by group what the installed packages offer: to read that of 200 of them takes 20 ms."""
    from importlib.metadata import entry_points  # which takes a while, and the command line begins here

    found = entry_points()
    return {group: tuple(found.select(group=group)) for group in found.groups if group.startswith("bench.")}


class _DuplicateError(ValueError):
    """Two units have one name."""


def _plug_in(name: str, load: Callable[[], object]) -> None:
    try:
        load()
    except (Exception, SystemExit) as error:
        message = f"the plug-in {name} cannot be imported: {typed_text(error)}"
        raise BenchError(message, "mend it, or leave it out") from error


class Registry(Generic[_T]):
    """Named units of one kind, found by importing every module of a package.

    Args:
        kind: what one unit is called in messages, such as `architecture`.
        package: the package whose modules register the units when they are imported.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._units: dict[str, _T] = {}
        self._loaded = False

    def add(self, name: str, unit: _T) -> _T:
        """Register `unit` under `name`; a name that is taken is a programming error."""
        if name in self._units:
            raise _DuplicateError(f"{self.kind} {name!r} is registered twice")
        self._units[name] = unit
        return unit

    def load(self) -> None:
        """Import every public module of the package, and plug-ins, once.

        Raises:
            BenchError: for a plug-in that cannot be imported, or that has taken a name of the package's.
        """
        if self._loaded:
            return
        for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
            if not module.name.startswith("_"):
                try:
                    importlib.import_module(f"{self.package}.{module.name}")
                except _DuplicateError as error:
                    raise BenchError(
                        f"{error}, by a plug-in too", "give the plug-in's another name"
                    ) from error
        self._loaded = True  # already, as a plug-in may look for units
        try:
            group = f"bench.{self.package.rpartition('.')[2]}"
            for entry in _entry_points(tuple(sys.path)).get(group, ()):
                _plug_in(f"{entry.name} ({entry.value})", entry.load)
            for file in filter(None, os.environ.get(PLUGINS, "").split(os.pathsep)):
                _plug_in(file, partial(_import_file, file))
        except BenchError:
            self._loaded = False  # whoever asks next is told as well
            raise

    def names(self) -> list[str]:
        """Return all names in natural order (resnet20 before resnet110)."""
        self.load()
        return sorted(self._units, key=natural)

    def get(self, name: str) -> _T:
        """Return the unit called `name`.

        Raises:
            UnknownNameError: if there is none; it names the nearest ones.
        """
        self.load()
        if name not in self._units:
            raise unknown_name(
                self.kind, name, self._units, f"see `bench list {self.package.rsplit('.')[-1]}`"
            )
        return self._units[name]

    def match(self, pattern: str) -> list[str]:
        """Return the names that match a shell pattern such as ``resnet*``."""
        return [n for n in self.names() if fnmatch.fnmatchcase(n, pattern)]

    def items(self) -> list[tuple[str, _T]]:
        """Return (name, unit) pairs in natural order."""
        return [(n, self._units[n]) for n in self.names()]

    def __contains__(self, name: object) -> bool:
        self.load()
        return name in self._units

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())


def natural(name: str) -> tuple[object, ...]:
    """Return a sort key that orders digits by value."""
    parts: list[str] = []
    for char in name:
        if parts and parts[-1].isdecimal() == char.isdecimal():
            parts[-1] += char
        else:
            parts.append(char)
    return tuple((1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts)
