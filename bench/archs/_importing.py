"""Importing the user's code: a file under a name of its own, with its siblings; or a module."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bench.archs.spec import Spec
from bench.errors import InvalidModelError, UnknownNameError, nearest

# Top-level modules that users' folders brought in. Two folders may each have a `layers.py`.
_siblings: dict[str, Path] = {}


@dataclass(frozen=True)
class Source:
    """The user's code, imported.

    Attributes:
        module: what it defines.
        folder: where its siblings are.
        sha256: of its file; None where it has none.
    """

    module: ModuleType
    folder: Path
    sha256: str | None

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Let the folder's modules be imported inside the block."""
        with _importable(self.folder):
            yield


def load(spec: Spec) -> Source:
    """Import the file or module of `spec`.

    Raises:
        UnknownNameError: if there is none.
        InvalidModelError: if importing it raises; the cause is the exception.
    """
    return _load_file(spec.source) if spec.kind == "file" else _load_module(spec.source)


def _load_file(source: str) -> Source:
    path = Path(source).expanduser()
    if not path.is_file():
        raise _no_file(source, path)
    folder = path.resolve().parent
    with _importable(folder), _naming(source):
        text = path.read_bytes()
        return Source(_execute(path.resolve(), text), folder, hashlib.sha256(text).hexdigest())


def _no_file(source: str, path: Path) -> UnknownNameError:
    if not path.parent.is_dir():
        return UnknownNameError(f"no file {source!r}", f"there is no folder {path.parent}")
    beside = sorted(p.name for p in path.parent.glob("*.py"))
    close = [str(path.parent / n) for n in nearest(path.name, beside) or beside[:3]]
    tip = f"did you mean {', '.join(close)}?" if close else f"no .py file is in {path.parent.resolve()}"
    return UnknownNameError(f"no file {source!r}", tip)


def _execute(path: Path, text: bytes) -> ModuleType:
    """Return the module that `text` defines; the same text at the same path is executed once.

    The bytes that were hashed are executed, past the cache of compiled files, which may be older.
    """
    digest = hashlib.sha256(bytes(path) + b"\0" + text).hexdigest()[:12]
    name = f"bench_user_{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{digest}"
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


def _load_module(name: str) -> Source:
    folder = Path.cwd()
    with _importable(folder), _naming(name):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            # A module that is there may itself import one that is not.
            if not f"{name}.".startswith(f"{error.name}."):
                raise
            raise _no_module(name, folder) from None
        file = getattr(module, "__file__", None)  # packages without __init__.py have none
        digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
        return Source(module, folder, digest)


def _no_module(name: str, folder: Path) -> UnknownNameError:
    # The prefix of a library that is misspelt arrives here too.
    close = nearest(name, ("torchvision", "timm", *(p.stem for p in folder.glob("*.py"))))
    tip = f"did you mean {', '.join(close)}?" if close else f"it is neither installed nor in {folder}"
    return UnknownNameError(f"unknown module {name!r}", f"{tip} (or give the path of a .py file)")


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """Turn what the user's code raises into an error that says whose code it is."""
    try:
        yield
    except UnknownNameError:
        raise
    except (Exception, SystemExit) as error:
        message = f"importing {source} raised {type(error).__name__}: {error}"
        raise InvalidModelError(message, "mend the file; python runs it as it stands") from error


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put `folder` first on the path inside the block, and forget modules of other users' folders."""
    for name in [n for n, owner in _siblings.items() if owner != folder]:
        del _siblings[name]
        for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
            del sys.modules[loaded]
    before = {name.partition(".")[0] for name in sys.modules}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()  # the folder may have changed since it was last read
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(str(folder))
        fresh = {name for name in sys.modules if "." not in name} - before
        _siblings.update({name: folder for name in fresh if _lies_in(sys.modules[name], folder)})


def _lies_in(module: ModuleType, folder: Path) -> bool:
    """Say whether a module, or a package's folder, lies directly in `folder`.

    The user's file itself does not count: its name in `sys.modules` is its own.
    """
    # A package without __init__.py has no file, but a path.
    where = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if where is None or module.__name__.startswith("bench_user_"):
        return False
    path = Path(where)
    return folder == (path.parent.parent if path.stem == "__init__" else path.parent)
