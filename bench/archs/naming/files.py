"""Ways in: the user's networks, in a file or in a module."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from bench.archs import Arch
from bench.archs._arguments import Parameters
from bench.archs.naming.ways import IDENTIFIER, WAYS, NetworkName, Way

HUB = "hubconf.py"  # the file of a folder that says which networks it has, as torch.hub reads it


def resolve(name: NetworkName) -> Arch:
    """Return the network that a file or a module defines."""
    from bench.archs.naming import _user_code  # imports torch

    return _user_code.resolve(name)


def parameters(name: NetworkName) -> Parameters:
    """Return what a class or function of the user's can be called with; its module is imported."""
    from bench.archs.naming import _user_code

    return _user_code.parameters(name)


def load(file: str) -> ModuleType:
    """Return the module of a user's file, imported as `resolve` does it."""
    from bench.archs.naming import _user_code

    return _user_code.load(file)


def _module_or_folder(name: NetworkName) -> NetworkName:
    """Return the name; where it is spelled as a module, but is a folder for torch.hub and no package, as such."""
    folder = Path(name.source)
    is_hub = (folder / HUB).is_file() and not (folder / "__init__.py").is_file()
    return replace(name, kind="folder") if is_hub else name


WAYS.add(
    "file",
    Way(
        place=20,
        # A path may hold parentheses if an identifier and nothing but arguments follow it.
        begins=re.compile(
            r"(?P<source>[^(]*?\.py(?=:)|.*?\.py(?=:[^\W\d]\w*\s*(?:\(.*\))?$)):",
        ),
        target=IDENTIFIER,
        resolve=resolve,
        parameters=parameters,
    ),
)
WAYS.add(
    "module",
    Way(
        place=50,
        begins=re.compile(r"(?![A-Za-z]:[/\\])(?P<source>[^\W\d]\w*(?:\.[^\W\d]\w*)*):"),
        target=IDENTIFIER,
        check=_module_or_folder,
        resolve=resolve,
        parameters=parameters,
    ),
)
