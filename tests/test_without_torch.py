"""Where torch is not installed all that reads works, and what measures says what is missing."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bench.errors import install_tip

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
GUIDE = (ROOT / "bench" / "docs" / "install.md").read_text("utf-8")

# What a name of an index is called when it is imported, where that is another.
MODULES = {"scikit-learn": "sklearn", "nvidia-ml-py": "pynvml", "PyYAML": "yaml"}


def names(requirements: list[str]) -> list[str]:
    return [re.split(r"[^\w.-]", one)[0].rstrip(".") for one in requirements]


def for_reading() -> list[str]:
    """Return the libraries that the guide names for whoever reads alone."""
    (line,) = re.findall(r"^pip install (typer .*)$", GUIDE, re.MULTILINE)
    return str(line).split()


BASE = names(PROJECT["dependencies"])
HIDDEN = [MODULES.get(name, name) for name in BASE if name not in for_reading()]

READING = {
    "report": [
        "report",
        "{results}/h100-training-step",
        "--format",
        "html,md,csv",
        "--figure",
        "throughput_*",
    ],
    "report of trainings": [
        "report",
        "{results}/study-kernels",
        "--format",
        "md,latex",
        "--figure",
        "learning*",
    ],
    "export csv": ["export", "{results}/h100-training-step", "--out", "a.csv"],
    "export parquet": ["export", "{results}/h100-training-step", "--format", "parquet", "--out", "a.parquet"],
    "export timm": ["export", "{results}/h100-training-step", "--format", "timm", "--out", "timm.csv"],
    "diff": ["diff", "{results}/h100-line-up", "{results}/h100-again"],
    "merge": ["merge", "{results}/h100-line-up", "{results}/h100-again", "--name", "both"],
    "ensemble": ["ensemble", "{results}/cpu-reference", "--networks", "lenet5"],
    "list": ["list", "--json"],
    "list figures": ["list", "figures"],
    "list configs": ["list", "configs"],
    "list executors": ["list", "executors"],
    "explain": ["explain", "intervals"],
    "facts": ["facts", "show", "resnet50"],
    "choose": ["choose", "--on", "rtx4090", "--latency", "1ms"],
    "verify no counts": ["verify", "{results}/study-depth", "--claims", "trainings.csv", "--json"],
    "help": ["--help"],
}
MEASURING = {
    "run": ["run", "smoke"],
    "compare": ["compare", "resnet18", "vgg16"],
    "compare --train": ["compare", "resnet20", "plain20", "--train", "digits"],
    "train": ["train", "lenet5", "-d", "digits"],
    "evaluate": ["evaluate", "torchvision:resnet50", "--data", "imagenette"],
    "engines": ["engines", "resnet18"],
    "plan": ["plan"],
    "show": ["show", "resnet18"],
    "show --time": ["show", "resnet18", "--time"],
    "selftest": ["selftest"],
    "verify": ["verify"],
    "list archs": ["list", "archs"],
    "list pattern": ["list", "resnet*"],
    "choose a race": ["choose", "--latency", "20ms", "resnet18", "resnet34"],
    "env": ["env"],
}
SQL = {"sql": ["sql", "select count(*) as n from measurements", "{results}/h100-training-step", "-f", "json"]}

SCRIPT = """
import json, sys
hidden, calls = json.load(sys.stdin)
sys.modules.update(dict.fromkeys(hidden))  # as where they are not installed: importing one is an ImportError
from typer.testing import CliRunner
from bench.cli.app import app
ends = {}
for name, words in calls.items():
    done = CliRunner().invoke(app, words)
    failure = repr(done.exception) if done.exception and not isinstance(done.exception, SystemExit) else None
    ends[name] = [done.exit_code, done.stdout, done.stderr, failure]
import bench
frame = bench.load(sys.argv[1] + "/h100-training-step")
ends["load"] = [0, str(len(frame)), "", None]
loaded = sorted({name.partition(".")[0] for name, module in sys.modules.items() if module is not None})
print(json.dumps([ends, loaded]))
"""


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return how each command ends in a process in which torch cannot be imported, and what that has imported."""
    folder = tmp_path_factory.mktemp("without")
    header, *lines = csv.reader(io.StringIO((ROOT / "bench" / "claims" / "claims.csv").read_text("utf-8")))
    with (folder / "trainings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *(line for line in lines if line[3] == "relation")])
    calls = {
        name: [word.format(results=RESULTS) for word in words]
        for name, words in {**READING, **MEASURING, **SQL}.items()
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(RESULTS)],
        input=json.dumps([HIDDEN, calls]),
        cwd=folder,
        env={"PATH": "", "HOME": str(folder), "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_guide_names_libraries_that_the_package_has() -> None:
    assert set(for_reading()) <= set(BASE)
    assert set(HIDDEN) >= {"torch", "torchvision", "fvcore"}


@pytest.mark.parametrize("name", READING)
def test_what_reads_works(ends: Any, name: str) -> None:
    code, _, errors, failure = ends[0][name]
    assert (code, failure) == (0, None), errors


@pytest.mark.parametrize("name", MEASURING)
def test_what_measures_says_what_is_missing(ends: Any, name: str) -> None:
    code, _, errors, failure = ends[0][name]
    assert (code, failure) == (2, None) or (code == 2 and "SystemExit" in str(failure)), errors
    assert "not installed, and needed to count or time a network: torch, torchvision, fvcore" in errors
    assert f"{install_tip()} brings what is missing" in errors


def test_a_list_of_all_is_told_to_be_of_what_there_is(ends: Any) -> None:
    _, out, errors, _ = ends[0]["list"]
    assert set(json.loads(out)) >= {"executors", "figures", "configs"}
    assert not {"archs", "datasets", "backends"} & set(json.loads(out))
    assert "architectures, data sets and backends are left out" in errors


def test_a_query(ends: Any) -> None:
    pytest.importorskip("duckdb", reason="duckdb is not installed")
    code, out, errors, _ = ends[0]["sql"]
    assert code == 0, errors
    assert json.loads(out) == [{"n": int(ends[0]["load"][1])}]


def test_nothing_of_it_was_imported(ends: Any) -> None:
    assert not set(HIDDEN) & set(ends[1])
    assert "pandas" in ends[1]
