"""The user's networks: importing a file or a module, and finding what it defines.

A file is imported under a name of its own, with its siblings beside it; a module as Python does.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TextIO, cast

from torch import nn

from bench.archs import Arch
from bench.archs._arguments import Parameters
from bench.archs.naming._building import builder_of, parameters_of
from bench.archs.naming._digests import together
from bench.archs.naming._imports import imported, is_importable, relative_imports
from bench.archs.naming._paths import existing
from bench.archs.naming._ways import NetworkName
from bench.archs.naming.session import file_of
from bench.archs.naming.sources import is_users, sources
from bench.errors import InvalidModelError, UnknownNameError, nearest, typed_text, unknown_name
from bench.plan.card import ArchCard
from bench.processes import limits, set_limits

_OWN = "bench_user_"  # begins the names of modules that are made of users' files
_PACKAGE = "bench_folder_"  # and of packages that are made of their folders
_LAST_WORDS = 500  # characters of what a file prints that are kept
_REPOSITORY_DEPTH = 6  # folders above a file, in which its repository's root is looked for

# Of each of the user's modules that was imported, the name of whose file or module brought it in. Those of one are
# forgotten before another is imported or builds: two folders may each have a `layers.py`, and what a network is made of
# must not depend on what was met before it.
_owners: dict[str, str] = {}

# Files of the user's that importing a file or module has loaded, by its name, and one hash of all that it depended on.
_loaded: dict[str, tuple[set[Path], str]] = {}


def resolve(name: NetworkName) -> Arch:
    """Return the network that a file or a module defines.

    Raises:
        UnknownNameError: if there is no such file, module, or name in it.
        InvalidModelError: if it cannot be imported, is no network, or does not take the arguments.
    """
    code = _loaded_code(name)
    builder = builder_of(_find(code.module, name), name, partial(_importable, code.place))
    card = ArchCard(
        name=str(name),
        source_sha256=together(code.sources) if code.sources else None,
        sources=code.sources if len(code.sources) > 1 else {},
        **builder.declared,
    )
    return Arch(card, builder, builder.describe)


def parameters(name: NetworkName) -> Parameters:
    """Return what that which a name means can be called with, see `resolve`."""
    return parameters_of(_find(_loaded_code(name).module, name))


# --- importing ---


class _Code(NamedTuple):
    """The user's code, imported; SHA-256 of each file that it depends on, see `bench.archs.naming.sources`."""

    module: ModuleType
    place: _Place
    sources: Mapping[str, str]


def _loaded_code(name: NetworkName) -> _Code:
    if name.kind == "session":
        return _load_object(name)
    return _load_file(name.source) if name.kind == "file" else _load_module(name.source)


def _load_object(name: NetworkName) -> _Code:
    file = file_of(name)
    if not file.is_file():
        tip = "define it in a file, and give path/to/file.py:NAME"
        raise UnknownNameError(
            f"{name.bare} was an object of a session, and is gone with its temporary file", tip
        )
    return _load_file(str(file))


def load(file: str) -> ModuleType:
    """Return the module of a user's file as `resolve` imports it, without a look at what it defines."""
    return _load_file(file).module


