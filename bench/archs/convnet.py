"""The least convolutional network: INPUT - CONV - RELU - POOL - FC."""

from __future__ import annotations

from torch import nn

from bench.archs import register
from bench.archs._layers import sequential, side_after


@register(
    "convnet",
    family="convnet",
    input_size=32,
    min_input=2,
    num_classes=10,
    parameters=(3 * 3 * 3 + 1) * 12 + (16 * 16 * 12 + 1) * 10,
    note="32x32x3 > 32x32x12 > 16x16x12 > 10",
)
def _convnet(*, num_classes: int, in_channels: int, input_size: int, filters: int = 12) -> nn.Module:
    """Return one 3x3 convolution with `filters` filters, max pooling by 2, and a fully connected layer."""
    layers: dict[str, nn.Module] = {
        "conv": nn.Conv2d(in_channels, filters, 3, padding=1),
        "relu": nn.ReLU(inplace=True),
        "pool": nn.MaxPool2d(2),
    }
    side = side_after(layers.values(), input_size)
    return sequential({**layers, "flatten": nn.Flatten(), "fc": nn.Linear(filters * side**2, num_classes)})
