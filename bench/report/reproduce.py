"""How to measure a row again: the command of its run, narrowed to one network."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

from bench.analysis.machine import dig
from bench.records.store import Run
from bench.report.text import plain
from bench.report.view import missing

# Options of a command that say what is measured; the others say where it goes, and stay away.
_KEPT = {
    "run": ("--config", "-c", "--task", "-t", "--set", "-s"),
    "train": ("--dataset", "-d", "--recipe", "-r", "--epochs", "--seeds", "--target", "--set", "-s"),
}
_TELLING = ("input_size", "device", "precision", "memory_format", "backend", "cudnn_benchmark", "threads")


def invocations(run: Run) -> list[list[str]]:
    """Return the words of the commands that made a run, ``bench`` first, whatever path it was started by."""
    found = dig(run.info, "invocations")
    found = found if isinstance(found, list | tuple) else [run.info]
    words = [dig(invocation, "argv") for invocation in found]
    return [_named([str(w) for w in argv]) for argv in words if isinstance(argv, list | tuple) and argv]


def _named(argv: Sequence[str]) -> list[str]:
    started = PurePath(argv[0]).name in {"bench", "__main__.py"}
    return ["bench", *argv[1 if started else 0 :]]


def row_commands(table: pd.DataFrame, runs: Sequence[Run]) -> list[str]:
    """Return for each row of `bench.analysis.comparison.compare_table` the line that measures it again.

    It is the run's last command with the row's network, the settings in which rows differ, and a name of its own,
    as a run of the old name would take what is stored. Empty where the command is not known.
    """
    argvs = {run.name: found[-1] for run in runs if (found := invocations(run))}
    telling = [key for key in _TELLING if table[key].nunique() > 1]
    return [_command(argvs.get(row["run"], []), row, telling) for row in table.to_dict("records")]


def _command(argv: Sequence[str], row: Mapping[Any, Any], telling: Sequence[str]) -> str:
    if len(argv) < 2 or argv[1] not in _KEPT:
        return plain(shlex.join(argv), 2000)
    task = argv[1]
    chosen = (
        [f"{key}={_value(row[key])}" for key in telling if not missing(row[key])] if task == "run" else []
    )
    settings = [word for setting in chosen for word in ("--set", setting)]
    words = ["bench", task, row["network"], *_options(argv[2:], _KEPT[task]), *settings, "--name", "again"]
    return plain(shlex.join(words), 2000)


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _options(words: Sequence[str], kept: Sequence[str]) -> Iterator[str]:
    """Yield those options, with their values, whether ``--set a=1`` or ``--set=a=1``."""
    for position, word in enumerate(words):
        if word in kept and position + 1 < len(words):
            yield from (word, words[position + 1])
        elif word.partition("=")[0] in kept and "=" in word:
            yield word
