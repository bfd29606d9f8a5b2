"""What a file of Python imports, read off its text, and whether it can be."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Sequence
from functools import lru_cache


def relative_imports(text: bytes) -> int:
    """Return over how many packages the relative imports of a file reach, 1 for ``from .parts import Block``."""
    return max((node.level for node in statements(text) if isinstance(node, ast.ImportFrom)), default=0)


def imported(text: bytes) -> list[str]:
    """Return the first words of the modules that a file imports by absolute names."""
    names: list[str] = []
    for node in statements(text):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


@lru_cache(maxsize=64)  # a file is read for several questions, each time that it is loaded
def statements(text: bytes) -> Sequence[ast.AST]:
    """Return what a file consists of, but for what it does only when it is run as a script."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # importing it will tell
        return ()
    body = (s for s in tree.body if not (isinstance(s, ast.If) and "__name__" in ast.unparse(s.test)))
    return tuple(node for statement in body for node in ast.walk(statement))


def is_importable(module: str) -> bool:
    """Return whether there is a module of this name among those that are installed."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
