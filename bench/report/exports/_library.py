"""The libraries that some formats need, which an extra of the package brings."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from bench.errors import UnsupportedError, install_tip, reason


def library(module: str) -> ModuleType:
    """Return a module of a library that an extra of its name brings.

    Raises:
        UnsupportedError: where it is not installed, or cannot be imported.
    """
    name = module.partition(".")[0]
    try:
        found = importlib.import_module(module)
        if getattr(sys.modules[name], "__file__", None) is None:  # a folder of that name, such as W&B leaves
            raise ModuleNotFoundError(name=name)
        return found
    except Exception as error:  # libraries that do not fit each other fail in any way
        lacking = isinstance(error, ModuleNotFoundError) and error.name == name
        what = "is not installed" if lacking else f"cannot be imported: {reason(error)}"
        raise UnsupportedError(f"{name} {what}", install_tip(name)) from error
