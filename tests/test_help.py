"""The list of commands, and what each says of itself."""

from __future__ import annotations

import re

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


def test_a_help_has_no_types_of_python():
    for words in COMMANDS:
        assert not re.findall(r"<(?:\w+ range|int|str|float|path|list\[\w+\])>", help_of(*words.split())), (
            words
        )


def test_no_line_of_a_help_is_wider_than_a_terminal(monkeypatch):
    for words in ["", *COMMANDS]:
        assert max(map(len, help_of(*words.split()).splitlines())) <= 80
    monkeypatch.setenv("COLUMNS", "36")
    for words in ["", "facts", *COMMANDS]:
        result = CliRunner().invoke(app, [*words.split(), "--help"])
        lines = result.output.partition("Examples:\n")[0].splitlines()  # examples stay whole, to be copied
        assert max(map(len, lines)) <= 36, words


@pytest.mark.parametrize(
    ("words", "message", "tip"),
    [
        (["comprae"], "no such command 'comprae'", "did you mean compare?"),
        (["run", "--devcie", "cpu"], "no such option: --devcie", "did you mean --set device=...?"),
        (["run", "--epoch", "3"], "no such option: --epoch", "did you mean --set epochs=...?"),
        (["choose", "--speed", "3"], "no such option: --speed", "did you mean --latency?"),
        (["choose", "--size", "20MB"], "no such option: --size", "did you mean --file-size?"),
        (["evaluate", "x", "--dataset", "digits"], "no such option: --dataset", "did you mean --data?"),
        (["run", "--batch", "8"], "no such option: --batch", "did you mean --set batch_size=...?"),
        (["report", "--frmat", "md"], "no such option: --frmat", "did you mean --format?"),
        (["report", "--zzz"], "no such option: --zzz", "`bench report --help` has all"),
        (["train"], "missing argument", "such as bench train lenet5 mlp -d digits"),
        (["train", "lenet5"], "missing option", "such as bench train lenet5 mlp -d digits"),
        (["diff", "a", "b", "c"], "unexpected extra argument", "`bench diff --help` has all"),
        (["diff", "a", "b", "-f", "xml"], "'xml' is not one of", "`bench diff --help` has all"),
        (
            ["compare", "a", "b", "--batch", "0"],
            "invalid value for '--batch'",
            "`bench compare --help` has all",
        ),
        (["run", "resnet18", "--set"], "option '--set' requires an argument", "--help` has all"),
        (["--plugin", "nowhere.py", "list"], "nowhere.py", "`bench --help` has all"),
    ],
)
def test_wrong_words_are_an_error_as_any_other_with_what_was_meant(words, message, tip):
    result = CliRunner().invoke(app, words, prog_name="bench")
    assert result.exit_code == 2
    error, _, next_step = " ".join(result.stderr.split()).partition(" tip: ")
    assert error.startswith("error: ")
    assert message in error
    assert tip in next_step
    assert result.stdout == ""


@pytest.mark.parametrize("words", ["compare a b --speed", "choose --epochs 3", "export x --recipe y"])
def test_what_a_command_does_not_take_is_not_suggested(words):
    result = CliRunner().invoke(app, words.split(), prog_name="bench")
    assert result.exit_code == 2
    assert "did you mean" not in result.stderr
    assert f"`bench {words.split()[0]} --help` has all" in " ".join(result.stderr.split())
