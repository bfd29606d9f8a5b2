"""One training on two cards, walked from both ranks' sides: which card each takes, how they meet and what they share.

No second process runs: the other rank is walked in this one, after rank 0, from what rank 0 stored for it.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from fake_card import FakeCard, FakeHost
from test_gpu_walk import SMALL, training_job
from torch import Tensor, nn

from bench.errors import UnsupportedError
from bench.training import _parallel as parallel

IMAGES = 96


@dataclass
class Meetings:
    """What torch.distributed is asked for; ranks that are alike say the same, so that their sum is twice one's."""

    host: FakeHost
    begun: list[dict[str, Any]] = field(default_factory=list)
    current: list[int] = field(default_factory=list)
    sums: int = 0
    averaged: list[list[str]] = field(default_factory=list)
    kept: Path | None = None

    def begin(self, backend: str, **how: Any) -> None:
        """Note who meets, by which library, on which card."""
        self.begun.append({"backend": backend, **how})
        self.current.append(self.host.current)

    def total(self, values: Tensor) -> None:
        """Add what the other rank has."""
        self.sums += 1
        values *= 2

    def averaging(self, model: nn.Module, device_ids: Any = None) -> nn.Module:
        """Stand for the wrapper that averages gradients, which equal ones need not be."""
        self.averaged.append([str(device) for device in device_ids])
        return model

    @contextlib.contextmanager
    def other(self, rank: int, count: int, folder: str) -> Iterator[Any]:
        """Stand for the process of another rank; keep what was stored for it."""
        assert (rank, count) == (1, 2)
        yield SimpleNamespace(await_ready=lambda: None, process=SimpleNamespace(poll=lambda: None))
        self.kept = Path(shutil.copytree(folder, f"{folder}-kept"))


@pytest.fixture
def meetings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meetings]:
    host = FakeHost(FakeCard("NVIDIA H100", "aaaa"), FakeCard("NVIDIA H100", "bbbb")).install(monkeypatch)
    meetings = Meetings(host)
    monkeypatch.setattr(parallel, "_other", meetings.other)
    monkeypatch.setattr(parallel, "_end_with_parent", lambda: None)
    monkeypatch.setattr(dist, "init_process_group", meetings.begin)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    monkeypatch.setattr(dist, "all_reduce", meetings.total)
    monkeypatch.setattr(dist, "broadcast", lambda *_: None)
    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", meetings.averaging)
    with host.device.at_work():
        yield meetings
    if meetings.kept is not None:
        shutil.rmtree(meetings.kept)


def test_each_rank_takes_its_own_card(meetings: Meetings, tmp_path: Path) -> None:
    results = training_job(tmp_path, SMALL, ranks=2, train_images=IMAGES)
    assert 0 <= results["top1"].samples[0] <= 1
    assert results["train_throughput"].samples[0] > 0
    assert meetings.kept is not None
    alone = meetings.sums
    assert alone > 0
    (tmp_path / "checkpoint").unlink()  # rank 0 has ended; the other would go on from it
    parallel._join(str(meetings.kept), "1", "2")
    assert meetings.sums == 2 * alone  # the other rank meets rank 0 at the same points
    assert [m["backend"] for m in meetings.begun] == ["nccl", "nccl"]
    assert [(m["rank"], m["world_size"]) for m in meetings.begun] == [(0, 2), (1, 2)]
    assert meetings.current == [0, 1]
    assert meetings.averaged == [["cuda:0"], ["cuda:1"]]


def test_there_are_not_enough_cards(meetings: Meetings, tmp_path: Path) -> None:
    with pytest.raises(
        UnsupportedError, match="3 ranks need 3 CUDA devices from cuda:0 on, and this machine has 2"
    ):
        training_job(tmp_path, SMALL, ranks=3, train_images=IMAGES)
    with pytest.raises(UnsupportedError, match="2 CUDA devices from cuda:1 on") as caught:
        training_job(tmp_path, SMALL, device="cuda:1", ranks=2, train_images=IMAGES)
    assert "set ranks to 1 or less" in (caught.value.tip or "")
    assert torch.device("cuda:1").index == 1
