"""Blocks of two 3x3 convolutions, with and without a shortcut, and the networks made of them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bench.archs._layers import kaiming, named

CIFAR_DEPTHS = (20, 32, 44, 56, 110)


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
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(maps)))))
        if self.shortcut:
            out = out + self._identity(maps)
        return self.relu2(out)

    def _identity(self, maps: Tensor) -> Tensor:
        stride, missing = self.conv1.stride[0], self.conv1.out_channels - self.conv1.in_channels
        if stride == 1 and missing == 0:
            return maps
        return F.pad(maps[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, missing))


def _stages(inputs: int, blocks: tuple[int, ...], *, shortcut: bool) -> list[nn.Module]:
    """Return stages of so many blocks; each but the first halves the side and doubles the width."""
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
    return kaiming(named({**stem, **numbered, **end}))


def plain_imagenet(
    blocks: tuple[int, ...],
    *,
    num_classes: int,
    in_channels: int,
    input_size: int,  # noqa: ARG001 (global pooling: any size)
) -> nn.Module:
    """Return the plain network of Table 1 and Fig. 3 for large images: 64 to 512 channels, no shortcuts."""
    stem: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False),
        "bn1": nn.BatchNorm2d(64),
        "relu1": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    return _network(stem, _stages(64, blocks, shortcut=False), 512, num_classes)


def cifar(
    depth: int,
    *,
    shortcut: bool,
    num_classes: int,
    in_channels: int,
    input_size: int,  # noqa: ARG001 (global pooling: any size)
) -> nn.Module:
    """Return the network of section 4.2 for small images: `depth` = 6n + 2 layers, 16, 32 and 64 channels."""
    stem: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(in_channels, 16, 3, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(16),
        "relu1": nn.ReLU(inplace=True),
    }
    blocks = ((depth - 2) // 6,) * 3
    return _network(stem, _stages(16, blocks, shortcut=shortcut), 64, num_classes)


def cifar_parameters(depth: int) -> int:
    """Return the parameters of `cifar` at 3 channels and 10 classes; shortcuts of option A have none.

    A convolution of width w has 9 x inputs x w weights, its batch norm 2 w.
    """
    more = (depth - 2) // 6 * 2 - 1  # convolutions of a stage behind its first one
    stem = 9 * 3 * 16 + 2 * 16
    stages = sum(9 * i * w + 2 * w + more * (9 * w * w + 2 * w) for i, w in ((16, 16), (16, 32), (32, 64)))
    return stem + stages + 64 * 10 + 10
