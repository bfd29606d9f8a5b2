"""The law of the layout: imports point one way and never in a circle; each half leaves the other's libraries alone."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from conftest import LONGEST, SLOW

import bench

ROOT = Path(bench.__file__).parent

# A room may import from the rooms before it, and from itself.
ROOMS = (
    "errors", "units", "io", "processes", "registry", "stats", "plan", "records", "archs", "datasets", "backends", "costs", "timing",
    "training", "tasks", "execution", "analysis", "claims", "facts", "report", "docs", "contracts", "api", "cli",
)  # fmt: skip
MEASURING = ("archs", "datasets", "backends", "costs", "timing", "training", "execution")
READING = ("analysis", "claims", "facts", "report", "docs")
HEAVY_READING = ("pandas", "matplotlib", "plotly", "itables", "pyarrow")
TORCH = ("torch", "torchvision", "fvcore", "timm")


@dataclass(frozen=True)
class Import:
    """One import: the importing module and its room, what it imports, and whether at module level, at once."""

    module: str
    room: str
    target: str
    at_once: bool
    place: str

    @property
    def is_private(self) -> bool:
        """Whether it stands in a module whose name begins with an underscore."""
        return self.place.rpartition("/")[2].startswith("_")

    @property
    def to_private(self) -> bool:
        """Whether it is of such a module."""
        return any(part.startswith("_") and part != "__version__" for part in self.target.split(".")[1:])


def room_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def module_of(file: Path) -> str:
    """Return ``bench.archs.pattern`` of its file, and ``bench.archs`` of its `__init__`."""
    return ".".join(file.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def imports(file: Path, source: str) -> Iterator[Import]:
    """Yield the imports of a file, but for those of type checkers alone."""

    def visit(node: ast.AST, at_once: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inner = at_once and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            targets = []
            if isinstance(child, ast.Import):
                targets = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom) and child.module:
                targets = [f"{child.module}.{alias.name}" for alias in child.names]
            for target in targets:
                place = f"{file.relative_to(ROOT)}:{child.lineno}"
                yield Import(module_of(file), room_of(file), target, inner, place)
            yield from visit(child, inner)

    yield from visit(ast.parse(source), True)


@cache
def all_imports() -> list[Import]:
    files = [
        f for f in sorted(ROOT.rglob("*.py")) if f.parent != ROOT or f.stem not in {"__init__", "__main__"}
    ]
    return [i for f in files for i in imports(f, f.read_text())]


def breaches(every: list[Import]) -> list[str]:
    """Return what breaks the law, with the place."""
    bad = []
    for i in every:
        top, _, rest = i.target.partition(".")
        other = rest.partition(".")[0]
        if top == "bench" and other in ROOMS and ROOMS.index(other) > ROOMS.index(i.room):
            bad.append(f"{i.place}: {i.room} imports {i.target}, which stands below it")
        if top == "bench" and i.room in READING and other in MEASURING:
            bad.append(f"{i.place}: the reading half imports {i.target}")
        heavy = top in TORCH or other in MEASURING or i.to_private
        if i.room == "tasks" and i.at_once and not i.is_private and heavy:
            bad.append(f"{i.place}: a task imports {i.target} before it runs")
        if top == "bench" and i.to_private and i.room not in {other, "contracts"}:
            bad.append(f"{i.place}: {i.room} imports {i.target}, which is the room {other}'s own")
        if i.room in READING and top in TORCH:
            bad.append(f"{i.place}: the reading half imports {top}")
        if i.room == "report" and i.target.startswith("matplotlib.pyplot"):
            bad.append(f"{i.place}: report imports {i.target}, which chooses a backend for the whole process")
        if i.room == "stats" and top in (*TORCH, *HEAVY_READING):
            bad.append(f"{i.place}: stats imports {top}")
        if i.room in (*MEASURING, "tasks") and top in HEAVY_READING:
            bad.append(f"{i.place}: the measuring half imports {top}")
        if i.room in {"plan", "records", "api", "cli"} and i.at_once and top in (*TORCH, *HEAVY_READING):
            bad.append(f"{i.place}: {i.room} imports {top} at once")
    return bad


def circles(every: list[Import]) -> list[list[str]]:
    """Return the circles of imports among modules, also of those that a function imports, each as the modules on it."""
    modules = {i.module for i in every}
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for i in every:
        target = i.target if i.target in modules else i.target.rpartition(".")[0]  # a name of a module
        if target in modules and target != i.module:
            graph[i.module].add(target)
    reached = {module: reachable(graph, module) for module in modules}
    members = [sorted(m for m in reached[module] if module in reached[m]) for module in sorted(modules)]
    return [list(circle) for circle in dict.fromkeys(map(tuple, members)) if circle]


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Return the modules that a module imports, and those that they import, and so on."""
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph[ahead.pop()] - reached
        reached |= new
        ahead += new
    return reached


def test_the_law_holds() -> None:
    assert breaches(all_imports()) == []


def test_every_room_is_known() -> None:
    rooms = {room_of(f) for f in ROOT.rglob("*.py")} - {"__init__", "__main__"}
    assert rooms <= set(ROOMS)


def test_the_guide_tells_the_order_of_the_rooms() -> None:
    guide = (ROOT.parent / "CONTRIBUTING.md").read_text()
    order = guide.partition("imports point only towards the left:\n\n")[2].partition("\n\n")[0]
    assert tuple(name for name in re.split(r"[\s,<]+", order) if name) == ROOMS


def test_no_circle_of_imports() -> None:
    assert circles(all_imports()) == []


