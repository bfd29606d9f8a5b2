"""The user's networks: importing a file or a module, and finding what it defines.

A file is imported under a name of its own, with its siblings beside it; a module as Python does.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from torch import nn

from bench.archs import Arch
from bench.archs.naming.building import builder_of
from bench.archs.naming.sources import imported, is_users, relative_imports, sources, together
from bench.archs.naming.spelling import NetworkName
from bench.errors import InvalidModelError, UnknownNameError, nearest, unknown_name
from bench.plan.card import ArchCard

OWN = "bench_user_"  # begins the names of modules that are made of users' files
REPOSITORY_DEPTH = 6  # folders above a file, in which its repository's root is looked for

# Top-level modules that users' folders brought in. Two folders may each have a `layers.py`.
_siblings: dict[str, Path] = {}

# Files of the user's that importing or building what a name means has loaded.
_files: defaultdict[str, set[Path]] = defaultdict(set)


def resolve(name: NetworkName) -> Arch:
    """Return the network that a file or a module defines.

    Raises:
        UnknownNameError: if there is no such file, module, or name in it.
        InvalidModelError: if it cannot be imported, is no network, or does not take the arguments.
    """
    code = _load_file(name.source) if name.kind == "file" else _load_module(name.source)
    builder = builder_of(_find(code.module, name), name, partial(_importable, code.place))
    card = ArchCard(
        name=str(name),
        source_sha256=together(code.sources) if code.sources else None,
        sources=code.sources if len(code.sources) > 1 else {},
        **builder.declared,
    )
    return Arch(card, builder)


# --- importing ---


@dataclass(frozen=True)
class _Code:
    """The user's code, imported.

    Attributes:
        module: what it defines.
        place: where it was imported.
        sources: SHA-256 of each file of the user's that it depends on, see `bench.archs.naming.sources`.
    """

    module: ModuleType
    place: _Place
    sources: Mapping[str, str]


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
    path = Path(source).expanduser()
    if not path.is_file():
        raise _no_file(source, path)
    path = path.resolve()
    text = path.read_bytes()
    place = _Place(source, path.parent, tuple(_roots(path, text)))
    with _importable(place), _import_errors(source):
        module = _execute(path, text)
    return _Code(module, place, sources(path, place.folders, _files[source]))


def _no_file(source: str, path: Path) -> UnknownNameError:
    if not path.parent.is_dir():
        return UnknownNameError(f"no file {source!r}", f"there is no folder {path.parent}")
    beside = sorted(p.name for p in path.parent.glob("*.py"))
    close = [str(path.parent / n) for n in nearest(path.name, beside) or beside[:3]]
    tip = f"did you mean {', '.join(close)}?" if close else f"no .py file is in {path.parent.resolve()}"
    return UnknownNameError(f"no file {source!r}", tip)


def _roots(path: Path, text: bytes) -> Iterator[Path]:
    """Yield folders above a file, or the current one, that have a module which it imports and which nothing else has.

    In a repository ``models/net.py`` may say ``from models.parts import Block``, run from its root.
    """
    above = [*path.parents[1:REPOSITORY_DEPTH], Path.cwd()]
    for name in imported(text):
        if not _has(path.parent, name) and not _is_installed(name):
            yield from [folder for folder in above if _has(folder, name)][:1]


def _has(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name).is_dir()


def _is_installed(name: str) -> bool:
    try:
        return name not in _siblings and importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _execute(path: Path, text: bytes) -> ModuleType:
    """Return the module that `text` defines; the same text at the same path is executed once.

    The bytes that were hashed are executed, past the cache of compiled files, which may be older.
    """
    digest = hashlib.sha256(bytes(path) + b"\0" + text).hexdigest()[:12]
    name = f"{OWN}{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{digest}"
    if levels := relative_imports(text):
        name = f"{_package(path, levels)}.{name}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # for a path that ends in .py there is always one
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _package(path: Path, levels: int) -> str:
    """Return the name of the package that a file with relative imports lies in; it is imported if it was not.

    Args:
        path: of the file.
        levels: over how many packages its imports reach, at least; it lies in as many more as have an ``__init__.py``.
    """
    above = list(path.parents)
    while levels < len(above) - 1 and (above[levels] / "__init__.py").is_file():
        levels += 1
    top = above[levels - 1]
    name = f"{OWN}package_{hashlib.sha256(bytes(top)).hexdigest()[:12]}"
    if name not in sys.modules:
        init = top / "__init__.py"
        if init.is_file():
            spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(top)])
        else:
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(top)]
        assert spec is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        if spec.loader is not None:
            spec.loader.exec_module(sys.modules[name])
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
    return _Code(module, place, sources(Path(file), place.folders, _files[name]) if file else {})


def _no_module(name: str, folder: Path) -> UnknownNameError:
    # The prefix of a library that is misspelt arrives here too.
    close = nearest(name, ("torchvision", "timm", *(p.stem for p in folder.glob("*.py"))))
    tip = f"did you mean {', '.join(close)}?" if close else f"it is neither installed nor in {folder}"
    return UnknownNameError(f"unknown module {name!r}", f"{tip} (or give the path of a .py file)")


@contextmanager
def _import_errors(source: str) -> Iterator[None]:
    """Turn what the user's code raises into an error that says whose code it is."""
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            yield
    except UnknownNameError:
        raise
    except SystemExit as error:
        last = printed.getvalue().strip().rpartition("\n")[2] or f"SystemExit: {error}"
        message = f"importing {source} ended Python: {last}"
        tip = "let it parse arguments under `if __name__ == '__main__':`; bench gives it none"
        raise InvalidModelError(message, tip) from error
    except ModuleNotFoundError as error:
        message = f"importing {source} raised {type(error).__name__}: {error}"
        tip = f"make {error.name} importable, or run bench in the folder from which {source} imports it"
        raise InvalidModelError(message, tip) from error
    except Exception as error:
        message = f"importing {source} raised {type(error).__name__}: {error}"
        raise InvalidModelError(message, "mend the file; python runs it as it stands") from error
    finally:
        sys.stderr.write(printed.getvalue())


