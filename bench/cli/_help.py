"""What commands have in common: no option is given twice, and --help fits the terminal and has no types of Python."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

# Wrong words of a command line, by whichever name typer's version has them.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

_WORDS = {"int": "N", "integer": "N", "float": "NUMBER", "str": "TEXT", "path": "PATH", "file": "FILE"}


_STACKED = 58  # characters, below which what stands beside each other in a help stands below each other


def _fit(ctx: Any, formatter: Any) -> None:
    """Let a help be as narrow as the terminal, where it is not said how wide: typer's takes 50 characters at least."""
    if ctx.terminal_width is None:
        formatter.width = min(formatter.width, max(shutil.get_terminal_size().columns - 2, 1))
    if formatter.width < _STACKED:
        formatter.write_dl = partial(_stack, formatter)


def _stack(formatter: Any, rows: Iterable[tuple[str, str]]) -> None:
    """Write names with what is said of each below it."""
    for name, about in rows:
        if name:
            formatter.write_text(name)
        if about:
            with formatter.indentation(), formatter.indentation():
                formatter.write_text(about)


class Group(TyperGroup):
    """Commands whose list fits the terminal."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        _fit(ctx, formatter)
        super().format_help(ctx, formatter)


class Command(TyperCommand):
    """A command of which an option that takes one value is given once: of two, one would be dropped silently.

    Its options have a value of a name above, but where they have one of their own or list choices.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of a command line."""
        if not ctx.resilient_parsing:  # as for the shell, which completes words
            times: Counter[Any] = Counter(self.make_parser(ctx).parse_args(list(args))[2])
            for param, count in times.items():
                if count > 1 and param.param_type_name == "option" and not (param.multiple or param.is_flag):
                    message = f"{param.opts[0]} is given {count} times, and takes one value"
                    raise UsageError(message, ctx)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help; which methods there are moves with typer's version."""
        _fit(ctx, formatter)
        for param in self.params:
            if param.param_type_name == "argument":
                setattr(param, "display_type_rich", lambda ctx: None)  # noqa: ARG005, B010 # it has a name
            elif param.metavar is None and not getattr(param, "is_flag", False):
                either: Any = param
                display = getattr(either, "display_type", None) or either.make_metavar
                kind = re.sub(r"list|range|[^a-z]", "", str(display(ctx)).lower())
                param.metavar = _WORDS.get(kind)
        super().format_help(ctx, formatter)
