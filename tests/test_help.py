"""The list of commands, and what each says of itself."""

from __future__ import annotations

import pytest
from commands import COMMANDS, read
from typer.testing import CliRunner

from bench.cli.app import app


def help_of(*words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--help"], terminal_width=80)
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("words", COMMANDS)
def test_help_ends_with_two_examples_of_the_command_itself(words):
    lines = help_of(*words.split()).partition("Examples:\n")[2].splitlines()
    examples = [line.strip() for line in lines if line.strip()]
    assert len(examples) >= 2
    assert {read(example) for example in examples} == {words}


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
