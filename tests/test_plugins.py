"""Plug-ins: networks, figures and the rest from somebody else's package or file, found by the registries."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import warm
from typer.testing import CliRunner, Result

from bench.archs import ARCHS
from bench.cli.app import app
from bench.errors import BenchError
from bench.execution import ExecutorKind
from bench.execution.executors.inline import _InlineExecutor
from bench.registry import PLUGINS, Registry

NETWORK = """
from torch import nn

from bench.archs import register


@register("tiny_plugged", family="plugged", input_size=8, parameters=(3 * 3 * 3 + 1) * WIDTH + (WIDTH + 1) * 10, num_classes=10)
def tiny_plugged(*, num_classes, in_channels, input_size):
    return nn.Sequential(
        nn.Conv2d(in_channels, WIDTH, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, num_classes)
    )
"""


def install(folder: Path, group: str, text: str, module: str = "bench_example") -> None:
    """Put a package into a folder as pip would: the module, and its metadata with an entry point."""
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nexample = {module}\n")


def things(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Registry[int]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    registry: Registry[int] = Registry("thing", "bench.execution.executors")
    monkeypatch.setitem(sys.modules, "things_of_a_test", registry)  # type: ignore[arg-type]
    return registry


ADDS = "import sys\nsys.modules['things_of_a_test'].add('{}', 7)\n"


def test_an_installed_package_adds_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = things(monkeypatch)
    install(tmp_path, "bench.executors", ADDS.format("packed"), "bench_example_one")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.get("packed") == 7


def test_a_package_of_another_group_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = things(monkeypatch)
    install(tmp_path, "bench.archs", ADDS.format("packed"), "bench_example_two")
    monkeypatch.syspath_prepend(tmp_path)
    assert "packed" not in registry


def test_files_add_units_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / "one.py", tmp_path / "two.py"]
    for file in files:
        file.write_text(ADDS.format(file.stem))
    registry = things(monkeypatch, **{PLUGINS: ":".join(map(str, [*files, files[0]]))})
    assert {"one", "two"} <= set(registry.names())


def test_a_plug_in_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "broken.py"
    file.write_text("1 / 0")
    registry = things(monkeypatch, **{PLUGINS: str(file)})
    for _ in range(2):  # the second one is told as well
        with pytest.raises(
            BenchError, match=f"plug-in {file} cannot be imported: ZeroDivisionError"
        ) as caught:
            registry.names()
        assert caught.value.tip
    file.write_text(ADDS.format("mended"))
    assert "mended" in registry


def test_a_plug_in_that_takes_a_name_of_the_packages_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[ExecutorKind] = Registry("executor", "bench.execution.executors")
    monkeypatch.setattr("bench.execution.EXECUTORS", registry)
    for module in ("inline", "process"):
        monkeypatch.delitem(sys.modules, f"bench.execution.executors.{module}", raising=False)
    registry.add("inline", ExecutorKind("a plug-in's", _InlineExecutor))
    with pytest.raises(BenchError, match="executor 'inline' is registered twice, by a plug-in too") as caught:
        registry.load()
    assert caught.value.tip


def test_a_plug_in_that_fails_where_jobs_run_is_told_by_the_command(tmp_path: Path) -> None:
    file = tmp_path / "clash.py"
    file.write_text(f"WIDTH = 4\n{NETWORK}".replace("tiny_plugged", "vgg16"))
    ended = run(tmp_path, "--plugin", str(file), "run", "vgg16", "-c", "smoke", "-t", "cost", "--no-report")
    assert ended.returncode == 2
    assert f"the plug-in {file} cannot be imported: " in ended.stderr
    assert "architecture 'vgg16' is registered twice" in ended.stderr
    assert "Traceback" not in ended.stderr


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return warm.run([sys.executable, "-m", "bench", *words], cwd=folder, text=True, timeout=120)


COUNT = ("run", "tiny_plugged", "-c", "smoke", "-t", "cost", "--json", "--no-report")


def parameters(width: int) -> int:
    return (3 * 3 * 3 + 1) * width + (width + 1) * 10


def counted(stdout: str) -> tuple[float, int]:
    """Return the parameters that a run tells, and how many of its records were measured before."""
    answer = json.loads(stdout)
    (record,) = answer["records"]
    values = {m["name"]: m["samples"][0] for m in record["measurements"]}
    return values["parameters"], answer["reused"]


@pytest.fixture
def in_this_process(
    inline_jobs: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Result]:
    """Return a function that runs a command here, jobs as well, with registries that know no plug-in yet."""
    ARCHS.load()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PLUGINS, "")  # as it was, once the test has ended
    modules, archs = set(sys.modules), dict(ARCHS._units)

    def invoke(*words: str) -> Result:
        for name in set(sys.modules) - modules:
            if name.startswith("bench_plugin_"):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(ARCHS, "_units", dict(archs))
        monkeypatch.setattr(ARCHS, "_loaded", False)
        return CliRunner().invoke(app, list(words))

    return invoke


def test_a_network_from_a_file_is_listed_and_measured_again_once_it_is_edited(
    in_this_process: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "nets.py"
    for width in (4, 80):  # of another length, so that no compiled file stands for the edited one
        file.write_text(f"WIDTH = {width}\n{NETWORK}")
        assert "tiny_plugged" in in_this_process("--plugin", str(file), "list", "tiny*").stdout
        ended = in_this_process("--plugin", str(file), *COUNT)
        assert ended.exit_code == 0, ended.stderr
        assert counted(ended.stdout) == (parameters(width), 0)
    assert counted(in_this_process("--plugin", str(file), *COUNT).stdout) == (parameters(80), 1)
    missing = in_this_process("--plugin", "nowhere.py", "list")
    assert missing.exit_code == 2
    assert "nowhere.py" in missing.stderr
