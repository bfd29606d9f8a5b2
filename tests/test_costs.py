"""Counts against arithmetic, and against torch's own counter as a second way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from bench.archs.resolve import resolve
from bench.costs import COSTS, Subject
from bench.records.record import Measurement


def counted(model: nn.Module, *shape: int) -> dict[str, Measurement]:
    subject = Subject(model.eval(), shape)  # type: ignore[arg-type]
    return {m.name: m for _, function in COSTS.items() for m in function(subject)}


def value(model: nn.Module, name: str, *shape: int) -> float:
    return counted(model, *shape)[name].samples[0]


@pytest.mark.parametrize(
    ("groups", "stride", "padding", "dilation"), [(1, 1, 0, 1), (4, 2, 1, 1), (8, 1, 2, 2)]
)
def test_a_convolution(groups: int, stride: int, padding: int, dilation: int) -> None:
    conv = nn.Conv2d(8, 16, 3, stride=stride, padding=padding, dilation=dilation, groups=groups)
    side = (20 + 2 * padding - dilation * (3 - 1) - 1) // stride + 1
    found = counted(conv, 1, 8, 20, 20)
    assert found["macs"].samples == (side * side * 16 * (8 // groups) * 3 * 3,)
    assert found["parameters"].samples == (16 * (8 // groups) * 9 + 16,)
    assert found["activations"].samples == (16 * side * side,)
    assert found["activation_bytes"].samples == (4 * 16 * side * side,)


def test_a_linear_layer_and_its_bytes() -> None:
    found = counted(nn.Sequential(nn.Flatten(), nn.Linear(12, 5).half().float()), 1, 3, 2, 2)
    assert found["macs"].samples == (12 * 5,)
    assert found["parameter_bytes"].samples == (4 * (12 * 5 + 5),)


def test_norms_and_elementwise_work_are_kept_apart() -> None:
    plain = nn.Conv2d(3, 4, 3, padding=1)
    dressed = nn.Sequential(plain, nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    found = counted(dressed, 1, 3, 8, 8)["macs"]
    assert found.samples == (8 * 8 * 4 * 3 * 9,)
    assert found.detail["other_operations"]["batch_norm"] > 0
    assert found.detail["uncounted"] == {}
    assert found.flags == ()


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(6, 6, bias=False)
        self.same = self.one

    def forward(self, x: Tensor) -> Tensor:
        return self.same(F.relu(self.one(x.flatten(1))))


def test_shared_weights_count_once_and_work_twice() -> None:
    found = counted(Twice(), 1, 6, 1, 1)
    assert found["parameters"].samples == (36,)
    assert found["macs"].samples == (2 * 36,)


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        q = x.flatten(2).transpose(1, 2).unsqueeze(1)  # [1, 1, L, E]
        return F.scaled_dot_product_attention(q, q, q)


def test_fused_attention_is_counted() -> None:
    # L queries by L keys of width E, then L x L weights by values of width E.
    assert value(Attention(), "macs", 1, 8, 5, 5) == 25 * 25 * (8 + 8)


def test_what_is_left_uncounted_is_named_and_flagged() -> None:
    found = counted(Recurrent(), 1, 4, 3, 3)["macs"]
    assert "uncounted_ops" in found.flags
    assert any("lstm" in op for op in found.detail["uncounted"])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lstm(x.flatten(2).permute(2, 0, 1))[0]
        return out


def test_hooks_are_gone_even_when_the_network_fails() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            raise ValueError("no")

    model = Broken()
    with pytest.raises(ValueError, match="no"):
        counted(model, 1, 3, 4, 4)
    assert not model.conv._forward_hooks


@pytest.mark.parametrize(
    "name",
    ["lenet5", "resnet18", "resnet20", "googlenet", "inception_reduced", "torchvision:mobilenet_v3_small"],
)
def test_the_second_counter_agrees(name: str) -> None:
    arch = resolve(name)
    model = arch.build().eval()
    shape = (1, arch.card.in_channels, arch.card.input_size, arch.card.input_size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(shape))
    assert value(model, "macs", *shape) == counter.get_total_flops() / 2


def test_the_classic_numbers() -> None:
    # He et al. 2015, Table 1, counts multiply-adds: 1.8e9 and 3.6e9.
    assert value(resolve("resnet18").build(), "macs", 1, 3, 224, 224) == pytest.approx(1.8e9, rel=0.02)
    assert value(resolve("plain34").build(), "macs", 1, 3, 224, 224) == pytest.approx(3.6e9, rel=0.02)
    assert value(resolve("inception_naive").build(), "macs", 1, 256, 28, 28) == 28 * 28 * 256 * (
        128 + 9 * 192 + 25 * 96
    )
