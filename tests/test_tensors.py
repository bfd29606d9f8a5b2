"""The memory of tensors, counted: known tensors, closed forms, and what has been freed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bench.timing.tensors import tensor_memory, tensors_of


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
        measured = peak(lambda: model(images), [*tensors_of(model), images])
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
    measured = peak(step, [*tensors_of(model, optimiser), images])
    # At the update: weights, gradients and momentum; the optimiser may hold one scaled gradient more.
    assert 3 * weights <= measured <= 3 * weights + weights / depth + (depth + 3) * activation


def test_a_network_that_cannot_be_counted_is_no_failure() -> None:
    def broken() -> None:
        raise ValueError("not under a mode")

    measured = tensor_memory(broken, [])
    assert math.isnan(measured.samples[0])
    assert measured.flags == ("uncounted",)
    assert "not under a mode" in measured.detail["error"]
