"""Ways in: the user's networks, in a file, a module, or a folder for torch.hub, ``path/to/folder:NAME``, or an object.

An entry of a folder's hubconf.py is read from the disk. What the file lists as `dependencies` must be importable. An
entry that would load weights by default is told not to.
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from bench.archs import Arch
from bench.archs._arguments import Parameters
from bench.archs.naming._imports import is_importable
from bench.archs.naming._paths import users_path
from bench.archs.naming._ways import WAYS, NetworkName, Way
from bench.archs.naming.session import DIGITS
from bench.errors import UnknownNameError, UnsupportedError

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_HUB = "hubconf.py"  # the file of a folder that says which networks it has, as torch.hub reads it
_PRETRAINED = "pretrained"


def _resolve(name: NetworkName) -> Arch:
    from bench.archs.naming import _user_code  # imports torch

    return _user_code.resolve(name)


def _parameters(name: NetworkName) -> Parameters:
    """Return what a class or function of the user's can be called with; its module is imported."""
    from bench.archs.naming import _user_code

    return _user_code.parameters(name)


def load(file: str) -> ModuleType:
    """Return the module of a user's file, imported as its networks are."""
    from bench.archs.naming import _user_code

    return _user_code.load(file)


def _module_or_folder(name: NetworkName) -> NetworkName:
    """Return the name; where it is spelled as a module, but is a folder for torch.hub and no package, as such."""
    folder = Path(name.source)
    is_hub = (folder / _HUB).is_file() and not (folder / "__init__.py").is_file()
    return replace(name, kind="folder") if is_hub else name


# --- folders for torch.hub ---


def _resolve_entry(name: NetworkName) -> Arch:
    """Return the network of an entry.

    Raises:
        UnknownNameError: if there is no such folder, file or entry.
        UnsupportedError: if something that it depends on is not installed.
        InvalidModelError: if it cannot be imported, is no network, or does not take the arguments.
    """
    entry = _entry(name)
    if _PRETRAINED not in name.arguments and _parameters(entry).defaults.get(_PRETRAINED):
        entry = replace(entry, arguments={**entry.arguments, _PRETRAINED: False})
    arch = _resolve(entry)
    return replace(arch, card=replace(arch.card, name=str(name)))


def _entry(name: NetworkName) -> NetworkName:
    """Return the entry as a network of a file, once what the file depends on is there."""
    folder = users_path(name.source)
    file = folder / _HUB
    if not folder.is_dir():
        raise UnknownNameError(f"no folder {name.source!r}", "a network of a file is path/to/file.py:NAME")
    if not file.is_file():
        tip = f"name one of its files, {name.source}/FILE.py:{name.target}"
        raise UnknownNameError(f"{name.source} has no {_HUB}", tip)
    lacking = [word for word in _dependencies(file.read_bytes()) if not is_importable(word)]
    if lacking:
        message = f"{file} depends on what is not installed: {', '.join(lacking)}"
        raise UnsupportedError(message, "install it as the folder's own documentation says")
    return replace(name, kind="file", source=str(file))


def _dependencies(text: bytes) -> list[str]:
    """Return the modules that a hubconf.py lists as its dependencies, read off its text."""
    try:
        statements = ast.parse(text).body
        values = [
            ast.literal_eval(statement.value)
            for statement in statements
            if isinstance(statement, ast.Assign) and "dependencies" in map(ast.unparse, statement.targets)
        ]
    except (SyntaxError, ValueError):  # importing it will tell
        return []
    listed = values[0] if values and isinstance(values[0], list | tuple) else ()
    return [word for word in listed if isinstance(word, str)]


WAYS.add(
    "session",
    Way(
        place=15,
        begins=re.compile(rf"(?P<source>session@[0-9a-f]{{{DIGITS}}}):"),
        target=_IDENTIFIER,
        resolve=_resolve,
        parameters=_parameters,
    ),
)
WAYS.add(
    "file",
    Way(
        place=20,
        # A path may hold parentheses if an identifier and nothing but arguments follow it.
        begins=re.compile(r"(?P<source>[^(]*?\.py(?=:)|.*?\.py(?=:[^\W\d]\w*\s*(?:\(.*\))?$)):"),
        target=_IDENTIFIER,
        resolve=_resolve,
        parameters=_parameters,
    ),
)
WAYS.add(
    "module",
    Way(
        place=50,
        begins=re.compile(r"(?![A-Za-z]:[/\\])(?P<source>[^\W\d]\w*(?:\.[^\W\d]\w*)*):"),
        target=_IDENTIFIER,
        check=_module_or_folder,
        resolve=_resolve,
        parameters=_parameters,
    ),
)
WAYS.add(
    "folder",
    Way(
        place=60,
        begins=re.compile(r"(?P<source>(?:[A-Za-z]:[/\\])?[^(:]*[/\\][^(:]*|\.{1,2}|~):"),
        target=_IDENTIFIER,
        resolve=_resolve_entry,
        parameters=lambda name: _parameters(_entry(name)),
    ),
)
