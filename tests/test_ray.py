"""Ray: runs of a cluster of three nodes on this machine, one of which is lost in mid-job, and a driver that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.errors import install_tip
from bench.records.record import Record
from bench.records.store import read_run

ray = pytest.importorskip("ray", reason=f"ray is not installed: {install_tip('ray')}")
from ray._private.node import Node  # noqa: E402

from bench.execution.executors.ray import _UNUSED, _quiet  # noqa: E402

pytestmark = pytest.mark.timeout(1500)

WAIT_S = 600.0  # for machines on which others work
NET = '''"""A network that takes a while to be built, with a part in a file of its own."""

import time

from parts import layer
from torch import nn


class Net(nn.Module):
    input_size = 8

    def __init__(self, num_classes=10, in_channels=3, width=4, seconds=0.0):
        super().__init__()
        time.sleep(seconds)
        self.body = nn.Sequential(layer(in_channels, width), nn.Flatten(), nn.Linear(width * 36, num_classes))

    def forward(self, x):
        return self.body(x)
'''
PARTS = "from torch import nn\n\n\ndef layer(channels, width):\n    return nn.Conv2d(channels, width, 3)\n"
PLUGIN = '''"""A plug-in with a network of one layer."""

from torch import nn

from bench.archs import register


@register("plugged", family="own", input_size=8, parameters=1930)
def plugged(*, num_classes, in_channels, input_size):
    """Be one layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * input_size**2, num_classes))