@dataclass(frozen=True)
class _Place:
    """From where the user's imports are answered.

    Attributes:
        source: the file or module that is asked for, which a script would find as its own name.
        folder: of the file; it comes before all installed packages.
        roots: further folders, which come behind them: of a repository, whose modules are imported from its root.
    """

    source: str
    folder: Path
    roots: tuple[Path, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """All of them."""
        return (self.folder, *self.roots)


def _load_file(source: str) -> _Code:
    path = existing(source).resolve()
    text = path.read_bytes()
    place = _Place(source, path.parent, tuple(_roots(path, text)))
    _forget_if_edited(path, place)
    with _importable(place), _import_errors(source):
        module = _execute(path, text)
    return _code(module, path, place)


def _code(module: ModuleType, path: Path, place: _Place) -> _Code:
    """Return what was imported, with the files that it depends on: those its text names, and those it has loaded."""
    if place.source not in _loaded:
        modules = [sys.modules[name] for name in _brought_in_by(place) if name in sys.modules]
        files = {Path(file) for module in modules if (file := getattr(module, "__file__", None))}
        _loaded[place.source] = files, together(sources(path, place.folders, files))
    files, _ = _loaded[place.source]
    return _Code(module, place, sources(path, place.folders, files))


def _forget_if_edited(path: Path, place: _Place) -> None:
    """Forget the modules of a file that was imported in this process before, if anything that it depends on changed."""
    if place.source in _loaded:
        files, before = _loaded[place.source]
        if together(sources(path, place.folders, files)) != before:
            made = {name for name in sys.modules if name.rpartition(".")[2].startswith(_OWN)}
            of_it = {name for name in made if getattr(sys.modules[name], "__file__", None) == str(path)}
            _forget(_brought_in_by(place) | of_it)
            del _loaded[place.source]


def _brought_in_by(place: _Place) -> set[str]:
    return {name for name, owner in _owners.items() if owner == place.source}


def _forget(names: set[str]) -> None:
    for name in names:
        sys.modules.pop(name, None)
        _owners.pop(name, None)


def _roots(path: Path, text: bytes) -> Iterator[Path]:
    """Yield folders above a file, or the current one, that have a module which it imports and which nothing else has.

    In a repository ``models/net.py`` may say ``from models.parts import Block``, run from its root.
    """
    above = [*path.parents[1:_REPOSITORY_DEPTH], Path.cwd()]
    if relative_imports(text):  # its package may import from its own name
        yield next(folder for folder in path.parents if not (folder / "__init__.py").is_file())
    for name in imported(text):
        if not _has(path.parent, name) and (name in _owners or not is_importable(name)):
            yield from [folder for folder in above if _has(folder, name)][:1]


def _has(folder: Path, name: str) -> bool:
    """Return whether a folder has a module, or a package with one in it."""
    return (folder / f"{name}.py").is_file() or any((folder / name).glob("*.py"))


def _execute(path: Path, text: bytes) -> ModuleType:
    """Return the module that `text` defines; the same text at the same path is executed once.

    The bytes that were hashed are executed, past the cache of compiled files, which may be older.
    """
    digest = hashlib.sha256(bytes(path) + b"\0" + text).hexdigest()[:12]
    name = f"{_OWN}{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{digest}"
    lacking: ImportError | None = None
    if levels := relative_imports(text):
        try:
            name = f"{_package(path, levels)}.{name}"
        except ImportError as error:  # the file may do without its package
            lacking = error
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # for a path that ends in .py there is always one
    module = importlib.util.module_from_spec(spec)
    try:
        return _run(module, lambda module: exec(compile(text, str(path), "exec"), module.__dict__))
    except ImportError as error:
        raise lacking or error from None


def _run(module: ModuleType, execute: Callable[[ModuleType], object]) -> ModuleType:
    """Fill a module while it is known by its name, which dataclasses and pickle look up; forget one that fails."""
    sys.modules[module.__name__] = module
    try:
        execute(module)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def _package(path: Path, levels: int) -> str:
    """Return the name of the package that a file with relative imports lies in; it is imported if it was not.

    Its imports reach over `levels` packages at least; it lies in as many more as have an ``__init__.py``.
    """
    above = list(path.parents)
    while levels < len(above) - 1 and (above[levels] / "__init__.py").is_file():
        levels += 1
    top = above[levels - 1]
    name = f"{_PACKAGE}{hashlib.sha256(bytes(top)).hexdigest()[:12]}"
    if name not in sys.modules:
        init = top / "__init__.py"
        spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(top)])
        if not init.is_file():
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(top)]
        assert spec is not None
        execute = spec.loader.exec_module if spec.loader else lambda _: None
        _run(importlib.util.module_from_spec(spec), execute)
    below = [folder.name for folder in reversed(above[: levels - 1])]
    inner = ".".join([name, *below])
    importlib.import_module(inner)
    return inner


def _load_module(name: str) -> _Code:
    place = _Place(name, Path.cwd())
    with _importable(place), _import_errors(name):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            # A module that is there may itself import one that is not.
            if not f"{name}.".startswith(f"{error.name}."):
                raise
            raise _no_module(name, place.folder) from None
    file = getattr(module, "__file__", None)  # packages without __init__.py have none
    return _code(module, Path(file), place) if file else _Code(module, place, {})


