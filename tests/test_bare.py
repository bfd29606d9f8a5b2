"""A copy of the tree on a machine with Python and the dependencies alone: no git, no network, no build, no install."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import bench
from bench.records.store import read_run

ROOT = Path(bench.__file__).parents[1]
PARTS = ("bench", "configs", "pyproject.toml", "README.md")

# What a machine without them does: no address answers, and neither module is there. Sockets of one machine remain,
# which processes of one job talk by.
WITHOUT = """
import builtins, socket, sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("hatchling", "git"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
usual = socket.socket.connect

def connect(self, address):
    if self.family != socket.AF_UNIX:
        print("A CONNECTION TO", address, file=sys.stderr, flush=True)
        raise OSError(101, "Network is unreachable")
    return usual(self, address)

def no_name(*_, **__):
    print("A NAME IS ASKED FOR", file=sys.stderr, flush=True)
    raise socket.gaierror(-3, "Temporary failure in name resolution")

socket.socket.connect, socket.getaddrinfo = connect, no_name
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tree without `.git`, beside a `sitecustomize` that blocks the network and the build."""
    tree = tmp_path_factory.mktemp("bare") / "tree"
    tree.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    (tree.parent / "blocked").mkdir()
    (tree.parent / "blocked" / "sitecustomize.py").write_text(WITHOUT)
    (tree.parent / "path").mkdir()  # the only folder of commands; it is empty
    return tree


def called(tree: Path, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    beside = tree.parent
    environment = {
        "PATH": str(beside / "path"),
        "HOME": str(beside),
        "PYTHONPATH": os.pathsep.join([str(beside / "blocked"), str(tree)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BENCH_LOCKS": str(beside / "locks"),
    }
    command = [sys.executable, "-m", "bench", *words]
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "A CONNECTION TO" not in done.stderr
    assert "A NAME IS ASKED FOR" not in done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_what_blocks_them_does(tree: Path) -> None:
    code = (
        "import importlib.util as u, shutil, socket\n"
        "assert shutil.which('git') is None\n"
        "try: import hatchling\n"
        "except ModuleNotFoundError: pass\n"
        "else: raise SystemExit('hatchling')\n"
        "try: socket.create_connection(('127.0.0.1', 9), 1)\n"
        "except socket.gaierror: print('blocked')\n"
    )
    environment = {"PATH": str(tree.parent / "path"), "PYTHONPATH": str(tree.parent / "blocked")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "blocked\n"


def test_env_plan_and_a_run_need_neither_git_nor_a_network_nor_an_install(tree: Path) -> None:
    told = json.loads(called(tree, ["env", "--json"]).stdout)
    assert told["bench"]["git_revision"] is None
    assert told["unknown"]["bench.git_revision"] == "installed, not a checkout"
    narrow = ["lenet5", "--task", "cost"]
    assert "lenet5" in called(tree, ["plan", *narrow]).stdout
    called(tree, ["run", *narrow, "--name", "bare", "--no-report"])
    (record,) = read_run(tree / "results" / "bare").records
    assert record.status == "ok"
    assert record.bench_version == bench.__version__
    assert record.environment["bench"]["git_revision"] is None
    assert record.environment["unknown"]["bench.git_revision"] == "installed, not a checkout"
