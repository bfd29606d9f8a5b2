"""The law of the layout: imports point one way, and each half leaves the other's libraries alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import bench

ROOT = Path(bench.__file__).parent

# A room may import from the rooms before it, and from itself.
ROOMS = (
    "errors", "units", "processes", "registry", "stats", "plan", "records", "archs", "datasets", "backends", "costs", "timing",
    "training", "tasks", "execution", "analysis", "report", "api", "cli",
)  # fmt: skip
MEASURING = ("archs", "datasets", "backends", "costs", "timing", "training", "execution")
READING = ("analysis", "report")
HEAVY_READING = ("pandas", "matplotlib", "plotly", "itables", "pyarrow")
TORCH = ("torch", "torchvision", "fvcore", "timm")


@dataclass(frozen=True)
class Import:
    """One import: who, what, and whether it stands at module level, where it runs at once."""

    room: str
    target: str
    at_once: bool
    where: str

    @property
    def is_private(self) -> bool:
        """Whether it stands in a module whose name begins with an underscore."""
        return self.where.rpartition("/")[2].startswith("_")

    @property
    def to_private(self) -> bool:
        """Whether it is of such a module."""
        return any(part.startswith("_") for part in self.target.split(".")[1:])


def room_of(file: Path, root: Path = ROOT) -> str:
    return file.relative_to(root).parts[0].removesuffix(".py")


def imports(file: Path, source: str, root: Path = ROOT) -> Iterator[Import]:
    def visit(node: ast.AST, at_once: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inner = at_once and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            targets = []
            if isinstance(child, ast.Import):
                targets = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom) and child.module:
                targets = [
                    child.module,
                    *(f"{child.module}.{a.name}" for a in child.names if child.module == "bench"),
                ]
            for target in targets:
                yield Import(room_of(file, root), target, at_once, f"{file.relative_to(root)}:{child.lineno}")
            yield from visit(child, inner)

    yield from visit(ast.parse(source), True)


def all_imports() -> list[Import]:
    files = [
        f for f in sorted(ROOT.rglob("*.py")) if f.parent != ROOT or f.stem not in {"__init__", "__main__"}
    ]
    return [i for f in files for i in imports(f, f.read_text())]


def breaches(found: list[Import]) -> list[str]:
    """Return what breaks the law, with the place."""
    bad = []
    for i in found:
        top, _, rest = i.target.partition(".")
        other = rest.partition(".")[0]
        if top == "bench" and other in ROOMS and ROOMS.index(other) > ROOMS.index(i.room):
            bad.append(f"{i.where}: {i.room} imports {i.target}, which stands below it")
        if top == "bench" and i.room in READING and other in MEASURING:
            bad.append(f"{i.where}: the reading half imports {i.target}")
        if (
            i.room == "tasks"
            and i.at_once
            and not i.is_private
            and (top in TORCH or other in MEASURING or i.to_private)
        ):
            bad.append(f"{i.where}: a task imports {i.target} before it runs")
        if i.room in READING and top in TORCH:
            bad.append(f"{i.where}: the reading half imports {top}")
        if i.room == "stats" and top in (*TORCH, *HEAVY_READING):
            bad.append(f"{i.where}: stats imports {top}")
        if i.room in (*MEASURING, "tasks") and top in HEAVY_READING:
            bad.append(f"{i.where}: the measuring half imports {top}")
        if i.room in {"plan", "records", "api", "cli"} and i.at_once and top in (*TORCH, *HEAVY_READING):
            bad.append(f"{i.where}: {i.room} imports {top} at once")
    return bad


def test_the_law_holds() -> None:
    assert breaches(all_imports()) == []


def test_every_room_is_known() -> None:
    found = {room_of(f) for f in ROOT.rglob("*.py")} - {"__init__", "__main__"}
    assert found <= set(ROOMS)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("plan/a.py", "from bench.records.store import Store"),
        ("plan/a.py", "import torch"),
        ("report/a.py", "def f():\n    import torch"),
        ("analysis/a.py", "def f():\n    from bench.archs import ARCHS"),
        ("timing/a.py", "def f():\n    import pandas as pd"),
        ("costs/a.py", "import bench.training.loop"),
        ("stats/a.py", "from bench.records.record import Record"),
        ("stats/a.py", "def f():\n    import pandas as pd"),
        ("records/a.py", "from bench import report"),
        ("cli/a.py", "import matplotlib.pyplot"),
        ("tasks/a.py", "import torch"),
        ("tasks/a.py", "from bench.timing.steps import instruments"),
        ("tasks/a.py", "from bench.tasks._calls import ready"),
        ("tasks/_a.py", "import pandas as pd"),
        ("training/a.py", "def f():\n    from bench.tasks.accuracy import run"),
    ],
)
def test_the_test_can_fail(file: str, source: str) -> None:
    assert breaches(list(imports(ROOT / file, source)))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("records/a.py", "def f():\n    import torch"),
        ("cli/a.py", "def f():\n    from bench.report.page import write_report"),
        ("tasks/a.py", "def f():\n    import torch\n    from bench.tasks._calls import ready"),
        ("tasks/_a.py", "import torch\nfrom bench.timing.clock import Clock"),
        ("timing/a.py", "import torch\nfrom bench.plan.settings import Timing"),
        ("api.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas as pd"),
    ],
)
def test_the_test_lets_the_lawful_pass(file: str, source: str) -> None:
    assert breaches(list(imports(ROOT / file, source))) == []


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    statement = "from typer.testing import CliRunner\nfrom bench.cli.app import app\n"
    statement += "assert CliRunner().invoke(app, ['--help']).exit_code == 0"
    assert not loaded_after(statement) & {"torch", "pandas", "matplotlib", "scipy", "numpy", "pydantic"}


def test_the_parent_of_a_run_imports_neither_torch_nor_pandas() -> None:
    loaded = loaded_after("import bench.api, bench.execution.runner, bench.execution.executors.process")
    assert not loaded & {"torch", "pandas", "matplotlib"}


def test_the_worker_imports_neither_pandas_nor_matplotlib() -> None:
    loaded = loaded_after("import bench.execution.worker, bench.execution.probe")
    assert "torch" in loaded
    assert not loaded & {"pandas", "matplotlib"}


def test_the_reading_half_does_not_import_torch() -> None:
    loaded = loaded_after(
        "from bench.plan.task import TASKS\nTASKS.load()\nimport bench.analysis.frame, bench.report.page"
    )
    assert "pandas" in loaded
    assert "torch" not in loaded
