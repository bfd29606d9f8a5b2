"""The list of commands, and what each says of itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from bench.cli.app import app

ROOT = typer.main.get_command(app)


def commands(group: object = ROOT, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield each command that does something, with the words that lead to it."""
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        words = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, words)
        else:
            yield words, command


COMMANDS = dict(commands())


def help_of(*words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--help"], terminal_width=80)
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("words", COMMANDS)
def test_help_ends_with_two_examples_of_the_command_itself(words):
    examples = help_of(*words.split()).partition("Examples:\n")[2].splitlines()
    examples = [line.strip() for line in examples if line.strip()]
    assert len(examples) >= 2
    for example in examples:
        parsed = shlex.split(example)
        assert parsed[: 1 + len(words.split())] == ["bench", *words.split()]
        # Its options and arguments are read, and nothing is done.
        COMMANDS[words].make_context(words, parsed[1 + len(words.split()) :])


def test_each_command_stands_in_one_group_with_its_first_example():
    listed = help_of()
    for words, command in COMMANDS.items():
        if " " not in words:
            example = command.epilog.splitlines()[2].strip()
            assert listed.count(f"\n  {words} ") == 1
            assert listed.count(f" {example}\n") == 1
    assert "Commands:" not in listed


def test_no_line_of_a_help_is_wider_than_a_terminal():
    for words in ["", *COMMANDS]:
        assert max(map(len, help_of(*words.split()).splitlines())) <= 80


def test_the_nearest_command_is_named():
    result = CliRunner().invoke(app, ["comprae"])
    assert result.exit_code == 2
    assert "compare" in result.output
