"""Residual networks: torchvision's for large images, the paper's small ones for 32 px, and both without shortcuts.

Those without are the family `plain`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from bench.archs import register
from bench.archs._layers import kaiming, sequential
from bench.archs._torchvision import build

_CIFAR_DEPTHS = (20, 32, 44, 56, 110)


class Block(nn.Module):
    """Two 3x3 convolutions; with a shortcut of option A, which adds the input, padded with zero channels."""

    def __init__(self, inputs: int, width: int, stride: int, *, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.shortcut = shortcut

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps [B, width, ceil(H / stride), ceil(W / stride)] for [B, inputs, H, W]."""
        out: Tensor = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(maps)))))
        if self.shortcut:
            out = out + self._identity(maps)
        activated: Tensor = self.relu2(out)
        return activated

    def _identity(self, maps: Tensor) -> Tensor:
        stride, missing = self.conv1.stride[0], self.conv1.out_channels - self.conv1.in_channels
        if stride == 1 and missing == 0:
            return maps
        return F.pad(maps[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, missing))


def _stages(inputs: int, blocks: tuple[int, ...], *, shortcut: bool) -> list[nn.Module]:
    """Return a stage for each number of `blocks`; all but the first halve the side and double the width."""
    stages: list[nn.Module] = []
    width = inputs
    for index, count in enumerate(blocks):
        first = Block(inputs, width, 1 if index == 0 else 2, shortcut=shortcut)
        rest = (Block(width, width, 1, shortcut=shortcut) for _ in range(count - 1))
        stages.append(nn.Sequential(first, *rest))
        inputs, width = width, 2 * width
    return stages


def _network(stem: dict[str, nn.Module], stages: list[nn.Module], width: int, num_classes: int) -> nn.Module:
    end = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(width, num_classes)}
    numbered = {f"stage{i}": stage for i, stage in enumerate(stages, 1)}
    return kaiming(sequential({**stem, **numbered, **end}))


def _plain_imagenet(
    blocks: tuple[int, ...],
    *,
    num_classes: int,
    in_channels: int,
    input_size: int,  # noqa: ARG001 (any size)
) -> nn.Module:
    """Return the plain network of Table 1 and Fig. 3 for large images: 64 to 512 channels, no shortcuts."""
    stem: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False),
        "bn1": nn.BatchNorm2d(64),
        "relu1": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    return _network(stem, _stages(64, blocks, shortcut=False), 512, num_classes)


def _cifar(
    depth: int,
    *,
    shortcut: bool,
    num_classes: int,
    in_channels: int,
    input_size: int,  # noqa: ARG001 (any size)
) -> nn.Module:
    """Return the network of section 4.2 for small images: `depth` = 6n + 2 layers, 16, 32 and 64 channels."""
    stem: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(in_channels, 16, 3, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(16),
        "relu1": nn.ReLU(inplace=True),
    }
    blocks = ((depth - 2) // 6,) * 3
    return _network(stem, _stages(16, blocks, shortcut=shortcut), 64, num_classes)


def _cifar_parameters(depth: int) -> int:
    """Return the parameters of `_cifar` at 3 channels and 10 classes; shortcuts of option A have none.

    A convolution of width w has 9 x inputs x w weights, its batch norm 2 w.
    """
    more = (depth - 2) // 6 * 2 - 1  # convolutions of a stage behind its first one
    stem = 9 * 3 * 16 + 2 * 16
    stages = sum(9 * i * w + 2 * w + more * (9 * w * w + 2 * w) for i, w in ((16, 16), (16, 32), (32, 64)))
    return stem + stages + 64 * 10 + 10


_V15 = "stride in the 3x3 convolutions (v1.5)"
_OPTION_B = "shortcuts of option B"

_PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}


def _v1(name: str, *, num_classes: int, in_channels: int, input_size: int) -> nn.Module:
    """Return the paper's bottleneck network: as torchvision's, with the stride in each block's first 1x1."""
    model = build(name, num_classes=num_classes, in_channels=in_channels, input_size=input_size)
    for stage in ("layer2", "layer3", "layer4"):
        block: Any = model.get_submodule(f"{stage}.0")
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return model


@register(
    "resnet18_cifar",
    family="resnet",
    input_size=32,
    num_classes=10,
    # As ResNet-18, with 3x3 in place of 7x7 in its first convolution, and 10 classes in place of 1000.
    parameters=_PARAMETERS["resnet18"] - (49 - 9) * 3 * 64 - 990 * (512 + 1),
    note="ResNet-18 for 32 px: first convolution 3x3 with stride 1, no pooling behind it",
)
def _resnet18_cifar(*, num_classes: int, in_channels: int, input_size: int) -> nn.Module:
    """Return ResNet-18 with the stem that people give it for small images, as in kuangliu/pytorch-cifar."""
    model: Any = build("resnet18", num_classes=num_classes, in_channels=in_channels, input_size=input_size)
    model.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return cast("nn.Module", model)


for _name, _parameters in _PARAMETERS.items():
    _large = partial(register, input_size=224, parameters=_parameters, family="resnet")
    _note = _OPTION_B if _name in ("resnet18", "resnet34") else _V15
    _large(_name, note=_note)(partial(build, _name))
    if _note == _V15:
        _paper = "stride in the first 1x1 convolution, as in the paper (v1)"
        _large(f"{_name}_v1", note=_paper)(partial(_v1, _name))

for _name, _parameters, _blocks in (
    ("plain18", 11_515_688, (2, 2, 2, 2)),
    ("plain34", 21_623_848, (3, 4, 6, 3)),
):
    _note = f"{_name.replace('plain', 'resnet')} without shortcuts"
    register(_name, family="plain", input_size=224, parameters=_parameters, note=_note)(
        partial(_plain_imagenet, _blocks)
    )

for _depth in _CIFAR_DEPTHS:
    _small = partial(register, input_size=32, num_classes=10, parameters=_cifar_parameters(_depth))
    _small(f"resnet{_depth}", family="resnet", note="for 32 px, shortcuts of option A")(
        partial(_cifar, _depth, shortcut=True)
    )
    _small(f"plain{_depth}", family="plain", note=f"resnet{_depth} without shortcuts")(
        partial(_cifar, _depth, shortcut=False)
    )
