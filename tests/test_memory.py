from __future__ import annotations

import pytest
import torch

from bench.timing.memory import CudaMemory, HostMemory
from bench.timing.steps import instruments

MB = 1 << 20


def touch(megabytes: int) -> torch.Tensor:
    return torch.ones(megabytes * MB // 4)


def test_the_peak_is_of_what_the_call_needs_at_most() -> None:
    meter = HostMemory()

    def call() -> None:
        touch(200)  # freed again at once: a mark, not a sum

    found = meter.peak(call)
    # The kernel may take file pages of the baseline back in the meantime, so the lower end is loose.
    assert 150 * MB < found.samples[0] < 260 * MB
    assert found.unit == "B"


def test_what_was_held_before_the_call_is_in_it() -> None:
    meter = HostMemory()
    held = touch(150)
    found = meter.peak(lambda: touch(50))
    assert 145 * MB < found.samples[0] < 260 * MB
    assert found.detail["held_before_B"] > 145 * MB
    assert held.numel()


def test_a_mark_of_the_past_is_not_in_it() -> None:
    touch(400)
    found = HostMemory().peak(lambda: touch(20))
    if not found.flags:  # a kernel that cannot reset the mark says so by a flag
        assert found.samples[0] < 150 * MB


def test_what_the_card_lost_stands_beside_the_allocators_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    free = [1000, 300]
    for name in ("empty_cache", "synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 10)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 110)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda _: 200)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free.pop(0), 4000))
    found = CudaMemory("cuda").peak(lambda: None)
    assert found.samples == (110 - 10,)
    assert found.detail["device_B"] == 1000 - 300
    assert "whole card" in found.detail["device_of"]


def test_on_the_cpu_one_clock_serves_latency_and_step_time() -> None:
    tools = instruments("cpu")
    assert tools.step is None
    assert tools.latency.name == "perf_counter"