@pytest.mark.parametrize("lazy", [False, True])
def test_a_circle_is_seen(lazy: bool) -> None:
    sources = {
        "plan/a.py": "from bench.plan.b import one",
        "plan/b.py": "import bench.plan.c",
        "plan/c.py": "def f():\n    from bench.plan import a" if lazy else "from bench.plan import a",
        "plan/d.py": "from bench.plan import a, c",
    }
    every = [i for file, source in sources.items() for i in imports(ROOT / file, source)]
    assert circles(every) == [["bench.plan.a", "bench.plan.b", "bench.plan.c"]]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("plan/a.py", "from bench.records.store import Store"),
        ("plan/a.py", "import torch"),
        ("report/a.py", "def f():\n    import torch"),
        ("report/a.py", "def f():\n    from matplotlib.pyplot import figure"),
        ("analysis/a.py", "def f():\n    from bench.archs import ARCHS"),
        ("timing/a.py", "def f():\n    import pandas as pd"),
        ("costs/a.py", "import bench.training.fit"),
        ("stats/a.py", "from bench.records.record import Record"),
        ("stats/a.py", "def f():\n    import pandas as pd"),
        ("records/a.py", "from bench import report"),
        ("cli/a.py", "import matplotlib.pyplot"),
        ("tasks/a.py", "import torch"),
        ("tasks/a.py", "from bench.timing.steps import instruments"),
        ("tasks/a.py", "from bench.tasks._calls import ready"),
        ("tasks/_a.py", "import pandas as pd"),
        ("training/a.py", "def f():\n    from bench.tasks.accuracy import run"),
        ("report/a.py", "from bench.claims._finding import Finding"),
        ("cli/a.py", "from bench.costs import _trace"),
    ],
)
def test_the_test_can_fail(file: str, source: str) -> None:
    assert breaches(list(imports(ROOT / file, source)))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("records/a.py", "def f():\n    import torch"),
        ("cli/a.py", "def f():\n    from bench.report.write import write_report"),
        ("tasks/a.py", "def f():\n    import torch\n    from bench.tasks._calls import ready"),
        ("tasks/_a.py", "import torch\nfrom bench.timing.clock import Clock"),
        ("timing/a.py", "import torch\nfrom bench.plan.settings import Timing"),
        ("claims/a.py", "from bench.claims._finding import Finding"),
        ("contracts.py", "from bench.tasks._agreement import agreement"),
        ("api.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas as pd"),
    ],
)
def test_the_test_lets_the_lawful_pass(file: str, source: str) -> None:
    assert breaches(list(imports(ROOT / file, source))) == []


def lonely(sources: dict[str, str]) -> list[str]:
    """Return the public names at the top of public modules that no other module says: they are to be private."""
    trees = {file: ast.parse(source) for file, source in sources.items()}
    said = {
        file: {
            getattr(node, "id", getattr(node, "attr", getattr(node, "name", ""))) for node in ast.walk(tree)
        }
        for file, tree in trees.items()
    }
    return [
        f"{file}: {name}"
        for file, tree in trees.items()
        if not any(part.startswith("_") and part != "__init__.py" for part in Path(file).parts)
        for node in tree.body
        for name in names_of(node)
        if not name.startswith("_") and not any(name in said[other] for other in said if other != file)
    ]


def names_of(node: ast.stmt) -> list[str]:
    """Return the names that a statement at the top of a module gives."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_a_name_that_one_module_alone_uses_is_private() -> None:
    sources = {f.relative_to(ROOT).as_posix(): f.read_text() for f in sorted(ROOT.rglob("*.py"))}
    shown = ("archs/inception.py: Inception", "archs/speedrun.py: Speedrun")  # in tables of layers
    # by extensions or by whoever calls the command line from Python, and by no module here
    called = ("contracts.py: check_", "report/exports/__init__.py: Export", "cli/app.py: app")
    assert [one for one in lonely(sources) if not one.startswith((*shown, *called))] == []


def test_a_lonely_name_is_seen() -> None:
    sources = {
        "plan/a.py": "def f(): ...\nX = 1\n_y = f()",
        "plan/b.py": "from bench.plan.a import X",
        "plan/_c.py": "Z = 2",
    }
    assert lonely(sources) == ["plan/a.py: f"]


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


def test_the_parent_of_a_run_imports_what_it_needs_alone() -> None:
    loaded = loaded_after(
        "from bench.api import run\nimport bench.execution.runner, bench.execution.executors.process"
    )
    assert not loaded & {"torch", "pandas", "matplotlib", "scipy"}


def test_the_worker_imports_neither_pandas_nor_matplotlib() -> None:
    loaded = loaded_after("import bench.execution._worker, bench.execution._probe")
    assert "torch" in loaded
    assert not loaded & {"pandas", "matplotlib"}


def test_the_reading_half_does_not_import_torch() -> None:
    loaded = loaded_after(
        "from bench.plan.task import TASKS\nTASKS.load()\nimport bench.analysis.frame, bench.report.write"
    )
    assert "pandas" in loaded
    assert "torch" not in loaded


def test_files_and_functions_that_the_tests_name_are_there() -> None:
    """Else a file that was renamed would be begun last, and a function would no longer be slow."""
    tests = Path(__file__).parent
    texts = {file.relative_to(tests).as_posix(): file.read_text("utf-8") for file in tests.rglob("test_*.py")}
    assert set(LONGEST) <= {Path(file).stem for file in texts}
    assert len(set(LONGEST)) == len(LONGEST)
    for file, *_, function in (name.split("::") for name in SLOW if "::" in name):
        assert f"def {function}(" in texts[file], f"{file} has no {function}: take it out of slow.txt"
    assert {name for name in SLOW if "::" not in name} <= set(texts)
