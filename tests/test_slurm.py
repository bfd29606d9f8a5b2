"""Slurm: jobs through submitit, whose own local executor stands for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError, install_tip
from bench.execution.executors.slurm import _read, _SlurmFleet
from bench.records.store import read_run


@pytest.mark.parametrize("request_", ["slots", "slots=0", "slots=many", "gpus_per_node"])
def test_a_request_that_is_none_is_refused(request_: str) -> None:
    with pytest.raises(BenchError, match="is no key and value"):
        _read(request_)


def test_a_request_is_in_submitits_words() -> None:
    assert _read("slots=4,slurm_partition=gpu,gpus_per_node=1") == {
        "slots": 4,
        "slurm_partition": "gpu",
        "gpus_per_node": 1,
    }
    assert _read("") == {}


def test_without_submitit_the_command_that_brings_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(BenchError, match="submitit is not installed") as caught:
        _SlurmFleet("slots=2")
    assert caught.value.tip == install_tip("slurm")


def test_slots_are_of_cards_or_of_cpus() -> None:
    pytest.importorskip("submitit", reason=f"submitit is not installed: {install_tip('slurm')}")
    cards = _SlurmFleet("slots=2,gpus_per_node=1").nodes()
    assert [(node.name, node.has_cpu, node.cards) for node in cards] == [
        ("slot-0", False, 1),
        ("slot-1", False, 1),
    ]
    assert [(node.has_cpu, node.cards) for node in _SlurmFleet("").nodes()] == [(True, 0)]


@pytest.mark.timeout(900)
def test_a_run_in_jobs_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason=f"submitit is not installed: {install_tip('slurm')}")
    path = os.pathsep.join(
        filter(None, [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    )
    own = {"PYTHONPATH": path, "BENCH_JOBS": str(tmp_path / "jobs"), "BENCH_SLURM": "slots=1,cluster=local"}
    words = ["run", "lenet5", "--task", "cost", "--executor", "slurm", "--no-report"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=tmp_path,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [r.status for r in read_run(tmp_path / "results/default").records] == ["ok"]
    assert not [*(tmp_path / "jobs").glob("*")]
    assert [*(tmp_path / "slurm").glob("*_log.out")]
