"""Weights of networks that are only timed: drawn once and repeated."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bench.archs.naming import resolve
from bench.errors import InvalidModelError
from bench.plan.job import Job
from bench.plan.task import Hooks
from bench.tasks._networks import _DRAWN, _RepeatedDraws, built


def test_a_large_tensor_repeats_its_first_numbers() -> None:
    with _RepeatedDraws():
        layer = nn.Linear(2048, 1024)
    numbers = layer.weight.detach().flatten()
    assert torch.equal(numbers[_DRAWN:], numbers[: len(numbers) - _DRAWN])
    assert len(numbers[:_DRAWN].unique()) > _DRAWN / 2
    bound = 2048**-0.5  # of PyTorch's own initialisation, uniform
    assert float(numbers.std()) == pytest.approx(bound / 3**0.5, rel=0.01)
    assert float(numbers.abs().max()) <= bound
    assert layer.weight.requires_grad


def test_what_is_made_of_draws_is_repeated_too() -> None:
    with _RepeatedDraws():
        numbers = nn.init.trunc_normal_(torch.empty(2, _DRAWN), std=0.02)
    assert torch.equal(numbers[0], numbers[1])
    assert float(numbers.std()) == pytest.approx(0.02, rel=0.01)


def test_small_tensors_and_what_follows_are_as_ever() -> None:
    torch.manual_seed(0)
    with _RepeatedDraws():
        small = nn.Conv2d(3, 8, 3).weight
    torch.manual_seed(0)
    assert torch.equal(small, nn.Conv2d(3, 8, 3).weight)
    torch.manual_seed(0)
    with _RepeatedDraws():
        apart = torch.empty(_DRAWN, 2).T.normal_()  # not in order: drawn as ever
    torch.manual_seed(0)
    assert torch.equal(apart, torch.empty(_DRAWN, 2).T.normal_())


TRACED = """
import torch
from torch import nn

def net():
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 10)).eval()
    return torch.jit.trace(layers, torch.zeros(2, 3, 8, 8))

def broken():
    raise ValueError("no layers")
"""


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_network_that_is_traced_as_it_is_built_is_drawn_in_full(tmp_path: Path) -> None:
    file = tmp_path / "traced.py"
    file.write_text(TRACED)

    def job(name: str) -> Job:
        return Job(task="infer", arch=f"{file}:{name}", input_size=8, in_channels=3, num_classes=10)

    drawn, in_full = built(job("net"), Hooks()), built(job("net"), Hooks(), in_full=True)
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(drawn(images), in_full(images))
    with pytest.raises(InvalidModelError, match="no layers"):
        built(job("broken"), Hooks())


def test_every_layer_of_a_network_keeps_its_spread() -> None:
    torch.manual_seed(0)
    drawn = resolve("alexnet").build()
    with _RepeatedDraws():
        repeated = resolve("alexnet").build()
    for (name, one), other in zip(drawn.state_dict().items(), repeated.state_dict().values(), strict=True):
        assert float(other.std()) == pytest.approx(float(one.std()), rel=0.2, abs=1e-4), name
        assert one.shape == other.shape
        assert one.dtype == other.dtype
