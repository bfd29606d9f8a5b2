"""The commands that made a run, and those that measure one of its rows again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

from bench.analysis.keys import VARIANT
from bench.analysis.machine import dig
from bench.records.store import Run
from bench.report.tables.view import missing
from bench.report.text import plain

# Options of a command that say what is measured; the others say where it goes, and stay away.
_KEPT = {
    "run": ("--config", "-c", "--task", "-t", "--set", "-s"),
    "train": ("--dataset", "-d", "--recipe", "-r", "--epochs", "--seeds", "--target", "--set", "-s"),
}
_SETTINGS = ("input_size", *VARIANT)


def run_commands(run: Run) -> str:
    """Return the command lines that made a run, each once and one a line; nothing where they are not known."""
    return "\n".join(dict.fromkeys(_line(words) for words in _invocations(run)))


def row_commands(table: pd.DataFrame, runs: Sequence[Run]) -> list[str]:
    """Return for each row of `bench.analysis.comparison.compare_table` the line that measures it again.

    It is the run's last command with the row's network, the settings in which rows differ, and a name of its own,
    as a run of the old name would take what is stored. Empty where the command is not known.
    """
    commands = {run.name: invocations[-1] for run in runs if (invocations := _invocations(run))}
    differing = [key for key in _SETTINGS if table[key].nunique() > 1]
    return [_again(commands.get(row["run"], []), row, differing) for row in table.to_dict("records")]


def _invocations(run: Run) -> list[list[str]]:
    """Return the words of the commands that made a run, ``bench`` first, whatever path it was started by."""
    stored = dig(run.info, "invocations")
    stored = stored if isinstance(stored, list | tuple) else [run.info]
    commands = [dig(invocation, "argv") for invocation in stored]
    return [_named([str(w) for w in argv]) for argv in commands if isinstance(argv, list | tuple) and argv]


def _named(argv: Sequence[str]) -> list[str]:
    started = PurePath(argv[0]).name in {"bench", "__main__.py"}
    return ["bench", *argv[1 if started else 0 :]]


def _line(words: Sequence[str]) -> str:
    return plain(shlex.join(words), 2000)


def _again(argv: Sequence[str], row: Mapping[Any, Any], differing: Sequence[str]) -> str:
    if len(argv) < 2 or argv[1] not in _KEPT:
        return _line(argv)
    task = argv[1]
    settings = [f"{key}={_value(row[key])}" for key in differing if task == "run" and not missing(row[key])]
    words = [word for setting in settings for word in ("--set", setting)]
    return _line(["bench", task, row["network"], *_options(argv[2:], _KEPT[task]), *words, "--name", "again"])


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _options(words: Sequence[str], kept: Sequence[str]) -> Iterator[str]:
    """Yield those options, with their values, whether ``--set a=1`` or ``--set=a=1``."""
    for position, word in enumerate(words):
        if word in kept and position + 1 < len(words):
            yield from (word, words[position + 1])
        elif word.partition("=")[0] in kept and "=" in word:
            yield word