@contextmanager
def _importable(place: _Place) -> Iterator[None]:
    """Put a place's folders on the path inside the block, and forget modules of other users' folders.

    The file sees no arguments of the command line: they are not its own.
    """
    for name in [n for n, owner in _siblings.items() if owner != place.folder]:
        del _siblings[name]
        for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
            del sys.modules[loaded]
    before, arguments = set(sys.modules), sys.argv
    sys.argv = [place.source]
    sys.path[:] = [str(place.folder), *sys.path, *map(str, place.roots)]
    importlib.invalidate_caches()  # the folders may have changed since they were last read
    try:
        yield
    finally:
        sys.argv = arguments
        with suppress(ValueError):
            sys.path.remove(str(place.folder))
        for root in place.roots:
            with suppress(ValueError):
                del sys.path[len(sys.path) - 1 - sys.path[::-1].index(str(root))]
        fresh = {name: sys.modules[name] for name in set(sys.modules) - before}
        _siblings.update(
            {
                name: place.folder
                for name, module in fresh.items()
                if "." not in name and any(_lies_in(module, folder) for folder in place.folders)
            }
        )
        files = (getattr(module, "__file__", None) for module in fresh.values())
        _files[place.source].update(path for file in files if file and is_users(path := Path(file)))


def _lies_in(module: ModuleType, folder: Path) -> bool:
    """Say whether a module, or a package's folder, lies directly in `folder`.

    The user's file itself does not count: its name in `sys.modules` is its own.
    """
    # A package without __init__.py has no file, but a path.
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if file is None or module.__name__.startswith(OWN):
        return False
    path = Path(file)
    return folder == (path.parent.parent if path.stem == "__init__" else path.parent)


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
    is_network = inspect.isclass(value) and issubclass(value, nn.Module)
    return (is_network or inspect.isfunction(value)) and value.__module__.partition(".")[0] != "torch"
