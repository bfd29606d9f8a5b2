"""What commands have in common: no option is given twice, and --help has words of a user, no types of Python."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand

# Wrong words of a command line, by whichever name typer's version has them.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

_WORDS = {"int": "N", "integer": "N", "float": "NUMBER", "str": "TEXT", "path": "PATH", "file": "FILE"}


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
        for param in self.params:
            if param.param_type_name == "argument":
                setattr(param, "display_type_rich", lambda ctx: None)  # noqa: ARG005, B010 # it has a name
            elif param.metavar is None and not getattr(param, "is_flag", False):
                either: Any = param
                display = getattr(either, "display_type", None) or either.make_metavar
                kind = re.sub(r"list|range|[^a-z]", "", str(display(ctx)).lower())
                param.metavar = _WORDS.get(kind)
        super().format_help(ctx, formatter)
