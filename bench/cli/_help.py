"""What a command's --help calls the values of its options: words of a user, no types of Python."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

_WORDS = {"int": "N", "integer": "N", "float": "NUMBER", "str": "TEXT", "path": "PATH", "file": "FILE"}


class Command(TyperCommand):
    """A command whose options have a value of such a name, but where they have one of their own or list choices."""

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
