"""The user's networks: importing a file or a module, and building what it defines.

A file is imported under a name of its own, with its siblings beside it; a module as Python does.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from bench.archs import Arch
from bench.archs._arguments import NATIVE, Parameters, split
from bench.archs.naming.spelling import NetworkName
from bench.errors import BenchError, InvalidModelError, UnknownNameError, lacks_memory, nearest, unknown_name
from bench.plan.card import ArchCard

# The card's name for each name that a parameter may have.
ALIASES = {
    **dict.fromkeys(("num_classes", "n_classes"), "num_classes"),
    **dict.fromkeys(("in_channels", "in_chans", "channels"), "in_channels"),
    **dict.fromkeys(("input_size", "image_size", "img_size"), "input_size"),
}
_NUMBERS = (*NATIVE, "min_input", "year")
_TEXTS = ("family", "paper")
_NO_NETWORK = "name a torch.nn.Module class, an instance, or a function that returns one"

# Top-level modules that users' folders brought in. Two folders may each have a `layers.py`.
_siblings: dict[str, Path] = {}


def resolve(name: NetworkName) -> Arch:
    """Return the network that a file or a module defines.

    Raises:
        UnknownNameError: if there is no such file, module, or name in it.
        InvalidModelError: if it cannot be imported, is no network, or does not take the arguments.
    """
    code = _load_file(name.source) if name.kind == "file" else _load_module(name.source)
    definition = _find(code.module, name)
    builder = _builder(definition, name, code)
    native, _ = split(name.arguments, ALIASES)
    declared: dict[str, Any] = {**_card_fields(definition), **native}
    card = ArchCard(
        name=str(name),
        sized="input_size" in declared,
        any_channels=builder.takes("in_channels"),
        source_sha256=code.sha256,
        **declared,
    )
    return Arch(card, builder)


# --- importing ---


@dataclass(frozen=True)
class _Code:
    """The user's code, imported.

    Attributes:
        module: what it defines.
        folder: where its siblings are.
        sha256: of its file; None where it has none.
    """

    module: ModuleType
    folder: Path
    sha256: str | None


def _load_file(source: str) -> _Code:
    path = Path(source).expanduser()
    if not path.is_file():
        raise _no_file(source, path)
    folder = path.resolve().parent
    with _importable(folder), _import_errors(source):
        text = path.read_bytes()
        return _Code(_execute(path.resolve(), text), folder, hashlib.sha256(text).hexdigest())


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


def _load_module(name: str) -> _Code:
    folder = Path.cwd()
    with _importable(folder), _import_errors(name):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            # A module that is there may itself import one that is not.
            if not f"{name}.".startswith(f"{error.name}."):
                raise
            raise _no_module(name, folder) from None
        file = getattr(module, "__file__", None)  # packages without __init__.py have none
        digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
        return _Code(module, folder, digest)


def _no_module(name: str, folder: Path) -> UnknownNameError:
    # The prefix of a library that is misspelt arrives here too.
    close = nearest(name, ("torchvision", "timm", *(p.stem for p in folder.glob("*.py"))))
    tip = f"did you mean {', '.join(close)}?" if close else f"it is neither installed nor in {folder}"
    return UnknownNameError(f"unknown module {name!r}", f"{tip} (or give the path of a .py file)")


@contextmanager
def _import_errors(source: str) -> Iterator[None]:
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
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if file is None or module.__name__.startswith("bench_user_"):
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


@dataclass(frozen=True)
class _Builder:
    """Builds a network from what the user's file defines.

    Attributes:
        name: for messages.
        function: the class or function.
        folder: of the file, whose siblings may be imported while it builds.
        native: each parameter for a native value, and the card's name for that value.
        arguments: all other arguments.
    """

    name: str
    function: Callable[..., object]
    folder: Path
    native: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, object] = field(default_factory=dict)

    def takes(self, name: str) -> bool:
        """Say whether a native value is handed on to the user's code."""
        return name in self.native.values()

    def __call__(self, **values: int | None) -> nn.Module:
        """Return a new network; `values` are the native ones."""
        native = {parameter: values[name] for parameter, name in self.native.items()}
        try:
            with _importable(self.folder):
                model = self.function(**native, **self.arguments)
        except (Exception, SystemExit) as error:
            if isinstance(error, BenchError) or lacks_memory(error):
                raise
            raise InvalidModelError(f"building {self.name} raised {type(error).__name__}: {error}") from error
        if not isinstance(model, nn.Module):
            message = f"{self.name} returned {type(model).__name__}; expected a torch.nn.Module"
            raise InvalidModelError(message, _NO_NETWORK)
        return model


def _builder(definition: object, name: NetworkName, code: _Code) -> _Builder:
    """Return a builder of what the user defines, with its arguments checked.

    Raises:
        InvalidModelError: if it is no network, does not take an argument, or needs one that is not given.
    """
    if isinstance(definition, nn.Module):
        Parameters().check(name.bare, name.arguments)
        # A job may train its network; the next one must not see that.
        return _Builder(name.bare, lambda: copy.deepcopy(definition), code.folder)
    if not callable(definition):
        message = f"{name.bare} is of type {type(definition).__name__}; expected a torch.nn.Module"
        raise InvalidModelError(message, _NO_NETWORK)
    parameters = _parameters(definition)
    parameters.check(name.bare, name.arguments)
    _, others = split(name.arguments, ALIASES)
    native = {p: n for p, n in _native(parameters).items() if p not in others}
    missing = [p for p in parameters.required if p not in native and p not in others]
    if missing:
        raise InvalidModelError(
            f"{name.bare} needs an argument {missing[0]!r}",
            f"write {name.bare}({missing[0]}=...), in quotes for a shell",
        )
    return _Builder(name.bare, definition, code.folder, native, others)


def _parameters(function: Callable[..., object]) -> Parameters:
    if inspect.isclass(function) and function.__init__ is nn.Module.__init__:
        return Parameters()  # its signature takes anything, and it refuses everything
    return Parameters.of(function)


def _native(parameters: Parameters) -> dict[str, str]:
    """Return the parameters for native values; where any keyword is taken, also the card's own names."""
    native = {p: ALIASES[p] for p in parameters.names if p in ALIASES}
    if parameters.any_keyword:
        native |= {n: n for n in NATIVE if n not in native.values()}
    return native


def _card_fields(definition: object) -> dict[str, Any]:
    """Return the attributes that the card declares, where they are of the right type."""
    # Static look-up: a property of the user's must not run here.
    values = {n: inspect.getattr_static(definition, n, ...) for n in (*_NUMBERS, *_TEXTS)}
    numbers = {n: values[n] for n in _NUMBERS if type(values[n]) is int and values[n] > 0}
    texts = {n: values[n] for n in _TEXTS if isinstance(values[n], str)}
    no_classifier = {"num_classes": None} if values["num_classes"] is None else {}
    return {**numbers, **texts, **no_classifier}
