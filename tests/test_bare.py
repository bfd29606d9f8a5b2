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
from test_plugins import NETWORK, parameters

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
            shutil.copytree(ROOT / name, tree / name)  # with what is compiled, which takes ten seconds
        else:
            shutil.copy(ROOT / name, tree / name)
    (tree.parent / "blocked").mkdir()
    (tree.parent / "blocked" / "sitecustomize.py").write_text(WITHOUT)
    (tree.parent / "path").mkdir()  # the only folder of commands; it is empty
    return tree


# In one process, as its server has to import torch.
CALLS = """
import json, sys
from typer.testing import CliRunner
from bench.cli.app import app

for words in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, words)
    print(json.dumps([done.exit_code, done.stdout, done.stderr]))
"""


def called(tree: Path, *commands: Sequence[str]) -> list[str]:
    """Return what commands print to stdout."""
    beside = tree.parent
    environment = {
        "PATH": str(beside / "path"),
        "HOME": str(beside),
        "PYTHONPATH": os.pathsep.join([str(beside / "blocked"), str(tree)]),
        "BENCH_LOCKS": str(beside / "locks"),
    }
    done = subprocess.run(
        [sys.executable, "-c", CALLS, json.dumps(commands)],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert [code for code, *_ in ends] == [0] * len(commands), ends
    for told in (done.stderr, *(err for *_, err in ends)):
        assert "A CONNECTION TO" not in told
        assert "A NAME IS ASKED FOR" not in told
        assert "Traceback" not in told
    return [out for _, out, _ in ends]


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
    """One of its networks is a plug-in's, which a job's process has to find, too."""
    narrow = ["lenet5", "--task", "cost"]
    plugin = tree.parent / "nets.py"
    plugin.write_text(f"WIDTH = 4\n{NETWORK}")
    run = ["--plugin", str(plugin), "run", "tiny_plugged", *narrow, "--name", "bare", "--no-report"]
    _, env, plan = called(tree, run, ["env", "--json"], ["plan", *narrow])
    told = json.loads(env)
    assert told["bench"]["git_revision"] is None
    assert told["unknown"]["bench.git_revision"] == "installed, not a checkout"
    assert "lenet5" in plan
    own, record = sorted(
        read_run(tree / "results" / "bare").records, key=lambda r: -r.job.arch.startswith("tiny")
    )
    counted = own.measurement("parameters")
    assert counted is not None
    assert counted.samples == (parameters(4),)
    assert record.status == "ok"
    assert record.bench_version == bench.__version__
    assert record.environment["bench"]["git_revision"] is None
    assert record.environment["unknown"]["bench.git_revision"] == "installed, not a checkout"
