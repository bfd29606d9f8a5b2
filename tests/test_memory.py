"""Memory: what a process or a card has at most, and the memory of tensors, counted in closed forms."""

from __future__ import annotations

import math
from mmap import mmap

import pytest
import torch
from fake_card import FakeCard, FakeHost
from torch import nn

from bench.timing._memory import CudaMemory, HostMemory
from bench.timing.memory import held_tensors, tensor_memory
from bench.timing.steps import Instruments

MB = 1 << 20


def touch(megabytes: int) -> torch.Tensor:
    """Return ones in memory that is new to the process; malloc may give what large tensors before have left."""
    new = torch.frombuffer(mmap(-1, megabytes * MB), dtype=torch.float32)
    return new.fill_(1)


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


def test_workspaces_of_algorithms_that_are_tried_once_are_no_part_of_the_peak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = FakeHost(FakeCard("NVIDIA H100", "cccc")).install(monkeypatch)
    sizes = iter((400 * MB, 20 * MB))
    with host.device.at_work():
        meter = CudaMemory("cuda:0")
        found = meter.peak(lambda: torch.empty(next(sizes), dtype=torch.uint8))
    assert found.samples == (20 * MB,)


def test_on_the_cpu_one_clock_serves_latency_and_step_time() -> None:
    tools = Instruments.of("cpu")
    assert tools.step is None
    assert tools.latency.name == "perf_counter"


# Tensors, counted


def peak(call, held=()) -> float:  # type: ignore[no-untyped-def]
    return tensor_memory(call, held).samples[0]


@pytest.mark.parametrize("size", [1_000, 1_000_000, 1_000_000_000])
def test_a_known_tensor(size: int) -> None:
    assert peak(lambda: torch.empty(size, dtype=torch.uint8)) == size


def test_what_is_held_counts_once_and_a_view_counts_nothing() -> None:
    held = torch.zeros(1000)
    assert peak(lambda: held.view(10, 100).t(), [held, held[:10]]) == 4 * 1000


def test_what_was_freed_is_there_no_more() -> None:
    def three_in_turn() -> torch.Tensor:
        first = torch.zeros(1000)
        second = first + 1
        del first
        return second + 1  # two of them at once, at any time

    assert peak(three_in_turn) == 2 * 4 * 1000


def test_a_tensor_that_grows_counts_what_it_grew_to() -> None:
    tensor = torch.empty(10)
    assert peak(lambda: tensor.resize_(1000).zero_(), [tensor]) == 4 * 1000


def test_a_forward_pass_holds_weights_the_input_and_two_activations() -> None:
    model = nn.Sequential(*(nn.Linear(64, 64, bias=False) for _ in range(5)))
    images = torch.zeros(8, 64)
    with torch.inference_mode():
        measured = peak(lambda: model(images), [*held_tensors(model), images])
    assert measured == 4 * (5 * 64 * 64 + 8 * 64 + 2 * 8 * 64)


def test_a_training_step_holds_weights_gradients_momentum_and_what_backward_needs() -> None:
    size, depth, batch = 256, 4, 2
    model = nn.Sequential(*(nn.Linear(size, size, bias=False) for _ in range(depth)))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    images = torch.zeros(batch, size)

    def step() -> None:
        model(images).sum().backward()
        optimiser.step()
        optimiser.zero_grad()

    step()
    weights, activation = 4 * depth * size**2, 4 * batch * size
    measured = peak(step, [*held_tensors(model, optimiser), images])
    # At the update: weights, gradients and momentum; the optimiser may hold one scaled gradient more.
    assert 3 * weights <= measured <= 3 * weights + weights / depth + (depth + 3) * activation


def test_a_network_that_cannot_be_counted_is_no_failure() -> None:
    def broken() -> None:
        raise ValueError("not under a mode")

    measured = tensor_memory(broken, [])
    assert math.isnan(measured.samples[0])
    assert measured.flags == ("uncounted",)
    assert "not under a mode" in measured.detail["error"]
