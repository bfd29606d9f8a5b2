"""Way in: a folder for torch.hub, ``path/to/folder:NAME``: an entry of its hubconf.py, which bench reads from the disk.

What the file lists as `dependencies` must be importable. An entry that would load weights by default is told not to.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import replace
from pathlib import Path

from bench.archs import Arch
from bench.archs._arguments import Parameters
from bench.archs.naming import files
from bench.archs.naming.ways import IDENTIFIER, WAYS, NetworkName, Way
from bench.errors import UnknownNameError, UnsupportedError

PRETRAINED = "pretrained"


def resolve(name: NetworkName) -> Arch:
    """Return the network of an entry.

    Raises:
        UnknownNameError: if there is no such folder, file or entry.
        UnsupportedError: if something that it depends on is not installed.
        InvalidModelError: if it cannot be imported, is no network, or does not take the arguments.
    """
    entry = _entry(name)
    default = files.parameters(entry).defaults.get(PRETRAINED)
    if default and PRETRAINED not in name.arguments:
        entry = replace(entry, arguments={**entry.arguments, PRETRAINED: False})
    arch = files.resolve(entry)
    return replace(arch, card=replace(arch.card, name=str(name)))


def parameters(name: NetworkName) -> Parameters:
    """Return what an entry can be called with; its file is imported."""
    return files.parameters(_entry(name))


def _entry(name: NetworkName) -> NetworkName:
    """Return the entry as a network of a file, once what the file depends on is there."""
    folder = Path(name.source).expanduser()
    file = folder / files.HUB
    if not folder.is_dir():
        raise UnknownNameError(f"no folder {name.source!r}", "a network of a file is path/to/file.py:NAME")
    if not file.is_file():
        tip = f"name one of its files, {name.source}/FILE.py:{name.target}"
        raise UnknownNameError(f"{name.source} has no {files.HUB}", tip)
    lacking = [word for word in dependencies(file.read_bytes()) if not _is_importable(word)]
    if lacking:
        message = f"{file} depends on what is not installed: {', '.join(lacking)}"
        raise UnsupportedError(message, "install it as the folder's own documentation says")
    return replace(name, kind="file", source=str(file))


def dependencies(text: bytes) -> list[str]:
    """Return the modules that a hubconf.py lists as its dependencies, read off its text."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError):  # importing it will tell
        return []
    for statement in statements:
        if isinstance(statement, ast.Assign) and "dependencies" in map(ast.unparse, statement.targets):
            try:
                listed = ast.literal_eval(statement.value)
            except ValueError:  # made at import, which will tell
                return []
            return (
                [word for word in listed if isinstance(word, str)] if isinstance(listed, list | tuple) else []
            )
    return []


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


WAYS.add(
    "folder",
    Way(
        place=60,
        begins=re.compile(r"(?P<source>(?:[A-Za-z]:[/\\])?[^(:]*[/\\][^(:]*|\.{1,2}|~):"),
        target=IDENTIFIER,
        resolve=resolve,
        parameters=parameters,
    ),
)
