"""The commands of `bench`, and how a line of a shell is read by one without doing anything."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer

from bench.cli.app import app

_ROOT: Any = typer.main.get_command(app)


def _commands(group: Any = _ROOT, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        words = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from _commands(command, words)
        else:
            yield words, command


COMMANDS = dict(_commands())
"""Each command that does something, by the words that lead to it."""


def read(line: str) -> str:
    """Let a line ``bench run smoke`` be read by its command, without doing anything; return the command's words."""
    name, *given = shlex.split(line, comments=True)
    assert name == "bench", line
    if given[0] == "--plugin":
        given = given[2:]
    words = next(w for w in COMMANDS if w.split() == given[: len(w.split())])
    COMMANDS[words].make_context(words, given[len(words.split()) :])
    return words


def lines_of(markdown: str) -> list[str]:
    """Return the lines in which a text's blocks for the shell call `bench`, each alone."""
    blocks = re.findall(r"^```sh\n(.*?)^```", markdown, re.DOTALL | re.MULTILINE)
    calls = [part.strip() for line in "\n".join(blocks).splitlines() for part in line.split("&&")]
    return [call for call in calls if call.startswith("bench ")]
