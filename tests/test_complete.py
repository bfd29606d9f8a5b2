"""What the shell offers behind a command, and that it waits for no library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import COMMANDS

from bench.archs import ARCHS
from bench.cli import _complete
from bench.datasets import DATASETS
from bench.report.exports import EXPORTS


def offered(line: str, folder: Path) -> list[str]:
    """Return what a shell of Bash offers for the last word of a line."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_BENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": f"{len(words) - 1}",
    }
    code = (
        "import sys\nfrom bench.cli.app import app\ntry:\n    app(prog_name='bench')\nfinally:\n"
        "    print(*({'torch', 'pandas', 'matplotlib'} & {m.partition('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr.split() == []
    return done.stdout.split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("before", "after"):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "run.json").write_text("{}")
    (tmp_path / "my_net.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n    def forward(self, x): ...\ndef wide(): ...\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bench comp", {"compare"}),
        ("bench run resnet18", {"resnet18", "resnet18_cifar"}),
        ("bench run smo", {"smoke"}),
        ("bench run --q", {"--quiet"}),
        ("bench diff a", {"after"}),
        ("bench train lenet5 --dataset fash", {"fashion_mnist"}),
        ("bench explain nois", {"noisy"}),
        ("bench report --res", {"--results"}),
    ],
)
def test_a_word_is_completed_without_torch(line: str, expected: set[str], folder: Path) -> None:
    assert set(offered(line, folder)) == expected


def test_all_networks_data_sets_and_formats_of_the_package_are_offered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(ARCHS.names()) <= set(_complete.networks(""))
    assert set(_complete.datasets("")) == {*DATASETS.names(), "imagefolder:"}
    assert _complete.formats("") == sorted(EXPORTS.names())


def test_networks_of_files_are_offered(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    assert "my_net.py:" in _complete.networks("my")
    assert _complete.networks("my_net.py:") == ["my_net.py:Net", "my_net.py:wide"]
    assert _complete.networks("none.py:") == []


def test_whatever_names_a_run_or_a_network_is_completed() -> None:
    words = {"RUN", "NET", "DATASET"}
    for name, command in COMMANDS.items():
        for parameter in command.params:
            if parameter.metavar in words and name != "gate":  # whose networks are of another commit
                assert parameter._custom_shell_complete is not None, (name, parameter.name)
