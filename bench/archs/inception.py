"""The Inception module alone: naive, and with 1x1 bottlenecks before its large filters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.archs import register
from bench.archs._layers import kaiming


class Inception(nn.Module):
    """Branches over the same input, [B, C, H, W], whose outputs are joined by channel."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)

    def forward(self, maps: Tensor) -> Tensor:
        """Return all branches' maps, [B, sum of widths, H, W]."""
        return torch.cat([branch(maps) for branch in self.branches.values()], dim=1)


def _conv(inputs: int, outputs: int, side: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, side, padding=side // 2), nn.ReLU(inplace=True)]


def _classifier(module: nn.Module, width: int, num_classes: int | None) -> nn.Module:
    """Return the module alone, or, for classes, with global average pooling and a linear layer behind it."""
    kaiming(module)
    if num_classes is None:
        return module
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))
    return nn.Sequential(module, *head)


@register(
    "inception_naive",
    family="inception",
    input_size=28,
    in_channels=256,
    num_classes=None,
    parameters=256 * (128 + 9 * 192 + 25 * 96) + 128 + 192 + 96,
    note="Fig. 2(a): one module on a 28x28x256 input, 672 channels out",
)
def _inception_naive(*, num_classes: int | None, in_channels: int, input_size: int) -> nn.Module:  # noqa: ARG001
    """Return 1x1, 3x3 and 5x5 filters and max pooling side by side; with `num_classes`, a classifier."""
    module = Inception(
        conv1=nn.Sequential(*_conv(in_channels, 128, 1)),
        conv3=nn.Sequential(*_conv(in_channels, 192, 3)),
        conv5=nn.Sequential(*_conv(in_channels, 96, 5)),
        pool=nn.MaxPool2d(3, stride=1, padding=1),
    )
    return _classifier(module, 128 + 192 + 96 + in_channels, num_classes)


@register(
    "inception_reduced",
    family="inception",
    input_size=28,
    in_channels=256,
    num_classes=None,
    parameters=256 * (128 + 3 * 64) + 64 * (9 * 192 + 25 * 96) + 128 + 192 + 96 + 3 * 64,
    note="Fig. 2(b): one module on a 28x28x256 input, 64 channels in each bottleneck, 480 channels out",
)
def _inception_reduced(*, num_classes: int | None, in_channels: int, input_size: int) -> nn.Module:  # noqa: ARG001
    """Return the naive module with 64 1x1 filters before 3x3 and 5x5 and after the pooling."""
    module = Inception(
        conv1=nn.Sequential(*_conv(in_channels, 128, 1)),
        conv3=nn.Sequential(*_conv(in_channels, 64, 1), *_conv(64, 192, 3)),
        conv5=nn.Sequential(*_conv(in_channels, 64, 1), *_conv(64, 96, 5)),
        pool=nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), *_conv(in_channels, 64, 1)),
    )
    return _classifier(module, 128 + 192 + 96 + 64, num_classes)