'''


@dataclass
class Machines:
    """A cluster on this machine: each node has a disk of its own, which is a folder."""

    cluster: Any
    folder: Path
    nodes: list[Any] = field(default_factory=list)

    def add(self) -> Any:
        disk = self.folder / f"disk-{len(self.nodes)}"
        node = self.cluster.add_node(num_cpus=1, num_gpus=0, env_vars={"BENCH_JOBS": str(disk)})
        self.nodes.append(node)
        return node

    def lying(self) -> set[str]:
        """Return the jobs whose records lie on disks of nodes."""
        files = self.folder.glob("disk-*/*/*/*/*/records.jsonl")
        return {file.parts[-4] for file in files if file.stat().st_size}

    def under_way(self, project: Path, disk: str = "disk-*") -> bool:
        """Return whether a job of a project's run has begun on a disk's node."""
        token = project / "results/default/.cluster"
        return token.is_file() and any(self.folder.glob(f"{disk}/{token.read_text()}/*/*/*/.lock"))


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    made = Machines(cluster, tmp_path_factory.mktemp("disks"))
    try:
        for _ in range(3):
            made.add()
        yield made
    finally:
        cluster.shutdown()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "net.py").write_text(NET)
    (folder / "parts.py").write_text(PARTS)
    return folder


def command(machines: Machines, *words: str) -> list[str]:
    where = ["--executor", "ray", "--ray-address", machines.cluster.address]
    return [sys.executable, "-m", "bench", "run", *words, *where, "--no-report"]


def begin(words: Sequence[str], folder: Path) -> subprocess.Popen[str]:
    """Begin a driver in a folder."""
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(driver: subprocess.Popen[str]) -> str:
    """Return what a driver has printed by its end, which is to be a good one."""
    printed, told = driver.communicate(timeout=WAIT_S)
    assert driver.returncode == 0, told
    return printed + told


def until(true: Callable[[], object], driver: subprocess.Popen[str]) -> None:
    """Wait for what a driver brings about."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert driver.poll() is None, driver.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def nets(count: int, seconds: float) -> list[str]:
    return [f"net.py:Net(width={4 + i}, seconds={seconds})" for i in range(count)]


def stored(folder: Path, run: str = "default") -> tuple[Record, ...]:
    file = folder / "results" / run / "records.jsonl"
    return read_run(file.parent).records if file.is_file() else ()


def test_a_run_of_three_nodes_with_the_users_files_and_a_plug_in(machines: Machines, project: Path) -> None:
    (project / "plugin.py").write_text(PLUGIN)
    words = command(machines, *nets(3, 0.5), "plugged", "--task", "cost", "--set", "num_classes=10")
    words[3:3] = ["--plugin", "plugin.py"]
    assert "4 of 4 measured" in end(begin(words, project))
    parameters = {r.job.arch: m.samples[0] for r in stored(project) if (m := r.measurement("parameters"))}
    own = {name: (4 + i) * 28 + ((4 + i) * 36 + 1) * 10 for i, name in enumerate(nets(3, 0.5))}
    assert parameters == {**own, "plugged": 1930}
    assert not machines.lying()


def test_a_training_brings_its_files_home(machines: Machines, project: Path) -> None:
    words = ["train", *nets(1, 0.0), "--dataset", "digits", "--epochs", "1", "--seeds", "2", "--no-report"]
    driver = [sys.executable, "-m", "bench", *words, "--executor", "ray"]
    end(begin([*driver, "--ray-address", machines.cluster.address], project))
    records = stored(project, "train-digits")
    assert [r.status for r in records] == ["ok", "ok"]
    outputs = {path.stem for path in (project / "results/train-digits/outputs").iterdir()}
    assert outputs == {r.job.id for r in records}
    assert not (project / "results/train-digits/checkpoints").exists()


def test_a_driver_that_is_killed_and_begun_again_measures_nothing_twice(
    machines: Machines, project: Path
) -> None:
    words = command(machines, *nets(9, 2.0), "--task", "cost")
    driver = begin(words, project)
    until(lambda: len(stored(project)) >= 2, driver)
    driver.send_signal(signal.SIGSTOP)
    known = {r.job.id for r in stored(project)}  # of which the nodes may still have to let go
    until(lambda: machines.lying() - known, driver)  # a node has done a job, and nobody has heard of it
    driver.kill()
    driver.communicate()
    before = len(stored(project))
    assert before < 9
    told = end(begin(words, project))
    assert "of this run lay on the nodes" in told
    assert "9 of 9 measured" in told
    assert Counter(r.job.arch for r in stored(project)) == dict.fromkeys(nets(9, 2.0), 1)
    assert {(r.status, r.attempt) for r in stored(project)} == {("ok", 1)}
    assert not machines.lying()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_jobs_on_all_nodes(machines: Machines, project: Path, number: int) -> None:
    driver = begin(command(machines, *nets(4, 200.0), "--task", "cost"), project)
    until(lambda: machines.under_way(project), driver)
    driver.send_signal(number)
    _, told = driver.communicate(timeout=WAIT_S)
    assert driver.returncode == 130, told
    assert "Traceback" not in told
    assert "SIGTERM received" not in told  # as Ray's own handler would say, with addresses in its code
    assert {r.status for r in stored(project)} == {"cancelled"}
    assert not machines.lying()


def test_the_jobs_of_a_node_that_is_lost_run_elsewhere(machines: Machines, project: Path) -> None:
    driver = begin([*command(machines, *nets(6, 4.0), "--task", "cost"), "--json"], project)
    until(lambda: machines.under_way(project, "disk-1"), driver)
    machines.cluster.remove_node(machines.nodes[1], allow_graceful=False)
    printed, told = driver.communicate(timeout=WAIT_S)
    assert json.loads(printed)["counts"] == {"ok": 6}, told
    assert "is gone" in told
    assert told.count("lost: ") == 1
    lost = [r for r in stored(project) if r.status != "ok"]
    assert {(r.status, r.error and r.error["type"], r.attempt) for r in lost} == {("killed", "PlaceLost", 1)}
    again = {r.job.id: r.attempt for r in stored(project) if r.status == "ok"}
    assert {again[r.job.id] for r in lost} == {2}
    assert Counter(r.job.arch for r in stored(project) if r.status == "ok") == dict.fromkeys(nets(6, 4.0), 1)


def test_a_cluster_of_this_machine_alone_is_begun_without_what_nobody_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    niceness, stats = "RAY_worker_niceness", "RAY_event_stats"
    monkeypatch.setenv(stats, "1")
    before = [getattr(Node, name) for name in _UNUSED]
    with _quiet():
        assert [getattr(Node, name)(None) for name in _UNUSED] == [None] * len(_UNUSED)
        assert (os.environ[niceness], os.environ[stats]) == ("0", "1")
    assert [getattr(Node, name) for name in _UNUSED] == before
    assert (niceness in os.environ, os.environ[stats]) == (False, "1")


def test_an_address_that_does_not_answer_is_told_at_once(project: Path) -> None:
    for address, words in (
        ("127.0.0.1:9", "no Ray cluster answers at 127.0.0.1:9"),
        ("here", "is no address"),
    ):
        driver = [
            sys.executable,
            "-m",
            "bench",
            "run",
            "lenet5",
            "--executor",
            "ray",
            "--ray-address",
            address,
        ]
        _, told = (running := begin(driver, project)).communicate(timeout=WAIT_S)
        assert running.returncode == 2
        assert words in told
        assert "Traceback" not in told
