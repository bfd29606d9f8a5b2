"""torchrun: its processes become the ranks of a training."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import typer
import warm

from bench.cli._torchrun import STARTED, torchrun_overrides
from bench.errors import ConfigError
from bench.records.store import read_run


def started(monkeypatch: pytest.MonkeyPatch, rank: int, count: int, here: int) -> None:
    values = {STARTED: "none", "RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": here, "MASTER_PORT": 1}
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))


def test_without_torchrun_nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STARTED, raising=False)
    monkeypatch.setenv("RANK", "1")  # a cluster may set it for reasons of its own
    assert torchrun_overrides() == []


@pytest.mark.parametrize(("count", "expected"), [(1, []), (2, ["ranks=2"]), (8, ["ranks=8"])])
def test_the_first_process_asks_for_as_many_ranks(
    monkeypatch: pytest.MonkeyPatch, count: int, expected: list[str]
) -> None:
    started(monkeypatch, 0, count, count)
    assert torchrun_overrides() == expected
    assert torchrun_overrides() == []  # what it starts is not torchrun's
    assert not {"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT"} & set(
        os.environ
    )  # nor the group its own


def test_the_other_processes_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, 1, 2, 2)
    with pytest.raises(typer.Exit) as left:
        torchrun_overrides()
    assert left.value.exit_code == 0


def test_several_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, 0, 4, 2)
    with pytest.raises(ConfigError, match="several machines"):
        torchrun_overrides()


@pytest.mark.parametrize("variable", ["RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"])
def test_numbers_that_are_none_are_refused(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, 0, 2, 2)
    monkeypatch.setenv(variable, "many")
    with pytest.raises(ConfigError, match=f"{variable} is no number"):
        torchrun_overrides()


def test_a_part_of_its_variables_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, 0, 2, 2)
    monkeypatch.delenv("RANK")
    with pytest.raises(ConfigError, match="RANK is no number"):
        torchrun_overrides()


LIGHT = Path(__file__).parent / "faults" / "plugin" / "light.py"


def test_torchrun_trains_one_network_with_two_ranks(tmp_path: Path) -> None:
    """Its processes are real, and the training is not: of two ranks, see `test_parallel.py`."""
    words = f"bench --plugin {LIGHT} train linear --dataset digits --epochs 1 --seeds 1 --no-report --executor light"
    words += f" --set device=cpu --results {tmp_path} --name two"
    torchrun = "torch.distributed.run --nproc-per-node=2 --rdzv-backend=c10d --rdzv-endpoint=localhost:0 -m"
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, [str(LIGHT.parent), *sys.path]))}
    ended = warm.run(
        [sys.executable, "-m", *torchrun.split(), *words.split()],
        env={**os.environ, **paths},
        text=True,
        timeout=200,
    )
    assert ended.returncode == 0, ended.stderr
    [record] = read_run(tmp_path / "two").records
    assert record.status == "ok"
    assert record.job.settings.ranks == 2
