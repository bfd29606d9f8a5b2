"""The contract tests fail where a contract is broken, and pass for a package of somebody else's."""

from __future__ import annotations

import math
import os
import shutil
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import warm
from torch import Tensor, nn

from bench import contracts
from bench.archs import ARCHS, Arch
from bench.backends import BACKENDS, Backend, Runnable
from bench.costs import COSTS
from bench.datasets import DATASETS, Images
from bench.execution import EXECUTORS, Ended, ExecutorKind
from bench.plan.card import ArchCard
from bench.plan.task import TASKS, Quantity
from bench.records.record import Measurement, count
from bench.registry import Registry
from bench.report.figures import FIGURES, Figure
from bench.report.figures._style import canvas

EXAMPLE = Path(__file__).parent / "example"


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Callable[[Registry[Any], Any], str]:
    """Return a function that registers a unit for the time of the test, and returns its name."""

    def register(registry: Registry[Any], unit: Any) -> str:
        registry.load()
        monkeypatch.setitem(registry._units, "wrong", unit)
        return "wrong"

    return register


class Net(nn.Module):
    """A network of a linear layer that can be wrong in several ways."""

    def __init__(self, classes: int, channels: int, wrong: str) -> None:
        super().__init__()
        self.layer = nn.Linear(channels, 3 if wrong == "classes" else classes)
        self.train(wrong != "evaluation")

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(images.mean((2, 3)))
        return logits


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("", ""),
        ("parameters", "it has 40 parameters, declared 41"),
        ("evaluation", "it is built in evaluation mode"),
        ("classes", r"gives \(2, 3\), expected \(2, 10\)"),
        ("name", "its card is called another"),
        ("min_input", "its least input is larger than its own"),
    ],
)
def test_a_network_that_breaks_the_contract(registered: Callable[..., str], wrong: str, message: str) -> None:
    card = ArchCard(name="wrong", input_size=8, num_classes=10, parameters=(3 + 1) * 10)
    changes = {"parameters": 41, "name": "another", "min_input": 9}
    if wrong == "classes":
        card = replace(card, parameters=None)
    if wrong in changes:
        card = replace(card, **{wrong: changes[wrong]})
    name = registered(ARCHS, Arch(card, lambda **k: Net(k["num_classes"], k["in_channels"], wrong)))
    if not wrong:
        contracts.check_arch(name)
        return
    with pytest.raises(AssertionError, match=message):
        contracts.check_arch(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": (0.5, 0.5)}, "mean and std are not of its channels"),
        ({"mean": (0.31,)}, "channel 0 has the mean 0.305"),
        ({"std": (0.9,)}, "no values in 0..1 spread so wide"),
        ({"class_names": tuple("0123456788")}, "its class names"),
        (
            {"load": lambda root, split: Images(torch.zeros(1), torch.zeros(1))},
            "it cannot be sent to another process: Can't pickle",
        ),
    ],
)
def test_a_data_set_that_breaks_the_contract(
    registered: Callable[..., str], change: dict[str, Any], message: str
) -> None:
    digits = DATASETS.get("digits")
    name = registered(DATASETS, replace(digits, card=replace(digits.card, name="wrong"), **change))
    with pytest.raises(AssertionError, match=message):
        contracts.check_dataset(name, tolerance=1e-3)


def test_a_backend_that_answers_otherwise(registered: Callable[..., str]) -> None:
    def prepare(model: nn.Module, images: Tensor, job: Any) -> Runnable:
        return Runnable(lambda: 1.1 * model(images))

    name = registered(BACKENDS, Backend("it adds a tenth", prepare, lambda job: None))
    with pytest.raises(AssertionError, match="it differs from eager"):
        contracts.check_backend(name)
    lazy = registered(BACKENDS, Backend("it cannot", prepare, lambda job: "there is no such card"))
    assert contracts.check_backend(lazy) == "there is no such card"


@pytest.mark.parametrize(
    ("measurement", "message"),
    [
        (count("never_heard_of", 1), "no task has the quantity never_heard_of"),
        (count("macs", 1).changed(unit="B"), "macs is in B, not in MAC"),
        (count("macs", math.inf, "MAC"), "macs is not finite"),
    ],
)
def test_a_cost_that_breaks_the_contract(
    registered: Callable[..., str], measurement: Measurement, message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        contracts.check_cost(registered(COSTS, lambda subject: iter([measurement])))


def test_a_task_that_calls_a_quantity_otherwise(registered: Callable[..., str]) -> None:
    infer = TASKS.get("infer")
    other = Quantity("top1", "1", "lower", "Top-1")
    with pytest.raises(AssertionError, match="top1 is .* here and .* in accuracy"):
        contracts.check_task(registered(TASKS, replace(infer, place=1234, quantities=(other,))))
    with pytest.raises(AssertionError, match="it stands in the place of infer"):
        contracts.check_task(registered(TASKS, infer))


def test_an_executor_that_loses_events(registered: Callable[..., str]) -> None:
    class Forgetful:
        at_once = 1

        def call(self, *args: Any, **options: Any) -> Ended:
            return Ended()

        def cancel(self) -> None: ...
        def close(self) -> None: ...

    with pytest.raises(AssertionError, match="of 1 bytes came 0 events"):
        contracts.check_executor(registered(EXECUTORS, ExecutorKind("it forgets", lambda *_: Forgetful())))


def test_a_figure_that_draws_nothing_of_something_and_something_of_nothing(
    registered: Callable[..., str],
) -> None:
    wrong = Figure("Always", lambda table, frame: canvas(2, 2), "A sentence.", "nothing")
    with pytest.raises(AssertionError, match="it draws something of nothing"):
        contracts.check_figure(registered(FIGURES, wrong))
    with pytest.raises(AssertionError, match="its caption is no sentence"):
        contracts.check_figure(registered(FIGURES, replace(wrong, caption="no end")))


def test_the_example_package_keeps_the_contracts_once_it_is_installed(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(EXAMPLE / "bench_example", site / "bench_example")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = site / "bench_example-1.0.dist-info"  # as pip would write it
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    groups = project["entry-points"].items()
    points = [f"[{group}]\n{name} = {module}\n" for group, units in groups for name, module in units.items()]
    (info / "entry_points.txt").write_text("".join(points))
    shutil.copy(EXAMPLE / "contract.py", tmp_path)
    paths = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = warm.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "contract.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
