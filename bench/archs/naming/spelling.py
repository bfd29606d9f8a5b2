"""How a network is named: text in, `NetworkName` out. Nothing is imported and nothing of the text is executed.

    NAME                        registered, or else one of torchvision
    torchvision:NAME  timm:NAME of a library
    path/to/file.py:NAME        of the user's, in a file
    package.module:NAME         of the user's, in a module
    pattern:INPUT -> ... -> FC  layers in a row, see `bench.archs.pattern`

each but the last with arguments behind it if need be: ``my_net.py:Net(width=2, activation='relu')``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.archs import pattern
from bench.errors import error_at

Kind = Literal["registered", "torchvision", "timm", "file", "module", "pattern"]

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
# A path may hold parentheses if an identifier and nothing but arguments follow it.
_FILE = re.compile(r"([^(]*?\.py):|(.*?\.py):[^\W\d]\w*\s*(?:\(.*\))?$")
_PREFIX = re.compile(r"([^(:]*):")


@dataclass(frozen=True, slots=True)
class NetworkName:
    """A parsed name.

    Attributes:
        kind: where the network comes from.
        source: the library, the path of the file or the dotted module; empty for a registered name.
        target: what it is called there; of a pattern, its normal spelling.
        arguments: in the order written; plain literals.
    """

    kind: Kind
    source: str
    target: str
    arguments: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the name in its normal spelling, which parses to an equal one."""
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.arguments.items())
        return f"{self.bare}({arguments})" if arguments else self.bare

    @property
    def bare(self) -> str:
        """The name without its arguments."""
        return f"{self.source}:{self.target}" if self.source else self.target


def parse(text: str) -> NetworkName:
    """Parse the name of a network.

    Raises:
        ConfigError: if it is none; the message points at the character.
    """
    text = " ".join(text.splitlines()).strip()
    if text.startswith("pattern:"):
        return NetworkName("pattern", "pattern", str(pattern.parse(text)))
    kind, source, start = _source(text)
    expression = _IDENTIFIER if kind in {"file", "module"} else _NAME
    target = expression.match(text, start)
    if target is None:
        raise error_at(text, start, "the name of a network is missing")
    return NetworkName(kind, source, target.group(), _arguments(text, target.end()))


def _source(text: str) -> tuple[Kind, str, int]:
    """Return the kind, the source and where the name behind it starts."""
    if file := _FILE.match(text):
        return "file", file[1] or file[2], file.end(file.lastindex or 0) + 1
    prefix = _PREFIX.match(text)
    if prefix is None:
        path = text.partition("(")[0].rstrip()
        if path.endswith(".py"):
            raise error_at(text, len(path), "which network of the file?", f"write {path}:NAME")
        return "registered", "", 0
    source, end = prefix[1], prefix.end()
    if source == "torchvision":
        return "torchvision", source, end
    if source == "timm":
        return "timm", source, end
    if all(_IDENTIFIER.fullmatch(part) for part in source.split(".")):
        return "module", source, end
    tip = "the colon stands behind torchvision, timm, pattern, a path that ends in .py, or a dotted module"
    raise error_at(text, 0, f"{source!r} is no library, file or module", tip)


def _arguments(text: str, end: int) -> dict[str, object]:
    """Return the arguments that follow the name, which ends at `end`."""
    rest = text[end:].lstrip()
    if not rest:
        return {}
    start = len(text) - len(rest)
    if not rest.startswith("("):
        raise error_at(text, start, "unexpected text behind the name", "arguments look like (width=2)")
    if not rest.endswith(")"):
        raise error_at(text, len(text), "the parenthesis is not closed")
    values: dict[str, object] = {}
    for keyword in _keywords(text, start):
        at = _position(text, start, keyword.col_offset)
        if keyword.arg is None:
            raise error_at(text, at, "an argument must be written key=value")
        if keyword.arg in values:
            raise error_at(text, at, f"the argument {keyword.arg!r} is given twice")
        values[keyword.arg] = _literal(text, start, keyword.arg, keyword.value)
    return values


def _keywords(text: str, start: int) -> list[ast.keyword]:
    """Parse the arguments as those of a call; nothing is evaluated."""
    try:
        call = ast.parse("f" + text[start:], mode="eval").body
    except SyntaxError as error:
        at = start + (error.offset or 1) - 2
        raise error_at(text, min(max(at, start), len(text)), f"bad arguments: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise error_at(text, start, f"bad arguments: {error}") from error
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise error_at(text, start, "expected one pair of parentheses: (key=value, ...)")
    if call.args:
        at = _position(text, start, call.args[0].col_offset)
        raise error_at(text, at, "an argument must be written key=value")
    return call.keywords


def _literal(text: str, start: int, key: str, value: ast.expr) -> object:
    try:
        literal: object = ast.literal_eval(value)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        tip = f"put a text in quotes: {key}='{value.id}'" if isinstance(value, ast.Name) else None
        at = _position(text, start, value.col_offset)
        raise error_at(text, at, f"the value of {key!r} must be a literal", tip) from error
    return literal


def _position(text: str, start: int, column: int) -> int:
    """Return the index in `text` of a column in bytes of the parsed call, which has an f before `start`."""
    return start - 1 + len(("f" + text[start:]).encode()[:column].decode())