def _no_module(name: str, folder: Path) -> UnknownNameError:
    # The prefix of a library that is misspelt arrives here too.
    close = nearest(name, ("torchvision", "timm", "hf", *(p.stem for p in folder.glob("*.py"))))
    tip = f"did you mean {', '.join(close)}?" if close else f"it is neither installed nor in {folder}"
    return UnknownNameError(f"unknown module {name!r}", f"{tip} (or give the path of a .py file)")


@contextmanager
def _import_errors(source: str) -> Iterator[None]:
    """Turn what the user's code raises into an error that says whose code it is."""
    heard = _Heard(sys.stderr)
    try:
        with redirect_stderr(cast(TextIO, heard)):
            yield
    except UnknownNameError:
        raise
    except SystemExit as error:
        last = heard.last.strip().rpartition("\n")[2] or typed_text(error)
        message = f"importing {source} ended Python: {last}"
        tip = "let it parse arguments under `if __name__ == '__main__':`; bench gives it none"
        raise InvalidModelError(message, tip) from error
    except Exception as error:
        message = f"importing {source} raised {typed_text(error)}"
        tip = "mend the file; python runs it as it stands"
        if isinstance(error, ModuleNotFoundError):
            tip = f"make {error.name} importable, or run bench in the folder from which {source} imports it"
        raise InvalidModelError(message, tip) from error


class _Heard:
    """A stream with all that it can do, whose last words are kept: argparse says there what it misses, and exits."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.last = ""

    def write(self, text: str) -> int:
        self.last = (self.last + text)[-_LAST_WORDS:]
        return self.stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


@contextmanager
def _importable(place: _Place) -> Iterator[None]:
    """Put a place's folders on the path inside the block, and forget modules of other users' folders.

    The file sees no arguments of the command line: they are not its own. Whatever folder it goes into, the current one
    is the same behind the block: what its text names is looked for there. So are the limits of the process, as far as
    the system lets them be: its files are read then.
    """
    granted = limits()
    here = None
    with suppress(OSError):  # gone already
        here = os.getcwd()  # noqa: PTH109
    _forget({name for name, owner in _owners.items() if owner != place.source})
    before, arguments, paths = set(sys.modules), sys.argv, sys.path
    sys.argv = [place.source]
    sys.path[:] = [str(place.folder), *sys.path, *map(str, place.roots)]
    importlib.invalidate_caches()  # the folders may have changed since they were last read
    try:
        yield
    finally:
        set_limits(granted)
        sys.argv = arguments
        sys.path = sys.path if isinstance(sys.path, list) else paths
        if here is not None:
            with suppress(OSError):
                os.chdir(here)
        with suppress(ValueError):
            sys.path.remove(str(place.folder))
        for root in place.roots:
            with suppress(ValueError):
                del sys.path[len(sys.path) - 1 - sys.path[::-1].index(str(root))]
        fresh = set(sys.modules) - before
        _owners.update({name: place.source for name in fresh if _is_brought_in(sys.modules[name])})


def _is_brought_in(module: ModuleType) -> bool:
    """Return whether a module is the user's, but not the very file that was asked for: its classes need it."""
    # A package without __init__.py has no file, but a path.
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    asked_for = module.__name__.rpartition(".")[2].startswith(_OWN)
    return file is not None and not asked_for and is_users(Path(file))


# --- what was imported, as a network ---


def _find(module: ModuleType, name: NetworkName) -> object:
    """Return what the module calls by this name.

    Raises:
        UnknownNameError: if nothing; it names the nearest classes, functions and instances.
    """
    if hasattr(module, name.target):
        return getattr(module, name.target)
    known = [n for n, v in vars(module).items() if not n.startswith("_") and _is_candidate(v)]
    if not known:
        raise UnknownNameError(f"{name.source} defines no network, so no {name.target!r}")
    raise unknown_name("network", name.target, known, f"in {name.source}")


def _is_candidate(value: object) -> bool:
    if isinstance(value, nn.Module):
        return True
    made = inspect.isfunction(value) or (inspect.isclass(value) and issubclass(value, nn.Module))
    return made and value.__module__.partition(".")[0] != "torch"
