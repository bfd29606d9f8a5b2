"""A newcomer's ten tasks, `tests/newcomer.md`: each is run as it is written there, and comes to what is said there."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import warm

pytestmark = pytest.mark.timeout(900)
HERE = Path(__file__).parent
README = (HERE.parent / "README.md").read_text("utf-8")
PARAMETERS = 64 * (3 * 7 * 7 + 1) + 1000 * (64 + 1)  # of README's network: a convolution and a linear layer


@dataclass(frozen=True)
class Task:
    """One of the ten: its number and title, the lines to give, the files and the words that come of them."""

    title: str
    script: str
    files: list[str]
    words: list[str]


def tasks() -> list[Task]:
    parts = re.split(r"^## ", (HERE / "newcomer.md").read_text("utf-8"), flags=re.MULTILINE)[1:]
    return [
        Task(
            title=part.partition("\n")[0],
            script="\n".join(re.findall(r"^```sh\n(.*?)^```", part, re.DOTALL | re.MULTILINE)),
            files=re.findall(r"^- writes `(.+)`$", part, re.MULTILINE),
            words=re.findall(r"^- says `(.+)`$", part, re.MULTILINE),
        )
        for part in parts
    ]


def test_there_are_ten_and_each_says_what_comes_out() -> None:
    assert [task.title.partition(".")[0] for task in tasks()] == [str(i) for i in range(1, 11)]
    assert all(task.script and (task.files or task.words) for task in tasks())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty folder with README's network in it, and a command `bench` for this package."""
    folder = tmp_path_factory.mktemp("newcomer")
    network = re.search(r"```python\n# my_net.py\n(.*?)```", README, re.DOTALL)
    assert network is not None
    (folder / "my_net.py").write_text(network[1])
    (folder / "bin").mkdir()
    for name, words in (("bench", f"{sys.executable} -m bench"), ("python", sys.executable)):
        command = folder / "bin" / name
        command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        command.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def said(folder: Path) -> dict[str, str]:
    """Return what each task printed, by its number; all are run in their order, on one core: others test beside us.

    The first is given to a shell, and is of fresh interpreters.
    """
    core = min(os.sched_getaffinity(0))
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(HERE.parent), "COLUMNS": "160"}
    options: dict[str, Any] = {
        "cwd": folder,
        "env": environment,
        "text": True,
        "preexec_fn": lambda: os.sched_setaffinity(0, {core}),
    }
    printed = {}
    for task in tasks():
        if printed:
            all_done = [warm.run(command(line), **options) for line in task.script.splitlines()]
        else:
            shell = ["bash", "-e", "-c", task.script]
            all_done = [subprocess.run(shell, capture_output=True, check=False, **options)]
        out = "".join(done.stdout for done in all_done)
        told = "\n".join([task.title, out, *(done.stderr for done in all_done)])
        assert [done.returncode for done in all_done] == [0] * len(all_done), told
        for words in task.words:
            assert words in told.partition("\n")[2], told
        for file in task.files:
            assert (folder / file).stat().st_size > 0, task.title
        printed[task.title.partition(".")[0]] = out
    return printed


def command(line: str) -> list[str]:
    """Return a line of a shell as the command that it is."""
    name, *words = shlex.split(line, comments=True)
    return [sys.executable, *{"bench": ["-m", "bench"], "python": []}[name], *words]


def test_what_comes_out_is_right(folder: Path, said: dict[str, str]) -> None:
    """Beyond the words: counts are arithmetic, and tables and files hold what was run."""
    assert f"{PARAMETERS:,}" in said["2"]
    mine = [json.loads(line) for line in (folder / "results/mine/records.jsonl").read_text().splitlines()]
    counted = {
        record["job"]["arch"]: measurement["samples"]
        for record in mine
        for measurement in record["measurements"]
        if measurement["name"] == "parameters"
    }
    assert counted["my_net.py:Net"] == [PARAMETERS]
    assert set(counted) == {"my_net.py:Net", "resnet18", "torchvision:mobilenet_v2"}
    latex = (folder / "paper/table.tex").read_text()
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1
    assert "lenet5" in latex
    with (folder / "smoke.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    assert {row["arch"] for row in rows} == {"lenet5", "resnet20", "linear", "convnet"}
    assert {"lenet5", "resnet20"} <= set(re.findall(r"'(\w+)'", said["7"]))
